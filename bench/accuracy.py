#!/usr/bin/env python3
"""What the fast arithmetic (--precision auto: 8-bit activations) changes against --precision f32, type by type and level by level.

  bench/accuracy.py [--exaone build/exaone] [--types LIST] [--levels LIST] [--cases N]

Makes files of the types from models/tiny and the micro checkpoint of tests/golden, and compares the two precisions of the same
file at the same level of --cpu (default: all levels of this machine but scalar, which takes minutes). Prints the Markdown tables
of docs/performance.md:

  tiny   replies: of the 200 cases of tests/eval/tiny, answered greedily: how many replies are the same ids, and how many answers
         are right with each precision. The rest over the 1,178 reply tokens of the text-only cases, given the reference's
         replies: places with the same likeliest token, KL divergence from f32 (mean and largest), perplexity with each precision,
         and the difference of the logits (relative L2).
  micro  the same over 512 random ids; its weights are random, so perplexity says nothing and is left out.

The vision tower is BF16 in every file.
"""
import argparse
import array
import json
import math
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

TINY, MICRO, CASES = "models/tiny", "tests/golden/model/micro/checkpoint", "tests/eval/tiny/cases.jsonl"
PRECISIONS = ("f32", "auto")


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(args)}: {done.stderr}")
    return done.stdout


def levels_here(exaone):
    names = re.search(r"--cpu LEVEL +kernels to use: ([^(]*)\(", run(exaone, "eval", "--help")).group(1)
    here = []
    for level in re.split(r"[,\s]+", names.strip()):
        if subprocess.run([exaone, "eval", "-q", "-m", TINY, "--cpu", level, "--cases", CASES, "--limit", "1"],
                          capture_output=True).returncode == 0:
            here.append(level)
    return here


def logits(model, level, precision, ids, work, exaone):
    """[tokens][vocabulary] before each token that follows."""
    source, target = os.path.join(work, "ids.safetensors"), os.path.join(work, "out.safetensors")
    data = struct.pack(f"<{len(ids)}q", *ids)
    header = json.dumps({"input_ids": {"dtype": "I64", "shape": [1, len(ids)], "data_offsets": [0, len(data)]}}).encode()
    header += b" " * (-len(header) % 8)
    with open(source, "wb") as f:
        f.write(struct.pack("<Q", len(header)) + header + data)
    run(exaone, "forward", "-m", model, "--cpu", level, "--precision", precision, "--in", source, "--out", target, "--stages", "logits")
    with open(target, "rb") as f:
        n = struct.unpack("<Q", f.read(8))[0]
        entry = json.loads(f.read(n))["logits"]
        f.seek(8 + n + entry["data_offsets"][0])
        values = array.array("f")
        values.fromfile(f, len(ids) * entry["shape"][-1])
    width = entry["shape"][-1]
    return [values[r * width : (r + 1) * width] for r in range(len(ids))]


def predictions(model, level, precision, texts, work, exaone):
    """Logits before each of the tokens that count, and those tokens."""
    rows, next_ids = [], []
    for given, told in texts:
        out = logits(model, level, precision, given + told, work, exaone)
        rows += out[len(given) - 1 : len(given) + len(told) - 1]
        next_ids += told
    return rows, next_ids


def compare(rows, next_ids):
    """f32 against auto: dictionary of figures."""
    kl, same, nll, error, size = [], 0, [0.0, 0.0], 0.0, 0.0
    for a, b, told in zip(rows[0], rows[1], next_ids):
        logs = []
        for i, row in enumerate((a, b)):
            top = max(row)
            norm = top + math.log(sum(math.exp(v - top) for v in row))
            logs.append(norm)
            nll[i] += norm - row[told]
        kl.append(sum(math.exp(x - logs[0]) * (x - logs[0] - y + logs[1]) for x, y in zip(a, b)))
        same += max(range(len(a)), key=a.__getitem__) == max(range(len(b)), key=b.__getitem__)
        error += sum((x - y) ** 2 for x, y in zip(a, b))
        size += sum(x * x for x in a)
    n = len(kl)
    return {"same": same / n, "kl": sum(kl) / n, "most": max(kl), "l2": math.sqrt(error / size),
            "perplexity": [math.exp(v / n) for v in nll]}


def replies(model, tower, level, limit, exaone):
    """Replies that are the same ids, and right answers with each precision."""
    done = [json.loads(run(exaone, "eval", "-q", "-m", model, "--mmproj", tower, "--cpu", level, "--precision", p, "--cases", CASES,
                           "--limit", str(limit), "--json"))["cases"] for p in PRECISIONS]
    return sum(x["output_ids"] == y["output_ids"] for x, y in zip(*done)), [sum(c["correct"] for c in d) for d in done], len(done[0])


def shown(x):
    return f"{x:.1e}" if x > 1e-12 else "0"  # the rest is rounding of the logits' sums


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--exaone", default="build/exaone")
    p.add_argument("--types", default="BF16,Q8_0,Q6_K,Q4_K_M,IQ4_XS")
    p.add_argument("--levels", help="of --cpu, separated by commas")
    p.add_argument("--cases", type=int, default=200, help="cases answered")
    a = p.parse_args()
    levels = a.levels.split(",") if a.levels else [level for level in levels_here(a.exaone) if level != "scalar"]
    with open(CASES, encoding="utf-8") as f:
        cases = [json.loads(line) for line in f]
    told = [(c["prompt_ids"], c["output_ids"]) for c in cases if not re.search(r'"type": "(image|video)"', json.dumps(c["messages"]))]
    random.seed(1)
    noise = [([random.randrange(512)], [random.randrange(512) for _ in range(128)]) for _ in range(4)]
    micro = ["| type | level | same top token | KL mean | KL most | logits |", "|---|---|--:|--:|--:|--:|"]
    print("| type | level | same replies | right, f32 and auto | same top token | KL mean | KL most | perplexity, f32 and auto | logits |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as work:
        tower = os.path.join(work, "mmproj.gguf")
        for kind in a.types.split(","):
            file, small = os.path.join(work, f"{kind}.gguf"), os.path.join(work, f"micro-{kind}.gguf")
            run(a.exaone, "quantize", "-q", "-f", "--type", kind, TINY, file, "--mmproj-out", tower)
            run(a.exaone, "quantize", "-q", "-f", "--no-mmproj", "--type", kind, MICRO, small)
            for level in levels:
                rows = [predictions(file, level, precision, told, work, a.exaone) for precision in PRECISIONS]
                r = compare([x[0] for x in rows], rows[0][1])
                equal, right, n = replies(file, tower, level, a.cases, a.exaone)
                print(f"| {kind} | {level} | {equal} of {n} | {right[0]}, {right[1]} | {r['same']:.2%} | {shown(r['kl'])} | "
                      f"{shown(r['most'])} | {r['perplexity'][0]:.5f}, {r['perplexity'][1]:.5f} | {r['l2']:.2%} |", flush=True)
                rows = [predictions(small, level, precision, noise, work, a.exaone) for precision in PRECISIONS]
                r = compare([x[0] for x in rows], rows[0][1])
                micro.append(f"| {kind} | {level} | {r['same']:.2%} | {shown(r['kl'])} | {shown(r['most'])} | {r['l2']:.2%} |")
    print("\nmicro checkpoint\n\n" + "\n".join(micro))


if __name__ == "__main__":
    main()
