"""Conversations -> token ids and loss mask, following the EXAONE 4.5 chat template.

The text is the same as chat_template.jinja produces (tests in check_template.py); it is built here by hand because the
trainer must know which characters the model itself writes. Only those carry loss.
"""

import json


def content_text(c):
    if c is None:
        return ""
    if isinstance(c, str):
        return c
    out = ""
    for it in c:
        if it["type"] == "image":
            out += "<vision><|image_pad|></vision>\n"
        elif it["type"] == "video":
            out += "<vision><|video_pad|></vision>\n"
        else:
            out += it.get("text", "")
    return out


def call_text(calls):
    return "\n".join(
        f'<tool_call>{{"name": "{c["name"]}", "arguments": {json.dumps(c["arguments"], ensure_ascii=False)}}}</tool_call>'
        for c in calls
    )


def segments(messages, tools=None, thinking=False):
    """[(text, has_loss)]. The last message must be the assistant's; it is written as the model would generate it."""
    out = []
    if tools:
        out.append(
            (
                "<|tool_declare|>\n# Tools\n"
                + "".join(f"<tool>{json.dumps(t, ensure_ascii=False)}</tool>\n" for t in tools)
                + "<|endofturn|>\n",
                0,
            )
        )
    last_query = max(
        (i for i, m in enumerate(messages) if m["role"] == "user" and isinstance(m["content"], str)),
        default=len(messages) - 1,
    )
    i, n = 0, len(messages)
    while i < n:
        m = messages[i]
        if m["role"] == "assistant":
            think = m.get("reasoning_content", "") if thinking and (i == n - 1 or i > last_query) else ""
            body = content_text(m["content"])
            if m.get("tool_calls"):
                body += ("\n" if body else "") + call_text(m["tool_calls"])
            if think:
                out += [("<|assistant|>\n<think>\n", 0), (f"{think}\n</think>\n\n{body}<|endofturn|>", 1), ("\n", 0)]
            else:
                out += [("<|assistant|>\n<think>\n\n</think>\n\n", 0), (f"{body}<|endofturn|>", 1), ("\n", 0)]
        elif m["role"] == "tool":
            results = []
            while i < n and messages[i]["role"] == "tool":
                results.append(f"<tool_result>{messages[i]['content']}</tool_result>")
                i += 1
            out.append(("<|tool|>\n" + "\n".join(results) + "<|endofturn|>\n", 0))
            continue
        else:
            out.append((f"<|{m['role']}|>\n{content_text(m['content'])}<|endofturn|>\n", 0))
        i += 1
    # join neighbours without loss, so that the text is tokenised exactly as a prompt would be
    joined = []
    for text, loss in out:
        if joined and joined[-1][1] == loss:
            joined[-1] = (joined[-1][0] + text, loss)
        else:
            joined.append((text, loss))
    return joined
