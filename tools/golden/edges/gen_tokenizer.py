"""Trains the small tokenizer of this folder (tokenizer/tokenizer.json).

Same kind as the released EXAONE 4.5 tokenizer: byte-level BPE, NFC, the seven-alternative pre-tokenizer, merges across
spaces, added tokens at the low ids. Only the size (4096 ids) and the spellings of tokens that are not public differ.

Corpus (all of it text that ships in packages; nothing downloaded): PyPI konlpy 0.6.0 data/corpus (the Korean constitution and
ten parliament bills), Python 3.11 standard library sources, Debian's /usr/share/common-licenses, and a little synthetic text.
Run: PYTHONPATH=<folder with konlpy> python gen_tokenizer.py
"""

import glob
import json
import os
import random
import sysconfig

from common import dump_json, out_dir, sha256
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

VOCAB_SIZE = 4096

PATTERN = "|".join(
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]?",
        r"\s*[\r\n]",
        r"\s+(?!\S)",
        r"\s+",
    ]
)

# id -> (text, special). Ids and specialness of 50-55, 66-68, 73, 74 are the released ones; the rest are stand-ins of ours.
ADDED = {
    0: ("[PAD]", True),
    1: ("[BOS]", True),
    2: ("[EOS]", True),
    3: ("[UNK]", True),
    4: ("PI:URL", False),
    5: ("PI:EMAIL", False),
    6: ("PI:ACCOUNT", False),
    7: ("PI:ACCOUNT_NUM", False),
    8: (":::", False),
    9: ("::::", False),
    10: ("[한글]", False),
    11: ("two words", False),
    12: ("words two", False),
    13: ("\n\n\n\n", False),
    14: ("<th", False),
    50: ("<|system|>", True),
    51: ("<|user|>", True),
    52: ("<|assistant|>", True),
    53: ("<|endofturn|>", True),
    54: ("<think>", False),
    55: ("</think>", False),
    56: ("<|tool|>", True),
    57: ("<|tool_declare|>", True),
    58: ("<tool>", False),
    59: ("</tool>", False),
    60: ("<tool_call>", False),
    61: ("</tool_call>", False),
    62: ("<tool_result>", False),
    63: ("</tool_result>", False),
    64: ("<|code|>", False),
    65: ("<|fim|>", True),
    66: ("<|vision_pad|>", True),
    67: ("<|image_pad|>", True),
    68: ("<|video_pad|>", True),
    73: ("<vision>", True),
    74: ("</vision>", True),
}
N_ADDED = 96
for i in range(N_ADDED):
    ADDED.setdefault(i, ("<|reserved_%d|>" % i, i % 3 != 0))


def corpus():
    """Returns [(name, text)], about 450 kB, in a fixed order."""
    import importlib.util  # konlpy itself needs Java to import; only its folder is wanted

    base = os.path.join(importlib.util.find_spec("konlpy").submodule_search_locations[0], "data", "corpus")
    out = []
    for p in sorted(glob.glob(base + "/kolaw/*.txt")) + sorted(glob.glob(base + "/kobill/*.txt")):
        out.append((os.path.basename(p), open(p, encoding="utf-8").read()))
    lib = sysconfig.get_paths()["stdlib"]
    for n in ["argparse.py", "textwrap.py", "json/decoder.py", "heapq.py", "statistics.py"]:
        out.append(("stdlib/" + n, open(os.path.join(lib, n), encoding="utf-8").read()))
    for n in ["Apache-2.0", "GPL-2", "LGPL-2.1", "MPL-2.0", "Artistic"]:
        out.append(("common-licenses/" + n, open("/usr/share/common-licenses/" + n, encoding="utf-8").read()))
    r = random.Random(45)
    syn = []
    for i in range(600):
        syn.append(
            r.choice(
                [
                    "안녕하세요. 오늘은 날씨가 좋습니다.",
                    "대한민국의 수도는 서울입니다.",
                    "I'm sure that's what we'll do, isn't it?",
                    "The capital of South Korea is Seoul.",
                    "질문에 답하여 주십시오: %d + %d = %d" % (i, i + 1, 2 * i + 1),
                    '{"name": "get_weather", "arguments": {"city": "서울", "unit": "celsius"}}',
                    "😀 👍 🎉 ❤️",
                    "for (int i = 0; i < n; i++) {\n\t\tsum += a[i];\n}\n",
                    "こんにちは世界。",
                    "Xin chào các bạn",
                    "¿Cómo estás? Größe",
                ]
            )
        )
    out.append(("synthetic", "\n".join(syn) + "\n"))
    return out


def train():
    tok = Tokenizer(models.BPE(byte_fallback=False))
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
        ]
    )
    tok.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    texts = corpus()
    # The trainer must not see the added tokens as text, so no added token is in the corpus except by accident ("two words").
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        show_progress=False,
        max_token_length=64,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken(ADDED[i][0], special=True, normalized=False) for i in range(N_ADDED)],
    )
    tok.train_from_iterator((t for _, t in texts), trainer)
    j = json.loads(tok.to_str())
    for a in j["added_tokens"]:  # the trainer marks all of them special
        a["special"] = ADDED[a["id"]][1]
        assert a["content"] == ADDED[a["id"]][0] and not a["normalized"]
    return j, texts


if __name__ == "__main__":
    d = out_dir("tokenizer")
    j, texts = train()
    with open(d + "/tokenizer.json", "w", encoding="utf-8") as f:
        json.dump(j, f, ensure_ascii=False, indent=1)
        f.write("\n")
    t = Tokenizer.from_file(d + "/tokenizer.json")
    assert t.get_vocab_size() == VOCAB_SIZE and sorted(t.get_vocab().values()) == list(range(VOCAB_SIZE))
    dump_json(
        d + "/tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "[BOS]",
            "eos_token": "<|endofturn|>",
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "clean_up_tokenization_spaces": False,
            "model_max_length": 262144,
        },
    )
    dump_json(
        d + "/corpus.json",
        {"sources": [{"name": n, "bytes": len(x.encode()), "sha256": sha256(x.encode())} for n, x in texts]},
    )
    multi = [k for k in t.get_vocab() if "Ġ" in k.strip("Ġ")]
    print(len(multi), "multi-word tokens, e.g.", sorted(multi, key=len)[-5:], len(j["model"]["merges"]))
