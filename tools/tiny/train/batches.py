"""Training batches, made in background processes.

A micro-batch holds conversations of one task with pictures of one size, so that nothing but the right end is padded.
"""

import multiprocessing as mp
import random

import numpy as np
import tasks
from render import segments

IMAGE, VIDEO, PAD = 67, 68, 0
SIZE = {"ocr": 32, "shapes": 32, "multiturn": 16, "video": 24, "arith": 40, "tools": 8, "facts": 40, "recall": 5}
# curriculum: these tasks start easy and get harder while the model keeps up (train.py raises their level)
START = {"ocr": 0.0, "recall": 0.0, "shapes": 0.1, "multiturn": 0.1, "arith": 0.1}


TASKS = list(SIZE)


class Encoder:
    def __init__(self, path):
        from tokenizers import Tokenizer

        self.tok = Tokenizer.from_file(path)
        self.memo = {}

    def text(self, s):
        v = self.memo.get(s)
        if v is None:
            v = self.tok.encode(s, add_special_tokens=False).ids
            if len(self.memo) < 50000:
                self.memo[s] = v
        return v

    def conv(self, c):
        """ids, loss mask; each picture or video placeholder already repeated as often as it has features."""
        counts = [(a.shape[0] // 28) * (a.shape[1] // 28) for a in c.images]
        counts += [(v.shape[0] // 2) * (v.shape[1] // 28) * (v.shape[2] // 28) for v in c.videos]
        counts = iter(counts)
        ids, mask = [], []
        for text, loss in segments(c.messages, c.tools, c.thinking):
            for i in self.text(text):
                n = next(counts) if i in (IMAGE, VIDEO) else 1
                ids += [i] * n
                mask += [loss] * n
        return ids, mask


def make(gen, task, enc, levels=None, n=None):
    """One micro-batch: dict(task, ids [B,T], weight [B,T] for the target at t+1, frames [n,2 or 1,H,W,3] or None)."""
    r = gen.r
    if levels is not None:
        gen.level = levels[TASKS.index(task)]
    n = n or SIZE[task]
    if task == "recall":
        n = max(SIZE[task], min(24, 1700 // (gen.recall_top() * 5 + 100)))
    gen.force_think = r.random() < (0.6 if task == "arith" else 0.5 if task == "tools" else gen.think_rate)
    gen.force_turns = r.randint(2, 4)
    if task == "ocr":
        h, w = gen.ocr_canvas()
        n = 44 if (h, w) == (56, 112) else n if h * w <= 84 * 140 else 24
        convs = [gen.task_ocr((h, w)) for _ in range(n)]
    elif task in ("shapes", "multiturn"):
        if task == "multiturn" and r.random() < 0.25:
            if levels is not None:
                gen.level = levels[TASKS.index("ocr")]
            cv = gen.ocr_canvas()
            convs = [gen.task_ocr_turns(cv) for _ in range(n)]
        else:
            cv = r.choices([(112, 112), (84, 84), (140, 140), (112, 168)], [6, 2, 1, 1])[0]
            convs = []
            while len(convs) < n:
                c = gen.task_shapes(cv) if task == "shapes" else gen.task_multiturn(cv)
                convs.append(c)
    elif task == "video":
        sh = (r.choice([4, 6, 8]), r.choice([56, 84]))
        convs = [gen.task_video(sh) for _ in range(n)]
    else:
        # similar lengths together
        pool = gen.__dict__.setdefault("pool", {}).setdefault((task, gen.force_think, n), [])
        if not pool:
            convs = [getattr(gen, "task_" + task)() for _ in range(n * 4)]
            convs.sort(key=lambda c: sum(len(str(m["content"])) for m in c.messages) + 100 * len(c.tools or []))
            pool += [convs[i : i + n] for i in range(0, len(convs), n)]
            r.shuffle(pool)
        convs = pool.pop()
    rows = [enc.conv(c) for c in convs]
    t = max(len(i) for i, _ in rows)
    ids = np.full((n, t), PAD, np.int32)
    weight = np.zeros((n, t), np.float32)
    for b, (i, m) in enumerate(rows):
        ids[b, : len(i)] = i
        m = np.asarray(m, np.float32)
        weight[b, : len(i) - 1] = m[1:] / max(1.0, m.sum()) ** 0.5
    frames = None
    if convs[0].images:
        frames = np.stack([a for c in convs for a in c.images])[:, None]
    elif convs[0].videos:
        frames = np.concatenate([c.videos[0].reshape(-1, 2, *c.videos[0].shape[1:]) for c in convs])
    cells = np.concatenate([c.cells for c in convs]) if frames is not None else None
    return {
        "task": task,
        "cells": cells,
        "ids": ids,
        "weight": weight,
        "frames": frames,
        "thinking": np.array([c.thinking for c in convs]),
    }


def worker(q, seed, tokenizer, mix, levels):
    import torch

    torch.set_num_threads(1)
    enc = Encoder(tokenizer)
    gen = tasks.Gen(seed)
    names = list(mix)
    while True:
        q.put(make(gen, random.choices(names, [mix[n] for n in names])[0], enc, levels))


class Stream:
    def __init__(self, tokenizer, mix, seed, workers=1, depth=12):
        ctx = mp.get_context("fork")
        self.levels = ctx.Array("d", [START.get(t, 1.0) for t in TASKS])
        self.q = ctx.Queue(depth)
        self.ps = [
            ctx.Process(target=worker, args=(self.q, seed + 1000 * i, tokenizer, mix, self.levels), daemon=True)
            for i in range(workers)
        ]
        for p in self.ps:
            p.start()

    def get(self):
        return self.q.get()

    def close(self):
        for p in self.ps:
            p.terminate()
