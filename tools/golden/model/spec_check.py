#!/usr/bin/env python3
"""A second, independent implementation of the model, written from its description alone: numpy, fp64, no torch.

    spec_check.py CHECKPOINT STAGES [--controls FILE]

It reads a checkpoint folder and the fixtures that make_golden.py wrote, computes every stage again and prints the
distances.  Agreement shows that the description (docs/model.md) says enough, and says it right.

With --controls it also makes the well-known mistakes one at a time (RoPE on full layers, a window off by one, tanh GELU,
the wrong eps …) and writes how far each one moves the results.  A test bound is good if it lies far above the noise
(precision.md) and far below the mistakes (this table).
"""

import argparse
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np

DTYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "U8": np.uint8}


def read_safetensors(path):
    """u64 header length, JSON header, data.  bf16 is widened to fp32."""
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    out = {}
    for name, info in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + o for o in info["data_offsets"])
        if info["dtype"] == "BF16":
            bits = np.frombuffer(data[begin:end], np.uint16).astype(np.uint32) << 16
            values = bits.view(np.float32)
        else:
            values = np.frombuffer(data[begin:end], DTYPES[info["dtype"]])
        out[name] = values.reshape(info["shape"])
    return out


def read_checkpoint(folder):
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    tensors = {}
    for file in sorted(set(index["weight_map"].values())):
        tensors.update(read_safetensors(folder / file))
    assert set(tensors) == set(index["weight_map"])
    return {name: tensor.astype(np.float64) for name, tensor in tensors.items()}


def erf(x):
    return np.vectorize(math.erf)(x)


def silu(x):
    return x / (1 + np.exp(-x))


def softmax(scores):
    e = np.exp(scores - scores.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Model:
    def __init__(self, folder, mistakes=()):
        self.config = json.loads((folder / "config.json").read_text())
        self.text, self.vision = self.config["text_config"], self.config["vision_config"]
        self.weights = read_checkpoint(folder)
        self.mistakes = set(mistakes)
        self.layer_types = self.text["layer_types"][: self.text["num_hidden_layers"]]
        if self.wrong("pattern shifted by one"):
            self.layer_types = self.layer_types[-1:] + self.layer_types[:-1]

    def wrong(self, mistake):
        return mistake in self.mistakes

    def w(self, name):
        return self.weights[name]

    def rms(self, x, weight, eps):
        if self.wrong("norm weight used as 1 + w"):
            weight = 1 + weight
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight

    # ---- text decoder

    def frequencies(self):
        """Frequencies after the llama3 rule."""
        rope, dim = self.text["rope_scaling"], self.head_dim()
        theta = 10000.0 if self.wrong("rope_theta 10000") else rope["rope_theta"]
        f = theta ** (-2.0 * np.arange(dim // 2) / dim)
        if self.wrong("no llama3 frequency rule"):
            return f
        low, high, length = rope["low_freq_factor"], rope["high_freq_factor"], rope["original_max_position_embeddings"]
        wave = 2 * math.pi / f
        s = (length / wave - low) / (high - low)
        ramp = (1 - s) * f / rope["factor"] + s * f
        if self.wrong("llama3 rule without the ramp"):
            ramp = f
        return np.where(wave < length / high, f, np.where(wave > length / low, f / rope["factor"], ramp))

    def head_dim(self):
        return self.text.get("head_dim") or self.text["hidden_size"] // self.text["num_attention_heads"]

    def rotate(self, x, angle):
        """x [T, heads, d], angle [T, d/2]; element i turns with i + d/2."""
        cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
        if self.wrong("rope pairs interleaved"):
            even, odd = x[..., 0::2], x[..., 1::2]
            out = np.empty_like(x)
            out[..., 0::2], out[..., 1::2] = even * cos - odd * sin, odd * cos + even * sin
            return out
        half = x.shape[-1] // 2
        first, second = x[..., :half], x[..., half:]
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)

    def decoder_layer(self, prefix, x, sliding, positions):
        """x [T, hidden]"""
        t, d, count = self.text, self.head_dim(), len(x)
        eps = 1e-6 if self.wrong("text eps 1e-6") else t["rms_norm_eps"]
        heads, kv_heads = t["num_attention_heads"], t["num_key_value_heads"]
        linear = lambda name, value: value @ self.w(f"{prefix}.{name}.weight").T
        pre_norm = self.wrong("norm before the branch instead of after it")
        y = self.rms(x, self.w(f"{prefix}.post_attention_layernorm.weight"), eps) if pre_norm else x
        q = linear("self_attn.q_proj", y).reshape(count, heads, d)
        k = linear("self_attn.k_proj", y).reshape(count, kv_heads, d)
        v = linear("self_attn.v_proj", y).reshape(count, kv_heads, d)
        qn, kn = self.w(f"{prefix}.self_attn.q_norm.weight"), self.w(f"{prefix}.self_attn.k_norm.weight")
        angle = np.outer(positions, self.frequencies())
        turn = sliding or self.wrong("rope on full layers")
        if turn and self.wrong("qk norm after rope"):
            q, k = self.rotate(q, angle), self.rotate(k, angle)
        if not self.wrong("no qk norm"):
            q, k = self.rms(q, qn, eps), self.rms(k, kn, eps)
        if turn and not self.wrong("qk norm after rope") and not self.wrong("no rope at all"):
            q, k = self.rotate(q, angle), self.rotate(k, angle)
        head = np.arange(heads)
        group = head % kv_heads if self.wrong("kv head = h mod kv heads") else head // (heads // kv_heads)
        k, v = k[:, group], v[:, group]
        i, j = np.arange(count)[:, None], np.arange(count)[None]
        window = t["sliding_window"] + self.wrong("window one longer") - self.wrong("window one shorter")
        visible = (j <= i) & ((j > i - window) | (not sliding) | self.wrong("no window"))
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(d)
        probs = softmax(np.where(visible, scores, -np.inf))
        a = linear("self_attn.o_proj", np.einsum("hqk,khd->qhd", probs, v).reshape(count, -1))
        x = x + (a if pre_norm else self.rms(a, self.w(f"{prefix}.post_attention_layernorm.weight"), eps))
        y = self.rms(x, self.w(f"{prefix}.post_feedforward_layernorm.weight"), eps) if pre_norm else x
        gate, up = linear("mlp.gate_proj", y), linear("mlp.up_proj", y)
        if self.wrong("gate and up swapped"):
            gate, up = up, gate
        m = linear("mlp.down_proj", silu(gate) * up)
        return x + (m if pre_norm else self.rms(m, self.w(f"{prefix}.post_feedforward_layernorm.weight"), eps))

    def decode(self, x, positions=None):
        """x [T, hidden] -> outputs of all layers, vectors after the final norm, logits"""
        positions = np.arange(len(x)) if positions is None else positions
        layers = []
        for n, kind in enumerate(self.layer_types):
            x = self.decoder_layer(f"model.language_model.layers.{n}", x, kind == "sliding_attention", positions)
            layers.append(x)
        h = self.rms(x, self.w("model.language_model.norm.weight"), self.text["rms_norm_eps"])
        return layers, h, h @ self.w("lm_head.weight").T

    def embed(self, ids):
        return self.w("model.language_model.embed_tokens.weight")[ids]

    # ---- vision

    def vision_tables(self, grids):
        """Row and column of every patch row, window order of merged units, segment bounds."""
        v = self.vision
        m = v["spatial_merge_size"]
        side = v["window_size"] // m // v["patch_size"]
        if self.wrong("vision windows twice as wide"):
            side *= 2
        rows, order, windows, frames, base = [], [], [0], [0], 0
        for t, h, w in grids:
            big_h, big_w = h // m, w // m
            blocks = [
                (bh * m + ih, bw * m + iw)
                for bh in range(big_h)
                for bw in range(big_w)
                for ih in range(m)
                for iw in range(m)
            ]
            if self.wrong("vision positions in raster order"):
                blocks = [(r, c) for r in range(h) for c in range(w)]
            for _ in range(t):
                rows += blocks
                for wh in range(0, big_h, side):
                    for ww in range(0, big_w, side):
                        units = [
                            r * big_w + c for r in range(wh, min(wh + side, big_h)) for c in range(ww, min(ww + side, big_w))
                        ]
                        order += [base + u for u in units]
                        windows.append(windows[-1] + len(units) * m * m)
                frames.append(frames[-1] + h * w)
                base += big_h * big_w
            if self.wrong("vision attention across frames"):
                frames = frames[:-t] + frames[-1:]
        return np.array(rows), np.array(order), windows, frames

    def encode(self, pixels, grids):
        """pixels [N, 1176] -> outputs of all blocks (window order), features [N/4, out]"""
        v, dim = self.vision, self.vision["hidden_size"]
        unit, d = v["spatial_merge_size"] ** 2, dim // v["num_heads"]
        eps = 1e-5 if self.wrong("vision eps 1e-5") else 1e-6
        position, order, windows, frames = self.vision_tables(grids)
        if self.wrong("vision row and column swapped"):
            position = position[:, ::-1]
        inverse = 10000.0 ** (-2.0 * np.arange(d // 4) / (d // 2))
        angle = np.concatenate([position[:, :1] * inverse, position[:, 1:] * inverse], -1)
        x = pixels @ self.w("model.visual.patch_embed.proj.weight").reshape(dim, -1).T
        permute = lambda a: a.reshape(len(order), unit, -1)[order].reshape(len(a), -1)
        x, angle = permute(x), permute(angle)
        q_dim, kv_dim = dim, v["num_key_value_heads"] * d
        blocks = []
        for n in range(v["depth"]):
            prefix = f"model.visual.blocks.{n}"
            no_bias = self.wrong("vision biases dropped")
            linear = lambda name, a: (
                a @ self.w(f"{prefix}.{name}.weight").T + (0 if no_bias else self.w(f"{prefix}.{name}.bias"))
            )
            qkv = linear("attn.qkv", self.rms(x, self.w(f"{prefix}.norm1.weight"), eps))
            q, k, value = np.split(qkv, [q_dim, q_dim + kv_dim], -1)
            if self.wrong("vision k and v swapped"):
                k, value = value, k
            split = lambda a: a.reshape(len(a), -1, d)
            q, k, value = self.rotate(split(q), angle), self.rotate(split(k), angle), split(value)
            head = np.arange(v["num_heads"])
            kv = v["num_key_value_heads"]
            group = head % kv if self.wrong("vision kv head = h mod kv heads") else head // (v["num_heads"] // kv)
            k, value = k[:, group], value[:, group]
            full = n in v["fullatt_block_indexes"]
            full = (full or self.wrong("vision blocks all full")) and not self.wrong("vision blocks all windowed")
            bounds = frames if full else windows
            out = np.empty_like(q)
            for begin, end in zip(bounds[:-1], bounds[1:]):
                s = slice(begin, end)
                probs = softmax(np.einsum("qhd,khd->hqk", q[s], k[s]) / math.sqrt(d))
                out[s] = np.einsum("hqk,khd->qhd", probs, value[s])
            x = x + linear("attn.proj", out.reshape(len(x), -1))
            y = self.rms(x, self.w(f"{prefix}.norm2.weight"), eps)
            x = x + linear("mlp.down_proj", silu(linear("mlp.gate_proj", y)) * linear("mlp.up_proj", y))
            blocks.append(x)
        y = self.rms(x, self.w("model.visual.merger.ln_q.weight"), eps).reshape(len(order), -1)
        y = y @ self.w("model.visual.merger.mlp.0.weight").T + self.w("model.visual.merger.mlp.0.bias")
        if self.wrong("gelu by tanh"):
            y = 0.5 * y * (1 + np.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)))
        else:
            y = 0.5 * y * (1 + erf(y / math.sqrt(2)))
        y = y @ self.w("model.visual.merger.mlp.2.weight").T + self.w("model.visual.merger.mlp.2.bias")
        return blocks, y if self.wrong("window order not undone") else y[np.argsort(order)]

    def multimodal(self, data):
        x = self.embed(data["input_ids"][0]).copy()
        for pad, pixels, grid in ((67, "pixel_values", "image_grid_thw"), (68, "pixel_values_videos", "video_grid_thw")):
            if pixels in data:
                x[data["input_ids"][0] == pad] = self.encode(data[pixels].astype(np.float64), data[grid].tolist())[1]
        return x

    # ---- MTP

    def mtp(self, hidden, embeds, positions):
        """hidden, embeds [n, hidden]: entry t = (h_t, what the target saw at t+1) -> m, logits"""
        eps = self.text["rms_norm_eps"]
        e = self.rms(embeds, self.w("mtp.pre_fc_norm_embedding.weight"), eps)
        g = self.rms(hidden, self.w("mtp.pre_fc_norm_hidden.weight"), eps)
        z = np.concatenate([g, e] if self.wrong("mtp hidden half first") else [e, g], -1) @ self.w("mtp.fc.weight").T
        z = self.decoder_layer("mtp.layers.0", z, not self.wrong("mtp layer full, no rope"), positions)
        m = self.rms(z, self.w("mtp.norm.weight"), eps)
        return m, (z if self.wrong("mtp.norm left out") else m) @ self.w("lm_head.weight").T

    def mtp_run(self, x, steps):
        layers, h, logits = self.decode(x)
        fed = layers[-1] if self.wrong("mtp fed before the final norm") else h
        last = len(x) - 1
        hidden, embeds = fed[:last], x[:last] if self.wrong("mtp embeds token t") else x[1:]
        forced = self.mtp(hidden, embeds, np.arange(last))
        tokens, drafted = [int(logits[-1].argmax())], []
        hidden = np.concatenate([hidden, fed[last:]])
        embeds = np.concatenate([embeds, self.embed([tokens[-1]])])
        for _ in range(steps):
            m, l = self.mtp(hidden, embeds, np.arange(len(hidden)))
            drafted.append(l[-1])
            tokens.append(int(l[-1].argmax()))
            hidden = np.concatenate([hidden, m[-1:]])
            embeds = np.concatenate([embeds, self.embed([tokens[-1]])])
        return forced, tokens, np.array(drafted)


def gap(expected, actual):
    expected, actual = np.asarray(expected, np.float64), np.asarray(actual, np.float64)
    assert expected.shape == actual.shape, (expected.shape, actual.shape)
    difference = actual - expected
    return np.abs(difference).max(), np.linalg.norm(difference) / np.linalg.norm(expected)


def load(stages, name):
    return read_safetensors(stages / f"{name}.safetensors")


def check(folder, stages):
    model, bad = Model(folder), 0

    def report(what, expected, actual, bound=3e-5):
        nonlocal bad
        worst, relative = gap(expected, actual)
        bad += relative > bound
        print(f"{'ok ' if relative <= bound else 'BAD'} {what:58s} max {worst:.2e}  L2 {relative:.2e}")

    for path in sorted(stages.glob("vision_*.safetensors")):
        data = read_safetensors(path)
        grids = np.concatenate([data[n] for n in ("image_grid_thw", "video_grid_thw") if n in data]).tolist()
        pixels = next(data[n] for n in ("pixel_values", "pixel_values_videos") if n in data)
        position, order, windows, frames = model.vision_tables(grids)
        assert np.array_equal(position, data["position_ids"]) and np.array_equal(order, data["window_index"])
        assert np.array_equal(windows, data["cu_window_seqlens"]) and np.array_equal(frames, data["cu_seqlens"])
        blocks, features = model.encode(pixels.astype(np.float64), grids)
        for n, block in enumerate(blocks):
            report(f"{path.stem} block.{n}.output", data[f"block.{n}.output"], block)
        want = np.concatenate([data[f"features.{i}"] for i in range(len(grids))])
        report(f"{path.stem} features", want, features)

    data = load(stages, "text")
    layers, h, logits = model.decode(model.embed(data["input_ids"][0]))
    report("text rope.inv_freq", data["rope.inv_freq"], model.frequencies())
    for n, layer in enumerate(layers):
        report(f"text layer.{n}.output", data[f"layer.{n}.output"][0], layer)
    report("text final_norm", data["final_norm"][0], h)
    report("text logits", data["logits"][0], logits)

    data = load(stages, "batch")
    for row, (ids, mask) in enumerate(zip(data["input_ids"], data["attention_mask"])):
        n = mask.sum()
        report(f"batch row {row}", data["logits"][row, -n:], model.decode(model.embed(ids[-n:]))[2])

    data = load(stages, "positions")
    x = model.embed(data["input_ids"][0])
    report("positions shifted", data["shifted.logits"][0], model.decode(x, data["shifted.position_ids"][0])[2], 1e-4)
    report("positions gap", data["gap.logits"][0], model.decode(x, data["gap.position_ids"][0])[2])
    for kind in ("gap", "restart"):  # the reference takes a jump for a new sequence when nothing else tells it
        ids = data[f"{kind}.position_ids"][0]
        cut = int(np.flatnonzero(np.diff(ids) != 1)[0]) + 1
        parts = [model.decode(x[s], ids[s])[2] for s in (slice(0, cut), slice(cut, None))]
        report(f"positions {kind} packed", data[f"{kind}.logits_packed"][0], np.concatenate(parts))
    report("inputs_embeds", data["inputs_embeds.logits"][0], model.decode(data["inputs_embeds"][0].astype(np.float64))[2])

    data = load(stages, "loss")
    total, count, first = 0.0, 0, None
    for ids, labels in zip(data["input_ids"], data["labels"]):
        logits = model.decode(model.embed(ids))[2][:-1]
        logp = (
            logits
            - np.log(np.exp(logits - logits.max(-1, keepdims=True)).sum(-1, keepdims=True))
            - logits.max(-1, keepdims=True)
        )
        target = labels[1:]
        use = target != -100
        nll = -logp[np.arange(len(target)), np.maximum(target, 0)][use]
        total, count = total + nll.sum(), count + use.sum()
        first = nll.mean() if first is None else first
    report("loss mean", data["loss_mean"], [total / count])
    report("loss row 0", data["loss_row0"], [first])
    report("loss by num_items_in_batch", data["loss_num_items"], total / data["num_items_in_batch"])

    for stage in ("cache", "long"):
        data, at = load(stages, stage), 0
        logits = model.decode(model.embed(data["input_ids"][0]))[2]
        for call, n in enumerate(data["calls"]):
            have = data[f"call.{call}.logits"][0]
            at += n
            report(f"{stage} call {call}", have, logits[at - len(have) : at])

    for path in sorted(stages.glob("multimodal_*.safetensors")):
        data = read_safetensors(path)
        x = model.multimodal(data)
        report(f"{path.stem} inputs_embeds", data["inputs_embeds"][0], x)
        report(f"{path.stem} logits", data["logits"][0], model.decode(x)[2])

    for stage in ("mtp", "mtp_multimodal"):
        data = load(stages, stage)
        (m, forced), tokens, drafted = model.mtp_run(model.multimodal(data), len(data["draft.tokens"]) - 1)
        report(f"{stage} forced hidden", data["forced.hidden"][0], m)
        report(f"{stage} forced logits", data["forced.logits"][0], forced)
        report(f"{stage} draft logits", data["draft.logits"][0], drafted)
        assert tokens == data["draft.tokens"].tolist(), (tokens, data["draft.tokens"])

    data = load(stages, "generate")
    for prompt, case in (("text", "text_greedy"), ("ends", "eos"), ("multimodal", "multimodal_greedy")):
        mine = {n[len(prompt) + 1 :]: t for n, t in data.items() if n.startswith(prompt + ".")}
        x, ids = model.multimodal(mine), data[f"{case}.ids"]
        logits = model.decode(np.concatenate([x, model.embed(ids[:-1])]))[2][len(x) - 1 :]
        report(f"generate {case} logits", data[f"{case}.logits"], logits)
        assert logits.argmax(-1).tolist() == ids.tolist(), case
    print("all good" if not bad else f"{bad} BAD")
    return bad


TEXT_MISTAKES = [
    "rope on full layers",
    "no rope at all",
    "no llama3 frequency rule",
    "llama3 rule without the ramp",
    "rope_theta 10000",
    "rope pairs interleaved",
    "no window",
    "window one longer",
    "window one shorter",
    "pattern shifted by one",
    "no qk norm",
    "qk norm after rope",
    "norm before the branch instead of after it",
    "norm weight used as 1 + w",
    "gate and up swapped",
    "text eps 1e-6",
    "kv head = h mod kv heads",
]
VISION_MISTAKES = [
    "vision eps 1e-5",
    "gelu by tanh",
    "vision blocks all full",
    "vision blocks all windowed",
    "vision windows twice as wide",
    "vision attention across frames",
    "vision row and column swapped",
    "vision positions in raster order",
    "rope pairs interleaved",
    "vision k and v swapped",
    "vision kv head = h mod kv heads",
    "vision biases dropped",
    "window order not undone",
]
MTP_MISTAKES = [
    "mtp hidden half first",
    "mtp layer full, no rope",
    "mtp fed before the final norm",
    "mtp embeds token t",
    "mtp.norm left out",
]


def controls(folder, stages, out):
    """How far each mistake moves the end of its stage.  A dash: this fixture cannot see that mistake."""
    text, mtp = load(stages, "text"), load(stages, "mtp")
    vision = [read_safetensors(p) for p in sorted(stages.glob("vision_*.safetensors"))]
    names = [p.stem for p in sorted(stages.glob("vision_*.safetensors"))]
    lines = [
        "How far well-known mistakes move the results (fp64, spec_check.py). max = largest absolute difference from the "
        "fixture, L2 = relative. Compare with precision.md: `none` is the noise of the fixture itself. A row as small as "
        "`none` means that this fixture cannot show that mistake.",
        "",
        "### text: logits",
        "",
        "| mistake | max | L2 |",
        "|---|---|---|",
    ]
    for mistake in ["none"] + TEXT_MISTAKES:
        logits = Model(folder, [mistake]).decode(self_embed(folder, text))[2]
        lines.append("| {} | {:.2e} | {:.2e} |".format(mistake, *gap(text["logits"][0], logits)))
    lines += [
        "",
        "### vision: features",
        "",
        "| mistake | " + " | ".join(n[7:] + " L2" for n in names) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for mistake in ["none"] + VISION_MISTAKES:
        model, cells = Model(folder, [mistake]), []
        for data in vision:
            grids = np.concatenate([data[n] for n in ("image_grid_thw", "video_grid_thw") if n in data]).tolist()
            pixels = next(data[n] for n in ("pixel_values", "pixel_values_videos") if n in data)
            want = np.concatenate([data[f"features.{i}"] for i in range(len(grids))])
            cells.append(f"{gap(want, model.encode(pixels.astype(np.float64), grids)[1])[1]:.2e}")
        lines.append(f"| {mistake} | {' | '.join(cells)} |")
    lines += ["", "### MTP: teacher-forced logits", "", "| mistake | max | L2 |", "|---|---|---|"]
    for mistake in ["none"] + MTP_MISTAKES:
        forced = Model(folder, [mistake]).mtp_run(self_embed(folder, mtp), 0)[0][1]
        lines.append("| {} | {:.2e} | {:.2e} |".format(mistake, *gap(mtp["forced.logits"][0], forced)))
    out.write_text("\n".join(lines) + "\n")


def self_embed(folder, data):
    return Model(folder).embed(data["input_ids"][0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("stages", type=Path)
    parser.add_argument("--controls", type=Path)
    arguments = parser.parse_args()
    bad = check(arguments.checkpoint, arguments.stages)
    if arguments.controls:
        controls(arguments.checkpoint, arguments.stages, arguments.controls)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
