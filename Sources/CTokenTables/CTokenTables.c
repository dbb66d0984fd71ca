// #embed is of C23; this compiler takes it in any dialect, and without turning megabytes into source text.
#pragma clang diagnostic ignored "-Wc23-extensions"

#include "CTokenTables.h"

// Both vocabularies are OpenAI's, published with tiktoken under the MIT licence, (c) 2022 OpenAI, Shantanu Jain.
static const _Alignas(64) unsigned char cl100k[] = {
#embed "tables/cl100k_base.bin"
};
static const _Alignas(64) unsigned char o200k[] = {
#embed "tables/o200k_base.bin"
};
static const _Alignas(64) unsigned char scalar_classes[] = {
#embed "tables/scalar_classes.bin"
};
static const unsigned char models[] = {
#embed "../../config/models.json"
};

struct token_table token_table_cl100k(void) { return (struct token_table){cl100k, sizeof cl100k}; }
struct token_table token_table_o200k(void) { return (struct token_table){o200k, sizeof o200k}; }
struct token_table token_table_models(void) { return (struct token_table){models, sizeof models}; }
struct token_table token_table_scalar_classes(void) {
    return (struct token_table){scalar_classes, sizeof scalar_classes};
}
