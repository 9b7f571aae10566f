"""The network: a small llama (RMSNorm, interleaved rotary positions, SwiGLU, output tied to the embedding).

The one invariant: the rotary pairs are (2i, 2i+1), which is how llama.cpp turns architecture `llama`, so that
export.py writes the query and key rows as they are.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Shape:
    vocabulary: int = 1536
    width: int = 192
    layers: int = 6
    heads: int = 6
    hidden: int = 512
    context: int = 512
    rope_base: float = 10000.0
    epsilon: float = 1e-5

    as_dict = asdict


class Norm(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.width))
        self.epsilon = shape.epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


def turn(x, cos, sin):
    """Rotates each pair (2i, 2i+1) of the last axis by its position's angle."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Layer(nn.Module):
    def __init__(self, shape, drop):
        super().__init__()
        self.heads = shape.heads
        self.attn_norm, self.ffn_norm = Norm(shape), Norm(shape)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = (
            nn.Linear(shape.width, shape.width, bias=False) for _ in range(4))
        self.ffn_gate, self.ffn_up = (nn.Linear(shape.width, shape.hidden, bias=False) for _ in range(2))
        self.ffn_down = nn.Linear(shape.hidden, shape.width, bias=False)
        self.drop = nn.Dropout(drop)

    def forward(self, x, cos, sin, mask):
        rows, length, width = x.shape
        h = self.attn_norm(x)
        q, k, v = (f(h).view(rows, length, self.heads, -1).transpose(1, 2)
                   for f in (self.attn_q, self.attn_k, self.attn_v))
        q, k = turn(q, cos, sin), turn(k, cos, sin)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + mask
        h = (scores.softmax(-1) @ v).transpose(1, 2).reshape(rows, length, width)
        x = x + self.drop(self.attn_output(h))
        h = self.ffn_norm(x)
        return x + self.drop(self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)))


class Network(nn.Module):
    def __init__(self, shape, drop=0.0):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape.vocabulary, shape.width)
        self.blk = nn.ModuleList(Layer(shape, drop) for _ in range(shape.layers))
        self.output_norm = Norm(shape)
        self.drop = nn.Dropout(drop)
        half = shape.width // shape.heads // 2
        angles = torch.outer(torch.arange(shape.context).float(), shape.rope_base ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * shape.layers) if deep else 0.02)

    def hidden(self, ids):
        length = ids.shape[1]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.drop(self.token_embd(ids))
        for layer in self.blk:
            x = layer(x, self.cos[:length], self.sin[:length], mask)
        return self.output_norm(x)

    def forward(self, ids):
        return self.hidden(ids) @ self.token_embd.weight.T

    def loss(self, ids, counted):
        """Cross-entropy over the counted tokens only; the output product is made only where it counts."""
        want = counted[:, 1:]
        h = self.hidden(ids[:, :-1])[want]
        return F.cross_entropy(h @ self.token_embd.weight.T, ids[:, 1:][want])
