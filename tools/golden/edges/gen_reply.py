"""Writes reply/reply_cases.json: raw model outputs and what an API client should get from them.

parse() below is the project's own rule (README, "Replies"); it is not copied from anywhere. vllm() says in a few lines what vLLM's
qwen3 reasoning parser and hermes tool parser (not streaming) would return, so that each deliberate difference is visible.
"""

import json
import os
import random
import re

from common import GOLDEN, dump_json, out_dir, seed

OPEN, CLOSE, TC, TCE = "<think>", "</think>", "<tool_call>", "</tool_call>"
WS = " \t\r\n"


def dumps(v):
    return json.dumps(v, ensure_ascii=False)


def as_call(body):
    """JSON text of one call -> {"name", "arguments"} or None."""

    def no_constant(x):  # NaN, Infinity: Python would take them, JSON does not have them
        raise ValueError(x)

    try:
        v = json.loads(body, parse_constant=no_constant)
        dumps(v).encode("utf-8")  # half a surrogate pair is no text
    except ValueError:
        return None
    if not isinstance(v, dict) or not isinstance(v.get("name"), str) or not v["name"]:
        return None
    a = v.get("arguments", v.get("parameters"))
    if a is None:
        a = {}
    if isinstance(a, str):
        try:
            ok = isinstance(json.loads(a), dict)
        except ValueError:
            ok = False
        return {"name": v["name"], "arguments": a if ok else dumps(a)}
    return {"name": v["name"], "arguments": dumps(a)}


def body_end(text, start):
    """Offset of the </tool_call> that closes the body at start: the first one outside a JSON string when the text up to it is a
    call; otherwise the first one at all; -1 when the text holds none."""
    i, quoted = start, False
    while i < len(text):
        if quoted:
            if text[i] == "\\":
                i += 1
            elif text[i] == '"':
                quoted = False
        elif text.startswith(TCE, i):
            if as_call(text[start:i]):
                return i
            break
        elif text[i] == '"':
            quoted = True
        i += 1
    return text.find(TCE, start)


def split_calls(text, finish):
    """-> (list of text pieces outside calls, list of calls)"""
    pieces, calls, cur, i = [], [], "", 0
    while True:
        k = text.find(TC, i)
        if k < 0:
            pieces.append(cur + text[i:])
            return pieces, calls
        cur += text[i:k]
        e = body_end(text, k + len(TC))
        if e < 0:  # not closed: a call only if the model stopped by itself behind complete JSON
            c = as_call(text[k + len(TC) :]) if finish == "stop" else None
            if c:
                pieces.append(cur)
                calls.append(c)
                pieces.append("")
            else:
                pieces.append(cur + text[k:])
            return pieces, calls
        c = as_call(text[k + len(TC) : e])
        i = e + len(TCE)
        if c:
            pieces.append(cur)
            calls.append(c)
            cur = ""
        else:
            cur += text[k:i]


def join(pieces):
    """Text around calls: white space next to a call goes, pieces are joined by one newline."""
    if len(pieces) == 1:
        return pieces[0]
    out = [p.rstrip(WS) if n == 0 else p.lstrip(WS) if n == len(pieces) - 1 else p.strip(WS) for n, p in enumerate(pieces)]
    return "\n".join(p for p in out if p)


def parse(text, thinking, tools, finish):
    reasoning, content, calls = "", "", []
    rest = text
    head = text.lstrip(WS)
    if thinking or head.startswith(OPEN):
        if head.startswith(OPEN):
            rest = head[len(OPEN) :]
        k = rest.find(CLOSE)
        if k >= 0:
            reasoning, content = rest[:k], rest[k + len(CLOSE) :].lstrip(WS)
        else:
            reasoning, content = rest, ""
            if (
                tools and finish == "stop"
            ):  # a run of complete calls at the very end counts although the thinking was not closed
                p, c = split_calls(rest, finish)
                if c and all(not x.strip(WS) for x in p[1:]) and TC not in p[0]:
                    reasoning, calls = p[0], c
        reasoning = reasoning.strip(WS)
    else:
        content = rest
    if not calls and tools:
        p, calls = split_calls(content, finish)
        content = join(p)
    return {
        "reasoning_content": reasoning or None,
        "content": content or None,
        "tool_calls": calls,
        "finish_reason": "length" if finish == "length" else "tool_calls" if calls else "stop",
    }


def vllm(text, thinking, tools, finish):
    a, tag, b = text.partition(OPEN)
    body = b if tag else a
    if CLOSE in body:
        r, _, c = body.partition(CLOSE)
        r, c = r, c or None
    elif not thinking:
        r, c = None, body
    else:
        r, c = body, None
    calls = []
    if tools and c and TC in c:
        try:
            found = re.findall(r"<tool_call>(.*?)</tool_call>|<tool_call>(.*)", c, re.S)
            vs = [json.loads(x or y) for x, y in found]
            calls = [{"name": v["name"], "arguments": dumps(v["arguments"])} for v in vs]
            c = c[: c.find(TC)] or None
        except Exception:
            calls = []
    return {
        "reasoning_content": r or None,
        "content": c,
        "tool_calls": calls,
        "finish_reason": "tool_calls" if calls else finish,
    }


def chunkings(r, text):
    """Three ways to cut the text, each a list of UTF-8 byte counts (cuts fall between characters)."""
    out = []
    for top in (1, 4, 12):
        cut, i = [], 0
        while i < len(text):
            n = r.randint(1, top)
            cut.append(len(text[i : i + n].encode()))
            i += n
        out.append(cut)
    return out


def make(name, text, thinking=True, tools=True, finish="stop", freedom=None, r=None, tok=None):
    c = {
        "name": name,
        "text": text,
        "thinking": thinking,
        "tools": tools,
        "finish": finish,
        "expected": parse(text, thinking, tools, finish),
    }
    v = vllm(text, thinking, tools, finish)
    try:
        dumps(v).encode("utf-8")
        if v != c["expected"]:
            c["vllm"] = v
    except ValueError:
        pass  # half a surrogate pair: keep this file readable for strict JSON parsers
    if freedom:
        c["freedom"] = freedom
    c["chunks"] = chunkings(r, text)
    if tok is not None:
        c["ids"] = tok.encode(text, add_special_tokens=False).ids
    return c


CALL = lambda n, a: TC + dumps({"name": n, "arguments": a}) + TCE


def public_inputs():
    L = []

    def a(name, text, **k):
        L.append((name, text, k))

    W = CALL("get_weather", {"city": "서울", "unit": "celsius"})
    # thinking on
    a("on/plain", "The user greets me.\n</think>\n\nHello!")
    a("on/korean", "사용자가 인사했다.\n</think>\n\n안녕하세요! 😀")
    a("on/empty-reasoning", "\n</think>\n\nHi")
    a("on/no-newlines", "r</think>c")
    a("on/content-keeps-tail", "r\n</think>\n\n  indented\nline \n\n")
    a("on/missing-close-stop", "thinking and then silence")
    a("on/missing-close-length", "thinking and then cut", finish="length")
    a("on/empty", "")
    a("on/only-close", "</think>")
    a("on/only-white", " \n\n ")
    a("on/close-at-end", "all thought\n</think>\n\n")
    a("on/repeated-open", "<think>\nr\n</think>\n\nc")
    a("on/repeated-open-white", "\n <think>r</think>c")
    a("on/open-inside", "I could write <think> here</think>c", freedom="vLLM drops all before an inner <think>")
    a("on/two-closes", "a</think>b</think>c")
    a("on/close-then-open", "a</think>b<think>c</think>d", freedom="a second think block stays in the content")
    a("on/partial-close", "a </thin b </ think> c</think>d")
    a("on/partial-close-end", "a </thin", finish="length")
    a("on/partial-close-end-stop", "a</think")
    a("on/angle", "if a < b and c > d then <b>bold</b></think><p>x</p>")
    a("on/length-in-content", "r</think>c is cut he", finish="length")
    a("on/crlf", "r\r\n</think>\r\n\r\nc\r\n")
    a("on/nbsp", "r\u00a0</think>\u00a0c", freedom="only space, tab, CR, LF are trimmed")
    a("on/boxed", "calc\n</think>\n\nThe answer is \\boxed{42}.")
    a("on/code", "r\n</think>\n\n```c\nint main(void) { return 0; }\n```\n")
    # thinking off
    a("off/plain", "Hello!", thinking=False)
    a("off/empty", "", thinking=False)
    a("off/leading-white", "\n\n  code", thinking=False)
    a("off/with-block", "<think>\nr\n</think>\n\nc", thinking=False)
    a(
        "off/stray-close",
        "a</think>b",
        thinking=False,
        freedom="no open tag: all of it is content here; vLLM splits it when not streaming, not when streaming",
    )
    a(
        "off/open-only",
        "<think>r and no end",
        thinking=False,
        freedom="an opened block that never closes counts as reasoning; vLLM calls it content",
    )
    a("off/open-later", "see <think>x</think> there", thinking=False, freedom="tags inside content stay")
    a("off/length", "cut he", thinking=False, finish="length")
    a("off/call", W, thinking=False)
    a("off/text-call", "Let me look.\n" + W, thinking=False)
    # calls
    a("call/one", "I need the weather.\n</think>\n\n" + W)
    a("call/content-one", "r</think>\n\nChecking.\n" + W)
    a("call/two", "r</think>\n\n" + W + "\n" + CALL("now", {}))
    a("call/three-tight", "r</think>" + CALL("a", {"n": 1}) + CALL("b", {"n": 2}) + CALL("c", {"n": 3}))
    a(
        "call/content-between",
        "r</think>first" + CALL("a", {}) + "\n\nmiddle\n" + CALL("b", {}),
        freedom="vLLM drops text behind the first call",
    )
    a("call/content-after", "r</think>" + W + "\nDone.", freedom="vLLM drops text behind the first call")
    a(
        "call/pretty",
        'r</think><tool_call>\n{\n  "name": "f",\n  "arguments": {\n    "a": [1, 2.50, null],\n    "b": "x"\n  }\n}\n</tool_call>',
    )
    a("call/key-order", 'r</think><tool_call>{"arguments": {"z": 1, "a": 2}, "name": "f"}</tool_call>')
    a("call/extra-keys", 'r</think><tool_call>{"id": 7, "name": "f", "arguments": {}, "type": "function"}</tool_call>')
    a(
        "call/escapes",
        'r</think><tool_call>{"name": "f", "arguments": {"s": "\\ud55c\\n\\"q\\" \\/ \\\\ \\u0000"}}</tool_call>',
    )
    a(
        "call/tag-in-string",
        'r</think><tool_call>{"name": "f", "arguments": {"s": "a</tool_call>b<tool_call>c"}}</tool_call>',
        freedom="closing tag inside a JSON string does not close",
    )
    a("call/think-in-string", 'r</think><tool_call>{"name": "f", "arguments": {"s": "</think>"}}</tool_call>')
    a("call/no-arguments", 'r</think><tool_call>{"name": "f"}</tool_call>', freedom="taken as {}")
    a("call/null-arguments", 'r</think><tool_call>{"name": "f", "arguments": null}</tool_call>', freedom="taken as {}")
    a(
        "call/parameters",
        'r</think><tool_call>{"name": "f", "parameters": {"a": 1}}</tool_call>',
        freedom="parameters accepted as the template does",
    )
    a(
        "call/string-arguments",
        'r</think><tool_call>{"name": "f", "arguments": "{\\"a\\": 1}"}</tool_call>',
        freedom="a string that holds a JSON object is unwrapped",
    )
    a("call/plain-string-arguments", 'r</think><tool_call>{"name": "f", "arguments": "hello"}</tool_call>')
    a("call/list-arguments", 'r</think><tool_call>{"name": "f", "arguments": [1, 2]}</tool_call>')
    a("call/big-number", 'r</think><tool_call>{"name": "f", "arguments": {"n": 12345678901234567890, "x": 0.1}}</tool_call>')
    a("call/tools-not-given", "r</think>" + W, tools=False)
    a("call/tools-not-given-off", "see " + W, tools=False, thinking=False)
    a("call/unclosed-stop", 'r</think><tool_call>{"name": "f", "arguments": {"a": 1}}')
    a("call/unclosed-stop-newline", 'r</think>c\n<tool_call>{"name": "f", "arguments": {"a": 1}}\n')
    a(
        "call/unclosed-length",
        'r</think><tool_call>{"name": "f", "arguments": {"a": 1}}',
        finish="length",
        freedom="cut by length: not taken as a call",
    )
    a("call/cut-json", 'r</think>c <tool_call>{"name": "f", "argum', finish="length")
    a("call/cut-json-stop", 'r</think><tool_call>{"name": "f", "argum')
    a("call/cut-tag", "r</think>c <tool_ca", finish="length")
    a(
        "call/cut-second",
        "r</think>" + W + '\n<tool_call>{"name": "g", "ar',
        finish="length",
        freedom="first call is returned, the broken rest is content, finish is length",
    )
    a(
        "call/complete-length",
        "r</think>" + W + "\nand then",
        finish="length",
        freedom="finish is length although a call is complete; vLLM says tool_calls",
    )
    a("call/broken-json", "r</think><tool_call>{name: f}</tool_call>", freedom="kept in the content as it is")
    a(
        "call/broken-then-good",
        "r</think><tool_call>{oops}</tool_call>\n" + W,
        freedom="the good call counts; vLLM gives up on all",
    )
    a(
        "call/good-then-broken",
        "r</think>" + W + "\n<tool_call>{oops}</tool_call>",
        freedom="the good call counts; vLLM gives up on all",
    )
    a(
        "call/unbalanced-quote",
        'r</think><tool_call>{"name": "f}</tool_call> x ' + W,
        freedom="the region ends at its first closing tag, so the second call is still found",
    )
    a("call/unbalanced-quote-alone", 'r</think><tool_call>{"name": "f}</tool_call> x')
    a("call/unbalanced-quote-odd", 'r</think><tool_call>{"name": "f}</tool_call> say "hi ' + W)
    a(
        "call/nan",
        'r</think><tool_call>{"name": "f", "arguments": {"x": NaN}}</tool_call>',
        freedom="NaN is not JSON: content; vLLM takes it",
    )
    a(
        "call/lone-surrogate",
        'r</think><tool_call>{"name": "f", "arguments": {"x": "\\ud800"}}</tool_call>',
        freedom="half a surrogate pair: content",
    )
    a("call/surrogate-pair", 'r</think><tool_call>{"name": "f", "arguments": {"x": "\\ud83d\\ude00"}}</tool_call>')
    a("call/text-in-region", 'r</think><tool_call>Here: {"name": "f", "arguments": {}}</tool_call>')
    a("call/think-tags-around", "r</think>\n<think>x</think>" + W)
    a("call/not-object", "r</think><tool_call>[1]</tool_call>")
    a("call/no-name", 'r</think><tool_call>{"arguments": {}}</tool_call>')
    a("call/name-not-string", 'r</think><tool_call>{"name": 5, "arguments": {}}</tool_call>')
    a("call/empty-name", 'r</think><tool_call>{"name": "", "arguments": {}}</tool_call>')
    a("call/empty-body", "r</think><tool_call></tool_call>")
    a("call/trailing-comma", 'r</think><tool_call>{"name": "f", "arguments": {"a": 1,}}</tool_call>')
    a("call/single-quotes", "r</think><tool_call>{'name': 'f', 'arguments': {}}</tool_call>")
    a("call/two-objects", 'r</think><tool_call>{"name": "f", "arguments": {}}{"name": "g", "arguments": {}}</tool_call>')
    a("call/stray-close", "r</think>text</tool_call> more")
    a(
        "call/nested-open",
        'r</think><tool_call><tool_call>{"name": "f", "arguments": {}}</tool_call>',
        freedom="body starts with a tag: not JSON, content",
    )
    a("call/white-around", "r</think>\n\n \t" + W + " \n")
    a("call/unicode-name", 'r</think><tool_call>{"name": "날씨_조회", "arguments": {"도시": "부산"}}</tool_call>')
    # calls inside the thinking
    a(
        "inside/closed-later",
        "maybe " + W + " would do\n</think>\n\nNo call.",
        freedom="a call inside closed thinking is a thought",
    )
    a(
        "inside/never-closed",
        "I will call.\n" + W,
        freedom="complete calls at the very end of unclosed thinking count; vLLM versions differ",
    )
    a("inside/never-closed-two", "I will call.\n" + W + "\n" + CALL("now", {}) + "\n")
    a("inside/never-closed-text-after", "I could write " + W + " but not now", freedom="text follows: a thought")
    a("inside/never-closed-length", "I will call.\n" + W, finish="length")
    a("inside/never-closed-broken", "hm <tool_call>{oops}</tool_call>")
    a("inside/never-closed-no-tools", "I will call.\n" + W, tools=False)
    a("inside/both", "plan " + CALL("a", {}) + "\n</think>\n\n" + CALL("b", {}))
    a("inside/only-call", W)
    return L


if __name__ == "__main__":
    from tokenizers import Tokenizer

    tok = Tokenizer.from_file(os.path.join(GOLDEN, "tokenizer", "tokenizer.json"))
    r = random.Random(seed(4510))
    cases = [make(n, t, r=r, tok=tok, **k) for n, t, k in public_inputs()]
    dump_json(out_dir("reply") + "/reply_cases.json", {"count": len(cases), "cases": cases}, "cases")
    print(len(cases), "cases,", sum("vllm" in c for c in cases), "where vLLM answers otherwise")
