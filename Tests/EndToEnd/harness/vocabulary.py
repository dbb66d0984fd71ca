"""tiktoken's encodings, with the vocabularies as they lie in the program: tiktoken itself would download them."""
import base64
import functools
import hashlib
import struct
from pathlib import Path
from unittest import mock

import tiktoken
from tiktoken_ext import openai_public

TABLES = Path(__file__).resolve().parents[3] / "Sources/CTokenTables/tables"
NAMES = ("cl100k_base", "o200k_base")
LEAF, INNER, SYMBOL, SHIFT, END = 1 << 9, 1 << 10, 0x1FF, 11, 256


class Table:
    """A packed vocabulary; scripts/pack-tokens describes its sections."""

    def __init__(self, name):
        data = (TABLES / f"{name}.bin").read_bytes()
        magic, version, cells, ranks = struct.unpack_from("<4sIII", data)
        assert (magic, version) == (b"TPTK", 4)
        self.cells = struct.unpack_from(f"<{cells}I", data, 64)
        origins = struct.unpack_from(f"<{ranks * 2}Q", data, (64 + cells * 4 + 63) // 64 * 64)
        self.halves = [(origin & 0x3FFFF, origin >> 18 & 0x3FFFF) for origin in origins[::2]]

    @functools.cached_property
    def tokens(self):
        """The bytes of each token, by rank: single bytes from the trie, all others from their halves."""
        tokens = [b""] * len(self.halves)
        for byte in range(256):
            tokens[self.rank(bytes([byte]))] = bytes([byte])
        for rank, (left, right) in enumerate(self.halves):
            if rank >= 256:
                tokens[rank] = tokens[left] + tokens[right]
        return tokens

    def rank(self, token):
        """What the trie says of `token`: its rank, or None."""
        base, cell = 0, 0
        for symbol in token:
            cell = self.cells[base + symbol]
            if cell & SYMBOL != symbol:
                return None
            base = cell >> SHIFT
        if cell & LEAF:
            return base
        return self.cells[base + END] >> SHIFT if cell & INNER else None

    def published_checksum(self):
        """SHA-256 of the file that OpenAI publishes, written again from the table."""
        lines = (b"%s %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(self.tokens))
        return hashlib.sha256(b"".join(lines)).hexdigest()


@functools.cache
def table(name):
    return Table(name)


@functools.cache
def encoding(name):
    """The encoding as tiktoken makes it, with its own expressions and our ranks."""
    ranks = {token: rank for rank, token in enumerate(table(name).tokens)}
    with mock.patch.object(openai_public, "load_tiktoken_bpe", lambda *_, **__: ranks):
        return tiktoken.Encoding(**getattr(openai_public, name)())
