"""The function that predicts a row, and those that name its classes."""

from __future__ import annotations

from backprop_cli.exporting.c.c_names import comment
from backprop_cli.exporting.c.network_source import Function, NetworkSource
from backprop_cli.exporting.c.row_arguments import encoded, row_parameters, wrong
from backprop_cli.exporting.derivative_programs import (
    JACOBIAN,
    jacobian_program,
    multiplication_count,
    prediction_program,
)
from backprop_cli.nn.class_name import spelled
from backprop_cli.training.step_program import PREDICTIONS


def predict(source: NetworkSource) -> tuple[Function, set[str]]:
    """``predict``, and the names of the arrays that it uses."""
    plan = source.planned(prediction_program(source.saved, source.recipe))
    lines, used = source.body(plan, {PREDICTIONS: "outputs"}, {})
    doc = [f"Predictions for one {_example(source)}. {outputs_in_words(source)}", wrong(source)]
    parameters = [*source.state_parameter, *row_parameters(source), f"{source.real} outputs[{source.macro}_OUTPUTS]"]
    body = [*encoded(source, plan), *lines, "    return 0;"]
    count = multiplication_count(plan.program)
    return Function(f"{source.stem}_predict", "int", parameters, doc, body, count), used


def jacobian(source: NetworkSource) -> tuple[Function, set[str]]:
    """``jacobian``, and the names of the arrays that it uses."""
    plan = source.planned(jacobian_program(source.saved, source.recipe))
    lines, used = source.body(plan, {JACOBIAN: "jacobian"}, {})
    macro = source.macro
    doc = [
        f"The derivatives of the outputs by the network's inputs, at one {_example(source)}.",
        f"jacobian[j * {macro}_INPUTS + i]: of output j by input i.",
        "Inputs and outputs have the data's units; a column of categories is one input for each category.",
        wrong(source),
    ]
    parameters = [
        *source.state_parameter,
        *row_parameters(source),
        f"{source.real} jacobian[{macro}_OUTPUTS * {macro}_INPUTS]",
    ]
    body = [*encoded(source, plan), *lines, "    return 0;"]
    count = multiplication_count(plan.program)
    return Function(f"{source.stem}_jacobian", "int", parameters, doc, body, count), used


def _example(source: NetworkSource) -> str:
    """What an example is."""
    if source.saved.transform.text is not None:
        return f"text of {source.recipe.model.input_shape[0]} tokens"
    return "row" if source.columns.rows == 1 else f"window of {source.columns.rows} rows"


def outputs_in_words(source: NetworkSource) -> str:
    """What the outputs are, in a sentence or two."""
    loss, macro = source.recipe.loss, source.macro
    names = loss.output_names(source.saved.transform.target_names)
    if loss.task.has_unit:
        return f"The outputs are in the target's own unit: {comment(', '.join(names[:20]))}."
    what = "probabilities" if loss.gives_probabilities else "scores"
    if loss.task.has_positions:
        return f"The outputs are {what} of the next token: {macro}_VOCABULARY numbers for each position."
    if loss.task.is_multiclass:
        return f"The outputs are {what} of the classes, in the order of {source.stem}_classes."
    return f"The outputs are {what} of the second value of each target: {comment(', '.join(names[:20]))}."


def class_of(source: NetworkSource) -> Function | None:
    """The function that chooses a class; None if there is not one class a row."""
    loss, macro = source.recipe.loss, source.macro
    if not _has_classes(source):
        return None
    if loss.task.is_multiclass:
        lines = [
            "    int best = 0;",
            f"    for (int i = 1; i < {macro}_OUTPUTS; ++i) {{",
            "        if (outputs[i] > outputs[best]) {",
            "            best = i;",
            "        }",
            "    }",
            "    return best;",
        ]
    else:
        lines = [f"    return outputs[0] >= 0.5{'f' if source.kind == 'float32' else ''};"]
    doc = [f"The place of the predicted class in {source.stem}_classes."]
    return Function(f"{source.stem}_class", "int", [f"const {source.real} outputs[{macro}_OUTPUTS]"], doc, lines)


def name_tables(source: NetworkSource) -> list[tuple[str, str, list[str]]]:
    """Tables of names that the header declares: C name, comment and texts."""
    classes = source.saved.transform.target.classes
    if source.saved.transform.text is not None and classes:
        return [(f"{source.stem}_vocabulary", "The tokens by their numbers.", [str(token) for token in classes[0]])]
    if not _has_classes(source):
        return []
    about = "The classes in the order of the outputs; of a single output, those for 0 and 1."
    return [(f"{source.stem}_classes", about, [spelled(name) for name in classes[0]])]


def _has_classes(source: NetworkSource) -> bool:
    task, known = source.recipe.loss.task, source.saved.transform.target.classes
    return task.has_classes and len(known) == 1 and not task.has_positions
