"""The networks of ``networks.py`` as somebody who knows PyTorch writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from benchmarks.cases import Batches, Case


def network(data: Batches) -> nn.Module:
    """The network of a case, at its starting values."""
    case = data.case
    made = _dense(case.sizes) if isinstance(case, Case) else NETWORKS[case.network]()
    params = list(made.named_parameters())
    with torch.no_grad():
        starts = data.start([(name, tuple(param.shape)) for name, param in params])
        for (_, param), start in zip(params, starts, strict=True):
            param.copy_(torch.from_numpy(start))
    return made


def _dense(sizes: Sequence[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for fan_in, units in pairwise(sizes):
        layers += [nn.Linear(fan_in, units), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _convolutions() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(512, 10)),
    )


def _lenet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    )


class _Gru(nn.Module):
    def __init__(self, width: int = 128):
        super().__init__()
        self.gru, self.dense = nn.GRU(width, width, batch_first=True), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        _, last = self.gru(x)
        return self.dense(last[0])


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.project, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, width = x.shape
        parts = self.project(x).view(batch, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class _Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norm_1, self.attention = nn.LayerNorm(width), _Attention(width, 4)
        self.norm_2 = nn.LayerNorm(width)
        self.dense = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attention(self.norm_1(x))
        return x + self.dense(self.norm_2(x))


class _Transformer(nn.Module):
    def __init__(self, width: int = 128, blocks: int = 4, context: int = 64, tokens: int = 65):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(tokens, width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*(_Block(width) for _ in range(blocks)))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, tokens)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.norm(self.blocks(self.tokens(x) + self.positions.weight)))


def _normalized(norm: Callable[[int], nn.Module], width: int = 256) -> nn.Module:
    layers = [layer for _ in range(3) for layer in (nn.Linear(width, width), norm(width), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, 10))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": _convolutions,
    "lenet": _lenet,
    "gru": _Gru,
    "transformer": _Transformer,
    "batch_norm": partial(_normalized, nn.BatchNorm1d),
    "layer_norm": partial(_normalized, nn.LayerNorm),
}
