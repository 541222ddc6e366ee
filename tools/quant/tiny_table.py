#!/usr/bin/env python3
"""The tiny model in every type: size, accuracy, perplexity, distance of the predictions, acceptance of MTP drafts.

    tools/quant/tiny_table.py [--exaone build/exaone] [TYPE...]     prints the Markdown table of docs/quantisation.md

Needs numpy. Accuracy: `exaone eval --cases tests/eval/tiny/cases.jsonl` with the vision tower in BF16. Perplexity,
mean KL divergence from BF16 and top-1 agreement with BF16: over the reply tokens of the set's text-only cases, given the
reference's replies. MTP acceptance: over the same tokens, how often the first draft (teacher-forced) is the model's own most
likely token.
"""
import argparse
import json
import os
import re
import struct
import subprocess
import tempfile

import numpy as np

MODEL, CASES = "models/tiny", "tests/eval/tiny/cases.jsonl"
TYPES = "BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q4_K_M Q4_K_S Q4_0 IQ4_NL IQ4_XS MXFP4 Q3_K_M Q2_K".split()


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(args)}: {done.stderr}")
    return done.stdout


def write_ids(path, ids):
    data = struct.pack(f"<{len(ids)}q", *ids)
    header = json.dumps({"input_ids": {"dtype": "I64", "shape": [1, len(ids)], "data_offsets": [0, len(data)]}}).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header + data)


def read(path, name):
    with open(path, "rb") as f:
        blob = f.read()
    n = struct.unpack("<Q", blob[:8])[0]
    entry = json.loads(blob[8 : 8 + n])[name]
    begin, end = entry["data_offsets"]
    return np.frombuffer(blob[8 + n + begin : 8 + n + end], np.float32).reshape(entry["shape"])


def log_softmax(x):
    x = x.astype(np.float64) - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def replies(exaone, model, cases, work):
    """Log-probabilities before each reply token, one array [tokens, vocabulary] per case, and the share of accepted drafts."""
    rows, hit, total = [], 0, 0
    ids_file, out = os.path.join(work, "ids.safetensors"), os.path.join(work, "out.safetensors")
    for case in cases:
        prompt, reply = len(case["prompt_ids"]), case["output_ids"]
        write_ids(ids_file, case["prompt_ids"] + reply)
        common = [exaone, "forward", "-m", model, "--precision", "auto", "--in", ids_file, "--out", out]
        run(*common, "--stages", "logits")
        logits = read(out, "logits")[0]
        rows.append(log_softmax(logits[prompt - 1 : prompt + len(reply) - 1]))
        own = logits.argmax(-1)
        run(*common, "--mtp", "--stages", "forced.logits")
        draft = read(out, "forced.logits")[0].argmax(-1)
        # row t of the draft saw token t + 1 and speaks of t + 2, as the model's own row t + 1 does
        for t in range(prompt - 1, prompt + len(reply) - 2):
            hit += draft[t] == own[t + 1]
            total += 1
    return rows, hit / total


def compare(base, rows, cases):
    """Perplexity, mean KL(base || rows), share of equal most likely tokens, over all reply tokens."""
    ids = [c["output_ids"] for c in cases]
    nll = -np.concatenate([r[np.arange(len(i)), i] for r, i in zip(rows, ids)])
    kl = np.concatenate([(np.exp(b) * (b - r)).sum(-1) for b, r in zip(base, rows)])
    same = np.concatenate([b.argmax(-1) == r.argmax(-1) for b, r in zip(base, rows)])
    return np.exp(nll.mean()), kl.mean(), same.mean()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--exaone", default="build/exaone")
    p.add_argument("types", nargs="*", default=TYPES)
    a = p.parse_args()
    with open(CASES, encoding="utf-8") as f:
        cases = [json.loads(line) for line in f]
    texts = [c for c in cases if not re.search(r'"type": "(image|video)"', json.dumps(c["messages"]))]
    with tempfile.TemporaryDirectory() as work:
        base, tower = os.path.join(work, "BF16.gguf"), os.path.join(work, "mmproj.gguf")
        run(a.exaone, "convert", "-q", "-f", MODEL, base, "--mmproj-out", tower)
        print("| type | bits per weight | MB | right of 200 | replies equal to the reference's | perplexity | KL | top-1 | MTP |")
        print("|---|---|---|---|---|---|---|---|---|")
        plain, _ = replies(a.exaone, base, texts, work)
        for kind in a.types:
            file = os.path.join(work, f"{kind}.gguf")
            said = run(a.exaone, "quantize", "-f", "--no-mmproj", "--type", kind, MODEL, file)
            bits = float(re.search(r"([0-9.]+) bits per weight", said).group(1))
            result = json.loads(run(a.exaone, "eval", "-q", "-m", file, "--mmproj", tower, "--cases", CASES, "--json"))
            right = sum(c["correct"] for c in result["cases"])
            same = sum(c["matches_reference"] for c in result["cases"])
            rows, share = replies(a.exaone, file, texts, work)
            perplexity, kl, top = compare(plain, rows, texts)
            size = os.path.getsize(file) / 1e6
            print(
                f"| {kind} | {bits:.2f} | {size:.1f} | {right} | {same} | {perplexity:.4f} | {kl:.5f} | {top:.2%} | {share:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
