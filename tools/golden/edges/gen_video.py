"""Writes video/: sampling tables, raw clips, real video files, and what the reference video processor makes of them.

Frames are computed here. Real files are encoded with Debian's ffmpeg. Needs torchcodec, av and opencv importable for the decoder
comparison (the processor itself uses torchcodec).
"""

import json
import os
import subprocess
import warnings

import numpy as np
import torch
from common import dump_json, out_dir, sha256
from gen_images import emulate, sample
from safetensors.numpy import save_file
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor, smart_resize
from transformers.video_utils import VideoMetadata, load_video

torch.set_num_threads(1)
warnings.filterwarnings("ignore")
SMALL = {"shortest_edge": 3136, "longest_edge": 50176}
DEFAULT = {"shortest_edge": 100352, "longest_edge": 602112}


def processor(size):
    return Qwen2VLVideoProcessor(size=dict(size), cap_pixels_per_frame=False)


def clip(t, h, w, s):
    """[t, h, w, 3] uint8: a moving bar and disc over a gradient, frame number as a column of blocks."""
    r = np.random.default_rng(s)
    y, x = np.mgrid[0:h, 0:w].astype(np.float64)
    base = np.stack([255 * x / max(w - 1, 1), 255 * y / max(h - 1, 1), 128 + 60 * np.sin((x + y) / 5)], -1)
    out = np.empty((t, h, w, 3), np.uint8)
    for i in range(t):
        f = base + r.normal(0, 5, base.shape)
        f[:, (i * 5) % w : (i * 5) % w + max(w // 8, 1)] = [250, 20, 20]
        f[np.hypot(y - h * 0.6, x - (w * (i + 1) / (t + 1))) < h / 6] = [20, 20, 250]
        for b in range(6):
            f[b * (h // 8) : b * (h // 8) + max(h // 16, 1), 0 : max(w // 10, 1)] = 255 if i >> b & 1 else 0
        out[i] = np.clip(np.rint(f), 0, 255)
    return out


def exact(total, n):
    return [i * total // n for i in range(n)]


def sampling_row(total, src_fps, **k):
    """One sampling question. indices = what sample_frames returns; error = what it raises. "use" is what an engine should do."""
    p = processor(SMALL)
    row = {"total": total, "source_fps": src_fps, **k}
    try:
        ix = p.sample_frames(VideoMetadata(total_num_frames=total, fps=src_fps), **k).tolist()
        row["indices"] = ix
        n = len(ix)
        if (
            ix and ix[-1] >= total
        ):  # floating-point step: one index too many, out of range; the processor then raises IndexError
            row["defect"] = "index out of range"
            n -= 1
        row["use"] = exact(total, n) if (k.get("num_frames") or k.get("fps")) else ix
        assert row["use"] == ix[:n]
        if row["use"] == ix:
            del row["use"]
    except Exception as e:
        row["error"] = "%s: %s" % (type(e).__name__, str(e)[:120])
    return row


def sampling_table(s, n):
    r = np.random.default_rng(s)
    q = [(10, 10.0, {}), (1, 1.0, {}), (7, None, {})]
    for t in (1, 2, 3, 4, 5, 7, 8, 10, 16, 17, 30, 34, 49, 100, 300, 1000):
        for nf in (1, 2, 3, 4, 5, 6, 7, 8, 14, 16, 32):
            if r.integers(0, 10) < 4 or (t, nf) in ((17, 14), (34, 14), (34, 28)):
                q.append((t, 30.0, {"num_frames": nf}))
    for t, f in (
        (100, 25.0),
        (100, 30000 / 1001),
        (250, 24.0),
        (1, 30.0),
        (2, 30.0),
        (3, 30.0),
        (5, 30.0),
        (10, 30.0),
        (17, 10.0),
        (600, 60.0),
        (3000, 30.0),
        (90000, 30.0),
        (20, 0.5),
        (50, 1000.0),
        (48, 23.976),
    ):
        for k in (
            {"fps": 1},
            {"fps": 2},
            {"fps": 2.0, "min_frames": 2, "max_frames": 16},
            {"fps": 0.5},
            {"fps": 8, "min_frames": 1},
            {"fps": 30},
            {"fps": 1, "min_frames": 3, "max_frames": 5},
            {"fps": 1, "max_frames": 2},
            {"fps": 4, "min_frames": 10, "max_frames": 8},
        ):
            if r.integers(0, 10) < 6:
                q.append((t, f, k))
    q += [
        (10, None, {"fps": 2}),
        (10, 10.0, {"fps": 2, "num_frames": 4}),
        (10, 10.0, {"num_frames": 12}),
        (10, 10.0, {"num_frames": 0}),
        (10, 10.0, {"fps": 0}),
        (10, 0.0, {"fps": 2}),
        (10, 10.0, {"num_frames": 3}),
        (10, 10.0, {"num_frames": 5}),
        (10, 10.0, {"num_frames": 4, "temporal_patch_size": 4}),
        (12, 10.0, {"num_frames": 6, "temporal_patch_size": 4}),
        (10, 10.0, {"num_frames": 4, "temporal_patch_size": 1}),
        (9, 10.0, {"num_frames": 9}),
        (9, 10.0, {"num_frames": 8}),
    ]
    while len(q) < n:
        t = int(np.exp(r.uniform(0, 8)))
        q.append(
            (
                t,
                float(np.round(r.uniform(1, 60), 3)),
                {"fps": float(np.round(r.uniform(0.2, 10), 2))}
                if r.integers(0, 2)
                else {"num_frames": int(r.integers(1, max(2, min(t, 64)) + 1))},
            )
        )
    return [sampling_row(t, f, **k) for t, f, k in q[:n]]


def rebuild(frames, H, W):
    """Independent rebuild of pixel_values_videos from uint8 frames [t, h, w, 3]."""
    if len(frames) % 2:
        frames = np.concatenate([frames, frames[-1:]])
    z = np.stack([emulate(f, H, W, "torchvision", "hv") for f in frames])
    k = np.float32(1.0 / (1 / 255))
    m = np.array([0.48145466, 0.4578275, 0.40821073]).astype(np.float32) * k
    s = np.array([0.26862954, 0.26130258, 0.27577711]).astype(np.float32) * k
    y = ((z.astype(np.float32) - m) / s).transpose(0, 3, 1, 2)
    t = len(z) // 2
    p = y.reshape(t, 2, 3, H // 28, 2, 14, W // 28, 2, 14).transpose(0, 3, 6, 4, 7, 2, 1, 5, 8)
    return z, np.ascontiguousarray(p.reshape(-1, 1176))


class Out:
    def __init__(self, d):
        self.d, self.t, self.rows = d, {}, []

    def run(self, name, clip_name, frames, size, full, meta=None, **k):
        """Processor on an array clip; k: num_frames, fps, ... (then do_sample_frames=True)."""
        p = processor(size)
        e = {"name": name, "clip": clip_name, "size": size, "options": k}
        kw = dict(k)
        if k:
            kw["do_sample_frames"] = True
            kw["video_metadata"] = [VideoMetadata(total_num_frames=len(frames), fps=meta)]
            e["source_fps"] = meta
        try:
            o = p(videos=[frames], return_tensors="np", return_metadata=True, **kw)
        except Exception as x:
            e["error"] = "%s: %s" % (type(x).__name__, str(x)[:160])
            self.rows.append(e)
            return
        v = np.asarray(o["pixel_values_videos"], np.float32)
        g = [int(a) for a in np.asarray(o["video_grid_thw"])[0]]
        ix = [int(a) for a in o["video_metadata"][0].frames_indices]
        H, W = g[1] * 14, g[2] * 14
        assert (H, W) == smart_resize(frames.shape[1], frames.shape[2], 28, size["shortest_edge"], size["longest_edge"])
        z, mine = rebuild(frames[ix], H, W)
        assert np.array_equal(mine, v), name
        e.update(
            {
                "indices": ix,
                "grid": g,
                "tokens": g[0] * g[1] * g[2] // 4,
                "resized_size": [H, W],
                "pixel_values_sha256": sha256(v.tobytes()),
                "resized_sha256": sha256(np.ascontiguousarray(z).tobytes()),
            }
        )
        ri, ci, sm = sample(v)
        self.t[name + "/sample"] = sm
        if full:
            self.t[name + "/pixel_values_videos"] = v
            self.t[name + "/resized"] = np.ascontiguousarray(z)
        self.rows.append(e)


def ff(args, data=None):
    p = subprocess.run(["ffmpeg", "-v", "error", "-y", "-threads", "1"] + args, input=data, capture_output=True)
    assert p.returncode == 0, p.stderr.decode()
    return p.stdout


def raw_in(frames, fps):
    return [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        "%dx%d" % (frames.shape[2], frames.shape[1]),
        "-r",
        str(fps),
        "-i",
        "-",
    ]


BITEXACT = ["-bitexact", "-map_metadata", "-1"]


def encode_all(d, c, prefix=""):
    """c: [t, h, w, 3]. -> list of (file, fps given to ffmpeg)"""
    out = []

    def e(name, fps, args, pre=None):
        path = os.path.join(d, prefix + name)
        ff(raw_in(c, fps) + args + BITEXACT + [path], c.tobytes())
        out.append(prefix + name)

    x264 = ["-c:v", "libx264", "-threads", "1", "-pix_fmt", "yuv420p"]
    e("h264-10fps.mp4", 10, x264 + ["-crf", "18", "-g", "8"])
    e("h264-2997-bframes.mp4", "30000/1001", x264 + ["-crf", "23", "-bf", "3", "-g", "12"])
    e(
        "h264-bt709-full.mp4",
        24,
        x264
        + [
            "-crf",
            "18",
            "-vf",
            "scale=out_color_matrix=bt709:out_range=pc",
            "-colorspace",
            "bt709",
            "-color_range",
            "pc",
            "-color_primaries",
            "bt709",
            "-color_trc",
            "bt709",
        ],
    )
    e("h264-444.mp4", 12, ["-c:v", "libx264", "-threads", "1", "-pix_fmt", "yuv444p", "-crf", "18"])
    e(
        "h264-vfr.mp4",
        20,
        x264 + ["-crf", "20", "-vf", "select='not(eq(mod(n,5),3))',setpts='(N+floor(N/4)*2)/20/TB'", "-fps_mode", "vfr"],
    )
    e("h264.mkv", 15, x264 + ["-crf", "20"])
    e("h264-ts.ts", 25, x264 + ["-crf", "20"])
    e(
        "vp9.webm",
        10,
        ["-c:v", "libvpx-vp9", "-threads", "1", "-row-mt", "0", "-b:v", "0", "-crf", "30", "-pix_fmt", "yuv420p"],
    )
    e("mpeg4.avi", 10, ["-c:v", "mpeg4", "-q:v", "4"])
    e("gif.gif", 10, ["-filter_complex", "split[a][b];[a]palettegen[p];[b][p]paletteuse"])
    # the same stream with a rotation of 90 degrees in the container
    src, rot = os.path.join(d, prefix + "h264-10fps.mp4"), os.path.join(d, prefix + "h264-rotate90.mp4")
    ff(["-i", src, "-c", "copy", "-metadata:s:v:0", "rotate=90"] + ["-bitexact", rot])
    out.append(prefix + "h264-rotate90.mp4")
    # cut that starts in the middle of a group: an edit list hides the leading frames
    cut = os.path.join(d, prefix + "h264-editlist.mp4")
    ff(["-ss", "0.5", "-i", src, "-c", "copy"] + BITEXACT + [cut])
    out.append(prefix + "h264-editlist.mp4")
    return out


def decode_info(path):
    """What each decoder says about a file, and how far their pixels are from torchcodec's."""
    info, ref = {}, None
    for b in ("torchcodec", "pyav", "opencv"):
        try:
            v, m = load_video(path, backend=b)
            v = v.numpy().transpose(0, 2, 3, 1) if isinstance(v, torch.Tensor) else v
            info[b] = {
                "total_num_frames": m.total_num_frames,
                "fps": float(m.fps) if m.fps is not None else None,
                "duration": float(m.duration) if m.duration is not None else None,
                "decoded": list(v.shape),
            }
            if b == "torchcodec":
                ref = v
            elif ref is not None and v.shape == ref.shape:
                dd = np.abs(v.astype(int) - ref.astype(int))
                info[b]["diff_to_torchcodec"] = {"max": int(dd.max()), "mean": round(float(dd.mean()), 4)}
        except Exception as x:
            info[b] = {"error": "%s: %s" % (type(x).__name__, str(x).split("\n")[0][:140])}
    return info, ref


def cli_frames(path, shape):
    b = ff(["-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-fps_mode", "passthrough", "-"])
    n = shape[1] * shape[2] * 3
    return np.frombuffer(b, np.uint8).reshape(-1, *shape[1:]) if n and len(b) % n == 0 else None


def file_entries(o, d, files, tensors):
    rows = []
    for fn in files:
        path = os.path.join(d, fn)
        e = {"file": fn, "bytes": os.path.getsize(path), "sha256": sha256(path)}
        info, ref = decode_info(path)
        e["decoders"] = info
        if ref is not None:
            cli = cli_frames(path, ref.shape)
            if cli is not None and cli.shape == ref.shape:
                dd = np.abs(cli.astype(int) - ref.astype(int))
                e["debian_ffmpeg_cli_diff"] = {
                    "max": int(dd.max()),
                    "mean": round(float(dd.mean()), 4),
                    "frames": int(len(cli)),
                }
            else:
                e["debian_ffmpeg_cli_diff"] = {"frames": None if cli is None else int(len(cli))}
            k = [0, len(ref) // 2, len(ref) - 1]
            e["stored_frames"] = k
            tensors[fn + "/frames"] = np.ascontiguousarray(ref[k])
        runs = []
        for opt in ({}, {"num_frames": 6}, {"fps": 2}):
            p = processor(SMALL)
            r = {"options": opt}
            try:
                out = p(
                    videos=[path],
                    return_tensors="np",
                    return_metadata=True,
                    **({**opt, "do_sample_frames": True} if opt else {}),
                )
                m = out["video_metadata"][0]
                r.update(
                    {
                        "indices": [int(a) for a in m.frames_indices],
                        "fps": float(m.fps),
                        "total_num_frames": int(m.total_num_frames),
                        "duration": float(m.duration),
                        "timestamps": [float(a) for a in m.timestamps],
                        "grid": [int(a) for a in np.asarray(out["video_grid_thw"])[0]],
                    }
                )
                v = np.asarray(out["pixel_values_videos"], np.float32)
                z, mine = rebuild(ref[r["indices"]], r["grid"][1] * 14, r["grid"][2] * 14)
                assert np.array_equal(mine, v)
                r["pixel_values_sha256"] = sha256(v.tobytes())
                tensors["%s/sample_%s" % (fn, "all" if not opt else list(opt)[0])] = sample(v)[2]
            except Exception as x:
                r["error"] = "%s: %s" % (type(x).__name__, str(x).split("\n")[0][:160])
            runs.append(r)
        e["processor"] = runs
        rows.append(e)
    return rows


def versions():
    v = {
        "transformers": __import__("transformers").__version__,
        "torch": torch.__version__,
        "torchvision": __import__("torchvision").__version__,
    }
    for n in ("torchcodec", "av", "cv2"):
        try:
            v[n] = __import__(n).__version__
        except Exception:
            v[n] = "missing"
    v["ffmpeg_cli"] = subprocess.run(["ffmpeg", "-version"], capture_output=True).stdout.decode().split("\n")[0][:60]
    return v


if __name__ == "__main__":
    d = out_dir("video")
    table = sampling_table(77, 220)
    with open(d + "/sampling.json", "w") as f:
        f.write(
            '{"defaults": {"min_frames": 4, "max_frames": 768, "temporal_patch_size": 2}, "cases": [\n'
            + ",\n".join(json.dumps(x) for x in table)
            + "\n]}\n"
        )
    o = Out(d)
    clips = {
        "a": clip(8, 60, 90, 1),
        "b": clip(7, 42, 70, 2),
        "c": clip(1, 56, 56, 3),
        "d": clip(30, 45, 33, 4),
        "e": clip(4, 300, 200, 5),
        "f": clip(17, 30, 40, 6),
    }
    for k, v in clips.items():
        o.t["clip_" + k] = v
    o.run("a-all", "a", clips["a"], SMALL, True)
    o.run("a-num4", "a", clips["a"], SMALL, False, 8.0, num_frames=4)
    o.run("a-num5", "a", clips["a"], SMALL, False, 8.0, num_frames=5)
    o.run("a-fps2", "a", clips["a"], SMALL, False, 8.0, fps=2)
    o.run("a-default-size", "a", clips["a"], DEFAULT, False)
    o.run("b-odd", "b", clips["b"], SMALL, True)
    o.run("c-one-frame", "c", clips["c"], SMALL, True)
    o.run("c-one-frame-num2", "c", clips["c"], SMALL, False, 1.0, num_frames=2)
    o.run("d-all", "d", clips["d"], SMALL, False)
    o.run("d-fps2", "d", clips["d"], SMALL, True, 10.0, fps=2)
    o.run("d-fps2-min8", "d", clips["d"], SMALL, False, 10.0, fps=2, min_frames=8)
    o.run("d-fps10-max12", "d", clips["d"], SMALL, False, 10.0, fps=10, max_frames=12)
    o.run("d-num-too-many", "d", clips["d"], SMALL, False, 10.0, num_frames=32)
    o.run("d-default-size-num4", "d", clips["d"], DEFAULT, False, 10.0, num_frames=4)
    o.run("e-shrink", "e", clips["e"], SMALL, False)
    o.run("f-num14-defect", "f", clips["f"], SMALL, False, 10.0, num_frames=14)
    save_file(o.t, d + "/clips.safetensors")
    files = encode_all(d, clip(24, 64, 96, 11))
    t = {"source": clip(24, 64, 96, 11)}
    rows = file_entries(o, d, files, t)
    save_file(t, d + "/files.safetensors")
    dump_json(
        d + "/video.json",
        {"versions": versions(), "small_size": SMALL, "default_size": DEFAULT, "array_runs": o.rows, "files": rows},
    )
    print(len(table), "rows;", sum("defect" in x for x in table), "defects;", len(o.rows), "runs;", len(rows), "files")
