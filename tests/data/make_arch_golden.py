"""Golden logits for architecture variants that have no published fixture: windows, Olmo 3's two angle tables.

A float64 numpy forward pass, written from the papers and the published configurations and sharing nothing
with the engine. It first proves itself: on olmo2 and starcoder2 (no window) it must give the golden logits
of tests/data/arch, which were confirmed against another engine. Then it writes tests/data/arch/olmo3.gguf and
starcoder2-window.gguf (the same weights, other metadata) with their logits.

    pip install numpy gguf;  python3 tests/data/make_arch_golden.py
"""

import math
import pathlib

import gguf
import numpy as np

FOLDER = pathlib.Path(__file__).parent / "arch"


class Weights:
    """Metadata and float64 tensors of a GGUF file."""

    def __init__(self, name):
        self.reader = gguf.GGUFReader(FOLDER / f"{name}.gguf")
        self.architecture = self.reader.fields["general.architecture"].contents()
        self.tensors = {t.name: np.asarray(t.data, np.float64) for t in self.reader.tensors}

    def get(self, key, default=None):
        field = self.reader.fields.get(f"{self.architecture}.{key}")
        return default if field is None else field.contents()

    def linear(self, x, base):
        y = x @ self.tensors[f"{base}.weight"].T
        bias = self.tensors.get(f"{base}.bias")
        return y if bias is None else y + bias


def rms_norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, -1, keepdims=True) + epsilon) * weight


def layer_norm(x, weight, bias, epsilon):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, -1, keepdims=True) + epsilon) * weight + bias


def frequencies(size, base, yarn):
    """Angles per position and the magnitude; `yarn` is None or (factor, original context)."""
    plain = base ** (-np.arange(0, size, 2) / size)
    if yarn is None:
        return plain, 1.0
    factor, context = yarn

    def pair(turns):
        return size * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(base))

    low, high = max(math.floor(pair(32)), 0), min(math.ceil(pair(1)), size - 1)
    ramp = np.clip((np.arange(size // 2) - low) / max(high - low, 0.001), 0, 1)
    return plain / factor * ramp + plain * (1 - ramp), 0.1 * math.log(factor) + 1


def rotate(x, table):
    """x [tokens, heads, size]; halves turn against each other."""
    angles, magnitude = table
    turn = np.arange(len(x))[:, None] * angles[None]
    cos, sin = magnitude * np.cos(turn)[:, None], magnitude * np.sin(turn)[:, None]
    a, b = np.split(x, 2, -1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def attention(w, x, layer, heads, kv_heads, size, table, window, normalise):
    base = f"blk.{layer}.attn_"
    q, k, v = (w.linear(x, base + part) for part in "qkv")
    if normalise is not None:
        q, k = normalise(q, base + "q_norm.weight"), normalise(k, base + "k_norm.weight")
    q = rotate(q.reshape(len(x), heads, size), table)
    k = rotate(k.reshape(len(x), kv_heads, size), table)
    v = v.reshape(len(x), kv_heads, size)
    k, v = (np.repeat(part, heads // kv_heads, 1) for part in (k, v))
    scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(size)
    distance = np.arange(len(x))[:, None] - np.arange(len(x))[None]
    visible = (distance >= 0) & (distance < window if window else True)
    scores = np.where(visible, scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights /= weights.sum(-1, keepdims=True)
    mixed = np.einsum("hqk,khd->qhd", weights, v).reshape(len(x), -1)
    return w.linear(mixed, base + "output")


def silu(x):
    return x / (1 + np.exp(-x))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def logits(name, tokens):
    w = Weights(name)
    heads, kv_heads = w.get("attention.head_count"), w.get("attention.head_count_kv")
    size = w.get("embedding_length") // heads
    base, window = w.get("rope.freq_base"), w.get("attention.sliding_window", 0)
    plain = frequencies(size, base, None)
    x = w.tensors["token_embd.weight"][tokens]
    if w.architecture == "olmo2":
        epsilon = w.get("attention.layer_norm_rms_epsilon")
        yarn = None
        if w.get("rope.scaling.type") == "yarn":
            yarn = w.get("rope.scaling.factor"), w.get("rope.scaling.original_context_length")
        scaled = frequencies(size, base, yarn)

        def norm(value, tensor):
            return rms_norm(value, w.tensors[tensor], epsilon)

        for layer in range(w.get("block_count")):
            local = window > 0 and layer % 4 != 3
            mixed = attention(w, x, layer, heads, kv_heads, size, plain if local else scaled,
                              window if local else 0, norm)
            x = x + norm(mixed, f"blk.{layer}.post_attention_norm.weight")
            gate, up = (w.linear(x, f"blk.{layer}.ffn_{part}") for part in ("gate", "up"))
            down = w.linear(silu(gate) * up, f"blk.{layer}.ffn_down")
            x = x + norm(down, f"blk.{layer}.post_ffw_norm.weight")
        x = norm(x, "output_norm.weight")
    else:
        epsilon = w.get("attention.layer_norm_epsilon")

        def norm(value, base_name):
            return layer_norm(value, w.tensors[base_name + ".weight"], w.tensors[base_name + ".bias"], epsilon)

        for layer in range(w.get("block_count")):
            x = x + attention(w, norm(x, f"blk.{layer}.attn_norm"), layer, heads, kv_heads, size, plain,
                              window, None)
            up = w.linear(norm(x, f"blk.{layer}.ffn_norm"), f"blk.{layer}.ffn_up")
            x = x + w.linear(gelu_tanh(up), f"blk.{layer}.ffn_down")
        x = norm(x, "output_norm")
    head = "output" if "output.weight" in w.tensors else "token_embd"
    return w.linear(x, head)


def variant(source, name, integers, strings=(), floats=(), extra_layer=False):
    """The weights of `source` under other metadata; `extra_layer` repeats layer 0 as a fourth one."""
    w = Weights(source)
    out = gguf.GGUFWriter(FOLDER / f"{name}.gguf", w.architecture)
    out.add_name(name)
    for key, field in w.reader.fields.items():
        if not key.startswith(w.architecture + "."):
            continue
        value = field.contents()
        if extra_layer and key.endswith("block_count"):
            value += 1
        if field.types[0] == gguf.GGUFValueType.UINT32:
            out.add_uint32(key, value)
        elif field.types[0] == gguf.GGUFValueType.FLOAT32:
            out.add_float32(key, value)
        else:
            raise ValueError(f"{key}: {field.types}")
    for key, value in integers:
        out.add_uint32(f"{w.architecture}.{key}", value)
    for key, value in strings:
        out.add_string(f"{w.architecture}.{key}", value)
    for key, value in floats:
        out.add_float32(f"{w.architecture}.{key}", value)
    for tensor in w.reader.tensors:
        out.add_tensor(tensor.name, np.array(tensor.data))
        if extra_layer and tensor.name.startswith("blk.0."):
            out.add_tensor(tensor.name.replace("blk.0.", "blk.3."), np.array(tensor.data))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    tokens = np.fromfile(FOLDER / "tokens.i32", np.int32)
    for name in ("olmo2", "starcoder2"):
        golden = np.fromfile(FOLDER / f"{name}.logits.f32", np.float32).reshape(len(tokens), -1)
        error = np.linalg.norm(logits(name, tokens) - golden) / np.linalg.norm(golden)
        print(f"{name}: {error:.2g} from the confirmed logits")
        if error > 1e-6:
            raise SystemExit("this script does not reproduce them: fix it before trusting its others")
    variant("olmo2", "olmo3",
            [("attention.sliding_window", 16), ("rope.scaling.original_context_length", 32)],
            [("rope.scaling.type", "yarn")], [("rope.scaling.factor", 8.0)], extra_layer=True)
    variant("starcoder2", "starcoder2-window", [("attention.sliding_window", 13)])
    for name in ("olmo3", "starcoder2-window"):
        logits(name, tokens).astype(np.float32).tofile(FOLDER / f"{name}.logits.f32")


if __name__ == "__main__":
    main()
