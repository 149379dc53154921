"""What conv1d and conv2d share."""

from __future__ import annotations

from typing import Any

from backprop_cli import autodiff
from backprop_cli.autodiff import Spec, Value
from backprop_cli.nn.layer import Param, Params
from backprop_cli.nn.layers.convolving import Convolving
from backprop_cli.nn.windows import Pairs, check_windows, per_axis, same_padding


class Convolution(Convolving):
    """Filters over windows of the input; subclasses say how their sizes are written."""

    def params(self, *x: Spec) -> dict[str, Param]:
        """``weight`` and, unless switched off, ``bias``."""
        self._windows(x[0])
        return self.parameters(x[0], (self.channels, x[0].shape[1] // self.groups))

    def linear(self, params: Params, *x: Value) -> Value:
        """A convolution."""
        return autodiff.convolution(
            x[0], params["weight"], params.get("bias"), groups=self.groups, **self._windows(x[0].spec)
        )

    def _windows(self, x: Spec) -> dict[str, Any]:
        kernel, stride, dilation = (self.sizes(key, x) for key in ("kernel", "stride", "dilation"))
        spans = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True))
        padding = self._padding(x, spans, stride)
        check_windows(self.type, x, kernel, spans, padding)
        return {"stride": stride, "dilation": dilation, "padding": padding}

    def _padding(self, x: Spec, spans: tuple[int, ...], stride: tuple[int, ...]) -> Pairs:
        value: Any = getattr(self, "padding")  # noqa: B009 - subclasses declare it
        if value == "same":
            return tuple(map(same_padding, x.shape[2:], spans, stride))
        sizes = per_axis(self.type, "padding", 0 if value == "valid" else value, x)
        return tuple((size, size) for size in sizes)
