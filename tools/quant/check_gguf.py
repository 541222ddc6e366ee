#!/usr/bin/env python3
"""Reads what `exaone quantize` writes with the public package gguf (pip install gguf numpy), for every type.

For each type: the package opens the file, shapes equal the source's, keys are those of a reference list if given, and its
dequantised values equal, bit for bit, those that this program decodes (the same file quantised to F32).

usage: check_gguf.py build/exaone MODEL_FOLDER [REFERENCE.json]
REFERENCE.json: {"kv": {KEY: {"type": ["UINT32"]}, …}} as in tests/golden/edges/weights.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np

TYPES = "F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q4_K_M Q4_K_S Q4_0 IQ4_XS IQ4_NL Q3_K_M Q2_K MXFP4".split()


def values(tensor):
    """The tensor's values as f32, decoded by the package."""
    if tensor.tensor_type == gguf.GGMLQuantizationType.F32:
        return np.asarray(tensor.data, dtype=np.float32)
    return gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)


def compare(path, plain):
    """Counts tensors of `path` by type; exits when one differs from `plain`, the same values as F32."""
    decoded = {t.name: t for t in gguf.GGUFReader(plain).tensors}
    counts = {}
    for tensor in gguf.GGUFReader(path).tensors:
        other = decoded[tensor.name]
        if list(tensor.shape) != list(other.shape):
            sys.exit(f"{path}: {tensor.name}: shape {tensor.shape}, in the F32 file {other.shape}")
        mine, theirs = values(other).ravel(), values(tensor).ravel()
        if mine.tobytes() != theirs.tobytes() and not np.array_equal(mine, theirs):
            sys.exit(f"{path}: {tensor.name} ({tensor.tensor_type.name}): values differ")
        counts[tensor.tensor_type.name] = counts.get(tensor.tensor_type.name, 0) + 1
    return counts


def check_keys(path, reference):
    """Keys of the reference that are missing or of another type, and keys that it does not have."""
    fields = {n: [t.name for t in f.types] for n, f in gguf.GGUFReader(path).fields.items() if not n.startswith("GGUF.")}
    want = {n: v["type"] for n, v in json.loads(Path(reference).read_text(encoding="utf-8"))["kv"].items()}
    wrong = sorted(n for n in want if fields.get(n) != want[n])
    print(f"keys: {len(want)} wanted, wrong or missing: {wrong}, more: {sorted(set(fields) - set(want))}")
    return not wrong


def main():
    """Checks every type; the exit code says whether all is well."""
    program, model = sys.argv[1:3]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for kind in TYPES:
            path, plain = f"{folder}/m-{kind}.gguf", f"{folder}/plain.gguf"
            for arguments in (["--type", kind, model, path], ["--type", "F32", path, plain]):
                command = [program, "quantize", "--quiet", "--force", "--no-mmproj", *arguments]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            print(kind, compare(path, plain))
        if len(sys.argv) > 3:
            good = check_keys(f"{folder}/m-Q4_K_M.gguf", sys.argv[3])
        eyes = f"{folder}/eyes.gguf"
        for kind in ("F32", "F16", "BF16", "Q8_0"):
            command = [program, "quantize", "--quiet", "--force", "--type", "F16", "--mmproj-type", kind]
            command += ["--mmproj-out", eyes, model, f"{folder}/text.gguf"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            counts = {}
            for tensor in gguf.GGUFReader(eyes).tensors:
                if not np.isfinite(values(tensor)).all():
                    sys.exit(f"mmproj {kind}: {tensor.name} is not finite")
                counts[tensor.tensor_type.name] = counts.get(tensor.tensor_type.name, 0) + 1
            print("mmproj", kind, counts)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
