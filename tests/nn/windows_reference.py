"""Convolution, pooling and upsampling from their definitions, for HIPS autograd: sums over elements of the kernel."""

import autograd.numpy as anp
import numpy as np


def _taps(size, windows, stride, dilation, padding, offset):
    """(size, windows): 1 where element ``offset`` of a window is."""
    places = np.arange(windows) * stride + offset * dilation - padding
    return (np.arange(size)[:, None] == places) * 1.0


def _pair(value, axes):
    sizes = value if isinstance(value, tuple) else (value,) * axes
    return (1,) * (2 - axes) + sizes


def _elements(x, windows, kernel, stride, dilation, padding):
    """For every place in a window: it, and the elements of an image there, 0 on padding; and where they are padding."""
    for i, j in np.ndindex(*kernel):
        down, across = (
            _taps(n, q, s, d, p, o)
            for n, q, s, d, p, o in zip(x.shape[2:], windows, stride, dilation, padding, (i, j), strict=True)
        )
        is_there = down.sum(0)[:, None] * across.sum(0)
        yield (i, j), anp.einsum("hr,wq,nchw->ncrq", down, across, x), is_there


def convolution(layer, params, x):
    axes = x.ndim - 2
    images = x.reshape(*x.shape[:2], *_pair(x.shape[2:], axes))
    weight = params["weight"].reshape(*params["weight"].shape[:2], *_pair(params["weight"].shape[2:], axes))
    stride, dilation = _pair(layer.stride, axes), _pair(layer.dilation, axes)
    spans = [(k - 1) * d + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    if layer.padding == "same":
        windows = [-(-n // s) for n, s in zip(images.shape[2:], stride, strict=True)]
        over = [(q - 1) * s + e - n for q, s, e, n in zip(windows, stride, spans, images.shape[2:], strict=True)]
        padding = [max(0, each) // 2 for each in over]
    else:
        padding = (0, 0) if layer.padding == "valid" else (0,) * (2 - axes) + _pair(layer.padding, axes)[2 - axes :]
        rows = zip(images.shape[2:], padding, spans, stride, strict=True)
        windows = [(n + 2 * p - e) // s + 1 for n, p, e, s in rows]
    out = 0.0
    for (i, j), read, _ in _elements(images, windows, weight.shape[2:], stride, dilation, padding):
        grouped = read.reshape(x.shape[0], layer.groups, -1, *windows)
        matrix = weight[:, :, i, j].reshape(layer.groups, -1, weight.shape[1])
        out = out + anp.einsum("gfc,ngcrq->ngfrq", matrix, grouped).reshape(x.shape[0], -1, *windows)
    out = out.reshape(x.shape[0], -1, *windows[2 - axes :])
    out = out + params["bias"].reshape(-1, *(1,) * axes) if layer.bias else out
    return anp.tanh(out) if layer.activation is not None else out


def convolution_transpose(layer, params, x):
    weight, groups = params["weight"], layer.groups
    keys = ("stride", "dilation", "padding", "output_padding")
    stride, dilation, padding, more = (_pair(getattr(layer, key), 2) for key in keys)
    kernel, rows = weight.shape[2:], x.shape[2:]
    size = [
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, s, p, d, k, o in zip(rows, stride, padding, dilation, kernel, more, strict=True)
    ]
    out = 0.0
    for i, j in np.ndindex(*kernel):
        down, across = (
            _taps(n, q, s, d, p, o)
            for n, q, s, d, p, o in zip(size, rows, stride, dilation, padding, (i, j), strict=True)
        )
        matrix = weight[:, :, i, j].reshape(groups, -1, weight.shape[1])
        mixed = anp.einsum("gfc,ngfrq->ngcrq", matrix, x.reshape(x.shape[0], groups, -1, *rows)).reshape(
            x.shape[0], -1, *rows
        )
        out = out + anp.einsum("hr,wq,ncrq->nchw", down, across, mixed)
    return out + params["bias"].reshape(-1, 1, 1) if layer.bias else out


def pooled(layer, x, is_max):
    axes = x.ndim - 2
    images = x.reshape(*x.shape[:2], *_pair(x.shape[2:], axes))
    kernel, stride = (_pair(v, axes) for v in (layer.kernel, layer.kernel if layer.stride is None else layer.stride))
    padding = (0,) * (2 - axes) + _pair(layer.padding, axes)[2 - axes :]
    windows = [(n + 2 * p - k) // s + 1 for n, p, k, s in zip(images.shape[2:], padding, kernel, stride, strict=True)]
    reads = [(read, is_there) for _, read, is_there in _elements(images, windows, kernel, stride, (1, 1), padding)]
    if is_max:
        out = anp.max(anp.stack([read + np.where(is_there, 0.0, -np.inf) for read, is_there in reads]), axis=0)
    else:
        out = sum(read for read, _ in reads) / len(reads)
    return out.reshape(*x.shape[:2], *windows[2 - axes :])


def upsample(layer, params, x):
    for axis in range(2, x.ndim):
        size, factor = x.shape[axis], _pair(layer.factor, 2)[axis - 2]
        if layer.method == "nearest":
            x = anp.repeat(x, factor, axis)
        else:
            places = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
            low = np.minimum(np.floor(places).astype(int), max(size - 2, 0))
            share = (places - low).reshape(-1, *(1,) * (x.ndim - 1 - axis))
            at = (slice(None),) * axis
            x = x[(*at, low)] * (1 - share) + x[(*at, np.minimum(low + 1, size - 1))] * share
    return x
