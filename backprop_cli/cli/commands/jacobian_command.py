"""``bp jacobian``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

import backprop_cli
from backprop_cli.cli.command import CheckpointPath, InputFormat, Json, Plugins, command, resolve_checkpoint, splits
from backprop_cli.cli.terminal import emit, emit_json, say
from backprop_cli.errors import UsageError

if TYPE_CHECKING:
    from backprop_cli.inspection.jacobian_result import JacobianResult

Mode = Literal["auto", "forward", "reverse", "best"]
Units = Literal["data", "network"]


@command(
    "bp jacobian runs/digits/latest --row 17 --split train",
    "bp jacobian runs/iris/latest datasets/iris.csv --row 52 --of dense_2 --by dense_1.weight -o jacobian.npz",
    "bp jacobian runs/digits/latest --eigen 5",
    codes=(3, 5, 6),
    group="Look inside",
)
def jacobian(
    checkpoint: CheckpointPath,
    source: Annotated[
        Path | None,
        Argument(metavar="INPUT", help="A data file; default: a split of the run's own data.", show_default=False),
    ] = None,
    of: Annotated[
        str | None,
        Option("--of", metavar="NAME", help="predictions (default), outputs, loss, objective, or a layer."),
    ] = None,
    by: Annotated[
        str | None,
        Option("--by", metavar="NAME", help="inputs (default), parameters, one such as dense_1.weight, or a layer."),
    ] = None,
    row: Annotated[
        list[str] | None,
        Option(
            "--row",
            metavar="K|K-L|all",
            help="Lines of a text file, rows of an array; default: all for a loss, else the first. May be repeated.",
        ),
    ] = None,
    split: Annotated[
        str, Option("--split", metavar="SPLIT", autocompletion=splits, help="train, validation or test; without INPUT.")
    ] = "test",
    order: Annotated[
        Mode, Option("--order", metavar="ORDER", help="auto (the cheapest), forward, reverse or best.")
    ] = "auto",
    units: Annotated[
        Units,
        Option(
            "--units",
            metavar="UNITS",
            help="data: inputs as in the data, predictions as bp predict prints them; network: after the transform.",
        ),
    ] = "data",
    hessian: Annotated[bool, Option("--hessian", help="The whole Hessian of the objective by the parameters.")] = False,
    hvp: Annotated[str | None, Option("--hvp", metavar="VECTOR.npy|random", help="The Hessian times a vector.")] = None,
    eigen: Annotated[
        int | None, Option("--eigen", metavar="K", help="The K largest eigenvalues of the Hessian.")
    ] = None,
    per_example: Annotated[bool, Option("--per-example", help="The gradient of each row separately.")] = False,
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="FILE.npz", help="Write the arrays to this file.")
    ] = None,
    picture: Annotated[
        Path | None, Option("--heatmap", metavar="FILE.png", help="Draw the matrix; needs the extra [plot].")
    ] = None,
    input_format: InputFormat = None,
    plugins: Plugins = None,
    as_json: Json = False,
) -> None:
    """Compute derivatives of a trained network."""
    if source is not None and split != "test":
        raise UsageError(f"--split {split}: INPUT names the rows itself; leave one of the two out")
    if picture is not None:
        from backprop_cli.report.picture import check_picture

        if hvp is not None or eigen is not None or per_example:
            raise UsageError("--heatmap: draws a Jacobian or a Hessian; leave it out with other results")
        check_picture(picture, "--heatmap")
    from backprop_cli.report.jacobian_text import jacobian_text

    result = backprop_cli.jacobian(
        resolve_checkpoint(checkpoint),
        source,
        of=of,
        by=by,
        rows=list(row or []),
        split=split,
        order=order,
        units=units,
        hessian=hessian,
        hvp=hvp,
        eigen=eigen,
        per_example=per_example,
        output=output,
        input_format=input_format,
        plugins=list(plugins or []),
    )
    for warning in result.warnings:
        say(f"warning: {warning}")
    if picture is not None:
        _draw(result, picture)
    if as_json:
        emit_json(result.to_json())
    else:
        emit(jacobian_text(result))


def _draw(result: JacobianResult, path: Path) -> None:
    from backprop_cli.inspection.jacobian_result import MatrixResult
    from backprop_cli.report.heatmap import MOST_TICKS, heatmap
    from backprop_cli.report.jacobian_text import headline
    from backprop_cli.report.picture import encoded
    from backprop_cli.run.output import opened

    assert isinstance(result, MatrixResult)
    rows, columns = result.axes
    image = () if columns.rows is not None else columns.shape
    labels = tuple(axis.labels() if axis.size <= MOST_TICKS else () for axis in result.axes)
    figure = heatmap(result.matrix, headline(result), (rows.name, columns.name), labels, image)
    with opened(path) as stream:
        stream.write(encoded(figure, path.suffix))
    say(f"heatmap {path}")
