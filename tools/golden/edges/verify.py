"""Loads every file of tests/golden/edges (or of $EDGES_OUT) back and checks what can be checked without the generators' state.

Works on what the generators write and on what slim_tensors.py leaves of it.
"""

import glob
import hashlib
import json
import os

from common import GOLDEN
from safetensors import safe_open

ROOT = os.environ.get("EDGES_OUT", GOLDEN)


def sha(data):
    return hashlib.sha256(data).hexdigest()


def read(path):
    with open(os.path.join(ROOT, path), "rb") as f:
        return f.read()


def strict(value):
    """No string holds half a surrogate pair."""
    if isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, dict):
        strict(list(value.keys()))
        strict(list(value.values()))
    elif isinstance(value, list):
        for x in value:
            strict(x)


def no_constant(name):
    raise ValueError(name)


def load(path):
    value = json.loads(read(path), parse_constant=no_constant)
    strict(value)
    return value


def tensors(path, framework="np"):
    with safe_open(os.path.join(ROOT, path), framework) as f:
        return {k: f.get_tensor(k) for k in f.keys()}


def check_tokenizer():
    """Byte strings rebuild the decoded text, pieces rebuild what was encoded."""
    for c in load("tokenizer/cases.json")["cases"]:
        decoded = c["text"] if c["decoded"] is None else c["decoded"]
        if "bytes" in c:
            assert bytes.fromhex("".join(c["bytes"])).decode("utf-8", "replace") == decoded
            assert "".join(c["stream"]) + c["stream_tail"] == decoded
        if "pieces" in c:
            assert [len(x.encode()) for x in c["pieces"]] == c["piece_bytes"] and "".join(c["pieces"]) == decoded


def check_reply():
    for c in load("reply/reply_cases.json")["cases"]:
        assert all(sum(x) == len(c["text"].encode()) for x in c["chunks"]), "chunks cover the text"


def check_images():
    t = tensors("images/images.safetensors")
    for e in load("images/images.json")["images"]:
        data = read("images/" + e["file"])
        assert sha(data) == e["sha256"] and len(data) == e["bytes"]
        stem = e["file"].rsplit(".", 1)[0] + "/"
        for name, key in (
            ("rgb", "rgb_sha256"),
            ("resized_torchvision", "resized_sha256_torchvision"),
            ("resized_pil", "resized_sha256_pil"),
            ("pixel_values_torchvision", "pixel_values_sha256_torchvision"),
            ("pixel_values_pil", "pixel_values_sha256_pil"),
        ):
            if stem + name in t:
                assert sha(t[stem + name].tobytes()) == e[key], stem + name
        if stem + "rgb" in t:
            assert list(t[stem + "rgb"].shape[:2]) == e["rgb_size"]


def check_video():
    t = tensors("video/clips.safetensors")
    tensors("video/files.safetensors")
    doc = load("video/video.json")
    for e in doc["array_runs"]:
        name = e["name"] + "/pixel_values_videos"
        if name in t:
            assert sha(t[name].tobytes()) == e["pixel_values_sha256"], name
    for e in doc["files"]:
        assert sha(read("video/" + e["file"])) == e["sha256"], e["file"]


def check_weights():
    for path in glob.glob(ROOT + "/weights/*.gguf"):
        name = "weights/" + os.path.basename(path)
        m, data = load(name + ".json"), read(name)
        assert sha(data) == m["sha256"] and data[:4] == b"GGUF"
        offsets = [x["offset"] for x in m["tensors"]]
        assert offsets == sorted(offsets) and all(o % m["alignment"] == 0 for o in offsets) and offsets[0] == m["data_start"]
    if os.path.exists(ROOT + "/weights/compressed.safetensors"):
        import torch

        c = tensors("weights/compressed.safetensors", "pt")
        for k in ("sym", "asym", "asym-odd"):
            assert torch.equal(c[k + ".expected_f32"].to(torch.bfloat16), c[k + ".expected_bf16"])


def main():
    for check in (check_tokenizer, check_reply, check_images, check_video, check_weights):
        check()
    for path in glob.glob(ROOT + "/*/*.json"):
        load(os.path.relpath(path, ROOT))
    files = [os.path.join(r, f) for r, _, names in os.walk(ROOT) for f in names]
    print("ok:", len(files), "files,", sum(map(os.path.getsize, files)), "bytes")


if __name__ == "__main__":
    main()
