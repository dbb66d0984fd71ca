#pragma once

#include <stddef.h>

/// Bytes that lie in the read-only part of the program: the system maps them and reads a page when it is touched.
struct token_table {
    const void *bytes;
    size_t count;
};

/// The vocabulary cl100k_base, packed by scripts/pack-tokens. Aligned for 64-bit words, as all three are.
struct token_table token_table_cl100k(void);

/// The vocabulary o200k_base, packed by scripts/pack-tokens.
struct token_table token_table_o200k(void);

/// The class of every code point, packed by scripts/pack-tokens.
struct token_table token_table_scalar_classes(void);

/// The catalogue of models, config/models.json as it is.
struct token_table token_table_models(void);
