#!/usr/bin/env python3
"""Compares two safetensors files tensor by tensor.  Needs only Python's standard library.

    compare.py EXPECTED.safetensors ACTUAL.safetensors [--tol NAME=VALUE]… [--rel NAME=VALUE]…

For every tensor of EXPECTED: largest absolute difference, relative L2 distance, cosine, share of equal argmax along the
last axis, and how many values are not finite in each file.  NAME may hold wildcards ('layer.*.output').

    --tol NAME=VALUE   largest absolute difference allowed        --rel NAME=VALUE   largest relative L2 distance allowed
    --only NAME        look at these tensors only (repeatable)    --subset           tensors missing in ACTUAL are no error

Exit status 1 if a tensor is above a bound that matches it, is missing, has another shape, is not finite where EXPECTED is
finite (or the reverse), or if integers differ.  -inf equals -inf.  A bound that matches no tensor is an error too.
"""

import argparse
import array
import fnmatch
import json
import math
import struct
import sys

SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
CODES = {
    "F64": "d",
    "F32": "f",
    "I64": "q",
    "I32": "i",
    "I16": "h",
    "I8": "b",
    "U64": "Q",
    "U32": "I",
    "U16": "H",
    "U8": "B",
    "BOOL": "B",
}


def read(path):
    """name -> (dtype, shape, bytes)"""
    with open(path, "rb") as file:
        data = file.read()
    if len(data) < 8:
        sys.exit(f"{path}: not a safetensors file")
    (length,) = struct.unpack("<Q", data[:8])
    out = {}
    for name, info in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            shape = info["shape"]
            if end - begin != math.prod(shape) * SIZES[info["dtype"]]:
                sys.exit(f"{path}: {name}: size does not fit its shape")
            out[name] = (info["dtype"], shape, data[8 + length + begin : 8 + length + end])
    return out


def numbers(dtype, raw):
    if dtype == "F16":
        return struct.unpack(f"<{len(raw) // 2}e", raw)
    if dtype == "BF16":  # the upper half of an fp32
        wide = bytearray(len(raw) * 2)
        wide[2::4], wide[3::4] = raw[0::2], raw[1::2]
        dtype, raw = "F32", bytes(wide)
    values = array.array(CODES[dtype])
    values.frombytes(raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def argmax(values, begin, end):
    return max(range(begin, end), key=values.__getitem__)


def measure(expected, actual, last):
    """Differences over the values that are finite in both; values that are not must be the same."""
    odd_a = sum(not math.isfinite(x) for x in expected)
    odd_b = sum(not math.isfinite(x) for x in actual)
    mismatch = 0
    pairs = zip(expected, actual)
    if odd_a or odd_b:
        kept = []
        for x, y in pairs:
            if math.isfinite(x) and math.isfinite(y):
                kept.append((x, y))
            elif not (x == y or (x != x and y != y)):
                mismatch += 1
        pairs = kept
    worst = square = dot = norm_a = norm_b = 0.0
    for x, y in pairs:
        d = y - x
        if d > worst or -d > worst:
            worst = abs(d)
        square += d * d
        dot += x * y
        norm_a += x * x
        norm_b += y * y
    relative = math.sqrt(square / norm_a) if norm_a else (0.0 if not square else math.inf)
    cosine = dot / math.sqrt(norm_a * norm_b) if norm_a and norm_b else (1.0 if norm_a == norm_b else 0.0)
    rows = range(0, len(expected), last) if last else ()
    same = sum(argmax(expected, r, r + last) == argmax(actual, r, r + last) for r in rows)
    agreement = same / len(rows) if len(rows) else 1.0
    return worst, relative, cosine, agreement, odd_a, odd_b, mismatch


def bounds(arguments):
    out = []
    for text in arguments:
        name, _, value = text.rpartition("=")
        try:
            out.append([name, float(value), 0])
        except ValueError:
            sys.exit(f"bad bound '{text}': want NAME=VALUE")
    return out


def limit(rules, name):
    """The smallest bound that matches, or None."""
    best = None
    for rule in rules:
        if fnmatch.fnmatchcase(name, rule[0]):
            rule[2] += 1
            best = rule[1] if best is None else min(best, rule[1])
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("expected")
    parser.add_argument("actual")
    parser.add_argument("--tol", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--rel", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--subset", action="store_true")
    options = parser.parse_args()
    expected, actual = read(options.expected), read(options.actual)
    absolute, relative_rules = bounds(options.tol), bounds(options.rel)
    names = [n for n in expected if not options.only or any(fnmatch.fnmatchcase(n, p) for p in options.only)]
    bad, seen = 0, 0
    print(f"{'tensor':40s} {'max abs':>10s} {'rel L2':>10s} {'cosine':>12s} {'argmax':>7s} {'nonfinite':>11s}")
    for name in names:
        dtype, shape, raw = expected[name]
        tol, rel = limit(absolute, name), limit(relative_rules, name)
        if name not in actual:
            if not options.subset:
                bad += 1
                print(f"{name:40s} MISSING")
            continue
        if actual[name][1] != shape:
            bad += 1
            print(f"{name:40s} SHAPE {shape} against {actual[name][1]}")
            continue
        seen += 1
        a, b = numbers(dtype, raw), numbers(actual[name][0], actual[name][2])
        worst, relative, cosine, agreement, odd_a, odd_b, mismatch = measure(a, b, shape[-1] if shape else 1)
        faults = []
        if mismatch:
            faults.append(f"{mismatch} non-finite values differ")
        if dtype[0] in "IUB" and dtype != "BF16" and worst:
            faults.append("integers differ")
        if tol is not None and not worst <= tol:
            faults.append(f"max abs > {tol:g}")
        if rel is not None and not relative <= rel:
            faults.append(f"rel L2 > {rel:g}")
        bad += bool(faults)
        print(
            f"{name:40s} {worst:10.3e} {relative:10.3e} {cosine:12.9f} {agreement:7.3f} {odd_a:5d}/{odd_b:5d} {'; '.join(faults)}"
        )
    for option, rules in (("--tol", absolute), ("--rel", relative_rules)):
        for name, value, uses in rules:
            if not uses:
                bad += 1
                print(f"{option} {name}={value:g} matches no tensor")
    extra = [n for n in actual if n not in expected]
    if extra:
        print(f"only in {options.actual}: {', '.join(sorted(extra))}")
    if not seen:
        bad += 1
        print("nothing was compared")
    print("FAILED" if bad else "passed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
