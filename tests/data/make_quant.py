#!/usr/bin/env python3
"""Makes tests/data/quant: golden blocks from the PyPI package `gguf`, an implementation that is not ours.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install gguf==0.19.0 numpy
    /tmp/venv/bin/python tests/data/make_quant.py tests/data/quant

TYPE.blocks, TYPE.f32    random blocks and their decoded values. MXFP4 has one block for each exponent
                         byte, and in each block every code stands twice.
input.f32, TYPE.encoded  encoder input and the bytes the package makes of it, for the types it encodes
                         with the rules other tools use too.
"""

import pathlib
import sys

import gguf
import numpy as np

Type = gguf.GGMLQuantizationType
DECODED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS"]
ENCODED = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
# Where the f16 fields of a block start; random bytes there would be infinities and NaN now and then.
F16_FIELDS = {"Q4_1": [0, 2], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
              "Q5_K": [0, 2], "Q6_K": [208]}
BLOCK_COLUMNS = 32


def random_blocks(rng: np.random.Generator, name: str) -> np.ndarray:
    columns, size = gguf.GGML_QUANT_SIZES[Type[name]]
    count = 4 if columns == 256 else 8
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for field in F16_FIELDS.get(name, [0]):
        bits = rng.integers(0, 0x7C00, count).astype(np.uint16)  # finite, subnormals included
        bits |= rng.integers(0, 2, count).astype(np.uint16) << 15
        blocks[:, field : field + 2] = bits.view(np.uint8).reshape(count, 2)
    return blocks


def mxfp4_blocks(rng: np.random.Generator) -> np.ndarray:
    blocks = np.empty((256, 17), dtype=np.uint8)
    for exponent in range(256):
        blocks[exponent, 0] = exponent
        blocks[exponent, 1:] = rng.permutation(16) | (rng.permutation(16) << 4)
    return blocks


def encoder_input(rng: np.random.Generator) -> np.ndarray:
    """Blocks of 32: ordinary values of many magnitudes, then the cases where rounding rules differ.

    No minus zeros: numpy and C disagree on which of two zeros is the smaller.
    """
    scales = np.geomspace(1e-6, 1e4, 40, dtype=np.float32)
    blocks = [rng.standard_normal(BLOCK_COLUMNS).astype(np.float32) * scale for scale in scales]
    column = np.arange(BLOCK_COLUMNS, dtype=np.float32)
    blocks += [
        np.zeros(BLOCK_COLUMNS),
        np.full(BLOCK_COLUMNS, 0.375),
        np.full(BLOCK_COLUMNS, -3.0),
        np.where(column == 0, 127.0, column * 3.5 - 50),  # scale 1 in Q8_0, ties at every half
        np.where(column == 3, -8.0, column / 4 - 4),  # scale 1 in Q4_0, ties
        np.where(column == 9, -16.0, column / 2 - 8),  # scale 1 in Q5_0, ties
        np.where(column == 31, 15.0, column * 0.25),  # scale 1 in Q4_1
        np.where(column == 31, 31.0, column * 0.5),  # scale 1 in Q5_1
        np.where(column % 2 == 0, 5.0, -5.0),  # equal magnitudes of both signs
        column * 1e-7,  # f16 scales that are subnormal
        column * 1e-36,  # f16 scales that round to zero
        1 + column * 2.0**-11,  # ties of F16
        1 + column * 2.0**-8,  # ties of BF16
    ]
    # Ties of Q4_0 and Q5_0 up to rounding: a fused multiply-add would decide some of them otherwise.
    for steps in (16, 32):
        for largest in rng.uniform(0.5, 2, 16).astype(np.float32):
            blocks.append(np.where(column == 0, largest, largest * (column - 15) / np.float32(steps)))
    return np.stack(blocks).astype(np.float32)


def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(20260101)
    samples = {name: random_blocks(rng, name) for name in DECODED}
    samples["MXFP4"] = mxfp4_blocks(rng)
    with np.errstate(over="ignore"):  # the largest MXFP4 exponents overflow to infinity, as they should
        for name, blocks in samples.items():
            blocks.tofile(folder / f"{name}.blocks")
            gguf.quants.dequantize(blocks, Type[name]).tofile(folder / f"{name}.f32")
    source = encoder_input(rng)
    source.tofile(folder / "input.f32")
    for name in ENCODED:
        gguf.quants.quantize(source, Type[name]).tofile(folder / f"{name}.encoded")


if __name__ == "__main__":
    main()
