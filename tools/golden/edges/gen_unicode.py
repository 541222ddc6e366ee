"""Writes tokenizer/unicode.json: the Unicode tables the reference really uses, as code point ranges.

Probed from the tokenizers library itself, so a reader needs no Unicode database of the right version:
 L, N, M, s: what \\p{L}, \\p{N}, \\p{M}, \\s of its regex engine (Oniguruma) match.
 nfc_unknown_marks: code points with a combining class in Unicode 18 that its NFC treats as class 0 (never reordered).
 nfc_no_compose: [composed, decomposition] pairs of Unicode 18 that its NFC leaves alone.
Run with unicodedata2 (PyPI, Unicode 18) importable.
"""

import json

import unicodedata2 as U
from common import out_dir
from tokenizers import Regex, normalizers, pre_tokenizers

CPS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def ranges(cps):
    out = []
    for c in sorted(cps):
        if out and out[-1][1] + 1 == c:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def members(pat):
    s = pre_tokenizers.Split(Regex(pat), "removed")
    out = set()
    for i in range(0, len(CPS), 4096):
        chunk = CPS[i : i + 4096]
        rest = set("".join(p for p, _ in s.pre_tokenize_str("".join(map(chr, chunk)))))
        out |= {c for c in chunk if chr(c) not in rest}
    return out


nfc = normalizers.NFC().normalize_str
unknown = []
for c in CPS:
    if U.combining(chr(c)):  # U+0345 has class 240: a known mark of a lower class moves before it
        if U.combining(chr(c)) < 240 and nfc("x\u0345" + chr(c)) == "x\u0345" + chr(c):
            unknown.append(c)
nocomp = []
for c in CPS:
    d = U.normalize("NFD", chr(c))
    if d != chr(c) and U.normalize("NFC", d) == chr(c) and nfc(d) != chr(c):
        nocomp.append([c, [ord(x) for x in d]])
cls = {k: members(p) for k, p in [("L", r"\p{L}"), ("N", r"\p{N}"), ("M", r"\p{M}"), ("s", r"\s")]}
doc = {
    "oniguruma_unicode": "16.0",
    "tokenizers": __import__("tokenizers").__version__,
    "nfc_unicode": "9.0",
    "counts": {k: len(v) for k, v in cls.items()},
    "nfc_unknown_marks": ranges(unknown),
    "nfc_no_compose": nocomp,
    **{k: ranges(v) for k, v in cls.items()},
}
with open(out_dir("tokenizer") + "/unicode.json", "w") as f:
    f.write(
        "{\n" + ",\n".join(json.dumps(k) + ": " + json.dumps(v, separators=(",", ":")) for k, v in doc.items()) + "\n}\n"
    )
print({k: len(v) for k, v in cls.items()}, len(unknown), len(nocomp))
