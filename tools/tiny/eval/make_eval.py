"""Freezes a set of evaluation cases: chat messages, picture and video files, expected answers.

  python make_eval.py OUT_DIR --scale 1 --seed 90000

Cases are drawn from the held-out half of every task's space (tasks.Gen split="eval") where that space is large; facts and
greetings come from the table the model was trained on. Needs ffmpeg for the .mp4 copies of the videos.
"""

import argparse
import json
import os
import subprocess
import sys

from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../train"))
import tasks  # noqa: E402

COUNTS = {"ocr": 50, "shapes": 30, "video": 20, "arith": 26, "tools": 22, "facts": 22, "recall": 14, "multiturn": 16}
# curriculum level of the cases: what the shipped model was trained on (see models/tiny/README.md)
LEVEL = {"ocr": 0.19, "shapes": 0.19, "multiturn": 0.19, "arith": 0.19, "recall": 0.0}
THINKING = {
    "ocr": 0.2,
    "shapes": 0.25,
    "video": 0.25,
    "arith": 0.5,
    "tools": 0.5,
    "facts": 0.3,
    "recall": 0.2,
    "multiturn": 0.2,
}


def write(out, name, conv, r, task, index):
    """Saves the media of a conversation and returns its messages with file paths."""
    messages = json.loads(json.dumps(conv.messages))
    images, videos = list(conv.images), list(conv.videos)
    for m in messages:
        if isinstance(m["content"], list):
            for item in m["content"]:
                if item["type"] == "image":
                    im = Image.fromarray(images.pop(0))
                    ext = "png"
                    if task == "ocr" and index % 5 == 3:
                        ext = "jpg"
                    if task in ("ocr", "shapes") and index % 10 == 7:  # sides that the processor must resize
                        im = im.resize(
                            (im.width + r.choice([-9, -5, 4, 10]), im.height + r.choice([-8, -4, 5, 9])), Image.LANCZOS
                        )
                    path = f"files/{name}.{ext}"
                    im.save(os.path.join(out, path), **({"quality": 90} if ext == "jpg" else {}))
                    item["path"] = path
                elif item["type"] == "video":
                    v = videos.pop(0)
                    d = os.path.join(out, "files", name)
                    os.makedirs(d, exist_ok=True)
                    item["frames"] = []
                    for i, f in enumerate(v):
                        Image.fromarray(f).save(os.path.join(d, f"{i:02d}.png"))
                        item["frames"].append(f"files/{name}/{i:02d}.png")
                    item["path"] = f"files/{name}.mp4"
                    subprocess.run(
                        [
                            "ffmpeg",
                            "-loglevel",
                            "error",
                            "-y",
                            "-framerate",
                            "4",
                            "-i",
                            os.path.join(d, "%02d.png"),
                            "-c:v",
                            "libx264",
                            "-crf",
                            "8",
                            "-pix_fmt",
                            "yuv420p",
                            os.path.join(out, item["path"]),
                        ],
                        check=True,
                    )
    return messages


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("out")
    ap.add_argument("--scale", type=float, default=1.0)
    ap.add_argument("--seed", type=int, default=90000)
    ap.add_argument("--level", default="", help="task=level,... instead of the table above")
    a = ap.parse_args()
    os.makedirs(os.path.join(a.out, "files"), exist_ok=True)
    level = {**LEVEL, **{k: float(v) for k, v in (e.split("=") for e in filter(None, a.level.split(",")))}}
    cases = []
    for task, n in COUNTS.items():
        n = round(n * a.scale)
        g = tasks.Gen(a.seed + len(cases), split="eval", level=level.get(task, 1.0), system_rate=0.05)
        for i in range(n):
            g.force_think = (i + 0.5) / n > 1 - THINKING[task]
            # one question per list: with several, the last could be answered by elimination
            c = g.task_recall(turns=1) if task == "recall" else getattr(g, "task_" + task)()
            name = f"{task}-{i:03d}"
            messages = write(a.out, name, c, g.r, task, i)
            last = messages.pop()
            want = {"content": last["content"]}
            if last.get("tool_calls"):
                want["tool_calls"] = last["tool_calls"]
            if last.get("reasoning_content"):
                want["reasoning_content"] = last["reasoning_content"]
            cases.append(
                {
                    "id": name,
                    "task": task,
                    "enable_thinking": c.thinking,
                    "tools": c.tools,
                    "messages": messages,
                    "expected": want,
                    "check": "tool_call" if last.get("tool_calls") else "boxed" if "\\boxed" in last["content"] else "exact",
                }
            )
    with open(os.path.join(a.out, "cases.jsonl"), "w") as f:
        for c in cases:
            f.write(json.dumps(c, ensure_ascii=False) + "\n")
    print(len(cases), "cases in", a.out)


if __name__ == "__main__":
    main()
