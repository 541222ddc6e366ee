#!/usr/bin/env python3
"""Writes src/text/unicode_tables.h from tests/golden/edges/tokenizer/unicode.json.

usage: tools/gen_unicode_tables.py [UNICODE_JSON [HEADER]]

unicode.json says what the reference's engines take as L, N, M and white space (Unicode 16.0) and where its NFC (Unicode 9.0
data) differs from newer data. The one thing it does not hold, the starters that compose with the character before them, comes
from Python's own character data; what newer versions of Python add there is in nfc_no_compose and left out again.
"""
import json
import sys
import unicodedata

SOURCE = "tests/golden/edges/tokenizer/unicode.json"
HEADER = "src/text/unicode_tables.h"
CLASSES = {"L": 1, "N": 2, "M": 3, "s": 4}


def class_starts(data):
    """(first code point, class) of every maximal run of one class, ascending, from U+0000 on."""
    kind = bytearray(0x110000)
    for name, number in CLASSES.items():
        for first, last in data[name]:
            if any(kind[first:last + 1]):
                sys.exit(f"{name} {first:#x}..{last:#x} overlaps another class")
            kind[first:last + 1] = bytes([number]) * (last - first + 1)
    return [(c, kind[c]) for c in range(0x110000) if c == 0 or kind[c] != kind[c - 1]]


def compose_backward(no_compose):
    """Starters (combining class 0) that are the second half of a canonical composition, Hangul left out."""
    found = set()
    for c in range(0x110000):
        parts = unicodedata.decomposition(chr(c)).split()
        if len(parts) == 2 and parts[0][0] != "<" and c not in no_compose and unicodedata.normalize("NFC", chr(c)) == chr(c):
            second = int(parts[1], 16)
            if unicodedata.combining(chr(second)) == 0:
                found.add(second)
    return sorted(found)


def rows(values, width=118):
    line, out = "   ", []
    for v in values:
        item = f" {v},"
        if len(line) + len(item) > width:
            out.append(line)
            line = "   "
        line += item
    return "\n".join(out + [line])


def table(comment, name, kind, values):
    values = list(values)
    return f"/* {comment} */\nstatic const {kind} {name}[{len(values)}] = {{\n{rows(values)}\n}};\n"


def main():
    source = sys.argv[1] if len(sys.argv) > 1 else SOURCE
    header = sys.argv[2] if len(sys.argv) > 2 else HEADER
    with open(source, encoding="ascii") as f:
        data = json.load(f)
    no_compose = sorted(c for c, _ in data["nfc_no_compose"])
    starts = class_starts(data)
    parts = [
        "/* Written by tools/gen_unicode_tables.py; do not edit. Included by src/text/unicode.c only. */\n"
        "/* clang-format off */\n#ifndef EXAONE_TEXT_UNICODE_TABLES_H\n#define EXAONE_TEXT_UNICODE_TABLES_H\n\n"
        "#include <stdint.h>\n",
        table(f"Unicode {data['oniguruma_unicode']}: first code point << 3 | class of each run; 0 other, 1 L, 2 N, 3 M, 4 white space.",
              "class_starts", "uint32_t", (f"{c << 3 | k:#x}" for c, k in starts)),
        table(f"Marks added after Unicode {data['nfc_unicode']}, for NFC of class 0: first, last.",
              "unknown_marks", "uint32_t", (f"{c:#x}" for r in data["nfc_unknown_marks"] for c in r)),
        table(f"Characters with a canonical decomposition added after Unicode {data['nfc_unicode']}: left alone by NFC.",
              "no_compose", "uint32_t", (f"{c:#x}" for c in no_compose)),
        table("Starters other than Hangul that compose with the character before them.",
              "backward", "uint32_t", (f"{c:#x}" for c in compose_backward(set(no_compose)))),
    ]
    with open(header, "w", encoding="ascii") as f:
        f.write("\n".join(parts) + "\n#endif\n")


main()
