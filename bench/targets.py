#!/usr/bin/env python3
"""Measures this machine against what the engine wants to reach, on the 33B's shapes with random weights, and prints one table.

  bench/targets.py [--program build/exaone] [--llama-bench PROGRAM] [--other-options "..."] [--options "..."] [--layers 8] [--runs 3]
                   [--only LIST] [--json FILE]

`make bench` runs it; LLAMA_BENCH=PROGRAM adds the comparison with llama.cpp on the same file (OTHER_OPTIONS are its options).
Every figure is a median of `exaone bench --json`, its wall measured in the same run (docs/performance.md, "How to measure"). Leave
the machine alone meanwhile. It needs some 9 GB of memory, and 4 GB of disk for the I4 folder and for the file of llama.cpp.

  --only   parts to measure: rows (one row, passes, prefill, contexts, loading), types, scaling, image, llama
  --json   the results of every run, for other programs
"""
import argparse
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compare  # noqa: E402  bench/compare.py

PARTS = ("rows", "types", "scaling", "image", "llama")
TYPES = ("Q4_K_M", "Q6_K", "Q8_0", "IQ4_XS", "I4", "BF16")
PASSES = (2, 3, 4, 8)
ACCEPTANCE = 0.75  # of drafts, as the target supposes


def bench(a, *options):
    command = [a.program, "bench", "-q", "--json", *a.options.split(), *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-400:]}")
    result = json.loads(done.stdout)
    result["command"] = command
    a.raw.append(result)
    return {i["name"]: i for i in result["results"] if i["runs"]}


def say(a, text):
    print(f"{time.monotonic() - a.begin:4.0f} s  {text}", file=sys.stderr, flush=True)


# ---- a folder with int4 weights -------------------------------------------------------------------------------------------


def write_tensors(path, tensors):
    """tensors: name, type, shape, bytes that are repeated until it is full."""
    sizes = {"I32": 4, "I64": 8, "BF16": 2}
    header, at = {}, 0
    for name, dtype, shape, _ in tensors:
        size = sizes[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name, _, _, data in tensors:
            begin, end = header[name]["data_offsets"]
            whole, rest = divmod(end - begin, len(data))
            for _ in range(whole):
                f.write(data)
            f.write(data[:rest])


def write_i4(folder, layers):
    """Decoder layers of the 33B's shapes as the AWQ release stores them (docs/model.md 12.2), with a small vocabulary and a small
    vision tower: only the layers are of interest."""
    hidden, inner, heads, kv, dim, vocabulary, group = 5120, 27392, 40, 8, 128, 512, 128
    noise, small, one = os.urandom(1 << 20), struct.pack("<H", 0x3B00) * 4096, struct.pack("<H", 0x3F80) * 4096
    text = {"model_type": "exaone4_5_text", "vocab_size": vocabulary, "hidden_size": hidden, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": dim, "hidden_act": "silu",
            "rms_norm_eps": 1e-5, "max_position_embeddings": 4096, "bos_token_id": 1, "eos_token_id": 53, "pad_token_id": 0,
            "sliding_window": 4096, "sliding_window_pattern": "LLLG", "rope_theta": 1e6, "num_nextn_predict_layers": 0,
            "tie_word_embeddings": False}
    vision = {"model_type": "exaone4_5_vision", "depth": 1, "hidden_size": 64, "intermediate_size": 96, "num_heads": 4,
              "num_key_value_heads": 2, "hidden_act": "silu", "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2,
              "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [0], "out_hidden_size": hidden}
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group", "group_size": group}
    config = {"model_type": "exaone4_5", "architectures": ["Exaone4_5_ForConditionalGeneration"], "image_token_id": 67,
              "video_token_id": 68, "vision_start_token_id": 73, "vision_end_token_id": 74, "vocab_size": vocabulary,
              "tie_word_embeddings": False, "text_config": text, "vision_config": vision,
              "quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized",
                                      "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}},
                                      "ignore": ["lm_head", "re:.*visual.*"]}}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as f:
        json.dump(config, f)
    tensors = []

    def vector(name, n, data):
        tensors.append((name, "BF16", [n], data))

    def matrix(name, *shape):
        tensors.append((name, "BF16", list(shape), small))

    def linear(name, n_out, n_in):
        tensors.append((name + ".weight_packed", "I32", [n_out, n_in // 8], noise))
        tensors.append((name + ".weight_scale", "BF16", [n_out, n_in // group], small))
        tensors.append((name + ".weight_shape", "I64", [2], struct.pack("<2q", n_out, n_in)))

    matrix("model.language_model.embed_tokens.weight", vocabulary, hidden)
    matrix("lm_head.weight", vocabulary, hidden)
    vector("model.language_model.norm.weight", hidden, one)
    for i in range(layers):
        p = f"model.language_model.layers.{i}."
        for name in ("post_attention_layernorm", "post_feedforward_layernorm"):
            vector(f"{p}{name}.weight", hidden, one)
        for name in ("q_norm", "k_norm"):
            vector(f"{p}self_attn.{name}.weight", dim, one)
        linear(p + "self_attn.q_proj", heads * dim, hidden)
        linear(p + "self_attn.k_proj", kv * dim, hidden)
        linear(p + "self_attn.v_proj", kv * dim, hidden)
        linear(p + "self_attn.o_proj", hidden, heads * dim)
        linear(p + "mlp.gate_proj", inner, hidden)
        linear(p + "mlp.up_proj", inner, hidden)
        linear(p + "mlp.down_proj", hidden, inner)
    p = "model.visual.blocks.0."
    for name, n_out, n_in in (("attn.proj", 64, 64), ("attn.qkv", 128, 64), ("mlp.down_proj", 64, 96), ("mlp.gate_proj", 96, 64),
                              ("mlp.up_proj", 96, 64)):
        matrix(f"{p}{name}.weight", n_out, n_in)
        vector(f"{p}{name}.bias", n_out, small)
    vector(p + "norm1.weight", 64, one)
    vector(p + "norm2.weight", 64, one)
    vector("model.visual.merger.ln_q.weight", 64, one)
    for name, n_out in (("0", 256), ("2", hidden)):
        matrix(f"model.visual.merger.mlp.{name}.weight", n_out, 256)
        vector(f"model.visual.merger.mlp.{name}.bias", n_out, small)
    matrix("model.visual.patch_embed.proj.weight", 64, 3, 2, 14, 14)
    write_tensors(os.path.join(folder, "model.safetensors"), tensors)


# ---- the table --------------------------------------------------------------------------------------------------------------


def number(seconds):
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def row(a, what, target, measured, against, reached):
    a.rows.append((what, target, measured, against, "yes" if reached else "no"))


def of_wall(a, item, what, least, which):
    """A line of the table: the part of the wall, as a median and at the best run."""
    if not item:
        a.rows.append((what, f">= {least} % of {which}", "not measured: no time left", "", "-"))
        return
    wall = item["memory_seconds"] if which == "reading" else item["compute_seconds"]
    macs = sum(item[part][kind] for part in ("layers", "fixed") for kind in ("int8_macs", "bf16_macs", "fma_macs"))
    rate = "" if which == "reading" else f", {macs / item['seconds'] / 1e9:.0f} G/s"
    row(a, what, f">= {least} % of {which}", f"{100 * wall / item['seconds']:.0f} % (best {100 * wall / item['least']:.0f} %){rate}",
        f"{number(item['seconds'])} of {number(wall)}", wall / item["seconds"] >= least / 100)


def scaled(item):
    return item["scaled_seconds"]


def mtp_gain(items):
    """Tokens per second with drafts over those without, for the best number of drafts."""
    def gain(k):
        seconds = scaled(items[f"pass-{k + 1}"]) + k * scaled(items["draft"])
        return sum(ACCEPTANCE**i for i in range(k + 1)) * scaled(items["decode"]) / seconds
    return max((gain(n - 1), n - 1) for n in PASSES)


def measure_rows(a):
    say(a, f"Q4_K_M, {a.layers} layers: rows, contexts, loading")
    names = ["load", "decode", *(f"pass-{n}" for n in PASSES), "draft", "prefill-512", "decode-at-32K", "decode-at-128K"]
    items = bench(a, "--synthetic", "33b:Q4_K_M", "--layers", str(a.layers), "--runs", str(a.runs), "--only", ",".join(names),
                  "--max-seconds", "240")
    of_wall(a, items["decode"], "decode, 1 row", 92, "reading")
    for n in PASSES:
        i = items[f"pass-{n}"]
        allowed = 1.15 * max(i["memory_seconds"], i["compute_seconds"] / 0.65)
        row(a, f"pass of {n} rows", "<= 1.15 max(B, n P / 0.65)", f"{1.15 * i['seconds'] / allowed:.2f}",
            f"{number(i['seconds'])}, allowed {number(allowed)}", i["seconds"] <= allowed)
    of_wall(a, items["prefill-512"], "prefill, 512 rows, Q4_K_M", 65, "int8")
    for context in ("32K", "128K"):
        i = items.get(f"decode-at-{context}")
        if i and i.get("attention_seconds", 0) > 0:
            part = i["attention_wall_seconds"] / i["attention_seconds"]
            row(a, f"attention behind {context} tokens", ">= 85 % of reading", f"{100 * part:.0f} %",
                f"{number(i['attention_seconds'])} of {number(i['attention_wall_seconds'])}", part >= 0.85)
    i = items["load"]
    row(a, "opening a warm file, without the tokenizer of 153,600 entries", "< 1 s", f"< {number(i['seconds'])}", "", i["seconds"] < 1)
    row(a, "opening it with the tokenizer", "< 150 ms", number(i["seconds"]), "", i["seconds"] < 0.15)
    gain, k = mtp_gain(items)
    a.notes.append(f"Drafts, computed from the passes: with acceptance {ACCEPTANCE} and {k} drafts a step {gain:.2f} times the tokens of "
                   f"decode. All 64 layers: decode {1 / scaled(items['decode']):.2f}, prefill {512 / scaled(items['prefill-512']):.1f} "
                   "tokens/s.")
    a.gain = gain


def measure_types(a, work):
    for kind in TYPES[1:]:
        say(a, f"prefill, {kind}, 2 layers")
        if kind == "I4":
            write_i4(work, 2)
            model = ["-m", work]
        else:
            model = ["--synthetic", f"33b:{kind}", "--layers", "2"]
        items = bench(a, *model, "--runs", str(a.runs), "--only", "prefill-512")
        name = f"prefill, 512 rows, {'AWQ (I4)' if kind == 'I4' else kind}"
        of_wall(a, items.get("prefill-512"), name, 75 if kind == "BF16" else 65, "bf16" if kind == "BF16" else "int8")


def measure_scaling(a):
    say(a, "prefill with 1 and 2 threads, 2 layers")
    seconds = {1: [], 2: []}
    for _ in range(2):
        for threads in seconds:
            items = bench(a, "--synthetic", "33b:Q4_K_M", "--layers", "2", "--runs", "2", "--only", "prefill-512", "-t",
                          str(threads))
            seconds[threads].append(items["prefill-512"]["least"])
    ratio = min(seconds[1]) / min(seconds[2])
    row(a, "prefill, 2 threads against 1 (least of 4)", ">= 1.9 x", f"{ratio:.2f}", f"{number(min(seconds[1]))}, {number(min(seconds[2]))}",
        ratio >= 1.9)


def measure_images(a):
    say(a, "images")
    items = bench(a, "--synthetic", "33b:Q4_K_M", "--layers", "1", "--runs", str(a.runs), "--only",
                  "image-448,image-896,image-1344", "--max-seconds", "150")
    for side in (448, 896, 1344):
        of_wall(a, items.get(f"image-{side}"), f"image, {side} x {side}", 60, "f32 or bf16")
    if "image-1344" not in items:
        return
    patches = {side: (side // 14) ** 2 for side in (448, 1344)}
    ratio = items["image-1344"]["seconds"] / patches[1344] / (items["image-448"]["seconds"] / patches[448])
    row(a, "image, time per patch at 1344 against 448, full blocks included", "<= 1.3 outside them", f"{ratio:.2f}", "", ratio <= 1.3)


def measure_llama(a, work):
    file = os.path.join(work, "random.gguf")
    say(a, "llama.cpp: writing the file")
    compare.run_text([a.program, "bench", "-q", "--synthetic", "33b:Q4_K_M", "--layers", str(a.layers), "--write-gguf", file])
    c = SimpleNamespace(program=a.program, other=a.llama_bench, model=file, threads=a.threads, inner=1, prefill=512, decode=16,
                        options=a.options, other_options=a.other_options)
    speeds = []
    for n in range(a.runs):
        say(a, f"llama.cpp: round {n + 1} of {a.runs}")
        speeds.append((compare.ours(c), compare.other(c)))
    ratio = {what: sorted(x[what] / y[what] for x, y in speeds)[len(speeds) // 2] for what in ("decode", "prefill")}
    last = speeds[-1]
    for what, least in (("decode", 1.0), ("prefill", 2.0)):
        row(a, f"{what} against llama.cpp, {a.layers} layers of one file", f">= {least} x", f"{ratio[what]:.2f}",
            f"{last[0][what]:.1f}, {last[1][what]:.1f} tokens/s", ratio[what] >= least)
    if a.gain:
        row(a, f"decode with drafts (computed, acceptance {ACCEPTANCE}) against llama.cpp", ">= 1.8 x", f"{ratio['decode'] * a.gain:.2f}",
            "", ratio["decode"] * a.gain >= 1.8)


def describe(result):
    m = result["machine"]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    peaks = ", ".join(f"{p['kind']} {p['name']} {p['macs_per_second'] / 1e9:.0f}" for p in m["peaks"] if p["used"])
    reading = max(b["bytes_per_second"] for b in m["bandwidth"])
    return (f"{m['processor']}, {m['threads']} threads, kernels {m['kernels']}, commit {commit.stdout.strip() or 'unknown'}; reading "
            f"{reading / 1e9:.1f} GB/s; peaks in G multiply-adds/s: {peaks}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default="build/exaone")
    p.add_argument("--options", default="", help="more options of `exaone bench`, as --cpu avx2")
    p.add_argument("--llama-bench", default=os.environ.get("LLAMA_BENCH", ""))
    p.add_argument("--other-options", default=os.environ.get("OTHER_OPTIONS", ""), help="more options of llama-bench")
    p.add_argument("--layers", type=int, default=8)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of llama-bench and ours beside it")
    p.add_argument("--only", default=",".join(PARTS))
    p.add_argument("--json", help="file for the results of every run")
    a = p.parse_args()
    parts = a.only.split(",")
    if set(parts) - set(PARTS):
        p.error(f"--only: parts are {', '.join(PARTS)}")
    a.begin, a.rows, a.notes, a.raw, a.gain = time.monotonic(), [], [], [], 0
    with tempfile.TemporaryDirectory() as work:
        if "rows" in parts:
            measure_rows(a)
        if "types" in parts:
            measure_types(a, work)
        if "scaling" in parts and a.threads >= 2:
            measure_scaling(a)
        if "image" in parts:
            measure_images(a)
        if "llama" in parts and a.llama_bench:
            measure_llama(a, work)
    if a.raw:
        print(describe(a.raw[0]), end="\n\n")
    print("B: time of reading, P: time of arithmetic at the int8 peak; G/s: multiply-adds.", end="\n\n")
    print("| what | target | measured | time and wall | reached |\n|---|---|--:|---|---|")
    for line in a.rows:
        print(f"| {' | '.join(line)} |")
    print()
    for note in a.notes:
        print(note)
    print(f"{a.runs} runs each, medians; {time.monotonic() - a.begin:.0f} s")
    if a.json:
        with open(a.json, "w", encoding="utf-8") as f:
            json.dump(a.raw, f, indent=1)


if __name__ == "__main__":
    main()
