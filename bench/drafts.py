#!/usr/bin/env python3
"""Speed of replies with --draft auto against --draft off, case by case.

  bench/drafts.py [PROGRAM [CASES [ROUNDS [OPTIONS...]]]]

Runs `exaone eval` ROUNDS times (5) with each setting in turn and compares, for every case, the medians of the reply's tokens
per second; the replies must be the same ids. Prints how many cases are faster, the ratio over all cases, and the slowest ones.
"""
import json
import statistics
import subprocess
import sys

SETTINGS = ("off", "auto")


def evaluate(program, cases, setting, options):
    command = [program, "eval", "--cases", cases, "--draft", setting, "--json", "-q", *options]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["cases"]


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/exaone"
    cases = sys.argv[2] if len(sys.argv) > 2 else "tests/eval/tiny/cases.jsonl"
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 5
    seconds = {s: {} for s in SETTINGS}
    tokens = {}
    for _ in range(rounds):
        for setting in SETTINGS:
            for case in evaluate(program, cases, setting, sys.argv[4:]):
                ids = tokens.setdefault(case["id"], case["output_ids"])
                if ids != case["output_ids"]:
                    sys.exit(f"{case['id']}: --draft {setting} gave other ids")
                seconds[setting].setdefault(case["id"], []).append(case["reply_seconds"])
    median = {s: {i: statistics.median(t) for i, t in seconds[s].items()} for s in SETTINGS}
    ratio = {i: median["off"][i] / median["auto"][i] for i in tokens}
    order = sorted(ratio, key=ratio.get)
    total = {s: sum(median[s].values()) for s in SETTINGS}
    n = sum(len(ids) for ids in tokens.values())
    print(f"{len(order)} cases, {n} tokens, medians of {rounds} runs in turn")
    print(f"off {n / total['off']:.0f} tokens/s, auto {n / total['auto']:.0f} tokens/s: {total['off'] / total['auto']:.3f} times")
    print(f"auto at least as fast in {sum(r >= 1 for r in ratio.values())} cases, within 2 % in {sum(r >= 0.98 for r in ratio.values())};"
          f" median ratio {statistics.median(ratio.values()):.3f}")
    print("slowest:", ", ".join(f"{i} ({len(tokens[i])} tokens) {ratio[i]:.2f}" for i in order[:8]))


if __name__ == "__main__":
    main()
