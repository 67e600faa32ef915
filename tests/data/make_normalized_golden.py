#!/usr/bin/env python3
"""Makes tests/data/tokenizer/normalized.txt: ids of texts that published tokenizers change first.

    pip install gguf tokenizers regex sentencepiece protobuf
    tests/data/make_normalized_golden.py FOLDER > tests/data/tokenizer/normalized.txt

FOLDER holds ggml-vocab-NAME.gguf files. gpt-2's vocabulary is loaded into Hugging Face's tokenizers
with the pre-tokenizer and the normalizer (NFC) of models that have one: the Qwen2 and Qwen3.5
tokenizers of the transformers package and DeepSeek-R1's Qwen one, GPT-NeoX's (MPT, OLMo), Cohere's
(Command R). SentencePiece vocabularies go into the sentencepiece library, to which U+2581 in a text
is the space that it stands for.

A line `vocabulary NAME PRE`, then `text HEX` and `ids …` in turn (`parsed HEX`: special tokens are
read). None are added. `plain …` are the ids of the text as it is, without a normalizer, where they
are others.
"""

import argparse
import pathlib
import random
import sys
import unicodedata

from tokenizers import normalizers

import make_tokenizer_golden as golden

PRE_TOKENIZERS = ["qwen2", "qwen35", "deepseek-r1-qwen", "olmo", "mpt", "command-r"]
SENTENCEPIECE = ["llama-spm", "phi-3"]

COMPOSED = [
    "cafe\u0301", "e\u0301te\u0301", "A\u030a \u212b \u00c5", "\u2126 \u212a", "n\u0303 N\u0303", "def e\u0301(): pass",
    "\u1112\u1161\u11ab\u1100\u1173\u11af", "\u1100\u1161", "\uac00\u11a8", "\u1100\uac00\u11a7",
    "\u0958 \u0915\u093c", "\u0344 \u0308\u0301", "\u0f73\u0f71\u0f72", "\u1e9b\u0323", "q\u0307\u0323 q\u0323\u0307",
    "a\u0300\u0327\u0301\u0328", "a\u0327\u0300", "a\u0315\u0300\u05ae\u0301b", "\u0301", "\u0301\u0327", "x\u0301", " \u0301a",
    "\n\u0301", "1\u0301", "\ufb1d\ufb2a", "\U0001d15e\U0001d1bb", "\uf900\ufa0e\U0002f800", "\u00e9e\u0301", "\u0374\u037e\u0387",
    "\u304b\u3099\u304d\u3099", "\u0b47\u0b56\u0b47\u0b3e", "\u1026 \u1025\u102e", "\u0340\u0341\u0343", "caf\u00e9 ab",
    "e\u200d\u0301", "e\u034f\u0301", "<|endoftext|>\u0301e\u0301", "e<|endoftext|>\u0301", "\u0130\u0131\u0307i\u0307", "\ufeffe\u0301",
    "e" + "\u0301\u0327" * 20, "if (u\u0308ber == 1) { na\u0308chster(); }",
]
MARKS = [
    "\u2581", "a\u2581b", "\u2581a", "a\u2581", "\u2581\u2581\u2581", "a \u2581b", "a\u2581 b", " \u2581", "\u2581def\u2581f(x):", "x\u2581=\u25811",
    "\u2581\n\u2581\n", "\u2582\u2581\u2580", "<s>\u2581a", "\u2581<s>", "tab\t\u2581x",
]


def random_composed(count, seed):
    """Letters and the marks that go on them, in no particular order."""
    rng = random.Random(seed)
    marks = [chr(c) for c in range(0x300, 0x370)] + list("\u093c\u3099\u309a\u05b0\u05bc\u0f71\u0f72\u1dc4")
    letters = list("aeiouAEIOUncszyqx 1_(\n") + list("\u0915\u304b\u1100\u1161\u11a8\uac00\u00e9\u1e9b\u03b1\u0438\u05d0")
    for _ in range(count):
        yield "".join(rng.choice(marks if rng.random() < 0.5 else letters)
                      for _ in range(rng.randrange(2, 14)))


def random_marked(count, seed):
    rng = random.Random(seed)
    for _ in range(count):
        yield "".join(rng.choice(["\u2581", "\u2581", " ", "a", "if", "\n", "x1", "("])
                      for _ in range(rng.randrange(1, 12)))


def show(kind, text, ids, plain):
    print(kind, text.encode().hex())
    print("ids", *ids)
    if plain is not None and plain != ids:
        print("plain", *plain)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--texts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    load = lambda name: golden.Vocabulary(arguments.folder / f"ggml-vocab-{name}.gguf")
    for pre in PRE_TOKENIZERS:
        vocabulary = load("gpt-2")
        vocabulary.pre = pre
        print("vocabulary gpt-2", pre)
        for kind, kinds in (("text", (golden.USER_DEFINED,)),
                            ("parsed", (golden.UNKNOWN, golden.CONTROL, golden.USER_DEFINED))):
            encode = golden.byte_level(vocabulary, kinds, normalizers.NFC())
            plain = golden.byte_level(vocabulary, kinds)
            for text in COMPOSED + list(random_composed(arguments.texts, arguments.seed)):
                if kind == "parsed" and "<|" not in text:
                    continue
                ids = encode(text)
                if kind == "text" and ids != plain(unicodedata.normalize("NFC", text)):
                    sys.exit(f"tokenizers and unicodedata disagree on {text!r}")
                show(kind, text, ids, plain(text))
    for name in SENTENCEPIECE:
        vocabulary = load(name)
        print("vocabulary", name, vocabulary.pre)
        encode = golden.sentence_piece(vocabulary)
        for text in MARKS + list(random_marked(arguments.texts, arguments.seed)):
            show("text", text, encode(text), None)


if __name__ == "__main__":
    main()
