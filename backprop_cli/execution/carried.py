"""What an iteration of a loop hands to the next: sums, maxima, nothing, or something that it has to wait for."""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple


class Reductions(NamedTuple):
    """The variables of a loop that are sums, and those that are maxima."""

    sums: list[str]
    maxima: list[str]


def reductions(index: str, body: Sequence[ast.stmt], known: Collection[str]) -> Reductions | None:
    """What is handed on, of the variables ``known`` before; None if an iteration waits for the one before."""
    carried = {name: value for name, value in _assigned(body) if name in known}
    sums = [name for name, value in carried.items() if _is_sum(name, value)]
    maxima = [name for name, value in carried.items() if _is_maximum(name, value)]
    read = [name for each in body for name in names_in(each) if name in carried]
    is_all = len(sums) + len(maxima) == len(carried) == len(read)  # no other statement reads what has been added so far
    return Reductions(sums, maxima) if is_all and _is_independent(index, body) else None


def renamed(statement: ast.stmt, names: Mapping[str, str]) -> ast.stmt:
    """The statement with other names for some variables."""
    if not names:
        return statement
    statement = copy.deepcopy(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return statement


def names_in(node: ast.AST) -> set[str]:
    """The names of all variables in it."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _assigned(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """The variables that the statements set, and their values."""
    for each in body:
        match each:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value


def _is_sum(name: str, value: ast.expr) -> bool:
    """Whether the value is ``kind(name + x)``, or without the type."""
    match value:
        case ast.Call(func=ast.Name(id="float32" | "float64" | "int64"), args=[inner]):
            return _is_sum(name, inner)
        case ast.BinOp(left=ast.Name(id=before), op=ast.Add(), right=x):
            return before == name and name not in names_in(x)
    return False


def _is_maximum(name: str, value: ast.expr) -> bool:
    """Whether the value is ``kind(x if x > name else name)``, for some of the elements or for all."""
    match value:
        case ast.Call(func=ast.Name(id="float32" | "float64" | "int64"), args=[inner]):
            return _is_maximum(name, inner)
        case ast.IfExp(
            test=ast.Compare(left=x, ops=[ast.Gt()], comparators=[ast.Name(id=other)]),
            body=then,
            orelse=ast.Name(id=otherwise),
        ) if other == otherwise == name:
            return ast.dump(x) == ast.dump(then)
        case ast.IfExp(body=then, orelse=ast.Name(id=otherwise)) if otherwise == name:
            return _is_maximum(name, then)
    return False


def _is_independent(index: str, body: Sequence[ast.stmt]) -> bool:
    """Whether no iteration of an innermost loop waits for another.

    Ops in a nest touch each memory at one place; so each iteration has its own, unless integers choose it.
    """
    chosen = {name for name, _ in _assigned(body)}
    for each in body:
        if isinstance(each, ast.For):
            return False
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Subscript):
            names = {node.id for node in ast.walk(each.targets[0].slice) if isinstance(node, ast.Name)}
            if index not in names or names & chosen:
                return False
    return True
