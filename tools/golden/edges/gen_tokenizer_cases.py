"""Writes tokenizer/cases.json: strings with the ids, pieces, decoded texts and streaming bytes the reference gives.

Reference = tokenizers (Rust library, its own decode) on tokenizer/tokenizer.json, cross-checked against
transformers.PreTrainedTokenizerFast.
"""

import codecs
import json
import os
import random

from common import GOLDEN, dump_json, out_dir
from gen_tokenizer import PATTERN
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.decoders import DecodeStream

TOK = os.path.join(GOLDEN, "tokenizer", "tokenizer.json")

# GPT-2 byte <-> character table
_keep = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
_byte_char, _n = {}, 0
for _b in range(256):
    if _b in _keep:
        _byte_char[_b] = chr(_b)
    else:
        _byte_char[_b] = chr(256 + _n)
        _n += 1
CHAR_BYTE = {c: b for b, c in _byte_char.items()}


class Maker:
    def __init__(self, path=TOK):
        from transformers import PreTrainedTokenizerFast

        self.t = Tokenizer.from_file(path)
        self.hf = PreTrainedTokenizerFast(
            tokenizer_file=path,
            bos_token="[BOS]",
            eos_token="<|endofturn|>",
            pad_token="[PAD]",
            unk_token="[UNK]",
            clean_up_tokenization_spaces=False,
        )
        self.split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
        self.nfc = normalizers.NFC()
        self.added = {a["id"]: a for a in json.load(open(path, encoding="utf-8"))["added_tokens"]}

    def bytes_of(self, i):
        """Bytes that id i contributes to the output, before any replacement of broken UTF-8."""
        if i in self.added:
            return self.added[i]["content"].encode()
        return bytes(CHAR_BYTE[c] for c in self.t.id_to_token(i))

    def segments(self, text):
        """Cuts added tokens out of the raw text, leftmost first and longest at one place; -> [(text, id or None)]."""
        by_len = sorted(self.added.values(), key=lambda a: -len(a["content"]))
        out, cur, i = [], "", 0
        while i < len(text):
            hit = next((a for a in by_len if text.startswith(a["content"], i)), None)
            if hit:
                if cur:
                    out.append((cur, None))
                out.append((hit["content"], hit["id"]))
                cur, i = "", i + len(hit["content"])
            else:
                cur, i = cur + text[i], i + 1
        return out + ([(cur, None)] if cur else [])

    def case(self, name, text, raw=None):
        enc = self.t.encode(text, add_special_tokens=False)
        ids = enc.ids
        assert ids == self.t.encode(text, add_special_tokens=True).ids  # no post-processor
        if len(text) < 3000:
            assert ids == self.hf(text)["input_ids"], name
        # independent rebuild of the pieces: cut added tokens, NFC, split; and BPE per piece must give the same ids
        pieces, check = [], []
        for seg, aid in self.segments(text):
            if aid is not None:
                pieces.append(seg)
                check.append(aid)
                continue
            for p, _ in self.split.pre_tokenize_str(self.nfc.normalize_str(seg)):
                pieces.append(p)
                check += [x.id for x in self.t.model.tokenize("".join(_byte_char[b] for b in p.encode()))]
        assert check == ids, (name, check[:20], ids[:20])
        per = [self.bytes_of(i) for i in ids]
        whole = b"".join(per)
        dec = self.t.decode(ids, skip_special_tokens=False)
        dec_skip = self.t.decode(ids, skip_special_tokens=True)
        if len(text) < 3000:
            assert dec == self.hf.decode(ids) and dec_skip == self.hf.decode(ids, skip_special_tokens=True), name
        assert dec == whole.decode("utf-8", "replace"), name
        skip = b"".join(b for i, b in zip(ids, per) if not self.added.get(i, {}).get("special"))
        assert dec_skip == skip.decode("utf-8", "replace"), name
        c = {"name": name, "text": text}
        if raw is not None:
            c["raw_hex"] = raw.hex()
            assert raw.decode("utf-8", "replace") == text
        c["ids"] = ids
        if len(text) < 3000:
            c["pieces"] = pieces
        c["piece_bytes"] = [len(p.encode()) for p in pieces]
        c["decoded"] = None if dec == text else dec  # null: equal to text
        c["decoded_skip"] = None if dec_skip == dec else dec_skip  # null: equal to decoded
        if len(ids) <= 400:
            c["bytes"] = [b.hex() for b in per]
            inc = codecs.getincrementaldecoder("utf-8")("replace")
            c["stream"] = [inc.decode(b) for b in per]
            tail = inc.decode(b"", True)
            c["stream_tail"] = tail
            assert "".join(c["stream"]) + tail == dec, name
        return c

    def id_case(self, name, ids):
        """Decoding of ids that no encoder would produce (split characters, lone bytes, specials in a row)."""
        per = [self.bytes_of(i) for i in ids]
        dec = self.t.decode(ids, skip_special_tokens=False)
        dec_skip = self.t.decode(ids, skip_special_tokens=True)
        assert dec == b"".join(per).decode("utf-8", "replace"), name
        inc = codecs.getincrementaldecoder("utf-8")("replace")
        stream = [inc.decode(b) for b in per]
        tail = inc.decode(b"", True)
        assert "".join(stream) + tail == dec
        ds, hf = DecodeStream(skip_special_tokens=False), []
        for i in ids:
            try:
                hf.append(ds.step(self.t, i))
            except Exception:  # the library refuses some sequences of broken bytes
                hf = None
                break
        return {
            "name": name,
            "ids": ids,
            "bytes": [b.hex() for b in per],
            "decoded": dec,
            "decoded_skip": dec_skip,
            "stream": stream,
            "stream_tail": tail,
            "hf_decode_stream": hf,
        }


def public_inputs():
    """-> [(name, text)] and [(name, raw bytes)]"""
    L = []

    def add(group, *texts):
        for k, t in enumerate(texts):
            L.append(("%s/%d" % (group, k), t))

    add("empty", "", " ", "\n", "a")
    add(
        "plain",
        "Hello, world!",
        "The capital of South Korea is Seoul.",
        "the quick brown fox jumps over the lazy dog",
        "Hello World",
        "CamelCaseIdentifier snake_case_identifier",
        "a b c d e f g",
        "of the of the of the of the",
        "The terms and conditions of the License.",
        "I saw it, then I left.",
        "(parenthesis) [bracket] {brace}",
    )
    add(
        "korean",
        "안녕하세요",
        "안녕하세요. 오늘은 날씨가 좋습니다.",
        "대한민국의 수도는 서울입니다.",
        "한국의 수도는",
        "모든 국민은 법률이 정하는 바에 의하여 권리를 가진다.",
        "제1조 ① 대한민국은 민주공화국이다.",
        "뷁쀍쫣",
        "한 글 사 이",
        "가나다 ABC 라마바",
        '그는 말했다: "안녕!"',
        "ㅋㅋㅋㅋ ㅠㅠ ㅎㅎ",
        "서울특별시 강남구 테헤란로 123",
        "ㄱㄴㄷㄹ ㅏㅑㅓㅕ",
        "漢字와 한글을 混用한 문장",
    )
    nfd = lambda s: __import__("unicodedata").normalize("NFD", s)
    add(
        "hangul-decomposed",
        nfd("안녕하세요"),
        nfd("대한민국의 수도는 서울입니다."),
        nfd("각") + "ᆨ",
        "ᄀ",
        "ᄀ\u1161",
        "ᄀ\u1161\u11a8",
        "\u1112\u1161\u11ab\u1100\u1173\u11af",
        "가\u11a8",
        "각\u11a8",
        "\u1100\u1100\u1161",
        "ᅟᅠ",
        "\u115f\u1161",
        "\uac00\u11a7",
        "\ud55c\u302e",
        "\ua960\u1161",
        "\u1100\ud7b0",
        "\u1100 \u1161",
        "가 \u11a8",
        "ﾡﾢ",
        "\u3131\u314f",
        "가\u200d나",
        "\u1100\u1161 \u1102\u1161 \u1103\u1161",
    )
    add(
        "nfc",
        "e\u0301",
        "é",
        "a\u0308\u0323",
        "a\u0323\u0308",
        "\u212b",
        "\u2126",
        "ﬁ",
        "\u1e9b\u0323",
        "q\u0307\u0323",
        "\u0344",
        "\u0958",
        "\u09c7\u09be",
        "\u2adc",
        "\u3099か",
        "か\u3099",
        "\uf900",
        "\u0041\u030a",
        "o\u0302\u0301",
        "\u1ea5",
        "x\u0338=\u0338",
        "=\u0338",
        ">\u0338",
        "<\u0338 a",
        "\u0928\u093c",
        "\U0001d15e",
        "\U00011099\U000110ba",
        "½",
        "①",
        "\u00b5",
        "\u03bc",
        "ſ",
        "Å ngström",
        "a\u034f\u0301",
        "\u05e9\u05bc\u05c1",
    )
    # Oniguruma and PCRE2/utf8proc know other Unicode versions: see README
    add(
        "unicode-version",
        "a\U00011f04\U00011f05",
        "\U0001e030\U0001e031",
        "x \U00031350\U00031351 y",
        "\U0002ebf0\U0002ebf1",
        "\U00010d4a\U00010d70",
        "\ua7cb\ua7da",
        "\U000323b0\U000323b1",
        "a\u0897b",
        "a\U0001e4ec\u0301",
        "\U00016d40\U00016d41",
        "\U0001e5d0",
        "\U00011f02\U00011f34",
        "\U00010570\U00010597",
        "\U0001df25",
        "\u1c89\u1c8a",
        "\U000105c0\U000105c9",
        "\U0001ccf0\U0001ccf1",
        "\U00011935\U00011930",
        "x\u0345\u08d3",
        "x\u0345\u1df6",
        "x\u0345\u0d3b",
        "x\u0345\u0316",
        "\U00016121",
        "\U0001611e\U0001611e",
        "a\u0345\U0001e4ec",
        "\U00011de0\U00011de1",
        "\U0001e6c0",
        "\u0558\u0530",
    )
    add(
        "case-fold",
        "it's IT'S It'S it'S",
        "don't DON'T",
        "we're WE'RE we'Re",
        "I've I'VE",
        "I'm I'M",
        "you'll YOU'LL",
        "he'd HE'D",
        "it'\u017f",
        "IT'\u017f X",
        "x'\u212a",
        "'s't're've'm'll'd",
        "'S'T'RE'VE'M'LL'D",
        "''s",
        "' s",
        "\u2019s it\u2019s",
        "'sa",
        "'rest",
        "'really",
        "'l 'l",
        "'lL",
        "'D'd",
        "İ'İ I'İ",
        "'\u0131",
        "'\u0130",
        "STRASSE'SS 'ß",
        "'\ufb06",
        "'ſt",
        "'s\u0301",
        "'m'",
        "n't",
        "rock'n'roll",
        "'tis",
        "'Twas the night",
        "한국'S",
        "'ve've",
        "'Ⅴe",
        "'ѕ",
    )
    add(
        "digits",
        "0123456789",
        "3.14159",
        "1,000,000",
        "v1.2.3",
        "a1b2",
        "٠١٢٣",
        "०१२३",
        "๐๑๒",
        "０１２",
        "一二三",
        "Ⅳ Ⅷ",
        "½ ¾ ²",
        "①②③",
        "𝟘𝟙",
        "2026-07-01 12:34:56",
        "-1e-10",
        "0x1F",
        "1 2 3",
        "1  2",
        "제2조제3항",
        "৳5",
        "༡༢",
        "\U0001f100",
        "㊿",
        "1st 2nd",
        "１２ 時",
    )
    add(
        "space",
        "  ",
        "   ",
        "    a",
        "a  b",
        "a   b",
        "a    b    c",
        " a",
        "  a",
        "a ",
        "a  ",
        "\t",
        "\t\ta",
        " \ta",
        "\t a",
        "a\tb",
        "a \t b",
        "\u00a0",
        "a\u00a0b",
        "\u3000가\u3000나",
        "\u2003x",
        "\u200b",
        "a\u200bb",
        "\u180e",
        "a\u180eb",
        " \u180e x",
        "\u0085",
        "a\u0085b",
        "\u2028x\u2029y",
        "\x0b\x0c",
        "a\x1cb",
        "x \u00a0 y",
        "\ufeff",
        "\u2060",
        "\u202f1",
        "   \u3000  a",
        "a \u00a0b",
        " \u2009",
        "\x1f x",
        "\u205f가",
    )
    add(
        "newline",
        "\n\n",
        "\r\n",
        "\r",
        "\n\r",
        "\r\r\n\n",
        "a\nb",
        "a\r\nb",
        "a\n\nb",
        "a\n\n\nb",
        "a \n b",
        "a\n  b",
        "a\n\tb",
        "  \n  \n  x",
        "\n x",
        " \n",
        "a  \n",
        "a\r\n\r\nb",
        "x\n \n \ny",
        "\t\n\t",
        "end.\n",
        "end.\r\n",
        "end./\n",
        "...\n\n",
        "!\n!",
        "?\r",
        "a:\n- b\n- c\n",
        "\u2028\n",
        "\n\u3000\n",
        "\n\u0085\n",
        "if x:\n    return 1\n\n\nelse:\n\tpass\n",
        " \r \n x",
    )
    add(
        "punct",
        "...",
        "!!!",
        "a!b",
        " !",
        "  !",
        "!a",
        " .a",
        "--- x",
        "a---b",
        "http://example.com/a/b?c=d&e=f#g",
        "/usr/bin/env",
        "//",
        "a//b",
        "#include <stdio.h>\n",
        "x+=1;",
        "@user #tag $5 100%",
        "\\n \\t",
        "```c\nint x;\n```",
        "“인용” ‘따옴표’",
        "「」、。",
        "…",
        "—",
        "·",
        "a·b",
        "~~",
        "^_^",
        "(주)한국",
        "※주의※",
        "₩1,000",
        "€5",
        "™®©",
        "a‐b",
        "a\u00adb",
        "_a_",
        "__init__",
        "*bold*",
        "|a|b|",
        '<a href="x">y</a>\n',
        "!/",
        "a /b",
        "!\n/",
    )
    add(
        "emoji",
        "😀",
        "😀😀",
        "a😀b",
        " 😀",
        "👍🏽",
        "👨‍👩‍👧‍👦",
        "🏳️‍🌈",
        "🇰🇷🇺🇸",
        "❤️",
        "❤",
        "1️⃣",
        "☺︎☺️",
        "한글😀한글",
        "🫠🫡",
        "\U0001fae9",
        "👩🏻‍💻 코딩",
        "\U000e0067\U000e0062",
        "✨ Sparkle ✨",
        "🧑‍🚀",
    )
    add(
        "marks",
        "e\u0301a",
        " \u0301",
        "a \u0301",
        "\u0301",
        "\u0301a",
        "1\u0301",
        "1\u0301a",
        "!\u0301",
        "!\u0301a",
        "a\u0301\u0302\u0303",
        "\n\u0301a",
        "\u0301\u0301a",
        "q\u0323\u0307 x\u0332",
        "a\u20dd",
        "x\ufe0f",
        "\u0300 b",
        "가\u0301",
        "a\u0301 b\u0301 c",
        "a\u0301  b",
        "\u200da",
        "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤a̴͓ͅ",
    )
    add("thai", "สวัสดีครับ", "ภาษาไทย ง่าย", "กำ", "เก้าอี้", "น้ำ 1 แก้ว")
    add("arabic", "مرحبا بالعالم", "السَّلَامُ عَلَيْكُمْ", "كتاب١٢", "لا إله", "ﷺ ﷲ", "مـــرحبا", "\u0627\u0654")
    add(
        "indic",
        "नमस्ते दुनिया",
        "क्षत्रिय",
        "हिन्दी में",
        "தமிழ் மொழி",
        "বাংলা ভাষা",
        "ಕನ್ನಡ",
        "മലയാളം",
        "ක්‍ෂ",
        "\u0915\u093c \u0958",
        "ༀམཎི",
        "မြန်မာ",
        "ខ្មែរ",
    )
    add(
        "other-scripts",
        "Привет, мир!",
        "Ελληνικά κείμενα",
        "עִבְרִית",
        "こんにちは世界",
        "カタカナ ﾊﾝｶｸ",
        "你好，世界！",
        "繁體中文",
        "Tiếng Việt có dấu",
        "Türkçe ıİiI",
        "ÆØÅ æøå",
        "Ĳ ĳ ǆ",
        "ᏣᎳᎩ",
        "ꦗꦮ",
        "𐌰𐌱",
        "𝒜𝓑",
        "ʰʲ modifier",
        "ªº",
        "Ǆǅǆ",
    )
    add(
        "multi-word",
        "of the Work",
        "이 법은 대통령령으로 정하는 바에 따라",
        "a  of the",
        "terms and conditions",
        " terms and conditions",
        "\nterms and conditions",
        "terms  and",
        "terms\u00a0and",
        "법률이 정하는 바에 의하여",
        "x법률이 정하는",
        "the-terms and",
        "-the terms",
        "the terms- and",
        "the 1 terms",
        "of the.of the",
    )
    add(
        "code",
        "for (int i = 0; i < n; i++) {\n\tsum += a[i];\n}\n",
        "def f(x):\n    return x**2\n",
        '{"a": [1, 2, {"b": null}]}',
        "SELECT * FROM t WHERE a='it''s';",
        "\\frac{a}{b} \\boxed{42}",
        "const x = `${y}`;",
        "a->b::c<d>()",
        "\t\t\tif (x) // comment\n",
        '<think>\nprintf("%d\\n", x);',
    )
    add(
        "added",
        "<think>",
        "</think>",
        "<think>\n\n</think>\n\n",
        "<|user|>\nHi<|endofturn|>\n<|assistant|>\n<think>\n",
        "a<think>b",
        "a <think> b",
        "<think><think>",
        "<|user|><|user|>",
        "<vision><|image_pad|></vision>\n",
        "<|image_pad|>" * 5,
        "<|vision_pad|><|video_pad|>",
        "<|endofturn|>한글<|endofturn|>",
        "[PAD][BOS][EOS][UNK]",
        '<tool_call>{"name": "f"}</tool_call>',
        "<tool_result>x</tool_result>",
        "< think>",
        "<think",
        "<THINK>",
        "<|USER|>",
        "<|us<|user|>er|>",
        "<|endofturn|",
        "|endofturn|>",
        "<think>\u0338",
        "<\u0338think>",
        "e<think>\u0301",
        "PI:ACCOUNT",
        "PI:ACCOUNT_NUM",
        "PI:ACCOUNT_NU",
        "PI:ACCOUNT_NUMPI:ACCOUNT",
        "xPI:URLx",
        ":::",
        "::::",
        ":::::",
        "::::::",
        ":::::::",
        "::::::::",
        "::",
        ": : :",
        "[한글]",
        "[" + nfd("한글") + "]",
        "two words",
        "words two",
        "two words two",
        "words two words",
        "two  words",
        "atwo wordsb",
        "one two words",
        "\n\n\n\n",
        "\n\n\n\n\n",
        "\n\n\n",
        "a\n\n\n\n\n\n\n\nb",
        "<th",
        "<thi",
        "<the>",
        "<th<think>",
        "<|reserved_15|>",
        "<|reserved_16|><|reserved_17|>",
        "<|reserved_1|>",
        "<|code|>x<|fim|>",
        "'<think>s",
        "it'<think>s",
        " <|user|> ",
        "<|user|>\r\n",
        "\u0000<think>\u0000",
    )
    add(
        "control",
        "\x00",
        "a\x00b",
        "\x01\x02\x7f",
        "\ufeffHello",
        "a\ufeffb",
        "\ufffd",
        "a\ufffdb",
        "\ufffe\uffff",
        "\U0010ffff",
        "\ue000",
        "\x1b[31mred\x1b[0m",
        "\u0080\u009f",
        "\u202e abc",
        "\u061c\u2066",
        "\ud7ff\ue000",
        "\U000f0000",
        "\x00\x00\n\x00",
    )
    r = random.Random(20260701)
    add(
        "long",
        "a" * 20000,
        "한" * 20000,
        "ab " * 7000 + "end",
        "".join(r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(20000)),
        " ".join(r.choice(["the", "of", "and", "terms", "법률", "국민은", "x"]) for _ in range(5000)),
        "\n" * 20000,
        " " * 20000,
        "." * 20000,
        "1" * 5000,
        "e" + "\u0301" * 5000,
        "e" + "\u0301\u0323" * 2000,
        "\u1100\u1161\u11a8" * 5000,
        "a\u0301" * 8000,
    )
    # random mixtures
    alpha = [
        "a",
        "B",
        "'s",
        "'",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "1",
        "٣",
        "한",
        "\u1112\u1161\u11ab",
        "é",
        "e\u0301",
        "\u0301",
        ".",
        "/",
        "!",
        "😀",
        "👨‍👩‍👧",
        "ก็",
        "न्",
        "م",
        "<think>",
        "<|user|>",
        ":::",
        "\u00a0",
        "\u3000",
        "\u0085",
        "the",
        " of the",
        "\ufeff",
        "\x00",
        "ſ",
        "Ⅳ",
        "_",
        "\u200d",
        "\u180e",
        "\u2028",
    ]
    for k in range(40):
        L.append(("random/%d" % k, "".join(r.choice(alpha) for _ in range(r.randint(3, 40)))))
    B = []
    for k, b in enumerate(
        [
            b"\xff",
            b"a\xffb",
            b"\xc3",
            b"\xc3(",
            b"\xe1\x84",
            b"\xe1\x84a",
            b"\xed\xa0\x80",
            b"\xed\xb0\x80x",
            b"\xf0\x9f\x98",
            b"\xf0\x9f\x98\xe1",
            b"\xc0\xaf",
            b"\xe0\x80\x80",
            b"\xf4\x90\x80\x80",
            b"\xf8\x88\x80\x80\x80",
            "한글".encode()[:-1],
            "한글".encode()[1:],
            b"\x80\x81\x82",
            b"\xe2\x82\xf0\x9f",
            b"ok\xfe\xffok",
            b"\xed\x95\x9c\xed\x95",
        ]
    ):
        B.append(("invalid-utf8/%d" % k, b))
    return L, B


def public_ids(m):
    byte = {bytes([b]): m.t.token_to_id(_byte_char[b]) for b in range(256)}
    seq = lambda bs: [byte[bytes([b])] for b in bs]
    return [
        ("bytes-of-han", seq("한".encode())),
        ("bytes-of-emoji", seq("😀".encode())),
        ("cut-han", seq("한".encode()[:2])),
        ("cut-han-then-a", seq("한".encode()[:2] + b"a")),
        ("continuations", seq(b"\x80\x80\x80")),
        ("ff", seq(b"\xff\xfe")),
        ("surrogate-bytes", seq(b"\xed\xa0\x80")),
        ("overlong", seq(b"\xc0\x80")),
        ("cut-then-special", seq("한".encode()[:1]) + [53] + seq("한".encode()[1:])),
        ("specials", [0, 1, 2, 3, 50, 51, 52, 53, 54, 55]),
        ("tools", [60, 61, 62, 63, 56, 57]),
        ("f4-9080", seq(b"\xf4\x90\x80\x80")),
        ("emoji-cut-emoji", seq("😀".encode()[:3] + "😀".encode())),
        ("crlf", seq(b"\r\n")),
        ("nul", seq(b"\x00")),
    ]


if __name__ == "__main__":
    m = Maker()
    L, B = public_inputs()
    cases = [m.case(n, t) for n, t in L] + [m.case(n, b.decode("utf-8", "replace"), raw=b) for n, b in B]
    ids = [m.id_case(n, i) for n, i in public_ids(m)]
    d = out_dir("tokenizer")
    dump_json(d + "/cases.json", {"tokenizer": "tokenizer.json", "count": len(cases), "cases": cases}, "cases")
    dump_json(d + "/id_cases.json", {"tokenizer": "tokenizer.json", "count": len(ids), "cases": ids}, "cases")
    print(len(cases), len(ids))
