"""Checks chat_template.jinja against worked examples and against render.py."""

import os
import sys

import tasks
from render import segments
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import _compile_jinja_template

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../models/tiny")
tok = AutoTokenizer.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else MODEL)
template = _compile_jinja_template(open(os.path.join(MODEL, "chat_template.jinja")).read())


def r(messages, gen=False, **kw):
    # the compiled template itself: apply_chat_template refuses an empty conversation
    return template.render(messages=messages, add_generation_prompt=gen, **kw)


U = lambda c: {"role": "user", "content": c}
A = lambda c=None, **k: {"role": "assistant", "content": c, **k}
IMG, VID, TX = {"type": "image"}, {"type": "video"}, lambda t: {"type": "text", "text": t}
seven = [
    U("Q1"),
    A("<think>\nR1\n</think>\n\nA1"),
    U("Q2"),
    A(
        "",
        reasoning_content=" R2 ",
        tool_calls=[{"function": {"name": "f", "arguments": {"a": 1, "b": "한"}}}, {"name": "g", "arguments": '{"x": 2}'}],
    ),
    {"role": "tool", "content": "res1"},
    {"role": "tool", "content": {"k": "v"}},
    A("<think>R3</think>done", tool_calls=[{"name": "h", "parameters": {}}]),
]
out7 = (
    "<|user|>\nQ1<|endofturn|>\n<|assistant|>\n<think>\n\n</think>\n\nA1<|endofturn|>\n<|user|>\nQ2<|endofturn|>\n<|assistant|>\n"
    '<think>\nR2\n</think>\n\n<tool_call>{"name": "f", "arguments": {"a": 1, "b": "한"}}</tool_call>\n'
    '<tool_call>{"name": "g", "arguments": {"x": 2}}</tool_call><|endofturn|>\n<|tool|>\n<tool_result>res1</tool_result>\n'
    '<tool_result>{"k": "v"}</tool_result><|endofturn|>\n<|assistant|>\n<think>\nR3\n</think>\n\ndone\n'
    '<tool_call>{"name": "h", "arguments": {}}</tool_call><|endofturn|>\n'
)
tool = {"type": "function", "function": {"name": "f", "description": '한글 "q"', "parameters": {}}}
cases = [
    (r([U("Hi")], True), "<|user|>\nHi<|endofturn|>\n<|assistant|>\n<think>\n"),
    (r([U("Hi")], True, enable_thinking=False), "<|user|>\nHi<|endofturn|>\n<|assistant|>\n<think>\n\n</think>\n\n"),
    (r([U("Hi")], True, enable_thinking=None), "<|user|>\nHi<|endofturn|>\n<|assistant|>\n<think>\n\n</think>\n\n"),
    (r([], True), "<|assistant|>\n<think>\n"),
    (
        r([{"role": "system", "content": " S "}, U("Hi")], True, tools=[tool]),
        '<|tool_declare|>\n# Tools\n<tool>{"type": "function", "function": {"name": "f", "description": "한글 \\"q\\"", "parameters": {}}}'
        "</tool>\n<|endofturn|>\n<|system|>\n S <|endofturn|>\n<|user|>\nHi<|endofturn|>\n<|assistant|>\n<think>\n",
    ),
    (
        r([U([IMG, TX("A"), VID, TX("B")])], True),
        "<|user|>\n<vision><|image_pad|></vision>\nA<vision><|video_pad|></vision>\nB<|endofturn|>\n<|assistant|>\n<think>\n",
    ),
    (
        r([U([IMG, IMG, TX("A")]), A("x"), U([IMG, TX("B")])], True, add_vision_id=True),
        "<|user|>\nPicture 1: <vision><|image_pad|></vision>\nPicture 2: <vision><|image_pad|></vision>\nA<|endofturn|>\n<|assistant|>\n"
        "<think>\n\n</think>\n\nx<|endofturn|>\n<|user|>\nPicture 3: <vision><|image_pad|></vision>\nB<|endofturn|>\n<|assistant|>\n<think>\n",
    ),
    (r(seven), out7),
    (r(seven, skip_think=True), out7.replace("R2", "").replace("R3", "")),
    (
        r([U([TX("Q")]), A("<think>\nR\n</think>\n\nA")]),
        "<|user|>\nQ<|endofturn|>\n<|assistant|>\n<think>\n\n</think>\n\nA<|endofturn|>\n",
    ),
    (
        r([U("a"), A("<think>think first</think>A")]),
        "<|user|>\na<|endofturn|>\n<|assistant|>\n<think>\nfirst\n</think>\n\nA<|endofturn|>\n",
    ),
    (r([U("a"), A(None)]), "<|user|>\na<|endofturn|>\n<|assistant|>\n<think>\n\n</think>\n\n<|endofturn|>\n"),
    (
        r([U("a"), A("<think>X</think>Y", reasoning_content="RR")]),
        "<|user|>\na<|endofturn|>\n<|assistant|>\n<think>\nRR\n</think>\n\n<think>X</think>Y<|endofturn|>\n",
    ),
    (
        r([U("a"), A("pre<think>X</think>mid</think>Y")]),
        "<|user|>\na<|endofturn|>\n<|assistant|>\n<think>\npre<think>X\n</think>\n\nY<|endofturn|>\n",
    ),
    (
        r([U("a"), {"role": "system", "content": "late"}, {"role": "system", "content": [TX("late2")]}]),
        "<|user|>\na<|endofturn|>\n<|system|>\nlate<|endofturn|>\n<|system|>\nlate2<|endofturn|>\n",
    ),
    (
        r([{"role": "system", "content": [TX("S")]}, U("a")]),
        "<|system|>\n[{'type': 'text', 'text': 'S'}]<|endofturn|>\n<|user|>\na<|endofturn|>\n",
    ),
    (
        r([{"role": "tool", "content": "t0"}, {"role": "tool"}, U("a")]),
        "<|tool|>\n<tool_result>t0</tool_result>\n<|endofturn|>\n<|user|>\na<|endofturn|>\n",
    ),
    (r([U([{"type": "image_url", "image_url": {"url": "x"}}, TX("x")])]), "<|user|>\nx<|endofturn|>\n"),
    (r([{"role": "tool_declare", "content": "a"}]), "<|tool_declare|>\na<|endofturn|>\n"),
    (r([U("  a\n\n")]), "<|user|>\n  a\n\n<|endofturn|>\n"),
]
bad = 0
for i, (got, want) in enumerate(cases):
    if got != want:
        bad += 1
        print("case", i, "\n got ", repr(got), "\n want", repr(want))
for wrong in ([A("", tool_calls=[{"name": "f"}])], [{"role": "boss", "content": "x"}]):
    try:
        r(wrong)
        bad += 1
        print("no error for", wrong)
    except Exception:
        pass
g = tasks.Gen(3, think_rate=0.5)
fns = [g.task_ocr, g.task_shapes, g.task_multiturn, g.task_video, g.task_arith, g.task_tools, g.task_facts, g.task_recall]
for i in range(400):
    c = fns[i % len(fns)]()
    segs = segments(c.messages, c.tools, c.thinking)
    # the prompt, which the trainer's text must begin with, and the whole text
    prompt = r(c.messages[:-1], True, tools=c.tools, enable_thinking=c.thinking)
    whole = "".join(t for t, _ in segs)
    k = max(j for j, s in enumerate(segs) if s[1])
    if prompt != "".join(t for t, _ in segs[:k]) or not whole.startswith(prompt):
        bad += 1
        print("render differs", c.task, repr(prompt), repr(whole))
        break
    ids = [x for t, _ in segs for x in tok(t, add_special_tokens=False).input_ids]
    if ids != tok(whole, add_special_tokens=False).input_ids:
        bad += 1
        print("tokenisation in parts differs", c.task, repr(whole))
        break
print("template cases", len(cases), "bad", bad)
sys.exit(bad > 0)
