"""Runs transformers' Exaone4_5_ForConditionalGeneration over frozen cases: greedy, fp32, through the processor.

python run_reference.py MODEL_DIR CASES_DIR            adds reference ids and verdicts to CASES_DIR/cases.jsonl,
                                                       writes CASES_DIR/summary.json (accuracy, MTP acceptance)
python run_reference.py MODEL_DIR CASES_DIR --dry      prints the summary only
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../train"))


def parse(text, thinking):
    """reasoning, content, tool calls of a reply."""
    text = text.replace("<|endofturn|>", "")
    think = ""
    if thinking:
        if "</think>" not in text:
            return text, "", []
        think, text = text.split("</think>", 1)
    calls = []
    for c in re.findall(r"<tool_call>(.*?)</tool_call>", text, re.S):
        try:
            calls.append(json.loads(c))
        except ValueError:
            calls.append({"bad": c})
    return think.strip(), re.sub(r"<tool_call>.*?</tool_call>", "", text, flags=re.S).strip(), calls


def judge(case, text):
    think, content, calls = parse(text, case["enable_thinking"])
    want = case["expected"]
    if case["check"] == "tool_call":
        return calls == want["tool_calls"]
    if case["check"] == "boxed":
        got = re.findall(r"\\boxed\{(.*?)\}", content)
        return got[-1:] == re.findall(r"\\boxed\{(.*?)\}", want["content"])[-1:]
    return content == want["content"] and not calls


def mp4_frames(path, h, w):
    raw = subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
        capture_output=True,
        check=True,
    ).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, h, w, 3)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model")
    ap.add_argument("cases")
    ap.add_argument("--dry", action="store_true")
    ap.add_argument("--limit", type=int, default=0, help="every n-th case only")
    ap.add_argument("--threads", type=int, default=1)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    from tiny_model import Config, TinyExaone
    from transformers import AutoProcessor, Exaone4_5_ForConditionalGeneration

    hf = Exaone4_5_ForConditionalGeneration.from_pretrained(a.model, dtype=torch.float32).eval()
    proc = AutoProcessor.from_pretrained(a.model)
    me = TinyExaone(Config()).eval()
    me.load_state_dict({k: v.float() for k, v in load_file(os.path.join(a.model, "model.safetensors")).items()})
    cases = [json.loads(s) for s in open(os.path.join(a.cases, "cases.jsonl"))]
    if a.limit:
        cases = cases[:: a.limit]

    good, modes, mp4 = defaultdict(list), defaultdict(list), []
    pos = defaultdict(list)  # draft k -> was it right, given that drafts 1..k-1 were
    tokens, rounds = defaultdict(int), defaultdict(int)
    per_task = defaultdict(lambda: [0, 0])
    t0 = time.time()
    for case in cases:
        images, videos, films = [], [], []
        for m in case["messages"]:
            if isinstance(m["content"], list):
                for it in m["content"]:
                    if it["type"] == "image":
                        images.append(Image.open(os.path.join(a.cases, it["path"])).convert("RGB"))
                    elif it["type"] == "video":
                        videos.append(
                            np.stack([np.asarray(Image.open(os.path.join(a.cases, f)).convert("RGB")) for f in it["frames"]])
                        )
                        films.append(mp4_frames(os.path.join(a.cases, it["path"]), *videos[-1].shape[1:3]))
        text = proc.apply_chat_template(
            case["messages"],
            tools=case["tools"],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=case["enable_thinking"],
        )

        def run(vids):
            x = proc(text=[text], images=images or None, videos=vids or None, return_tensors="pt", do_sample_frames=False)
            x = {k: v for k, v in x.items() if isinstance(v, torch.Tensor)}
            n = x["input_ids"].shape[1]
            with torch.no_grad():
                y = hf.generate(**x, do_sample=False, max_new_tokens=160)
            return x, n, y

        x, n, y = run(videos)
        out = y[0, n:].tolist()
        reply = proc.tokenizer.decode(out, skip_special_tokens=False)
        case["prompt_text"] = text
        case["prompt_ids"] = x["input_ids"][0].tolist()
        for k in ("image_grid_thw", "video_grid_thw"):
            if k in x:
                case[k] = x[k].tolist()
        case["output_ids"], case["output_text"] = out, reply
        case["correct"] = judge(case, reply)
        good[case["task"]].append(case["correct"])
        modes["thinking" if case["enable_thinking"] else "direct"].append(case["correct"])
        if films:
            _, m, z = run(films)
            mp4.append(judge(case, proc.tokenizer.decode(z[0, m:], skip_special_tokens=False)))
            case["mp4_correct"] = mp4[-1]

        # MTP acceptance on the model's own greedy text
        with torch.no_grad():
            fr = grid = None
            if images:
                px = x["pixel_values"]
                assert len(images) == 1
                g = x["image_grid_thw"][0].tolist()
                fr, grid = px.view(1, -1, 1176), (g[1], g[2])
            elif videos:
                g = x["video_grid_thw"][0].tolist()
                fr, grid = x["pixel_values_videos"].view(g[0], -1, 1176), (g[1], g[2])
            h, rows = me.hidden(y, fr, grid)
            assert (me.lm_head(h[0, n - 1 : -1]).argmax(-1) == y[0, n:]).all(), case["id"]
            cache, hk, right = [], h, []
            for k in (1, 2, 3):
                e = torch.nn.functional.pad(rows[:, k:], (0, 0, 0, k))
                hk = me.mtp.draft(e, hk, k, cache, me.model.language_model.freq, me.c.sliding_window)
                right.append(me.lm_head(hk[0]).argmax(-1) == y[0].roll(-1 - k))
        end = y.shape[1]
        for drafts in (1, 2, 3):
            t = n - 1  # the trunk has just produced token t+1
            while t + 1 < end - 1:
                acc = 0
                while acc < drafts and t + 2 + acc < end and right[acc][t]:
                    acc += 1
                if drafts == 3:
                    for k in range(min(acc + 1, 3)):
                        if t + 2 + k < end:
                            pos[k + 1].append(k < acc)
                rounds[drafts] += 1
                tokens[drafts] += acc + 1
                if drafts == 3:
                    per_task[case["task"]][0] += acc + 1
                    per_task[case["task"]][1] += 1
                t += acc + 1
    total = [v for k in good for v in good[k]]
    summary = {
        "cases": len(total),
        "accuracy": round(float(np.mean(total)), 4),
        "accuracy_by_task": {k: {"right": int(np.sum(v)), "of": len(v)} for k, v in good.items()},
        "accuracy_by_mode": {k: {"right": int(np.sum(v)), "of": len(v)} for k, v in modes.items()},
        "video_from_mp4": {"right": int(np.sum(mp4)), "of": len(mp4)},
        "mtp": {
            "tokens_per_verification": {str(k): round(tokens[k] / rounds[k], 3) for k in rounds},
            "acceptance_of_draft_given_previous": {str(k): round(float(np.mean(v)), 3) for k, v in sorted(pos.items())},
            "tokens_per_verification_3_drafts_by_task": {k: round(v[0] / max(1, v[1]), 2) for k, v in per_task.items()},
        },
        "reference": "transformers Exaone4_5_ForConditionalGeneration, fp32 arithmetic on the bf16 weights, greedy, sdpa",
    }
    print(json.dumps(summary, indent=1, ensure_ascii=False), f"{time.time() - t0:.0f} s")
    for c in cases:
        if not c["correct"]:
            print("wrong", c["id"], repr(c["output_text"]), "wanted", c["expected"])
    if not a.dry:
        with open(os.path.join(a.cases, "cases.jsonl"), "w") as f:
            for c in cases:
                f.write(json.dumps(c, ensure_ascii=False) + "\n")
        json.dump(summary, open(os.path.join(a.cases, "summary.json"), "w"), indent=1, ensure_ascii=False)


if __name__ == "__main__":
    main()
