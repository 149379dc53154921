"""C99: one file and its header."""

from __future__ import annotations

from typing import ClassVar

from backprop_cli.errors import UsageError
from backprop_cli.exporting.c.c_file import header, source_text
from backprop_cli.exporting.c.c_training import hessian_vector, initialize, train
from backprop_cli.exporting.c.network_source import Function, NetworkSource
from backprop_cli.exporting.c.prediction import class_of, jacobian, predict
from backprop_cli.exporting.c.row_arguments import encoder
from backprop_cli.exporting.c.self_test import self_test
from backprop_cli.exporting.c.weight_file import load, weight_bytes
from backprop_cli.exporting.exporter import EXPORTERS, Exported, Exporter, Request
from backprop_cli.session.trained_network import TrainedNetwork


@EXPORTERS.register
class C(Exporter):
    """C99 for microcontrollers and real-time systems: no allocation, no library but libm.

    Rows go in as the data has them; predictions come out in the target's unit, or as probabilities. ``--with jacobian``
    adds the derivatives of outputs by inputs, ``hessian-vector`` products with the Hessian of the loss, ``training``
    one step of the optimizer on a batch.
    """

    suffixes: ClassVar = (".c",)
    parts: ClassVar = ("jacobian", "hessian-vector", "training")

    def export(self, saved: TrainedNetwork, request: Request) -> Exported:
        header_path = request.output.with_suffix(".h")
        if set('"\\\n') & set(header_path.name):
            raise UsageError(f"{request.output}: #include takes no quote, backslash or line break; choose another name")
        if request.weights in (request.output, header_path):
            raise UsageError(
                f"--weights {request.weights}: is also the name of another file of the export; choose another"
            )
        source = NetworkSource(saved, request)
        functions, used = _functions(source)
        text = "\n".join([source_text(source, encoder(source), functions, used), *self_test(source)])
        files = {request.output: text.encode(), header_path: header(source, functions).encode()}
        if request.weights is not None:
            files[request.weights] = weight_bytes(source)
        counted = {each.name.removeprefix(f"{source.stem}_"): each.multiplications for each in functions}
        counts = {name: count for name, count in counted.items() if count is not None}
        return Exported(files, source.sizes(used), counts)


def _functions(source: NetworkSource) -> tuple[list[Function], set[str]]:
    """The functions that the header declares, in its order, and the names of the arrays that they use."""
    parts = source.request.parts
    writers = {
        initialize: "training" in parts,
        predict: True,
        jacobian: "jacobian" in parts,
        hessian_vector: "hessian-vector" in parts,
        train: "training" in parts,
    }
    written = [write(source) for write, is_wanted in writers.items() if is_wanted]
    choice = class_of(source)
    return [
        *([] if source.request.weights is None else [load(source)]),
        *(function for function, _ in written),
        *([] if choice is None else [choice]),
    ], set().union(*(names for _, names in written))
