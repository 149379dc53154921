"""Networks drawn at random within bounds: what a table of chosen networks cannot show."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.networks import (
    BATCH_NORM,
    CLASSES,
    FLATTEN,
    LARGEST,
    LAYER_NORM,
    POOL,
    Layer,
    Network,
    activation,
    conv1d,
    dense,
    dropout,
    embedding,
    filters,
    residual,
    transformer,
)

Rng = np.random.Generator


def _one_of(rng: Rng, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _between(rng: Rng, least: int, most: int) -> int:
    """As often from a number to its double as from there to its double."""
    return round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))


def _classifier(layers: Sequence[Layer], *shape: int, tokens: int = 0) -> Network:
    return Network((*layers, dense(CLASSES)), shape, tokens=tokens)


def _dense(rng: Rng) -> tuple[Network, int]:
    function, rate = _one_of(rng, ("relu", "tanh", "gelu", "silu")), _one_of(rng, (0, 0.1))
    layers: list[Layer] = []
    for _ in range(rng.integers(1, 6)):
        layers += [dense(_between(rng, 8, 1024), function), *([dropout(rate)] if rate else [])]
    return _classifier(layers, _between(rng, 4, 1024)), _one_of(rng, (16, 32, 64, 128, 256))


def _images(rng: Rng) -> tuple[Network, int]:
    count, is_normalized, channels = int(rng.integers(2, 5)), bool(rng.integers(2)), _between(rng, 8, 32)
    layers: list[Layer] = []
    for number in range(1, count + 1):
        layers += filters(channels, normalized=is_normalized)
        if number % 2 == 0 or count == 3:
            layers.append(POOL)
            channels *= 2
    return _classifier([*layers, FLATTEN], 3, 32, 32), _one_of(rng, (16, 32, 64))


def _text(rng: Rng) -> tuple[Network, int]:
    tokens = _between(rng, 100, 10_000)
    layers = [embedding(tokens, _between(rng, 16, 64))]
    layers += [conv1d(_between(rng, 16, 128), _one_of(rng, (3, 5, 7))) for _ in range(rng.integers(1, 3))]
    return _classifier([*layers, LARGEST], _between(rng, 16, 128), tokens=tokens), _one_of(rng, (16, 32, 64))


def _recurrent(rng: Rng) -> tuple[Network, int]:
    cells = {"type": _one_of(rng, ("lstm", "gru")), "units": _between(rng, 16, 128), "layers": int(rng.integers(1, 3))}
    return _classifier([cells], _between(rng, 8, 100), _between(rng, 4, 64)), _one_of(rng, (16, 32, 64))


def _residual(rng: Rng) -> tuple[Network, int]:
    width, function = _between(rng, 8, 64), _one_of(rng, ("relu", "tanh", "gelu", "silu"))
    inner = [*([LAYER_NORM] if rng.integers(2) else []), dense(width, function), dense(width)]
    blocks = residual(*inner, repeat=int(rng.integers(2, 17)))
    return _classifier([dense(width), blocks], _between(rng, 4, 256)), _one_of(rng, (16, 32, 64, 128))


def _normalized(rng: Rng) -> tuple[Network, int]:
    norm = _one_of(rng, (LAYER_NORM, BATCH_NORM))
    layers: list[Layer] = []
    for _ in range(rng.integers(1, 5)):
        layers += [dense(_between(rng, 32, 512)), norm, activation(_one_of(rng, ("gelu", "silu")))]
    return _classifier(layers, _between(rng, 16, 512)), _one_of(rng, (32, 64, 128, 256))


def _transformer(rng: Rng) -> tuple[Network, int]:
    heads = _one_of(rng, (2, 4))
    width, blocks = heads * _between(rng, 8, 32), int(rng.integers(1, 5))
    context, tokens = _between(rng, 16, 64), _between(rng, 32, 256)
    return transformer(width, blocks, heads, context, tokens), _one_of(rng, (4, 8, 16))


FAMILIES: dict[str, Callable[[Rng], tuple[Network, int]]] = {
    "dense": _dense,
    "images": _images,
    "text": _text,
    "recurrent": _recurrent,
    "residual": _residual,
    "normalized": _normalized,
    "transformer": _transformer,
}


def draw(family: str, number: int, seed: int = 0) -> tuple[Network, int]:
    """Network and batch size of draw ``number`` (from 1). It depends on nothing but the three arguments."""
    return FAMILIES[family](np.random.default_rng([seed, zlib.crc32(family.encode()), number]))
