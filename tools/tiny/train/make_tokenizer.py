"""Trains the tokenizer: byte-level BPE with the pre-tokenizer of EXAONE 4.5, in two stages like SuperBPE.

Stage 1 learns merges inside words; stage 2 lets words joined by single spaces form one unit and adds a few merges that
cross spaces. Both kinds end up in one merge list, as in the released tokenizer.

  python make_tokenizer.py OUT_DIR
"""

import collections
import json
import os
import sys

import regex
import tasks
from render import segments
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"
)
WORDWISE = PATTERN.replace(r"(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+", r"(?:\p{L}\p{M}*)+")

VOCAB, ADDED, SUPER = 1536, 80, 80
NAMES = {
    0: "[PAD]",
    1: "[BOS]",
    2: "[EOS]",
    3: "[UNK]",
    50: "<|system|>",
    51: "<|user|>",
    52: "<|assistant|>",
    53: "<|endofturn|>",
    54: "<think>",
    55: "</think>",
    56: "<|tool|>",
    57: "<|tool_declare|>",
    58: "<tool>",
    59: "</tool>",
    60: "<tool_call>",
    61: "</tool_call>",
    62: "<tool_result>",
    63: "</tool_result>",
    66: "<|vision_pad|>",
    67: "<|image_pad|>",
    68: "<|video_pad|>",
    73: "<vision>",
    74: "</vision>",
}
PLAIN = {54, 55, 58, 59, 60, 61, 62, 63}  # added, but not "special": they stay in decoded text


def byte_table():
    """GPT-2's printable stand-ins for the 256 bytes."""
    keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table, extra = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + extra)
            extra += 1
    return table


BYTE = byte_table()


def corpus(tables_too):
    """Text of the tasks, without added tokens. tables_too: with the tasks whose word pairs are combinations (a colour
    and a shape, a key and a value), which should stay separate tokens."""
    names = sorted(NAMES.values(), key=len, reverse=True)
    cut = regex.compile("|".join(regex.escape(n) for n in names))
    g = tasks.Gen(7, think_rate=0.4)
    for fn, n in [
        (g.task_ocr, 3000),
        (g.task_shapes, 1500),
        (g.task_video, 800),
        (g.task_arith, 1500),
        (g.task_tools, 1500),
        (g.task_facts, 2500),
        (g.task_recall, 150),
    ]:
        if not tables_too and fn in (g.task_shapes, g.task_video, g.task_recall):
            continue
        for _ in range(n):
            c = fn()
            for text, _ in segments(c.messages, c.tools, c.thinking):
                yield from (t for t in cut.split(text) if t)


def learn(words, merges, vocab, count, max_bytes):
    """Plain BPE training on {tuple of symbols: frequency}; appends to merges and vocab."""
    words = dict(words)
    for _ in range(count):
        pairs = collections.Counter()
        for w, f in words.items():
            for p in zip(w, w[1:]):
                pairs[p] += f
        pairs = {p: f for p, f in pairs.items() if len(p[0]) + len(p[1]) <= max_bytes and p[0] + p[1] not in vocab}
        if not pairs:
            break
        best = max(pairs.items(), key=lambda kv: (kv[1], kv[0]))[0]
        merges.append(best)
        vocab[best[0] + best[1]] = len(vocab) + ADDED
        words = apply(words, best)
    return words


def apply(words, pair):
    out = collections.Counter()
    for w, f in words.items():
        if pair[0] in w:
            new, i = [], 0
            while i < len(w):
                if i + 1 < len(w) and (w[i], w[i + 1]) == pair:
                    new.append(w[i] + w[i + 1])
                    i += 2
                else:
                    new.append(w[i])
                    i += 1
            w = tuple(new)
        out[w] += f
    return out


def main(out):
    one, two = regex.compile(WORDWISE), regex.compile(PATTERN)
    count1, count2 = collections.Counter(), collections.Counter()
    for t in corpus(True):
        count1.update(one.findall(t))
    for t in corpus(False):
        count2.update(two.findall(t))
    sym = lambda s: tuple(BYTE[b] for b in s.encode())
    vocab = {ch: ADDED + i for i, ch in enumerate(BYTE[b] for b in range(256))}
    merges = []
    # dampen frequencies, so that the many templates do not crowd out the words of the lists
    learn({sym(w): int(f**0.5) + 1 for w, f in count1.items()}, merges, vocab, VOCAB - ADDED - 256 - SUPER, 18)
    words = {sym(w): int(f**0.5) + 1 for w, f in count2.items()}
    for m in merges:
        words = apply(words, m)
    learn(words, merges, vocab, SUPER, 18)
    assert len(vocab) == VOCAB - ADDED, len(vocab)

    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=False))
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tok.decoder = decoders.ByteLevel()
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, "tokenizer.json")
    tok.save(path)
    # added tokens own the ids below the BPE vocabulary; the library cannot place them there, the file format can
    j = json.load(open(path))
    j["added_tokens"] = [
        {
            "id": i,
            "content": NAMES.get(i, f"<|reserved_{i}|>"),
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": i not in PLAIN,
        }
        for i in range(ADDED)
    ]
    added = {a["content"]: a["id"] for a in j["added_tokens"]}
    j["model"]["vocab"] = {**added, **j["model"]["vocab"]}
    json.dump(j, open(path, "w"), ensure_ascii=False, indent=1)
    json.dump(
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "[BOS]",
            "eos_token": "<|endofturn|>",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 4096,
            "added_tokens_decoder": {str(a["id"]): {k: v for k, v in a.items() if k != "id"} for a in j["added_tokens"]},
        },
        open(os.path.join(out, "tokenizer_config.json"), "w"),
        ensure_ascii=False,
        indent=1,
    )
    tok = Tokenizer.from_file(path)
    assert tok.get_vocab_size() == VOCAB
    for s in [
        "What is the capital of France?",
        "안녕하세요! 무엇을 도와드릴까요?",
        "Read the text.",
        "coffee Coffee COFFEE",
        "AB-123 3,500원",
        "\n</think>\n\nThe answer is \\boxed{42}.<|endofturn|>",
    ]:
        e = tok.encode(s, add_special_tokens=False)
        print(len(e.ids), [tok.decode([i], skip_special_tokens=False) for i in e.ids])
        assert tok.decode(e.ids, skip_special_tokens=False) == s
    inner = [m for m in merges if "Ġ" in (m[0] + m[1])[1:]]
    print("merges", len(merges), "crossing spaces", len(inner), [a + b for a, b in inner][:80])


if __name__ == "__main__":
    main(sys.argv[1])
