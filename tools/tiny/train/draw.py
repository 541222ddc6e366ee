"""Pictures and videos of the synthetic tasks, drawn with Pillow. All are uint8 RGB with sides that are multiples of 28,
so that the processor does not resize them."""

import functools
import math
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from tables import COLORS, LABELS_KO, RGB, SHAPES, WORDS_KO

FONT_ROOT = "/usr/share/fonts/truetype"  # Debian: fonts-dejavu-core, fonts-liberation, fonts-nanum, fonts-freefont-ttf
LATIN = [
    "dejavu/DejaVuSans.ttf",
    "liberation/LiberationSans-Regular.ttf",
    "dejavu/DejaVuSans-Bold.ttf",
    "liberation/LiberationSans-Bold.ttf",
    "nanum/NanumGothic.ttf",
    "dejavu/DejaVuSerif.ttf",
    "liberation/LiberationSerif-Regular.ttf",
    "dejavu/DejaVuSansMono.ttf",
    "nanum/NanumGothicBold.ttf",
]
HANGUL = ["nanum/NanumGothic.ttf", "nanum/NanumGothicBold.ttf", "nanum/NanumBarunGothic.ttf"]


@functools.lru_cache(maxsize=None)
def font(name, size):
    return ImageFont.truetype(os.path.join(FONT_ROOT, name), size)


def is_hangul(s):
    return any("\uac00" <= ch <= "\ud7a3" for ch in s)


def width_units(s):
    """Rough printed width: a Hangul syllable counts two Latin characters."""
    return sum(2 if "\uac00" <= ch <= "\ud7a3" else 1 for ch in s)


def text_image(r, rng, h, w, lines, level):
    """One or two printed lines, dark on light or (sometimes) light on dark. Returns the picture and where each
    character is: [(x, y, character)]."""
    hangul = any(is_hangul(s) for s in lines)
    fonts = HANGUL if hangul else LATIN
    name = r.choice(fonts[: 2 if level < 0.1 else 4 if level < 0.3 else len(fonts)])
    room = (h - 8) // len(lines)
    size = r.randint(20, 24) if level < 0.08 else r.randint(18, 26) if level < 0.3 else r.randint(15, 28)
    size = min(size, int(room * 0.8))
    while size > 11 and max(font(name, size).getlength(s) for s in lines) > w - 6:
        size -= 1
    f = font(name, size)
    if r.random() < (0.05 if level < 0.3 else 0.15):
        bg, fg = tuple(r.randint(0, 60) for _ in range(3)), tuple(r.randint(200, 255) for _ in range(3))
    else:
        bg, fg = tuple(r.randint(225, 255) for _ in range(3)), tuple(r.randint(0, 80) for _ in range(3))
    if r.random() < 0.4:
        bg, fg = (255, 255, 255), (0, 0, 0)
    im = Image.new("RGB", (w, h), bg)
    d = ImageDraw.Draw(im)
    x0, where = None, []
    slack = max(0, h - 6 - len(lines) * int(size * 1.35))
    top = 3 + (slack // 2 if level < 0.08 else r.randint(0, slack))
    for i, s in enumerate(lines):
        free = max(0, w - 4 - int(f.getlength(s)))
        x = (
            2 + r.randint(0, min(free, 6 if level < 0.08 else 24 if level < 0.7 else free))
            if x0 is None or r.random() < 0.5
            else x0
        )
        x = min(x, 2 + free)
        x0 = x
        y = top + i * int(size * 1.35)
        d.text((x, y), s, font=f, fill=fg)
        for n, ch in enumerate(s):
            if ch != " ":
                where.append((x + f.getlength(s[:n]) + f.getlength(ch) / 2, y + size * 0.62, ch))
    return np.asarray(im), where


def shape(d, kind, cx, cy, rad, fill):
    if kind == 0:
        d.ellipse([cx - rad, cy - rad, cx + rad, cy + rad], fill=fill)
    elif kind == 1:
        q = rad * 0.9
        d.rectangle([cx - q, cy - q, cx + q, cy + q], fill=fill)
    else:
        n = 3 if kind == 2 else 10
        pts = []
        for i in range(n):
            rr = rad * 1.1 if kind == 2 else (rad * 1.15 if i % 2 == 0 else rad * 0.48)
            a = -math.pi / 2 + 2 * math.pi * i / n
            pts.append((cx + rr * math.cos(a), cy + rr * math.sin(a)))
        d.polygon(pts, fill=fill)


def tint(r, c):
    return tuple(max(0, min(255, v + r.randint(-15, 15))) for v in RGB[c])


def background(r):
    return tuple(r.randint(235, 255) for _ in range(3))


def scene_image(r, rng, h, w, objs):
    """objs: (cell 0..8 in a 3x3 grid, colour, shape)."""
    im = Image.new("RGB", (w, h), background(r))
    d = ImageDraw.Draw(im)
    ch, cw, where = h / 3, w / 3, []
    for cell, c, s in objs:
        rad = min(ch, cw) * r.uniform(0.30, 0.42)
        j = min(ch, cw) * 0.1
        cx = (cell % 3 + 0.5) * cw + r.uniform(-j, j)
        cy = (cell // 3 + 0.5) * ch + r.uniform(-j, j)
        shape(d, s, cx, cy, rad, tint(r, c))
        where.append((cx, cy, (c, s)))
    return np.asarray(im), where


def moving_video(r, rng, frames, h, w, c, s, direction):
    """One object crossing the picture; direction 0 left, 1 right, 2 up, 3 down."""
    bg, col = background(r), tint(r, c)
    rad = min(h, w) * r.uniform(0.14, 0.20)
    lo, hi = rad + 1 + r.uniform(0, 4), -rad - 1 - r.uniform(0, 4)
    out, where = [], []
    cross = r.uniform(0.3, 0.7)
    for i in range(frames):
        t = i / (frames - 1)
        if direction < 2:
            a, b = lo, w + hi
            x, y = (b + (a - b) * t if direction == 0 else a + (b - a) * t), cross * h
        else:
            a, b = lo, h + hi
            x, y = cross * w, (b + (a - b) * t if direction == 2 else a + (b - a) * t)
        im = Image.new("RGB", (w, h), bg)
        shape(ImageDraw.Draw(im), s, x, y, rad, col)
        out.append(np.asarray(im))
        where.append((x, y, (c, s)))
    return np.stack(out), where


# ---- what is where, as labels of the 28 x 28 pixel cells (one visual token each)
SLOTS = 4
CLASSES = {
    ch: 1 + i
    for i, ch in enumerate(
        sorted({chr(c) for c in range(33, 127)} | {ch for s in WORDS_KO + LABELS_KO + ["원"] for ch in s})
    )
}
CLASSES.update({(c, s): len(CLASSES) + 1 + c * len(SHAPES) + s for c in range(len(COLORS)) for s in range(len(SHAPES))})


def cells(where, h, w):
    """[h/28 * w/28, SLOTS] class numbers, 0 nothing: the characters or objects centred in each cell, left to right."""
    out = np.zeros((h // 28, w // 28, SLOTS), np.int16)
    fill = {}
    for x, y, what in sorted(where, key=lambda e: e[0]):
        at = min(h // 28 - 1, max(0, int(y // 28))), min(w // 28 - 1, max(0, int(x // 28)))
        n = fill.get(at, 0)
        if n < SLOTS and what in CLASSES:
            out[at][n] = CLASSES[what]
            fill[at] = n + 1
    return out.reshape(-1, SLOTS)
