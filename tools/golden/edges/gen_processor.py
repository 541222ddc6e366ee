"""Writes images/processor_cases.json: Exaone4_5_Processor as a whole: prompt text with placeholders + picture and video sizes -> ids.

Pictures and videos are black (only their sizes matter here). Limits: images 3136..3211264, videos 3136..50176 pixels.
"""

import os

import numpy as np
from common import GOLDEN, dump_json, out_dir
from PIL import Image

IMG, VID = "<vision><|image_pad|></vision>\n", "<vision><|video_pad|></vision>\n"


def make():
    from transformers import PreTrainedTokenizerFast
    from transformers.models.exaone4_5.processing_exaone4_5 import Exaone4_5_Processor
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    tok = PreTrainedTokenizerFast(
        tokenizer_file=os.path.join(GOLDEN, "tokenizer", "tokenizer.json"),
        bos_token="[BOS]",
        eos_token="<|endofturn|>",
        pad_token="[PAD]",
        unk_token="[UNK]",
    )
    return Exaone4_5_Processor(
        Qwen2VLImageProcessor(size={"shortest_edge": 3136, "longest_edge": 3211264}),
        tok,
        Qwen2VLVideoProcessor(size={"shortest_edge": 3136, "longest_edge": 50176}, cap_pixels_per_frame=False),
    )


def case(p, name, text, images=(), videos=()):
    c = {"name": name, "text": text, "images": [list(x) for x in images], "videos": [list(x) for x in videos]}
    try:
        o = p(
            text=[text],
            images=[Image.new("RGB", (w, h)) for h, w in images] or None,
            videos=[np.zeros((t, h, w, 3), np.uint8) for t, h, w in videos] or None,
        )
        c["input_ids"] = [int(x) for x in o["input_ids"][0]]
        c["image_grid_thw"] = np.asarray(o["image_grid_thw"]).tolist() if images else []
        c["video_grid_thw"] = np.asarray(o["video_grid_thw"]).tolist() if videos else []
        c["keys"] = sorted(o.keys())
        c["image_tokens"], c["video_tokens"] = c["input_ids"].count(67), c["input_ids"].count(68)
    except Exception as e:
        c["error"] = "%s: %s" % (type(e).__name__, str(e)[:200])
    return c


def turn(body):
    return "<|user|>\n" + body + "<|endofturn|>\n<|assistant|>\n<think>\n"


if __name__ == "__main__":
    p = make()
    C = [
        case(p, "text-only", turn("Hi")),
        case(p, "one", turn(IMG + "A"), [(56, 84)]),
        case(p, "two", turn(IMG + IMG + "A"), [(56, 84), (100, 100)]),
        case(p, "text-between", turn("x" + IMG + "y" + IMG), [(42, 42), (28, 200)]),
        case(p, "video", turn(VID + "A"), [], [(5, 56, 84)]),
        case(p, "mixed", turn(VID + "A" + IMG + "B" + VID + IMG), [(60, 60), (112, 56)], [(2, 56, 56), (3, 100, 60)]),
        case(p, "bare-pad", turn("<|image_pad|>"), [(56, 56)]),
        case(p, "too-few-images", turn(IMG + IMG), [(56, 56)]),
        case(p, "too-many-images", turn(IMG), [(56, 56), (56, 56)]),
        case(p, "no-pad", turn("A"), [(56, 56)]),
        case(p, "pad-without-image", turn(IMG)),
        case(p, "adjacent-pads", turn("<|image_pad|><|image_pad|>"), [(56, 56), (84, 56)]),
        case(p, "pad-in-two-turns", "<|user|>\n" + IMG + "<|endofturn|>\n" + turn(IMG), [(56, 84), (84, 56)]),
        case(p, "aspect-error", turn(IMG), [(1, 201)]),
        case(p, "korean", turn("이 사진은 " + IMG + "무엇입니까?"), [(98, 98)]),
    ]
    dump_json(
        out_dir("images") + "/processor_cases.json",
        {"tokenizer": "../tokenizer/tokenizer.json", "count": len(C), "cases": C},
        "cases",
    )
    for c in C:
        print(
            c["name"],
            c.get("error"),
            c.get("image_grid_thw"),
            c.get("video_grid_thw"),
            c.get("image_tokens"),
            c.get("video_tokens"),
            c.get("keys"),
        )
