"""bp's layers as those of PyTorch: what somebody who knows it would write for the same network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.cases import Batches

Shape = torch.Size
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
}


def network(data: Batches) -> nn.Module:
    """The network of a case, at its starting values."""
    made, _ = _chain(data.layers, torch.from_numpy(data.inputs[:2]))
    params = list(made.named_parameters())
    with torch.no_grad():
        starts = data.start([(name, tuple(param.shape)) for name, param in params])
        for (_, param), start in zip(params, starts, strict=True):
            param.copy_(torch.from_numpy(start))
    return made


def _chain(layers: Sequence[dict[str, Any]], x: torch.Tensor) -> tuple[nn.Sequential, torch.Tensor]:
    """Layers that read each the one before it, and their output for ``x``, whose shape tells sizes."""
    modules: list[nn.Module] = []
    for layer in layers:
        for module in _modules(layer, x):
            modules.append(module)
            x = _output(module, x)
    return nn.Sequential(*modules), x


@torch.no_grad()
def _output(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    module.eval()  # leaves running means alone
    x = module(x)
    module.train()
    return x


def _modules(layer: dict[str, Any], x: torch.Tensor) -> list[nn.Module]:
    settings = dict(layer)
    activation = settings.pop("activation", None)
    found = LAYERS[settings.pop("type")](x, **settings)
    return [*(found if isinstance(found, list) else [found]), *([ACTIVATIONS[activation]()] if activation else [])]


class _Residual(nn.Module):
    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


def _block(x: torch.Tensor, layers: list[dict[str, Any]], repeat: int = 1, residual: bool = False) -> list[nn.Module]:
    blocks: list[nn.Module] = []
    for _ in range(repeat):
        inner, out = _chain(layers, x)
        blocks.append(_Residual(inner) if residual else inner)
        x = x if residual else out
    return blocks


class _Recurrent(nn.Module):
    def __init__(self, kind: Callable[..., nn.Module], x: torch.Tensor, units: int, output: str = "last", **more: Any):
        super().__init__()
        named = {"num_layers" if name == "layers" else name: value for name, value in more.items()}
        self.cells, self.is_last = kind(x.shape[-1], units, batch_first=True, **named), output == "last"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out, states = self.cells(x)
        last = states[0] if isinstance(states, tuple) else states
        return last[-1] if self.is_last else out


class _Attention(nn.Module):
    def __init__(self, x: torch.Tensor, heads: int, causal: bool = False):
        super().__init__()
        width = x.shape[-1]
        self.heads, self.causal = heads, causal
        self.project, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, time, width = x.shape
        parts = self.project(x).view(batch, time, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts, is_causal=self.causal)
        return self.out(mixed.transpose(1, 2).reshape(batch, time, width))


class _Positions(nn.Module):
    def __init__(self, x: torch.Tensor):
        super().__init__()
        self.positions = nn.Embedding(*x.shape[1:])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.positions.weight


class _Largest(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).max(-1).values


class _Mean(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(2).mean(-1)


def _convolution(x: torch.Tensor, channels: int, kernel: Any, padding: Any = 0, **more: Any) -> nn.Module:
    kind = nn.Conv1d if x.ndim == 3 else nn.Conv2d
    return kind(x.shape[1], channels, tuple(kernel) if isinstance(kernel, list) else kernel, padding=padding, **more)


def _pool(one: Callable[..., nn.Module], two: Callable[..., nn.Module], x: torch.Tensor, kernel: int) -> nn.Module:
    return (one if x.ndim == 3 else two)(kernel)


LAYERS: dict[str, Callable[..., nn.Module | list[nn.Module]]] = {
    "dense": lambda x, units: nn.Linear(x.shape[-1], units),
    "activation": lambda x, function: ACTIVATIONS[function](),
    "dropout": lambda x, rate: nn.Dropout(rate),
    "flatten": lambda x: nn.Flatten(),
    "reshape": lambda x, shape: [nn.Flatten(), nn.Unflatten(1, shape)],
    "block": _block,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "max_pool": partial(_pool, nn.MaxPool1d, nn.MaxPool2d),
    "average_pool": partial(_pool, nn.AvgPool1d, nn.AvgPool2d),
    "global_max_pool": lambda x: _Largest(),
    "global_average_pool": lambda x: _Mean(),
    "gru": partial(_Recurrent, nn.GRU),
    "lstm": partial(_Recurrent, nn.LSTM),
    "embedding": lambda x, tokens, width: nn.Embedding(tokens, width),
    "positional_embedding": _Positions,
    "attention": _Attention,
    "batch_norm": lambda x: (nn.BatchNorm1d if x.ndim < 4 else nn.BatchNorm2d)(x.shape[1]),
    "layer_norm": lambda x: nn.LayerNorm(x.shape[-1]),
}
