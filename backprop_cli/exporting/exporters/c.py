"""C99: one file and its header."""

from __future__ import annotations

from typing import ClassVar

from backprop_cli.exporting.c.c_file import header, source_text
from backprop_cli.exporting.c.c_training import hessian_vector, initialize, train
from backprop_cli.exporting.c.network_source import NetworkSource
from backprop_cli.exporting.c.prediction import class_of, jacobian, predict
from backprop_cli.exporting.c.row_arguments import encoder
from backprop_cli.exporting.c.self_test import self_test
from backprop_cli.exporting.c.weight_file import load, weight_bytes
from backprop_cli.exporting.exporter import EXPORTERS, Exported, Exporter, Request
from backprop_cli.session.trained_network import TrainedNetwork


@EXPORTERS.register
class C(Exporter):
    """C99 for microcontrollers and real-time systems: no allocation, no library but libm.

    Rows go in as the data has them; predictions come out in the target's unit, or as probabilities. With ``jacobian``
    also the derivatives of outputs by inputs, in the cheapest order found.
    """

    suffixes: ClassVar = (".c",)
    parts: ClassVar = ("jacobian", "hessian-vector", "training")

    def export(self, saved: TrainedNetwork, request: Request) -> Exported:
        source = NetworkSource(saved, request)
        written = [predict(source)]
        if "training" in request.parts:
            written = [initialize(source), *written, train(source)]
        if "jacobian" in request.parts:
            written.append(jacobian(source))
        if "hessian-vector" in request.parts:
            written.append(hessian_vector(source))
        functions = [function for function, _ in written]
        if request.weights is not None:
            functions.insert(0, load(source))
        used = set().union(*(names for _, names in written))
        choice = class_of(source)
        functions += [] if choice is None else [choice]
        text = source_text(source, encoder(source), functions, used) + "\n".join(["", *self_test(source)])
        files = {
            request.output: text.encode("ascii"),
            request.output.with_suffix(".h"): header(source, functions).encode("ascii"),
        }
        if request.weights is not None:
            files[request.weights] = weight_bytes(source)
        counts = {
            function.name.removeprefix(f"{source.stem}_"): function.multiplications
            for function in functions
            if function.multiplications is not None
        }
        return Exported(files, source.sizes(used), counts)
