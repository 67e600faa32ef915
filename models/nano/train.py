"""tok.json, train.bin, val.bin -> model.pt, on a CPU.

The bundled model is `--steps 2400`; its draft is `--layers 1 --steps 900`. AdamW with a cosine schedule
after 100 warm-up steps, 16 windows of 512 tokens per step.
"""

import argparse
import json
import math
import pathlib
import time

import numpy as np
import torch
from torch.nn import functional

from model import CONTEXT_LENGTH, NanoModel

WARM_UP_STEPS = 100
FINAL_RATE = 0.05  # of the peak learning rate, at the last step
WEIGHT_DECAY = 0.1
EVALUATE_EVERY = 500


def loss_of(model, window, reduction="mean"):
    """Cross-entropy of predicting window[:, 1:] from window[:, :-1]; window is [batch, tokens + 1]."""
    logits = model(window[:, :-1]).float().flatten(0, 1)
    return functional.cross_entropy(logits, window[:, 1:].flatten(), reduction=reduction)


def sample_batch(data, size, generator):
    """`size` windows from random places, [size, CONTEXT_LENGTH + 1]."""
    starts = generator.integers(0, len(data) - CONTEXT_LENGTH - 1, size)
    windows = np.stack([data[i : i + CONTEXT_LENGTH + 1] for i in starts])
    return torch.from_numpy(windows.astype(np.int64))


@torch.no_grad()
def evaluate(model, data):
    """Mean loss in nats per token over every eighth window."""
    total, count = 0.0, 0
    for start in range(0, len(data) - CONTEXT_LENGTH - 1, CONTEXT_LENGTH * 8):
        window = torch.from_numpy(data[start : start + CONTEXT_LENGTH + 1].astype(np.int64))[None]
        total += loss_of(model, window, reduction="sum").item()
        count += CONTEXT_LENGTH
    return total / count


def learning_rate(step, steps, peak):
    warm_up = min(1, (step + 1) / WARM_UP_STEPS)
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return peak * warm_up * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def make_optimizer(model, peak):
    """Matrices decay towards zero; norms and biases do not."""
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0},
    ]
    return torch.optim.AdamW(groups, lr=peak, betas=(0.9, 0.95))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=pathlib.Path, default=pathlib.Path("."), help="prepare.py's output"
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("model.pt"))
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=16, help="windows per step")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    generator = np.random.default_rng(0)
    vocabulary_size = len(json.loads((arguments.data / "tok.json").read_text())["tokens"])
    model = NanoModel(vocabulary_size, arguments.layers)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters", flush=True)
    training = np.fromfile(arguments.data / "train.bin", dtype="<u2")
    held_out = np.fromfile(arguments.data / "val.bin", dtype="<u2")
    optimizer = make_optimizer(model, arguments.learning_rate)

    began = time.time()
    for step in range(arguments.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, arguments.steps, arguments.learning_rate)
        loss = loss_of(model, sample_batch(training, arguments.batch, generator))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            print(
                f"step {step} loss {loss.item():.4f} after {time.time() - began:.1f} s", flush=True
            )
        if step % EVALUATE_EVERY == EVALUATE_EVERY - 1 or step == arguments.steps - 1:
            print(f"step {step} held-out loss {evaluate(model, held_out):.4f}", flush=True)
            torch.save(model.state_dict(), arguments.out)


if __name__ == "__main__":
    main()
