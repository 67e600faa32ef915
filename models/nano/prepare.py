"""Folders of Python files -> tok.json, train.bin, val.bin and valid.txt.

train.bin and val.bin hold token ids as little-endian uint16, one after the other. Half of the training
files are cut into pieces and rearranged prefix-suffix-middle, which teaches filling in the middle
(Bavarian et al. 2022, https://arxiv.org/abs/2207.14255); the others, and all held-out files, stay whole.
"""

import argparse
import json
import os
import pathlib
import random

import numpy as np

import bpe

VOCABULARY_SIZE = 4096
SPECIAL_TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
]
HELD_OUT_FILES = 40
VALIDATION_BYTES = 160_000  # of valid.txt: 103 windows of 512 tokens
FIM_SHARE = 0.5


def find_files(roots: list[str]) -> list[str]:
    """Python files of 300 bytes to 200 kB, without other people's packages and bulky test suites."""
    found = []
    for root in roots:
        for folder, _, names in os.walk(root):
            below = folder[len(root) :]
            if any(part in below for part in ("site-packages", "lib2to3/tests", "__pycache__")):
                continue
            if "sympy" in root and "/tests" in below:
                continue
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(".py") and 300 < os.path.getsize(path) < 200_000:
                    found.append(path)
    return sorted(found)


def read_documents(paths: list[str]) -> list[str]:
    """The texts that are UTF-8 and have no line over 400 characters (those are tables, not code)."""
    documents = []
    for path in paths:
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if max(map(len, text.split("\n"))) <= 400:
            documents.append(text)
    return documents


def fim_examples(document: str, encoder: bpe.Encoder) -> list[int]:
    """The document in pieces of 600 to 1500 characters, each as prefix, suffix, middle."""
    ids = encoder.ids
    out = []
    start = 0
    while start < len(document):
        length = random.randint(600, 1500)
        piece = document[start : start + length]
        start += length
        if len(piece) < 60:
            continue
        begin, end = sorted(random.sample(range(len(piece)), 2))
        if end - begin > 400:
            end = begin + random.randint(10, 400)
        out += [ids["<|fim_prefix|>"], *encoder.encode(piece[:begin])]
        out += [ids["<|fim_suffix|>"], *encoder.encode(piece[end:])]
        out += [ids["<|fim_middle|>"], *encoder.encode(piece[begin:end])]
        out += [ids["<|endoftext|>"]]
    return out


def pack(documents: list[str], encoder: bpe.Encoder, fim: bool) -> np.ndarray:
    """All documents' ids in one row, each closed by <|endoftext|>."""
    out = []
    for document in documents:
        if fim and random.random() < FIM_SHARE:
            out += fim_examples(document, encoder)
        else:
            out += [*encoder.encode(document), encoder.ids["<|endoftext|>"]]
    return np.array(out, dtype="<u2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("roots", nargs="+", help="folders of .py files, searched in depth")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."), help="output folder")
    arguments = parser.parse_args()

    random.seed(0)
    documents = read_documents(find_files(arguments.roots))
    random.shuffle(documents)
    print(f"{len(documents)} files, {sum(map(len, documents)) / 1e6:.1f} million characters")

    # Half of the files give the same merges for the common words at half the time.
    merge_count = VOCABULARY_SIZE - 256 - len(SPECIAL_TOKENS)
    merges = bpe.train(documents[: len(documents) // 2], merge_count)
    encoder = bpe.Encoder(merges, SPECIAL_TOKENS)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "tok.json").write_text(
        json.dumps({"merges": merges, "tokens": encoder.tokens, "specials": SPECIAL_TOKENS})
    )

    held_out, training = documents[:HELD_OUT_FILES], documents[HELD_OUT_FILES:]
    training_ids = pack(training, encoder, fim=True)
    held_out_ids = pack(held_out, encoder, fim=False)
    training_ids.tofile(arguments.out / "train.bin")
    held_out_ids.tofile(arguments.out / "val.bin")
    text = "\n".join(held_out).encode()[:VALIDATION_BYTES].decode(errors="ignore")
    (arguments.out / "valid.txt").write_text(text, encoding="utf-8")
    print(f"{len(training_ids)} training and {len(held_out_ids)} held-out tokens")


if __name__ == "__main__":
    main()
