#!/usr/bin/env python3
"""Makes tests/data/tokenizer/ids.txt: the ids that other implementations give further texts.

    pip install gguf tokenizers regex sentencepiece protobuf
    tests/data/make_tokenizer_golden.py FOLDER > tests/data/tokenizer/ids.txt

FOLDER holds ggml-vocab-NAME.gguf files. Byte-level ones are loaded into Hugging Face's tokenizers
(pre-tokenizers as in make_pretokenizer_golden.py), SentencePiece ones into the sentencepiece
library. Texts are written and random ones; --files adds files whole, for a one-off run with
INGOT_TOKENIZER_GOLDEN=FILE ingot_model_tests --gtest_filter='TokenizerGolden*'.

Per vocabulary a line `vocabulary NAME`, then `text HEX` and `ids …` lines in turn, or `parsed HEX`
when the text of special tokens is to become those tokens. None are added.
"""

import argparse
import pathlib
import random
import sys

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, models
from tokenizers.pre_tokenizers import Sequence

import make_pretokenizer_golden as words

NAMES = ["deepseek-coder", "deepseek-llm", "falcon", "gpt-2", "llama-bpe", "refact", "starcoder",
         "llama-spm", "phi-3"]
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4


class Vocabulary:
    def __init__(self, path):
        fields = gguf.GGUFReader(path).fields
        read = lambda key: fields[f"tokenizer.ggml.{key}"].contents()
        self.model = read("model")
        self.tokens = read("tokens")
        self.kinds = read("token_type")
        self.merges = read("merges") if self.model == "gpt2" else None
        self.scores = read("scores") if self.model == "llama" else None
        self.pre = read("pre")


def byte_level(vocabulary, kinds, normalizer=None):
    """The ids of a text by Hugging Face's tokenizers, which finds tokens of those kinds in it; None
    when it would drop bytes."""
    tokenizer = Tokenizer(models.BPE(
        vocab={t: i for i, t in enumerate(vocabulary.tokens)},
        merges=[tuple(m.split(" ")) for m in vocabulary.merges],
        ignore_merges=vocabulary.pre == "llama-bpe"))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    name = {"refact": "starcoder", "olmo": "gpt-2", "mpt": "gpt-2",
            "command-r": "starcoder", "deepseek-r1-qwen": "qwen2"}.get(vocabulary.pre, vocabulary.pre)
    tokenizer.pre_tokenizer = Sequence(words.PRE_TOKENIZERS[name])
    tokenizer.add_tokens([AddedToken(t, normalized=False)
                          for t, k in zip(vocabulary.tokens, vocabulary.kinds)
                          if k in kinds])
    known = set(vocabulary.tokens)

    def encode(text):
        spelled = words.PLAIN.pre_tokenize_str(text)
        if any(c not in known for word, _ in spelled for c in word):
            return None
        return tokenizer.encode(text, add_special_tokens=False).ids

    return encode


def texts_with_special_tokens(vocabulary, seed):
    """Words and the vocabulary's special tokens, whole, cut off and run together."""
    rng = random.Random(seed)
    special = [t for t, k in zip(vocabulary.tokens, vocabulary.kinds)
               if k in (UNKNOWN, CONTROL, USER_DEFINED)]
    parts = [" ", "  ", "\n", "x", " if", "<", "<|", "|>", "ÿ", "12", "\t"]
    for _ in range(12):
        text = ""
        for _ in range(8):
            token = rng.choice(special)
            text += rng.choice((token, token[:-1], token[1:], rng.choice(parts), rng.choice(parts)))
        yield text


def sentence_piece(vocabulary):
    """The ids of a text by the sentencepiece library."""
    proto = sentencepiece_model_pb2.ModelProto()
    for token, score, kind in zip(vocabulary.tokens, vocabulary.scores, vocabulary.kinds):
        proto.pieces.add(piece=token, score=score, type=kind)
    # What conversion changed and the library insists on: one unknown token, at 0.
    for piece in proto.pieces[1:]:
        if piece.type == 2:
            piece.type = 5
    proto.pieces[0].type = 2
    proto.trainer_spec.model_type = 2  # BPE
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.unk_id = 0
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = True
    proto.normalizer_spec.remove_extra_whitespaces = False
    proto.normalizer_spec.escape_whitespaces = True
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())

    def encode(text):
        if "\0" in text:  # it ends at a NUL
            return None
        return processor.encode(text) if text else []

    return encode


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--texts", type=int, default=30)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--files", type=pathlib.Path, nargs="*", default=[])
    arguments = parser.parse_args()
    texts = words.HAND_WRITTEN + list(words.random_texts(arguments.texts, arguments.seed))
    for path in arguments.files:
        texts.append(path.read_bytes().decode("utf-8", "ignore"))
    for name in NAMES:
        vocabulary = Vocabulary(arguments.folder / f"ggml-vocab-{name}.gguf")
        is_byte_level = vocabulary.model == "gpt2"
        encode = byte_level(vocabulary, (USER_DEFINED,)) if is_byte_level else sentence_piece(vocabulary)
        print("vocabulary", name)
        for text in texts:
            ids = encode(text)
            if ids is None:
                print(f"{name}: left out {text[:40]!r}", file=sys.stderr)
                continue
            print("text", text.encode().hex())
            print("ids", *ids)
        if not is_byte_level:
            continue
        encode = byte_level(vocabulary, (UNKNOWN, CONTROL, USER_DEFINED))
        for text in texts_with_special_tokens(vocabulary, arguments.seed):
            print("parsed", text.encode().hex())
            print("ids", *encode(text))


if __name__ == "__main__":
    main()
