"""Helpers shared by the generator scripts of this folder (no data of their own)."""

import hashlib
import json
import os

# Where the repository keeps the data, and where it goes unless EDGES_OUT names another folder.
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tests/golden/edges")


def out_dir(sub):
    """The folder to write to, made if need be."""
    d = os.path.join(os.environ.get("EDGES_OUT", GOLDEN), sub)
    os.makedirs(d, exist_ok=True)
    return d


def seed(default):
    return int(os.environ.get("EDGES_SEED", default))


def sha256(data):
    if isinstance(data, str):
        data = open(data, "rb").read()
    return hashlib.sha256(bytes(data)).hexdigest()


def dump_json(path, obj, one_per_line=None):
    """Writes ASCII-only JSON. With one_per_line=KEY the list obj[KEY] gets one line per element."""
    with open(path, "w", encoding="ascii") as f:
        if one_per_line is None:
            json.dump(obj, f, ensure_ascii=True, indent=1)
            f.write("\n")
            return
        head = {k: v for k, v in obj.items() if k != one_per_line}
        f.write("{\n")
        for k, v in head.items():
            f.write(json.dumps(k) + ": " + json.dumps(v, ensure_ascii=True) + ",\n")
        f.write(json.dumps(one_per_line) + ": [\n")
        rows = obj[one_per_line]
        for i, r in enumerate(rows):
            f.write(json.dumps(r, ensure_ascii=True) + (",\n" if i + 1 < len(rows) else "\n"))
        f.write("]}\n")
    json.load(open(path, encoding="ascii"))  # verify
