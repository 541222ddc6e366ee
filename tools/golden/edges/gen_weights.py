"""Writes weights/: raw quantised blocks with their values, a small GGUF text file and mmproj, compressed-tensors and FP8 tensors.

Values come from the PyPI packages gguf and compressed-tensors and from torch; own_dequant() rebuilds the GGUF ones from the formulas
of the block formats alone and must agree bit for bit.
"""

import json
import os

import gguf
import numpy as np
import torch
from common import GOLDEN, dump_json, out_dir, sha256
from gguf import GGMLQuantizationType as Q
from gguf import quants
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch

torch.set_num_threads(1)
TYPES = [
    "F16",
    "BF16",
    "Q8_0",
    "Q4_0",
    "Q4_1",
    "Q5_0",
    "Q5_1",
    "Q2_K",
    "Q3_K",
    "Q4_K",
    "Q5_K",
    "Q6_K",
    "IQ4_NL",
    "IQ4_XS",
    "MXFP4",
]
# byte offsets of fp16 scalars inside a block
HALVES = {
    "Q8_0": [0],
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q2_K": [80, 82],
    "Q3_K": [108],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
    "Q6_K": [208],
    "IQ4_NL": [0],
    "IQ4_XS": [0],
}
IQ4 = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
FP4 = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12]
f32 = np.float32


def own_dequant(t, b):
    """One block of raw bytes -> list of float32, scalar code. Products left to right in float32."""
    h = lambda o: f32(np.frombuffer(bytes(b[o : o + 2]), np.float16)[0])
    b = [int(x) for x in b]
    y = []
    if t == "F16":
        return [h(0)]
    if t == "BF16":
        return [np.frombuffer(bytes([0, 0, b[0], b[1]]), f32)[0]]
    if t == "Q8_0":
        d = h(0)
        return [f32(f32(x - 256 if x > 127 else x) * d) for x in b[2:34]]
    if t in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "IQ4_NL", "MXFP4"):
        off = {"Q4_0": 2, "Q4_1": 4, "Q5_0": 6, "Q5_1": 8, "IQ4_NL": 2, "MXFP4": 1}[t]
        if t == "MXFP4":
            e = b[0]
            d = np.array([(e - 1) << 23 if e >= 2 else 0x00200000 << e], np.uint32).view(f32)[0]
        else:
            d = h(0)
        m = h(2) if t in ("Q4_1", "Q5_1") else None
        qh = int.from_bytes(bytes(b[off - 4 : off]), "little") if t in ("Q5_0", "Q5_1") else 0
        for e in range(32):
            q = b[off + e % 16] >> 4 if e >= 16 else b[off + e % 16] & 15
            q |= (qh >> e & 1) << 4
            if t == "Q4_0":
                v = f32(f32(q - 8) * d)
            elif t == "Q5_0":
                v = f32(f32(q - 16) * d)
            elif t == "IQ4_NL":
                v = f32(d * f32(IQ4[q]))
            elif t == "MXFP4":
                v = f32(d * f32(FP4[q]))
            else:
                v = f32(f32(d * f32(q)) + m)
            y.append(v)
        return y
    y = [f32(0)] * 256
    if t == "Q2_K":
        S, qs, d, dm = b[0:16], b[16:80], h(80), h(82)
        for n in range(2):
            for j in range(4):
                for l in range(32):
                    s = S[8 * n + 2 * j + l // 16]
                    q = qs[32 * n + l] >> 2 * j & 3
                    y[128 * n + 32 * j + l] = f32(f32(f32(d * f32(s & 15)) * f32(q)) - f32(dm * f32(s >> 4)))
    elif t == "Q3_K":
        hm, qs, S, d = b[0:32], b[32:96], b[96:108], h(108)
        for n in range(2):
            for j in range(4):
                for l in range(32):
                    i = 8 * n + 2 * j + l // 16
                    low = S[i] & 15 if i < 8 else S[i - 8] >> 4
                    sc = low | (S[8 + i % 4] >> 2 * (i // 4) & 3) << 4
                    q = (qs[32 * n + l] >> 2 * j & 3) - (0 if hm[l] >> (4 * n + j) & 1 else 4)
                    y[128 * n + 32 * j + l] = f32(f32(d * f32(sc - 32)) * f32(q))
    elif t in ("Q4_K", "Q5_K"):
        d, dm, S = h(0), h(2), b[4:16]
        qh, qs = (b[16:48], b[48:176]) if t == "Q5_K" else ([0] * 32, b[16:144])
        for j in range(8):
            sc, mn = (
                (S[j] & 63, S[j + 4] & 63)
                if j < 4
                else ((S[j + 4] & 15) | (S[j - 4] >> 6) << 4, (S[j + 4] >> 4) | (S[j] >> 6) << 4)
            )
            for l in range(32):
                byte = qs[32 * (j // 2) + l]
                q = (byte >> 4 if j % 2 else byte & 15) | (qh[l] >> j & 1) << 4
                y[32 * j + l] = f32(f32(f32(d * f32(sc)) * f32(q)) - f32(dm * f32(mn)))
    elif t == "Q6_K":
        ql, qh, S, d = b[0:128], b[128:192], [x - 256 if x > 127 else x for x in b[192:208]], h(208)
        for n in range(2):
            for l in range(32):
                a, c, g, k = ql[64 * n + l], ql[64 * n + 32 + l], qh[32 * n + l], l // 16
                for z, (lo, sh, si) in enumerate(((a & 15, 0, 0), (c & 15, 2, 2), (a >> 4, 4, 4), (c >> 4, 6, 6))):
                    q = (lo | (g >> sh & 3) << 4) - 32
                    y[128 * n + 32 * z + l] = f32(f32(d * f32(S[8 * n + k + si])) * f32(q))
    elif t == "IQ4_XS":
        d, sh, sl, qs = h(0), b[2] | b[3] << 8, b[4:8], b[8:136]
        for k in range(8):
            ls = (sl[k // 2] >> 4 * (k % 2) & 15) | (sh >> 2 * k & 3) << 4
            dl = f32(d * f32(ls - 32))
            for j in range(16):
                y[32 * k + j] = f32(dl * f32(IQ4[qs[16 * k + j] & 15]))
                y[32 * k + 16 + j] = f32(dl * f32(IQ4[qs[16 * k + j] >> 4]))
    return y


def random_blocks(t, n, r):
    """[n, block bytes] uint8, every byte random, the fp16 scalars finite (among them 0, -0, the smallest and largest)."""
    size = quants.gguf.GGML_QUANT_SIZES[Q[t]][1] if hasattr(quants, "gguf") else gguf.GGML_QUANT_SIZES[Q[t]][1]
    b = r.integers(0, 256, (n, size), dtype=np.uint8)
    if t in ("F16", "BF16"):
        b = np.arange(65536, dtype=np.uint16).view(np.uint8).reshape(-1, 2)[:: max(1, 65536 // n)][:n].copy()
    for k, o in enumerate(HALVES.get(t, [])):
        v = (r.normal(0, 0.02, n)).astype(np.float16)
        v[:8] = np.array(
            [0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0xBC00, 0x7BFF if k == 0 else 0x3555], np.uint16
        ).view(np.float16)
        b[:, o : o + 2] = v.view(np.uint8).reshape(n, 2)
    if t == "MXFP4":
        b[:, 0] = r.integers(110, 140, n)
        b[:8, 0] = [0, 1, 2, 3, 127, 128, 253, 64]
    return b


def blocks(out, index, r, n32, n256):
    for t in TYPES:
        bs, size = gguf.GGML_QUANT_SIZES[Q[t]]
        n = 4096 if bs == 1 else n32 if bs == 32 else n256
        raw = random_blocks(t, n, r)
        val = quants.dequantize(raw.reshape(1, -1), Q[t]).astype(np.float32).reshape(n, bs)
        mine = np.array([own_dequant(t, x) for x in raw], np.float32)
        assert np.array_equal(mine.view(np.uint32), val.view(np.uint32)) or (
            bs == 1 and np.array_equal(mine, val, equal_nan=True)
        ), t
        out[t + "/random/blocks"], out[t + "/random/values"] = raw, val
        e = {"type": t, "id": int(Q[t]), "block_elements": bs, "block_bytes": size, "random_blocks": n}
        src = r.normal(0, 0.03, (8, 512)).astype(np.float32)
        src[0, :32] = 0
        src[1, :4] = [1.5, -1.5, 1e-8, -3e4 if t in ("BF16", "F16") else -2.0]
        try:
            q = np.ascontiguousarray(quants.quantize(src, Q[t])).view(np.uint8)
            out[t + "/normal/source"], out[t + "/normal/blocks"] = src, q
            v = quants.dequantize(q, Q[t]).astype(np.float32)
            mine = np.array([own_dequant(t, x) for x in q.reshape(-1, size)], np.float32).reshape(v.shape)
            assert np.array_equal(mine, v), t
            out[t + "/normal/values"] = v
            e["normal_rows"] = [8, 512]
            e["quantizer_max_error"] = float(np.abs(v - src).max())
        except NotImplementedError:
            e["normal_rows"] = None
        index.append(e)


# ------------------------------------------------- simple K quantisers (valid blocks; not llama.cpp's search)
def put_q6k(row):
    """[256k] float32 -> Q6_K bytes"""
    out = b""
    for x in row.reshape(-1, 256):
        s = np.abs(x.reshape(16, 16)).max(1) / 31
        d = np.float16(s.max() / 127 or 0)
        sc = np.clip(np.rint(s / f32(d)) if d else s * 0, -128, 127).astype(np.int8)
        st = f32(d) * sc.astype(f32)
        q = (
            np.clip(
                np.rint(np.divide(x.reshape(16, 16), st[:, None], out=np.zeros((16, 16), f32), where=st[:, None] != 0)),
                -32,
                31,
            )
            .astype(int)
            .reshape(256)
            + 32
        )
        ql, qh = bytearray(128), bytearray(64)
        for n in range(2):
            for l in range(32):
                v = [q[128 * n + 32 * z + l] for z in range(4)]
                ql[64 * n + l] = (v[0] & 15) | (v[2] & 15) << 4
                ql[64 * n + 32 + l] = (v[1] & 15) | (v[3] & 15) << 4
                qh[32 * n + l] = v[0] >> 4 | (v[1] >> 4) << 2 | (v[2] >> 4) << 4 | (v[3] >> 4) << 6
        out += bytes(ql) + bytes(qh) + sc.tobytes() + d.tobytes()
    return out


def put_q4k(row):
    out = b""
    for x in row.reshape(-1, 256):
        s = x.reshape(8, 32)
        mn = np.minimum(s.min(1), 0)
        sc = (s.max(1) - mn) / 15
        d, dm = np.float16(sc.max() / 63), np.float16((-mn).max() / 63)
        a = np.clip(np.rint(sc / f32(d)) if d else sc * 0, 0, 63).astype(int)
        m = np.clip(np.rint(-mn / f32(dm)) if dm else mn * 0, 0, 63).astype(int)
        den = (f32(d) * a.astype(f32))[:, None]
        q = np.clip(
            np.rint(np.divide(s + (f32(dm) * m.astype(f32))[:, None], den, out=np.zeros((8, 32), f32), where=den != 0)),
            0,
            15,
        ).astype(int)
        S = [0] * 12
        for j in range(4):
            S[j] = a[j] | (a[j + 4] >> 4) << 6
            S[j + 4] = m[j] | (m[j + 4] >> 4) << 6
            S[j + 8] = (a[j + 4] & 15) | (m[j + 4] & 15) << 4
        qs = b"".join(bytes(int(q[2 * c, l]) | int(q[2 * c + 1, l]) << 4 for l in range(32)) for c in range(4))
        out += d.tobytes() + dm.tobytes() + bytes(S) + qs
    return out


class TinyGGUF:
    """hidden 256, feed-forward 512, 4 blocks and 1 nextn block, 4 heads of 64, 2 kv heads; names, keys and type choice of llama.cpp's
    text files."""

    H, F, L, NH, NKV, HD = 256, 512, 4, 4, 2, 64

    def __init__(self, path, r, tok_path, kind, chat_template):
        self.w = gguf.GGUFWriter(path, "exaone4")
        self.r, self.kind, self.table, self.path = r, kind, [], path
        if kind == "MIXED":
            self.L = 1  # keep it small
        w = self.w
        tok = json.load(open(tok_path, encoding="utf-8"))
        added = {a["id"]: a for a in tok["added_tokens"]}
        inv = {i: s for s, i in tok["model"]["vocab"].items()}
        V = len(inv)
        w.add_type("model")
        w.add_string("general.name", "tiny exaone4 for tests")
        w.add_file_type({"Q4_K_M": 15, "BF16": 32, "F16": 1, "MIXED": 15}[kind])
        w.add_quantization_version(2)
        w.add_block_count(self.L + 1)
        w.add_uint32("exaone4.nextn_predict_layers", 1)
        w.add_context_length(262144)
        w.add_embedding_length(self.H)
        w.add_feed_forward_length(self.F)
        w.add_vocab_size(V)
        w.add_head_count(self.NH)
        w.add_head_count_kv(self.NKV)
        w.add_layer_norm_rms_eps(1e-5)
        w.add_sliding_window(64)
        w.add_array("exaone4.attention.sliding_window_pattern", [i % 4 != 3 or i == self.L for i in range(self.L + 1)])
        w.add_rope_freq_base(1e6)
        if kind == "Q4_K_M":  # optional keys: present in one file, absent in the other
            w.add_key_length(self.HD)
            w.add_value_length(self.HD)
            w.add_rope_dimension_count(self.HD)
        w.add_tokenizer_model("gpt2")
        w.add_tokenizer_pre("exaone-moe")
        w.add_token_list([added[i]["content"] if i in added else inv[i] for i in range(V)])
        # 1 normal, 3 control (special, or spelled <|...|>), 4 user defined
        types = []
        for i in range(V):
            a = added.get(i)
            control = a and (a["special"] or (a["content"].startswith("<|") and a["content"].endswith("|>")))
            types.append(1 if not a else 3 if control else 4)
        w.add_token_types(types)
        w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in tok["model"]["merges"]])
        w.add_bos_token_id(1)
        w.add_eos_token_id(53)
        w.add_pad_token_id(0)
        w.add_unk_token_id(3)
        if chat_template:
            w.add_chat_template(chat_template)

    def add(self, name, arr, t):
        a = np.ascontiguousarray(arr, np.float32)
        if t == "F32":
            raw = a
            self.w.add_tensor(name, a)
            val = a
        elif t in ("Q4_K", "Q6_K"):
            f = put_q4k if t == "Q4_K" else put_q6k
            raw = np.frombuffer(b"".join(f(x) for x in a), np.uint8).reshape(a.shape[0], -1)
            self.w.add_tensor(name, raw, raw_dtype=Q[t])
            val = quants.dequantize(raw, Q[t])
        else:
            raw = quants.quantize(a, Q[t])
            self.w.add_tensor(name, raw, raw_dtype=Q[t])
            val = quants.dequantize(raw, Q[t]).astype(np.float32)
        val = np.ascontiguousarray(val, np.float32)
        assert val.shape == a.shape and np.isfinite(val).all()
        if t != "F32":
            assert np.abs(val - a).max() < (0.3 if t == "MXFP4" else 0.12) * np.abs(a).max() + 1e-6, (
                name,
                t,
                np.abs(val - a).max(),
            )
        self.table.append(
            {
                "name": name,
                "type": t,
                "ne": list(a.shape[::-1]),
                "raw_sha256": sha256(np.ascontiguousarray(raw).tobytes()),
                "values_sha256": sha256(val.tobytes()),
                "first": [float(x) for x in val.reshape(-1)[:4]],
                "last": [float(x) for x in val.reshape(-1)[-4:]],
            }
        )

    def text(self, V):
        r, H, F, n = self.r, self.H, self.F, self.L + 1
        m = lambda o, i: r.normal(0, 0.05, (o, i)).astype(np.float32)
        nrm = lambda k: (1 + r.normal(0, 0.1, k)).astype(np.float32)
        more = lambda i: i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2
        odd = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "BF16", "F16", "MXFP4"]  # MIXED: one type after the other
        self.k = 0

        def ty(role, i=0):
            if self.kind in ("BF16", "F16"):
                return self.kind
            if self.kind == "MIXED":
                self.k += 1
                t = odd[self.k % len(odd)]
                return t
            return "Q6_K" if role == "output" or (role in ("v", "down") and more(i)) else "Q4_K"

        self.add("token_embd.weight", m(V, H), ty("embd"))
        self.add("output_norm.weight", nrm(H), "F32")
        self.add("output.weight", m(V, H), ty("output"))
        hd = self.HD
        fr = 1e6 ** (-np.arange(0, hd, 2, dtype=np.float64) / hd)
        wl = 2 * np.pi / fr
        s = np.clip((8192 / wl - 1) / 3, 0, 1)
        self.add("rope_freqs.weight", (fr / ((1 - s) * fr / 16 + s * fr)).astype(np.float32), "F32")
        for i in range(n):
            p = "blk.%d." % i
            self.add(p + "attn_q.weight", m(self.NH * hd, H), ty("q"))
            self.add(p + "attn_k.weight", m(self.NKV * hd, H), ty("k"))
            self.add(p + "attn_v.weight", m(self.NKV * hd, H), ty("v", i))
            self.add(p + "attn_output.weight", m(H, self.NH * hd), ty("o"))
            self.add(p + "attn_q_norm.weight", nrm(hd), "F32")
            self.add(p + "attn_k_norm.weight", nrm(hd), "F32")
            self.add(p + "post_attention_norm.weight", nrm(H), "F32")
            self.add(p + "ffn_gate.weight", m(F, H), ty("gate"))
            self.add(p + "ffn_up.weight", m(F, H), ty("up"))
            self.add(p + "ffn_down.weight", m(H, F), ty("down", i))
            self.add(p + "post_ffw_norm.weight", nrm(H), "F32")
        p = "blk.%d.nextn." % self.L
        self.add(p + "eh_proj.weight", m(H, 2 * H), ty("eh"))
        for k in ("enorm", "hnorm", "shared_head_norm"):
            self.add(p + k + ".weight", nrm(H), "F32")

    def close(self):
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()
        return describe(self.path, self.table)


def describe(path, table):
    """Reads the file back with the package's reader and returns what a loader must find."""
    rd = gguf.GGUFReader(path)
    kv = {}
    for k, f in rd.fields.items():
        if k.startswith("GGUF."):
            continue
        v = f.contents()
        t = [x.name for x in f.types]
        if isinstance(v, list) and len(v) > 32:
            v = {"array_of": t[1], "count": len(v), "first": v[:4], "last": v[-2:]}
        elif k == "tokenizer.chat_template":
            v = {"bytes": len(v.encode())}
        kv[k] = {"type": t, "value": v}
    assert len(rd.tensors) == len(table)
    for x, e in zip(rd.tensors, table):
        assert x.name == e["name"] and x.tensor_type.name == e["type"] and [int(v) for v in x.shape] == e["ne"], e
        assert sha256(np.ascontiguousarray(x.data).tobytes()) == e["raw_sha256"]
        e["offset"] = int(x.data_offset)
    return {
        "bytes": os.path.getsize(path),
        "sha256": sha256(path),
        "alignment": int(rd.alignment),
        "data_start": int(rd.data_offset),
        "kv": kv,
        "tensors": table,
    }


def mmproj(path, r, kind):
    """Vision width 64, feed-forward 96, 4 blocks, every 2nd full attention, projection 256; names and keys of the mmproj files that llama.cpp writes."""
    E, F, L, P = 64, 96, 4, 256
    w = gguf.GGUFWriter(path, "clip")
    w.add_type("mmproj")
    w.add_file_type(1 if kind == "F16" else 32)
    w.add_bool("clip.has_vision_encoder", True)
    w.add_bool("clip.use_silu", True)
    w.add_string("clip.projector_type", "exaone4_5")
    for k, v in (
        ("projection_dim", P),
        ("embedding_length", E),
        ("feed_forward_length", F),
        ("block_count", L),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
        ("patch_size", 14),
        ("window_size", 112),
        ("n_wa_pattern", 2),
        ("spatial_merge_size", 2),
        ("image_size", 560),
        ("image_min_pixels", 3136),
        ("image_max_pixels", 3211264),
    ):
        w.add_uint32("clip.vision." + k, v)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    w.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    w.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])
    table = []

    def add(name, shape, half):
        a = r.normal(0, 0.05, shape).astype(np.float32) + (
            1 if name.endswith(("ln1.weight", "ln2.weight", "post_ln.weight")) else 0
        )
        a = a.astype(np.float32)
        t = kind if half else "F32"
        if t == "F16":
            raw = a.astype(np.float16)
            w.add_tensor(name, raw)
            val = raw.astype(np.float32)
        elif t == "BF16":
            raw = quants.quantize(a.reshape(a.shape[0], -1), Q.BF16).reshape(a.shape[:-1] + (-1,))
            w.add_tensor(name, raw, raw_dtype=Q.BF16)
            val = quants.dequantize(raw.reshape(a.shape[0], -1), Q.BF16).reshape(a.shape)
        else:
            raw = val = a
            w.add_tensor(name, a)
        val = np.ascontiguousarray(val, np.float32)
        table.append(
            {
                "name": name,
                "type": t,
                "ne": list(a.shape[::-1]),
                "raw_sha256": sha256(np.ascontiguousarray(raw).tobytes()),
                "values_sha256": sha256(val.tobytes()),
                "first": [float(x) for x in val.reshape(-1)[:4]],
                "last": [float(x) for x in val.reshape(-1)[-4:]],
            }
        )

    add("v.patch_embd.weight", (E, 3, 14, 14), True)
    add("v.patch_embd.weight.1", (E, 3, 14, 14), True)
    for i in range(L):
        p = "v.blk.%d." % i
        add(p + "ln1.weight", (E,), False)
        add(p + "ln2.weight", (E,), False)
        add(p + "attn_qkv.weight", (E + 2 * 32, E), True)
        add(p + "attn_qkv.bias", (E + 2 * 32,), False)
        add(p + "attn_out.weight", (E, E), True)
        add(p + "attn_out.bias", (E,), False)
        for k, o, n in (("ffn_gate", F, E), ("ffn_up", F, E), ("ffn_down", E, F)):
            add(p + k + ".weight", (o, n), True)
            add(p + k + ".bias", (o,), False)
    add("v.post_ln.weight", (E,), False)
    add("mm.0.weight", (4 * E, 4 * E), True)
    add("mm.0.bias", (4 * E,), False)
    add("mm.2.weight", (P, 4 * E), True)
    add("mm.2.bias", (P,), False)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return describe(path, table)


# ------------------------------------------------- compressed-tensors and FP8
def packed(out, r, tag, o, i, symmetric):
    from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor as C
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    args = QuantizationArgs(num_bits=4, type="int", symmetric=symmetric, strategy="group", group_size=128)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    g = torch.Generator().manual_seed(int(r.integers(1 << 30)))
    w = (torch.randn(o, i, generator=g) * 0.03 + (0 if symmetric else 0.01)).to(torch.bfloat16)
    grp = w.float().reshape(o, i // 128, 128)
    if symmetric:
        scale = (grp.abs().amax(-1) / 7.5).to(torch.bfloat16)
        zp = torch.zeros(o, i // 128, dtype=torch.int8)
    else:
        lo, hi = grp.amin(-1).clamp(max=0), grp.amax(-1).clamp(min=0)
        scale = ((hi - lo) / 15).to(torch.bfloat16)
        zp = torch.clamp(torch.round(-8 - lo / scale.float()), -8, 7).to(torch.int8)
    sd = C.compress({"weight": w, "weight_scale": scale, "weight_zero_point": zp}, scheme)
    de = C.decompress(dict(sd), scheme)["weight"]
    for k, v in sd.items():
        out["%s.%s" % (tag, k)] = v.contiguous()
    # independent rebuild from the format
    wp = sd["weight_packed"].numpy().view(np.uint32)
    u = ((wp[:, :, None] >> (4 * np.arange(8, dtype=np.uint32))) & 15).reshape(o, -1)[:, :i].astype(np.int32)
    s32 = sd["weight_scale"].float().numpy()
    z = np.full((o, i // 128), 8, np.int32)
    if not symmetric:
        zw = sd["weight_zero_point"].numpy().view(np.uint32)
        z = (
            ((zw[:, None, :] >> (4 * np.arange(8, dtype=np.uint32))[None, :, None]) & 15)
            .reshape(-1, i // 128)[:o]
            .astype(np.int32)
        )
    exact = (u - np.repeat(z, 128, 1)).astype(np.float32) * np.repeat(s32, 128, 1)
    assert torch.equal(torch.from_numpy(exact).to(torch.bfloat16), de), tag
    assert float((torch.from_numpy(exact) - w.float()).abs().max()) < 0.02
    out[tag + ".expected_f32"] = torch.from_numpy(exact)
    out[tag + ".expected_bf16"] = de.contiguous()
    return {
        "name": tag,
        "out": o,
        "in": i,
        "symmetric": symmetric,
        "tensors": {k: [str(v.dtype).replace("torch.", ""), list(v.shape)] for k, v in sd.items()},
    }


def fp8(out, r, tag, o, i, how):
    g = torch.Generator().manual_seed(int(r.integers(1 << 30)))
    w = torch.randn(o, i, generator=g) * 0.05
    if how == "block":
        bo, bi = -(-o // 128), -(-i // 128)
        s = torch.zeros(bo, bi)
        for a in range(bo):
            for b in range(bi):
                s[a, b] = w[a * 128 : (a + 1) * 128, b * 128 : (b + 1) * 128].abs().max() / 448
        full = s.repeat_interleave(128, 0)[:o].repeat_interleave(128, 1)[:, :i]
        name = "weight_scale_inv"
    elif how == "channel":
        s = (w.abs().amax(1, keepdim=True) / 448).to(torch.bfloat16)
        full, name = s.float().expand(o, i), "weight_scale"
    else:
        s = (w.abs().max() / 448).reshape(1)
        full, name = s.expand(o, i), "weight_scale"
    q = (w / full).clamp(-448, 448).to(torch.float8_e4m3fn)
    v = q.float() * full.float()
    out[tag + ".weight"], out["%s.%s" % (tag, name)], out[tag + ".expected_f32"] = q, s.contiguous(), v.contiguous()
    if how == "block":
        from transformers.integrations.finegrained_fp8 import _dequantize_fp8_weight

        assert torch.equal(_dequantize_fp8_weight(q, s, [128, 128], torch.float32), v)
    else:
        from compressed_tensors.compressors.naive_quantized.base import FloatQuantizationCompressor as C
        from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

        args = QuantizationArgs(
            num_bits=8, type="float", symmetric=True, strategy="channel" if how == "channel" else "tensor"
        )
        de = C.decompress({"weight": q, "weight_scale": s}, QuantizationScheme(targets=["Linear"], weights=args))["weight"]
        assert torch.equal(de.float(), v.to(s.dtype).float()), tag
    return {
        "name": tag,
        "out": o,
        "in": i,
        "scale": name,
        "scale_dtype": str(s.dtype).replace("torch.", ""),
        "scale_shape": list(s.shape),
        "how": how,
    }


def number_tables(d, r):
    e4 = torch.arange(256, dtype=torch.int16).to(torch.uint8).view(torch.float8_e4m3fn).float().numpy()
    # bf16 rounding: fp32 bits -> bf16 bits, round to nearest even (torch); with the neighbours of ties, subnormals, infinities
    bits = [
        0x00000000,
        0x80000000,
        0x3F800000,
        0x3F808000,
        0x3F818000,
        0x3F807FFF,
        0x3F808001,
        0x3F817FFF,
        0x3F818001,
        0x7F7FFFFF,
        0x7F7F7FFF,
        0x7F7F8000,
        0xFF7FFFFF,
        0x7F800000,
        0xFF800000,
        0x00000001,
        0x00007FFF,
        0x00008000,
        0x00008001,
        0x00018000,
        0x007FFFFF,
        0x00800000,
        0x007F8000,
        0x80008000,
        0x80008001,
        0x3EAAAAAB,
        0x40490FDB,
        0xC2F6E979,
        0x477FE000,
        0x477FF000,
        0x33000000,
    ]
    bits += [int(x) for x in r.integers(0, 1 << 32, 200, dtype=np.uint64) if (int(x) >> 23 & 255) != 255]
    a = np.array(bits, np.uint32)
    b16 = torch.from_numpy(a.view(np.float32).copy()).to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    mine = ((a.astype(np.uint64) + 0x7FFF + ((a >> 16) & 1)) >> 16).astype(np.uint16)
    assert np.array_equal(mine, b16)
    h = torch.from_numpy(a.view(np.float32).copy()).to(torch.float16).view(torch.int16).numpy().view(np.uint16)
    with np.errstate(over="ignore"):
        assert np.array_equal(h, a.view(np.float32).astype(np.float16).view(np.uint16))
    tie = [
        0x33000000,
        0x33000001,
        0x32FFFFFF,
        0x33800000,
        0x33C00000,
        0x387FC000,
        0x387FE000,
        0x387FFFFF,
        0x38800000,
        0x3F801000,
        0x3F803000,
        0x3F801001,
        0x477FE000,
        0x477FEFFF,
        0x477FF000,
        0x47800000,
        0xC77FF000,
        0x337FFFFF,
        0xB3000001,
    ]
    t = np.array(tie, np.uint32)
    with np.errstate(over="ignore"):
        th = t.view(np.float32).astype(np.float16).view(np.uint16)
    h16 = [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0x3555, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x3C01, 0x0200]
    hv = np.array(h16, np.uint16).view(np.float16).astype(np.float32).view(np.uint32)
    hx = lambda v, n: ["%0*x" % (n, int(x)) for x in v]
    e4f = torch.from_numpy(
        np.concatenate(
            [
                np.linspace(-500, 500, 401),
                [0.0009765625, 0.00097, 0.0029296875, 0.001953125, 0.0146484375, 17, 19, 18, 248, 464, 463.99, -0.0],
            ]
        ).astype(np.float32)
    )
    dump_json(
        d + "/numbers.json",
        {
            "about": "hex strings are bit patterns",
            "e4m3_values": [None if np.isnan(x) else float(x) for x in e4],
            "e4m3_bits_f32": hx(e4.view(np.uint32), 8),
            "f32_to_bf16": {"f32": hx(a, 8), "bf16": hx(b16, 4)},
            "f32_to_f16": {"f32": hx(np.concatenate([a, t]), 8), "f16": hx(np.concatenate([h, th]), 4)},
            "f16_to_f32": {"f16": hx(np.array(h16), 4), "f32": hx(hv, 8)},
            "f32_to_e4m3_clamped": {
                "f32": hx(e4f.numpy().view(np.uint32), 8),
                "e4m3": hx(e4f.clamp(-448, 448).to(torch.float8_e4m3fn).view(torch.uint8).numpy(), 2),
            },
        },
    )


def everything(d, s, n32=64, n256=16, kinds=("Q4_K_M", "MIXED"), template="tiny"):
    r = np.random.default_rng(s)
    out, index = {}, []
    blocks(out, index, r, n32, n256)
    save_file(out, d + "/blocks.safetensors")
    tok = os.path.join(GOLDEN, "tokenizer", "tokenizer.json")
    V = len(json.load(open(tok, encoding="utf-8"))["model"]["vocab"])
    files = {}
    for kind in kinds:
        f = "tiny-%s.gguf" % kind.lower().replace("_", "")
        g = TinyGGUF(os.path.join(d, f), r, tok, kind, "{# stand-in for the real template #}")
        g.text(V if kind == "Q4_K_M" else V)
        files[f] = g.close()
    for kind in ("F16", "BF16")[: 2 if len(kinds) > 1 else 1]:
        f = "mmproj-tiny-%s.gguf" % kind.lower()
        files[f] = mmproj(os.path.join(d, f), r, kind)
    pt, rows = {}, []
    rows.append(packed(pt, r, "sym", 64, 384, True))
    rows.append(packed(pt, r, "asym", 64, 384, False))
    rows.append(packed(pt, r, "asym-odd", 20, 256, False))  # 20 rows: the packed zero points end in a half-filled word
    save_torch(pt, d + "/compressed.safetensors")
    ft, frows = {}, []
    frows.append(fp8(ft, r, "block", 200, 300, "block"))
    frows.append(fp8(ft, r, "block-exact", 128, 256, "block"))
    frows.append(fp8(ft, r, "channel", 96, 200, "channel"))
    frows.append(fp8(ft, r, "tensor", 32, 48, "tensor"))
    save_torch(ft, d + "/fp8.safetensors")
    number_tables(d, r)
    dump_json(
        d + "/weights.json",
        {
            "versions": {
                "gguf": __import__("importlib.metadata", fromlist=["version"]).version("gguf"),
                "compressed-tensors": __import__("compressed_tensors").__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
            "block_types": index,
            "compressed_tensors": rows,
            "fp8": frows,
            "gguf_files": {k: {"bytes": v["bytes"], "sha256": v["sha256"]} for k, v in files.items()},
        },
    )
    for k, v in files.items():
        dump_json(os.path.join(d, k + ".json"), v, "tensors")


if __name__ == "__main__":
    everything(out_dir("weights"), 8501)
    print(sorted(os.listdir(out_dir("weights"))))
