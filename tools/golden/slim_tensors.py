#!/usr/bin/env python3
"""Drops from the picture and video fixtures what their sha256 already proves, so that tests/golden stays small.

A tensor goes when images.json or video.json holds the sha256 of its bytes and it is of the PIL back end, or the same file
read another way, or larger than LIMIT. The samples (64 rows, 12 columns) stay for every case: they say where a difference
starts. KEEP names one whole pixel array per kind. `source` of files.safetensors is the picture before lossy encoding, which
nothing can be compared with. Standard library only; running it again changes nothing.

usage: slim_tensors.py GOLDEN_EDGES_FOLDER
"""

import json
import struct
import sys
from pathlib import Path

LIMIT = 64 * 1024
PIL = {"resized_pil", "pixel_values_pil", "rgb_pil_object", "rgb_path"}
BY_HASH = {"rgb", "resized", "resized_torchvision", "pixel_values_torchvision", "pixel_values_videos"}
KEEP = {"png-rgb8/pixel_values_torchvision", "c-one-frame/pixel_values_videos"}


def goes(name, size):
    what = name.rsplit("/", 1)[-1]
    return name == "source" or what in PIL or (what in BY_HASH and size > LIMIT and name not in KEEP)


def slim(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    data = raw[8 + length :]
    kept, parts, at = {}, [], 0
    for name, entry in sorted(header.items(), key=lambda item: item[1].get("data_offsets", [-1])[0]):
        if name == "__metadata__":
            kept[name] = entry
            continue
        first, end = entry["data_offsets"]
        if goes(name, end - first):
            continue
        kept[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [at, at + end - first]}
        parts.append(data[first:end])
        at += end - first
    text = json.dumps(kept, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    print(f"{path.name}: {len(header)} -> {len(kept)} tensors, {len(raw)} -> {path.stat().st_size} bytes")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    for name in ("images/images", "video/clips", "video/files"):
        slim(folder / f"{name}.safetensors")


if __name__ == "__main__":
    main()
