"""Compares tiny_model.py with transformers on the same weights: logits for text, pictures (one and two windows) and video.

python check_parity.py MODEL_DIR
"""

import sys

import numpy as np
import tasks
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_model import Config, TinyExaone, patches
from transformers import AutoProcessor, Exaone4_5_ForConditionalGeneration

d = sys.argv[1]
hf = Exaone4_5_ForConditionalGeneration.from_pretrained(d, dtype=torch.float32).eval()
proc = AutoProcessor.from_pretrained(d)
me = TinyExaone(Config()).eval()
print(me.load_state_dict({k: v.float() for k, v in load_file(d + "/model.safetensors").items()}))
print(
    {
        n: sum(p.numel() for p in m.parameters())
        for n, m in [
            ("visual", me.model.visual),
            ("text", me.model.language_model),
            ("lm_head", me.lm_head),
            ("mtp", me.mtp),
        ]
    }
)
g = tasks.Gen(5, think_rate=0.0, system_rate=0.0)
worst = 0
for i in range(24):
    c = [
        lambda: g.task_ocr(),
        lambda: g.task_shapes((140, 140)),
        lambda: g.task_shapes((112, 168)),
        lambda: g.task_video(),
        lambda: g.task_recall(),
        lambda: g.task_tools(),
    ][i % 6]()
    text = proc.apply_chat_template(
        c.messages[:-1], tools=c.tools, tokenize=False, add_generation_prompt=True, enable_thinking=c.thinking
    )
    x = proc(
        text=[text],
        images=[Image.fromarray(a) for a in c.images] or None,
        videos=[v for v in c.videos] or None,
        return_tensors="pt",
        do_sample_frames=False,
    )
    x = {k: v for k, v in x.items() if isinstance(v, torch.Tensor)}
    with torch.no_grad():
        ref = hf(**x).logits
        fr = grid = None
        if c.images:
            fr, grid = patches(torch.tensor(np.stack([np.stack([a, a]) for a in c.images])))
            px = x["pixel_values"]
        if c.videos:
            v = c.videos[0]
            fr, grid = patches(torch.tensor(v.reshape(-1, 2, *v.shape[1:])))
            px = x["pixel_values_videos"]
        if fr is not None:
            worst = max(worst, (fr.reshape(-1, 1176) - px).abs().max().item())
        mine = me.lm_head(me.hidden(x["input_ids"], fr, grid)[0])
    e = (ref - mine).abs().max().item()
    worst = max(worst, e)
    print(c.task, tuple(x["input_ids"].shape), f"{e:.2e}")
assert worst < 1e-3, worst
print("parity ok", worst)
