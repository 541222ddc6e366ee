#!/usr/bin/env python3
"""Our speed against another program's on the same GGUF file, in turn.

  bench/compare.py MODEL.gguf LLAMA_BENCH [--program build/exaone] [--threads N] [--rounds 5] [--prefill 512] [--decode 16]
                   [--options "..."] [--other-options "..."]

LLAMA_BENCH is any program with the options -m, -t, -p, -n, -r and `-o json` of llama-bench and its output (avg_ns per test).
Each round runs ours and then the other, one measurement each of prefill and decode; medians and their ratio are printed. The
other's decode goes over tokens 1 to N of a context, ours behind an empty one, which is the same for small N.
A file without a download: exaone bench --synthetic 33b:Q4_K_M --layers 8 --write-gguf random.gguf
"""
import argparse
import json
import os
import statistics
import subprocess
import sys


def run_text(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        sys.exit(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")
    return done.stdout


def run(command):
    return json.loads(run_text(command))


def ours(a):
    names = ["decode", f"prefill-{a.prefill}"]
    result = run([a.program, "bench", "-q", "-m", a.model, "-t", str(a.threads), "--runs", str(a.inner), "--json",
                  "--only", ",".join(names), *a.options.split()])
    seconds = {i["name"]: i["seconds"] for i in result["results"]}
    return {"prefill": a.prefill / seconds[names[1]], "decode": 1 / seconds["decode"]}


def other(a):
    tests = run([a.other, "-m", a.model, "-t", str(a.threads), "-p", str(a.prefill), "-n", str(a.decode), "-r", "1",
                 "-o", "json", *a.other_options.split()])
    speeds = {}
    for t in tests:
        n = t["n_prompt"] + t["n_gen"]
        speeds["prefill" if t["n_prompt"] else "decode"] = n / (t["avg_ns"] * 1e-9)
    return speeds


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("other", metavar="LLAMA_BENCH")
    p.add_argument("--program", default="build/exaone")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--inner", type=int, default=3, help="runs of ours per round")
    p.add_argument("--prefill", type=int, default=512, choices=(32, 128, 512, 2048))
    p.add_argument("--decode", type=int, default=16)
    p.add_argument("--options", default="", help="more options of ours")
    p.add_argument("--other-options", default="", help="more options of the other program")
    a = p.parse_args()
    speeds = {"ours": [], "other": []}
    for n in range(a.rounds):
        speeds["ours"].append(ours(a))
        speeds["other"].append(other(a))
        last = {who: speeds[who][-1] for who in speeds}
        print(f"round {n + 1}: " + "; ".join(f"{what} {last['ours'][what]:.2f} against {last['other'][what]:.2f} tokens/s"
                                             for what in ("prefill", "decode")), file=sys.stderr)
    print(f"{a.model}, {a.threads} threads, {a.rounds} rounds in turn; tokens/s, median (least to most)")
    for what in ("prefill", "decode"):
        column = {who: [s[what] for s in speeds[who]] for who in speeds}
        middle = {who: statistics.median(column[who]) for who in column}
        ratios = [x / y for x, y in zip(column["ours"], column["other"])]
        print(f"{what:8}", *(f"{who} {middle[who]:8.2f} ({min(column[who]):.2f} to {max(column[who]):.2f})" for who in column),
              f"ratio {middle['ours'] / middle['other']:.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
