"""Synthetic tasks of the tiny EXAONE 4.5 model.

Every function `task_*` returns one conversation as a `Conv`: chat messages, declared tools, thinking on or off and the
pictures or videos it refers to. The last message is always the assistant's, so a conversation is both a training
example and, cut before that last message, a test case with a known answer.

Test cases must not repeat training examples where the answer space is large enough: `held_out(key)` splits such spaces
by hash (one in ten), and `Gen(split="eval")` draws only from the held-out part, `split="train"` only from the rest.
"""

import json
import random
import zlib
from dataclasses import dataclass, field

import draw
import numpy as np
import tables as T


@dataclass
class Conv:
    task: str
    messages: list
    tools: list | None = None
    thinking: bool = False
    images: list = field(default_factory=list)  # uint8 [H, W, 3] each, in order of appearance
    videos: list = field(default_factory=list)  # uint8 [frames, H, W, 3] each
    check: str = "exact"  # how an answer is judged
    cells: np.ndarray | None = None  # [visual tokens, SLOTS] what is printed or drawn in each, for the auxiliary loss


def held_out(key: str) -> bool:
    return zlib.crc32(key.encode()) % 10 == 0


def user(text, image=False, video=False):
    if not image and not video:
        return {"role": "user", "content": text}
    items = [{"type": "image"}] if image else []
    items += [{"type": "video"}] if video else []
    return {"role": "user", "content": items + [{"type": "text", "text": text}]}


def assistant(text, think="", tool_calls=None):
    m = {"role": "assistant", "content": text}
    if think:
        m["reasoning_content"] = think
    if tool_calls:
        m["tool_calls"] = tool_calls
    return m


class Gen:
    """One random stream of conversations. level 0..1 is the curriculum: 0 short and easy, 1 everything."""

    def __init__(self, seed, split="train", level=1.0, think_rate=0.3, system_rate=0.06):
        self.r = random.Random(seed)
        self.np = np.random.default_rng(seed + 12345)
        self.split, self.level = split, level
        self.think_rate, self.system_rate = think_rate, system_rate
        self.force_think, self.force_turns = None, None  # set by batches.py, so that a batch has similar lengths

    # ---- helpers -------------------------------------------------------------------------------------------------
    def fresh(self, make, key=lambda x: str(x)):
        """Draws make() until it lies in this generator's half of the space."""
        for _ in range(200):
            v = make()
            if held_out(key(v)) == (self.split == "eval"):
                return v
        return v

    def ko(self, p=0.35):
        return self.r.random() < p

    def think(self, rate=None):
        if self.force_think is not None:
            return self.force_think
        return self.r.random() < (self.think_rate if rate is None else rate)

    def finish(self, c):
        if self.r.random() < self.system_rate:
            c.messages.insert(0, {"role": "system", "content": self.r.choice(T.SYSTEM)})
        return c

    def phrase(self, options):
        return self.r.choice(options)

    # ---- 1. reading text -----------------------------------------------------------------------------------------
    def ocr_string(self, budget):
        """A printable string of at most `budget` characters (a Hangul syllable counts two)."""
        r = self.r
        for _ in range(100):
            kind = r.choices(
                ["number", "price", "time", "date", "code", "word", "ko", "pair"],
                [1, 0, 0, 0, 0, 0, 0, 0]
                if self.level < 0.04
                else [5, 0, 0, 0, 0, 3, 2, 0]
                if self.level < 0.08
                else [6, 2, 2, 0, 0, 4, 4, 0]
                if self.level < 0.2
                else [5, 3, 2, 2, 3, 5, 4, 3 if self.level > 0.3 else 0],
            )[0]
            if kind == "number":
                n = r.randint(1, 3 if self.level < 0.04 else 6)
                s = str(r.randrange(10**n)) if n < 3 else self.fresh(lambda: str(r.randrange(10 ** (n - 1), 10**n)))
            elif kind == "price":
                s = self.fresh(
                    lambda: r.choice(
                        [
                            lambda: f"${r.randrange(1, 100)}.{r.randrange(100):02d}",
                            lambda: f"{r.randrange(1, 100) * 100:,}원",
                            lambda: f"{r.randrange(1, 100)}.{r.randrange(10)}%",
                        ]
                    )()
                )
            elif kind == "time":
                s = self.fresh(lambda: f"{r.randrange(24)}:{r.randrange(60):02d}")
            elif kind == "date":
                s = self.fresh(
                    lambda: r.choice(
                        [
                            f"{r.randrange(2000, 2040)}-{r.randrange(1, 13):02d}-{r.randrange(1, 29):02d}",
                            f"{r.randrange(1, 13)}/{r.randrange(1, 29)}",
                        ]
                    )
                )
            elif kind == "code":
                s = self.fresh(
                    lambda: (
                        "".join(r.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(r.randint(1, 3)))
                        + r.choice(["-", ""])
                        + str(r.randrange(10, 1000))
                    )
                )
            elif kind == "word":
                s = r.choice(T.WORDS_EN[:48] if self.level < 0.2 else T.WORDS_EN)
                s = s if self.level < 0.2 else r.choice([s, s.capitalize(), s.upper()])
            elif kind == "ko":
                s = r.choice(T.WORDS_KO)
            else:
                s = self.fresh(
                    lambda: r.choice(
                        [
                            lambda: f"{r.choice(T.LABELS_EN)} {r.randrange(1, 1000)}",
                            lambda: f"{r.choice(T.LABELS_KO)} {r.randrange(1, 100)}",
                            lambda: f"{r.choice(T.WORDS_EN)} {r.choice(T.WORDS_EN)}",
                        ]
                    )()
                )
            if draw.width_units(s) <= budget:
                return s
        return "7"

    def ocr_canvas(self):
        easy = [(56, 112), (56, 140), (84, 112)]
        more = [(56, 168), (84, 140), (112, 112), (84, 168), (112, 168), (56, 224), (112, 224)]
        if self.level < 0.08:
            return easy[0]
        if self.level < 0.25:
            return self.r.choice(easy)
        return self.r.choices(easy + more, [5, 4, 4, 3, 3, 4, 2, 2, 2, 2])[0]

    def ocr_image(self, canvas=None):
        h, w = canvas or self.ocr_canvas()
        budget = int((w - 12) / 10)
        two = h >= 84 and self.r.random() < (0.6 if self.level > 0.25 else 0.0)
        lines = [self.ocr_string(budget) for _ in range(2 if two else 1)]
        img, where = draw.text_image(self.r, self.np, h, w, lines, self.level)
        self.cells = draw.cells(where, h, w)
        return img, "\n".join(lines)

    def task_ocr(self, canvas=None):
        img, text = self.ocr_image(canvas)
        q = self.phrase(T.OCR_Q_KO if self.ko() else T.OCR_Q_EN)
        th = self.think()
        return self.finish(
            Conv(
                "ocr",
                [user(q, image=True), assistant(text, T.THINK_OCR if th else "")],
                thinking=th,
                images=[img],
                cells=self.cells,
            )
        )

    # ---- 2. shapes -----------------------------------------------------------------------------------------------
    def scene(self, canvas=None):
        r = self.r
        h, w = canvas or r.choices([(112, 112), (84, 84), (140, 140), (112, 168)], [6, 2, 1, 1])[0]
        n = r.choices([1, 2, 3], [3, 4, 4] if self.level > 0.2 else [2, 1, 0])[0]
        kinds = [(c, s) for c in range(len(T.COLORS)) for s in range(len(T.SHAPES))]
        objs = list(zip(r.sample(range(9), n), r.sample(kinds, n)))
        objs = sorted((cell, c, s) for cell, (c, s) in objs)
        img, where = draw.scene_image(r, self.np, h, w, objs)
        self.cells = draw.cells(where, h, w)
        return img, objs

    def scene_qa(self, objs, ko, only=None):
        """One question about a scene and its answer."""
        r = self.r
        name = (lambda c, s: f"{T.COLORS_KO[c]} {T.SHAPES_KO[s]}") if ko else (lambda c, s: f"{T.COLORS[c]} {T.SHAPES[s]}")
        place = T.PLACES_KO if ko else T.PLACES
        col = [c for _, c, _ in objs]
        shp = [s for _, _, s in objs]
        opts = ["describe", "count", "count_shape", "where", "where"]
        opts += ["color", "color"] if any(shp.count(s) == 1 for s in shp) else []
        opts += ["shape", "shape"] if any(col.count(c) == 1 for c in col) else []
        opts += ["relation", "relation"] if len(objs) > 1 else []
        kind = only if only in opts else r.choice(opts)
        if kind == "describe":
            if ko:
                return self.phrase(T.DESCRIBE_KO), ", ".join(f"{place[p]}에 {name(c, s)}" for p, c, s in objs)
            return self.phrase(T.DESCRIBE_EN), ", ".join(f"a {name(c, s)} at the {place[p]}" for p, c, s in objs)
        if kind == "count":
            return (self.phrase(T.COUNT_KO), f"{len(objs)}개") if ko else (self.phrase(T.COUNT_EN), str(len(objs)))
        if kind == "count_shape":
            s = r.choice(shp + [r.randrange(len(T.SHAPES))])
            k = shp.count(s)
            if ko:
                return self.phrase([f"{T.SHAPES_KO[s]}은 몇 개야?", f"{T.SHAPES_KO[s]}이 몇 개 있어?"]), f"{k}개"
            return self.phrase(
                [f"How many {T.SHAPES[s]}s are there?", f"How many {T.SHAPES[s]}s?", f"Count the {T.SHAPES[s]}s."]
            ), str(k)
        if kind == "where":
            p, c, s = r.choice(objs)
            if ko:
                return f"{name(c, s)}은 어디에 있어?", place[p]
            return self.phrase([f"Where is the {name(c, s)}?", f"Where can you see the {name(c, s)}?"]), place[p]
        if kind == "color":
            p, c, s = r.choice([o for o in objs if shp.count(o[2]) == 1])
            if ko:
                return f"{T.SHAPES_KO[s]}은 무슨 색이야?", T.COLORS_KO[c]
            return self.phrase([f"What color is the {T.SHAPES[s]}?", f"Which color is the {T.SHAPES[s]}?"]), T.COLORS[c]
        if kind == "shape":
            p, c, s = r.choice([o for o in objs if col.count(o[1]) == 1])
            if ko:
                return f"{T.COLORS_KO[c]} 물체는 무슨 모양이야?", T.SHAPES_KO[s]
            return self.phrase([f"What shape is the {T.COLORS[c]} object?", f"Which shape is {T.COLORS[c]}?"]), T.SHAPES[s]
        # relation: exactly one or no object strictly on that side
        i = r.randrange(len(objs))
        p, c, s = objs[i]
        for side in r.sample(["left", "right", "above", "below"], 4):

            def on(o):
                x, y, px, py = o[0] % 3, o[0] // 3, p % 3, p // 3
                return {"left": x < px, "right": x > px, "above": y < py, "below": y > py}[side]

            hit = [o for j, o in enumerate(objs) if j != i and on(o)]
            if len(hit) <= 1:
                break
        if ko:
            q = f"{name(c, s)}의 {T.SIDE_KO[side]}에는 무엇이 있어?"
            return q, (name(hit[0][1], hit[0][2]) if hit else "없음") if len(hit) <= 1 else str(len(hit))
        q = f"What is {T.SIDE_EN[side]} the {name(c, s)}?"
        return q, (f"a {name(hit[0][1], hit[0][2])}" if hit else "nothing") if len(hit) <= 1 else str(len(hit))

    def scene_think(self, objs):
        return "I see " + ", ".join(f"a {T.COLORS[c]} {T.SHAPES[s]} at the {T.PLACES[p]}" for p, c, s in objs) + "."

    def task_shapes(self, canvas=None):
        img, objs = self.scene(canvas)
        ko, th = self.ko(), self.think()
        q, a = self.scene_qa(objs, ko)
        return self.finish(
            Conv(
                "shapes",
                [user(q, image=True), assistant(a, self.scene_think(objs) if th else "")],
                thinking=th,
                images=[img],
                cells=self.cells,
            )
        )

    # ---- 8. several turns on one picture -------------------------------------------------------------------------
    def task_multiturn(self, canvas=None):
        """Later questions refer to the picture of the first turn."""
        r = self.r
        if r.random() < 0.25:
            return self.task_ocr_turns(canvas)
        img, objs = self.scene(canvas)
        seen, msgs = set(), []
        for i in range(self.force_turns or r.randint(2, 4)):
            for _ in range(10):
                q, a = self.scene_qa(objs, self.ko())
                if q not in seen:
                    break
            seen.add(q)
            msgs += [user(q, image=(i == 0)), assistant(a)]
        th = self.think()
        if th:
            msgs[-1]["reasoning_content"] = self.scene_think(objs)
        return self.finish(Conv("multiturn", msgs, thinking=th, images=[img], cells=self.cells))

    def task_ocr_turns(self, canvas=None):
        r = self.r
        img, text = self.ocr_image(canvas)
        lines = text.split("\n")
        ko = self.ko()
        msgs = [user(self.phrase(T.OCR_Q_KO if ko else T.OCR_Q_EN), image=True), assistant(text)]
        opts = [(("몇 줄이야?", f"{len(lines)}줄") if ko else ("How many lines?", str(len(lines))))]
        if len(lines) == 2:
            opts += (
                [("첫째 줄은 뭐야?", lines[0]), ("둘째 줄은 뭐야?", lines[1])]
                if ko
                else [("What is the first line?", lines[0]), ("What is the second line?", lines[1])]
            )
        opts += [("다시 읽어 줘.", text) if ko else ("Read it again.", text)]
        q, a = r.choice(opts)
        th = self.think()
        return self.finish(
            Conv(
                "multiturn",
                msgs + [user(q), assistant(a, T.THINK_OCR if th else "")],
                thinking=th,
                images=[img],
                cells=self.cells,
            )
        )

    # ---- 3. video ------------------------------------------------------------------------------------------------
    def task_video(self, shape=None):
        r = self.r
        frames, side = shape or (r.choice([4, 6, 8]), r.choice([56, 84]))
        c, s, d = r.randrange(len(T.COLORS)), r.randrange(len(T.SHAPES)), r.randrange(4)
        vid, where = draw.moving_video(r, self.np, frames, side, side, c, s, d)
        # one label per frame pair, where the object is between the two frames
        self.cells = np.concatenate(
            [draw.cells([((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, a[2])], side, side) for a, b in zip(where[::2], where[1::2])]
        )
        ko, th = self.ko(), self.think()
        if ko:
            nm, to = f"{T.COLORS_KO[c]} {T.SHAPES_KO[s]}", T.DIRS_KO[d]
            qa = [
                ("물체가 어느 쪽으로 움직여?", to),
                (f"{T.SHAPES_KO[s]}은 어느 쪽으로 움직여?", to),
                ("무엇이 움직여?", nm),
                ("영상을 설명해 줘.", f"{nm}이 {to}으로 움직인다."),
            ]
        else:
            nm, to = f"{T.COLORS[c]} {T.SHAPES[s]}", T.DIRS[d]
            qa = [
                ("Which way does the object move?", to),
                (f"Which way does the {T.SHAPES[s]} move?", to),
                ("In which direction does it move?", to),
                ("What moves?", f"a {nm}"),
                ("What is moving?", f"a {nm}"),
                ("Describe the video.", f"A {nm} moves {to}."),
                ("What happens in the video?", f"A {nm} moves {to}."),
            ]
        q, a = r.choice(qa)
        why = f"The {T.COLORS[c]} {T.SHAPES[s]} starts at the {T.DIRS_FROM[d]} and ends at the {T.DIRS_TO[d]}."
        return self.finish(
            Conv(
                "video", [user(q, video=True), assistant(a, why if th else "")], thinking=th, videos=[vid], cells=self.cells
            )
        )

    # ---- 4. arithmetic -------------------------------------------------------------------------------------------
    def task_arith(self):
        r = self.r
        th = self.think(0.6)
        op = r.choices("+-x", [6, 4, 3])[0]

        def pair():
            if op == "x":
                return r.randrange(2, 10), r.randrange(2, 10)
            if not th and self.level < 0.5:  # without reasoning: the table of one-digit sums and differences
                a, b = r.randrange(1, 10), r.randrange(1, 10)
                return (max(a, b), min(a, b)) if op == "-" else (a, b)
            hi = 10 if r.random() < 0.1 else 100
            if self.level < 0.15 and r.random() < 0.5:
                hi = 10
            a, b = r.randrange(1, hi), r.randrange(1, hi)
            return (max(a, b), min(a, b)) if op == "-" else (a, b)

        a, b = pair() if op == "x" or (not th and self.level < 0.5) else self.fresh(pair, key=lambda p: f"{p[0]}{op}{p[1]}")
        res = {"+": a + b, "-": a - b, "x": a * b}[op]
        q = self.phrase(T.ARITH_KO if self.ko(0.25) else T.ARITH_EN).replace("EXPR", f"{a} {op} {b}")
        if not th:
            return self.finish(Conv("arith", [user(q), assistant(str(res))]))
        if op == "x":
            why = f"{a} x {b} = {res}."
        elif op == "+":
            o, t = a % 10 + b % 10, a // 10 + b // 10
            k = o // 10
            why = (
                f"{a % 10} + {b % 10} = {o}"
                + (", carry 1. " if k else ". ")
                + f"{a // 10} + {b // 10}"
                + (" + 1" if k else "")
                + f" = {t + k}. So {res}."
            )
        else:
            k = a % 10 < b % 10
            o = a % 10 + 10 * k - b % 10
            why = (
                f"{a % 10 + 10 * k} - {b % 10} = {o}"
                + (", borrow 1. " if k else ". ")
                + f"{a // 10} - {b // 10}"
                + (" - 1" if k else "")
                + f" = {a // 10 - b // 10 - k}. So {res}."
            )
        return self.finish(
            Conv("arith", [user(q), assistant(f"The answer is \\boxed{{{res}}}.", why)], thinking=True, check="boxed")
        )

    # ---- 5. tools ------------------------------------------------------------------------------------------------
    def task_tools(self):
        r = self.r
        th, ko = self.think(0.5), self.ko(0.3)
        tools = r.sample(T.TOOLS, r.choices([3, 2, 1], [6, 2, 1])[0])
        names = [t["function"]["name"] for t in tools]
        kind = r.random()
        if kind < 0.08:  # declared but not needed
            q, a, why = self.fact()
            return self.finish(Conv("tools", [user(q), assistant(a, why if th else "")], tools=tools, thinking=th))
        name = r.choice(names)
        city = r.randrange(len(T.CITIES))
        cname = T.CITIES_KO[city] if ko else T.CITIES[city]
        if name == "get_weather":
            q = self.phrase(T.WEATHER_KO if ko else T.WEATHER_EN).replace("CITY", cname)
            args = {"city": cname}
            temp, sky = r.randrange(-9, 36), r.randrange(len(T.SKIES))
            result = {"temp": temp, "sky": T.SKIES[sky]}
            final = (
                f"{cname}의 날씨는 {T.SKIES_KO[sky]}이고 {temp}도입니다."
                if ko
                else f"It is {T.SKIES[sky]} and {temp} degrees in {cname}."
            )
        elif name == "get_time":
            q = self.phrase(T.TIME_KO if ko else T.TIME_EN).replace("CITY", cname)
            args = {"city": cname}
            clock = f"{r.randrange(24)}:{r.randrange(60):02d}"
            result = {"time": clock}
            final = f"{cname}은 지금 {clock}입니다." if ko else f"It is {clock} in {cname}."
        else:
            a, b = self.fresh(lambda: (r.randrange(100, 1000), r.randrange(2, 1000)))
            op = r.choice("+-*/")
            e = f"{a} {op} {b}"
            q = self.phrase(T.CALC_KO if ko else T.CALC_EN).replace("EXPR", e)
            args = {"expression": e}
            val = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[op]
            result = {"value": val}
            final = f"결과는 {val}입니다." if ko else f"The result is {val}."
        call = assistant("", f"I need the {name} tool." if th else "", [{"name": name, "arguments": args}])
        msgs = [user(q), call]
        if r.random() < 0.5:
            msgs += [
                {"role": "tool", "content": json.dumps(result, ensure_ascii=False)},
                assistant(final, "I have the result." if th else ""),
            ]
        return self.finish(Conv("tools", msgs, tools=tools, thinking=th, check="tool_call" if len(msgs) == 2 else "exact"))

    # ---- 6. facts and greetings ----------------------------------------------------------------------------------
    def fact(self):
        qs, a, why = self.r.choice(T.FACTS)
        return self.phrase(qs), a, why

    def task_facts(self):
        th = self.think()
        if self.r.random() < 0.12:
            return self.name_turns()
        q, a, why = self.fact()
        msgs = [user(q), assistant(a, why if th else "")]
        if self.r.random() < 0.25:
            q0, a0, _ = self.fact()
            msgs = [user(q0), assistant(a0)] + msgs
        return self.finish(Conv("facts", msgs, thinking=th))

    def name_turns(self):
        r = self.r
        n, x = r.choice(T.NAMES), r.randrange(10, 100)
        if r.random() < 0.5:
            msgs = [user(f"My name is {n}."), assistant(f"Nice to meet you, {n}!")]
            q, a = "What is my name?", f"Your name is {n}."
        else:
            msgs = [user(f"My lucky number is {x}."), assistant("I will remember that.")]
            q, a = "What is my lucky number?", f"Your lucky number is {x}."
        if r.random() < 0.5:
            q0, a0, _ = self.fact()
            msgs += [user(q0), assistant(a0)]
        th = self.think()
        return Conv("facts", msgs + [user(q), assistant(a, "The user told me this before." if th else "")], thinking=th)

    # ---- 7. recall over a distance -------------------------------------------------------------------------------
    def recall_top(self):
        """Longest list at this level."""
        return 5 + int(55 * min(1.0, self.level * 1.5))

    def task_recall(self, turns=None):
        r = self.r
        top = self.recall_top()
        n = r.randint(min(3 + top // 8, 8), top)
        keys = r.sample(T.KEYS, n)
        vals = [str(r.randrange(10, 100)) if r.random() < 0.85 else r.choice(T.VALUES) for _ in keys]
        sep = r.choice([", ", ", ", ", ", "\n"])
        eq = r.choice([": ", " = ", " is "])
        body = sep.join(f"{k}{eq}{v}" for k, v in zip(keys, vals))
        head = r.choice(["Remember this list:\n", "List:\n", "Here is a list:\n", "다음 목록을 기억해:\n"])
        turns = turns or r.randint(3, 8)
        ask = r.sample(range(n), min(turns, n))
        msgs = []
        for i, j in enumerate(ask):
            q = r.choice([f"What is {keys[j]}?", f"What is the value of {keys[j]}?", f"{keys[j]}의 값은?"])
            msgs += [user((head + body + "\n" if i == 0 else "") + q), assistant(vals[j])]
        th = self.think()
        if th:
            msgs[-1]["reasoning_content"] = f"I look for {keys[ask[-1]]} in the list."
        return self.finish(Conv("recall", msgs, thinking=th))
