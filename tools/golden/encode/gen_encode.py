"""Writes encode/errors.json: the squared errors of two public quantisers, which ours must not exceed.

GGML_LIBRARY names a shared library with ggml_quantize_chunk, built from ggml's ggml.c and ggml-quants.c
(gcc -O3 -DNDEBUG, no -march, at the commit that the file names); the second quantiser is the package gguf.
The Gaussian comes from the generator of src/base/rng.c, the weights from models/tiny.
"""

import ctypes
import json
import os
import struct

import gguf
import numpy as np
from gguf.quants import dequantize, quant_shape_to_byte_shape, quantize

COMMIT = "ggml-org/ggml d99724f2"
TYPES = "Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 F16 BF16".split()
ROWS = 32
SEED = 45
TENSORS = [
    "lm_head.weight",
    "model.language_model.layers.3.self_attn.o_proj.weight",
    "model.language_model.layers.5.mlp.down_proj.weight",
]
U32 = 0xFFFFFFFF


def unit(stream, n):
    """n numbers in [0, 1) of a stream: Philox4x32-10, counter (index, 0, stream, 0)."""
    index = np.arange(n, dtype=np.uint64)
    c = [index, index * 0, index * 0 + np.uint64(stream), index * 0]
    k = [SEED, 0]
    for _ in range(10):
        a = np.uint64(0xD2511F53) * c[0]
        b = np.uint64(0xCD9E8D57) * c[2]
        low, shift = np.uint64(U32), np.uint64(32)
        c = [(b >> shift) ^ c[1] ^ np.uint64(k[0]), b & low, (a >> shift) ^ c[3] ^ np.uint64(k[1]), a & low]
        k = [(k[0] + 0x9E3779B9) & U32, (k[1] + 0xBB67AE85) & U32]
    return ((c[0] << np.uint64(32) | c[1]) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def gaussian(stream, n):
    return np.sqrt(-2 * np.log(1 - unit(stream, n))) * np.cos(2 * np.pi * unit(stream + 1, n))


def tiny(name):
    with open("models/tiny/model.safetensors", "rb") as f:
        raw = f.read()
    head = struct.unpack("<Q", raw[:8])[0]
    entry = json.loads(raw[8 : 8 + head])[name]
    begin, end = entry["data_offsets"]
    values = np.frombuffer(raw[8 + head + begin : 8 + head + end], np.uint16).astype(np.uint32) << 16
    assert entry["dtype"] == "BF16"
    return np.ascontiguousarray(values.view(np.float32).reshape(entry["shape"])[:ROWS])


def main():
    library = ctypes.CDLL(os.environ["GGML_LIBRARY"])
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    pointer = lambda a: None if a is None else a.ctypes.data_as(ctypes.c_void_p)

    g = gaussian(1, ROWS * 512).reshape(ROWS, 512)
    data = {"gaussian": (g * 0.02).astype(np.float32), "heavy": (g**3 * 0.02).astype(np.float32)}
    data.update((name, tiny(name)) for name in TENSORS)
    cases = []
    for kind in TYPES:
        number = gguf.GGMLQuantizationType[kind]
        for name, x in data.items():
            weights = (unit(3, x.shape[1]) ** 4).astype(np.float32)
            for importance in (None, weights):
                blocks = np.zeros(quant_shape_to_byte_shape(x.shape, number), np.uint8)
                sizes = [ctypes.c_int64(v) for v in (0, *x.shape)]
                library.ggml_quantize_chunk(int(number), pointer(x), pointer(blocks), *sizes, pointer(importance))
                w = 1.0 if importance is None else importance.astype(np.float64)
                error = lambda b: float((w * (dequantize(b, number).reshape(x.shape).astype(np.float64) - x) ** 2).sum())
                case = {"type": kind, "data": name, "importance": importance is not None, "ggml": error(blocks)}
                try:
                    case["gguf"] = error(quantize(x, number))
                except NotImplementedError:
                    case["gguf"] = None
                cases.append(case)
    head = {"ggml": COMMIT, "gguf": "gguf 0.19.0", "seed": SEED, "rows": ROWS}
    out = os.environ.get("ENCODE_OUT", "tests/golden/encode")
    with open(os.path.join(out, "errors.json"), "w", encoding="utf-8") as f:
        f.write(json.dumps(head)[:-1] + ', "cases": [\n' + ",\n".join(map(json.dumps, cases)) + "\n]}\n")


if __name__ == "__main__":
    main()
