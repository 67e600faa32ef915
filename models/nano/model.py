"""The nano model in PyTorch: the qwen2 architecture at 7.3 million parameters.

Pre-norm transformer, grouped-query attention with q/k/v biases, NeoX RoPE, SwiGLU, tied head. Weights
are float32; products and the residual stream are bfloat16, norms float32. Modules and parameters are
created in a fixed order, which together with the seed makes the initial weights reproducible.
"""

import torch
from torch import nn
from torch.nn import functional

HIDDEN_SIZE = 256
HEAD_COUNT = 4
KV_HEAD_COUNT = 2
HEAD_SIZE = 64
FEED_FORWARD_SIZE = 768
CONTEXT_LENGTH = 512
ROPE_BASE = 10000.0
NORM_EPSILON = 1e-6


class RmsNorm(nn.Module):
    """[..., hidden] -> [..., hidden] in bfloat16, computed in float32."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN_SIZE))

    def forward(self, x):
        x = x.float()
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + NORM_EPSILON)
        return (x * scale * self.weight).bfloat16()


class Linear(nn.Module):
    """[..., inputs] -> [..., outputs]; `std` is that of the initial weights (default inputs^-1/2)."""

    def __init__(self, inputs, outputs, bias=False, std=None):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * (std or inputs**-0.5))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x):
        y = x @ self.weight.bfloat16().t()
        return y if self.bias is None else y + self.bias.bfloat16()


def _rope_table():
    """cos and sin, [CONTEXT_LENGTH, HEAD_SIZE / 2]."""
    frequency = ROPE_BASE ** (-torch.arange(0, HEAD_SIZE, 2).float() / HEAD_SIZE)
    angle = torch.arange(CONTEXT_LENGTH).float()[:, None] * frequency[None]
    return angle.cos().bfloat16(), angle.sin().bfloat16()


ROPE_COS, ROPE_SIN = _rope_table()
CAUSAL_MASK = torch.triu(torch.full((CONTEXT_LENGTH, CONTEXT_LENGTH), -1e9), 1).bfloat16()


def rope(x):
    """Rotates the halves of each head (NeoX order) by the position; x is [batch, heads, tokens, size]."""
    tokens = x.shape[2]
    first, second = x[..., : HEAD_SIZE // 2], x[..., HEAD_SIZE // 2 :]
    cos, sin = ROPE_COS[:tokens], ROPE_SIN[:tokens]
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to the residual stream."""

    def __init__(self, layer_count):
        super().__init__()
        # What is added to the residual stream starts smaller the more layers add to it (GPT-2).
        shrink = (2 * layer_count) ** -0.5
        self.attn_norm, self.ffn_norm = RmsNorm(), RmsNorm()
        self.attn_q = Linear(HIDDEN_SIZE, HEAD_COUNT * HEAD_SIZE, bias=True)
        self.attn_k = Linear(HIDDEN_SIZE, KV_HEAD_COUNT * HEAD_SIZE, bias=True)
        self.attn_v = Linear(HIDDEN_SIZE, KV_HEAD_COUNT * HEAD_SIZE, bias=True)
        self.attn_output = Linear(
            HEAD_COUNT * HEAD_SIZE, HIDDEN_SIZE, std=shrink * HIDDEN_SIZE**-0.5
        )
        self.ffn_gate = Linear(HIDDEN_SIZE, FEED_FORWARD_SIZE)
        self.ffn_up = Linear(HIDDEN_SIZE, FEED_FORWARD_SIZE)
        self.ffn_down = Linear(FEED_FORWARD_SIZE, HIDDEN_SIZE, std=shrink * FEED_FORWARD_SIZE**-0.5)

    def _attention(self, x):
        batch, tokens, _ = x.shape

        def heads(y, count):
            return y.view(batch, tokens, count, HEAD_SIZE).transpose(1, 2)

        q = rope(heads(self.attn_q(x), HEAD_COUNT))
        k = rope(heads(self.attn_k(x), KV_HEAD_COUNT))
        v = heads(self.attn_v(x), KV_HEAD_COUNT)
        k = k.repeat_interleave(HEAD_COUNT // KV_HEAD_COUNT, 1)
        v = v.repeat_interleave(HEAD_COUNT // KV_HEAD_COUNT, 1)
        scores = (q @ k.transpose(2, 3)) * HEAD_SIZE**-0.5 + CAUSAL_MASK[:tokens, :tokens]
        y = torch.softmax(scores, -1) @ v
        return self.attn_output(y.transpose(1, 2).reshape(batch, tokens, HEAD_COUNT * HEAD_SIZE))

    def forward(self, x):
        x = x + self._attention(self.attn_norm(x))
        y = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(y)) * self.ffn_up(y))


class NanoModel(nn.Module):
    """Ids [batch, tokens] -> logits [batch, tokens, vocabulary]."""

    def __init__(self, vocabulary_size, layer_count):
        super().__init__()
        self.token_embd = nn.Parameter(torch.randn(vocabulary_size, HIDDEN_SIZE) * 0.02)
        self.blk = nn.ModuleList(Block(layer_count) for _ in range(layer_count))
        self.output_norm = RmsNorm()

    def forward(self, ids):
        x = functional.embedding(ids, self.token_embd)
        for block in self.blk:
            x = block(x)
        return self.output_norm(x) @ self.token_embd.bfloat16().t()
