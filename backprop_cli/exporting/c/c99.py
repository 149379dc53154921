"""Loops as text, in the small part of Python that ``codegen`` writes -> C99 as people write it."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

INDEXES = "ijklmnpqrst"
"""Names of loops' indexes, from the outermost loop on."""

WIDTH = 116
"""Most letters in a line."""

_BINARY: dict[type[ast.AST], tuple[str, int]] = {
    ast.Mult: ("*", 13), ast.Div: ("/", 13), ast.Add: ("+", 12), ast.Sub: ("-", 12),
    ast.Lt: ("<", 10), ast.LtE: ("<=", 10), ast.Gt: (">", 10), ast.GtE: (">=", 10),
    ast.Eq: ("==", 9), ast.NotEq: ("!=", 9), ast.And: ("&&", 5), ast.Or: ("||", 4),
}  # fmt: skip
"""Operators with their precedence in C."""
_ATOM, _UNARY, _CONDITIONAL = 15, 14, 3
_FUNCTIONS = ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "sqrt", "erf", "pow")
_KINDS = ("int64", "float32", "float64")


class Place(NamedTuple):
    """A pointer of the text: element ``start + offset`` of the C array ``name``, of a type such as ``float32``."""

    name: str
    offset: int
    kind: str
    start: str = ""

    @property
    def address(self) -> str:
        """The address of its first element."""
        terms = [self.name, self.start, str(self.offset or "")]
        return " + ".join(term for term in terms if term)


class _Text(NamedTuple):
    """An expression in C: its type, and the precedence of its outermost operator."""

    text: str
    kind: str
    precedence: int = _ATOM

    def inside(self, precedence: int) -> str:
        """The text as an operand of an operator, in parentheses if it needs them."""
        return self.text if self.precedence >= precedence else f"({self.text})"


def literal(number: float, kind: str) -> str:
    """A number that reads back as the same number of this type."""
    if kind == "int64":
        return str(int(number))
    if math.isnan(number):
        return "NAN" if kind == "float32" else "(double)NAN"
    if math.isinf(number):
        text = "INFINITY" if kind == "float32" else "(double)INFINITY"
        return f"-{text}" if number < 0 else text
    text = f"{np.float32(number):.9g}" if kind == "float32" else repr(float(number))
    shorter = str(np.float32(number)) if kind == "float32" else text
    text = shorter if len(shorter) < len(text) else text
    text = text if any(mark in text for mark in ".en") else f"{text}.0"
    return f"{text}f" if kind == "float32" else text


class C99:
    """The printer of one C function. ``real``: the precision of its numbers; ``places``: the pointers of the text.

    Totals are ``float64`` in the text. In C they have the type ``total``.
    """

    def __init__(self, real: str, total: str, places: Mapping[str, Place]):
        self._places, self._real = places, real
        self._types = {"float32": "float", "float64": "double" if real == "float64" else total, "int64": "int"}

    def statements(self, lines: Sequence[str], indent: str) -> list[str]:
        """The lines of one piece, which has its own variables."""
        tree = ast.parse("\n".join(lines))
        _Inlined(tree)
        self._kinds: dict[str, str] = {}
        self._indexes: dict[str, str] = {}
        self._stores: dict[str, int] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                self._stores[node.targets[0].id] = self._stores.get(node.targets[0].id, 0) + 1
        lines = [part for line in self._block(tree.body, indent) for part in wrapped(line)]
        if not any(re.match(rf"{indent}(const )?\w+ \w+ = ", line) for line in lines):
            return lines
        return [f"{indent}{{", *(f"    {line}" for line in lines), f"{indent}}}"]

    def _block(self, body: Sequence[ast.stmt], indent: str) -> Iterator[str]:
        for statement in body:
            match statement:
                case ast.Assign(targets=[target], value=value):
                    yield f"{indent}{self._assignment(target, value)}"
                case ast.For(target=ast.Name(id=index), iter=ast.Call(args=bounds), body=inner):
                    name = INDEXES[len(self._indexes)]
                    first, last = (
                        ("0", bounds[0]) if len(bounds) == 1 else (self._expression(bounds[0]).text, bounds[1])
                    )
                    stop = self._expression(last).inside(11)
                    self._indexes[index], self._kinds[index] = name, "int64"
                    yield f"{indent}for (int {name} = {first}; {name} < {stop}; ++{name}) {{"
                    yield from self._block(inner, f"{indent}    ")
                    yield f"{indent}}}"
                    del self._indexes[index]
                case ast.If(test=test, body=inner):
                    yield f"{indent}if ({self._expression(test).text}) {{"
                    yield from self._block(inner, f"{indent}    ")
                    yield f"{indent}}}"
                case _:
                    raise SyntaxError(f"{ast.unparse(statement)!r} has no meaning in C")

    def _assignment(self, target: ast.expr, value: ast.expr) -> str:
        found = self._expression(value)
        if isinstance(target, ast.Name) and target.id not in self._kinds:
            self._kinds[target.id] = found.kind
            const = "const " if self._stores[target.id] == 1 else ""
            kind = self._types[found.kind]
            cast = f"({kind})" if found.kind == "int64" and isinstance(value, ast.Subscript) else ""  # of an int64_t
            return f"{const}{kind} {target.id} = {cast}{found.text};"
        name = self._expression(target).text
        while isinstance(value, ast.Call) and self._expression(value.args[0]).text == found.text:
            value = value.args[0]  # a conversion that C needs not
        if isinstance(value, ast.BinOp) and self._expression(value.left).text == name:
            return f"{name} {_BINARY[type(value.op)][0]}= {self._expression(value.right).text};"
        return f"{name} = {found.text};"

    def _expression(self, node: ast.expr) -> _Text:
        match node:
            case ast.Name(id="inf" | "nan" as name):
                return _Text(literal(float(name), self._real), self._real)
            case ast.Name(id=name):
                return _Text(self._indexes.get(name, name), self._kinds[name])
            case ast.Constant(value=bool() | int() as number):
                return _Text(str(int(number)), "int64")
            case ast.Constant(value=float() as number):
                return _Text(literal(number, self._real), self._real)
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                return self._element(self._places[name], index)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                found = self._expression(operand)
                text = f"({found.text})" if found.text.startswith("-") else found.inside(_UNARY)
                return _Text(f"-{text}", found.kind, _UNARY)
            case ast.BinOp(left=left, op=operation, right=right):
                return self._joined([left, right], operation)
            case ast.Compare(left=left, ops=[operation], comparators=[right]):
                return self._joined([left, right], operation)
            case ast.BoolOp(op=operation, values=values):
                return self._joined(values, operation)
            case ast.IfExp(test=test, body=body, orelse=other):
                found, then, otherwise = (self._expression(each) for each in (test, body, other))
                text = f"{found.inside(4)} ? {then.inside(4)} : {otherwise.inside(3)}"
                return _Text(text, _wider(then.kind, otherwise.kind), _CONDITIONAL)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, [self._expression(each) for each in arguments])
        raise SyntaxError(f"{ast.unparse(node)!r} has no meaning in C")

    def _element(self, place: Place, index: ast.expr) -> _Text:
        found, offset = self._expression(index).text, place.offset
        if found.isdigit():
            found, offset = "", offset + int(found)
        terms = [term for term in (place.start, found) if term]
        terms += [str(offset)] if offset or not terms else []
        kind = place.kind if place.kind in _KINDS else "int64"
        return _Text(f"{place.name}[{' + '.join(terms)}]", kind)

    def _joined(self, nodes: Sequence[ast.expr], operation: ast.AST) -> _Text:
        sign, precedence = _BINARY[type(operation)]
        found = [self._expression(node) for node in nodes]
        if sign == "*" and found[1].text == "1" and found[1].kind == "int64":
            return found[0]
        kind = found[0].kind
        for other in found[1:]:
            kind = _wider(kind, other.kind)
        if sign in ("&&", "||"):  # compilers warn of the two mixed without parentheses
            return _Text(f" {sign} ".join(each.inside(6) for each in found), "int64", precedence)
        if sign == "/" and kind == "int64":
            kind, found[0] = "float64", _Text(f"(double){found[0].inside(_UNARY)}", "float64", _UNARY)
        texts = [found[0].inside(precedence), *(each.inside(precedence + 1) for each in found[1:])]
        return _Text(f" {sign} ".join(texts), kind if precedence > 10 else "int64", precedence)

    def _call(self, name: str, arguments: Sequence[_Text]) -> _Text:
        first = arguments[0]
        if name in _KINDS:
            return self._cast(name, first)
        kind = first.kind
        for other in arguments[1:]:
            kind = _wider(kind, other.kind)
        if name in ("max", "min") and len(arguments) == 2:
            # As Python's: the first, unless the second is larger (smaller).
            sign = ">" if name == "max" else "<"
            one, two = arguments[0].inside(11), arguments[1].inside(11)
            return _Text(f"{two} {sign} {one} ? {two} : {one}", kind, _CONDITIONAL)
        if name == "abs" and kind != "int64":
            name = "fabs"
        elif name not in _FUNCTIONS and name != "abs":
            raise SyntaxError(f"the function {name!r} is unknown in C")
        kind = self._real if kind == "int64" and name != "abs" else kind
        suffix = "f" if self._real == "float32" and name != "abs" else ""
        return _Text(f"{name}{suffix}({', '.join(each.text for each in arguments)})", kind)

    def _cast(self, kind: str, given: _Text) -> _Text:
        """A conversion. C converts a number that is stored by itself; numbers of the precision stay what they are."""
        number = re.fullmatch(r"(-?)([0-9.e+-]+)f?", given.text)
        if number and kind != "int64":
            return _Text(literal(float(number[1] + number[2]), self._real), kind)
        if given.kind == kind or (kind != "int64" and given.kind != "int64"):
            return given._replace(kind=kind)
        return _Text(f"({self._types[kind]}){given.inside(_UNARY)}", kind, _UNARY)


def _wider(kind: str, other: str) -> str:
    """The type that arithmetic of two types has."""
    return max(kind, other, key=_KINDS.index)


def _breaks(text: str) -> Iterator[tuple[int, int]]:
    """The spaces before operators: depth of brackets, place."""
    depth = 0
    for found in re.finditer(r"[(\[]|[)\]]| (?=[-+*/?:=<>&|!]+=? )", text):
        depth += (found[0] in "([") - (found[0] in ")]")
        if found[0] == " ":
            yield depth, found.start()


def wrapped(line: str) -> list[str]:
    """A line in parts that are short enough, broken before operators outside of most brackets."""
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    places = [(depth, -place) for depth, place in _breaks(line) if len(indent) < place <= WIDTH]
    if not places:
        return [line]
    place = -min(places)[1]
    return [line[:place], *wrapped(f"{indent}{line[place + 1 :]}")]


class _Inlined:
    """Puts the value of a variable where it is read, if it is read once, by a later line of the same block.

    A store in between may change the value; then it stays a variable.
    """

    def __init__(self, tree: ast.Module):
        self._reads: dict[str, int] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self._reads[node.id] = self._reads.get(node.id, 0) + 1
        self._visit(tree)

    def _visit(self, block: ast.Module | ast.For | ast.If) -> None:
        known: dict[str, ast.expr] = {}
        kept: list[ast.stmt] = []
        for statement in block.body:
            if isinstance(statement, ast.Assign):
                statement.value = _Replaced(known).visit(statement.value)
                target = statement.targets[0]
                if isinstance(target, ast.Name) and self._reads.get(target.id) == 1 and target.id[0] in "xv":
                    if self._is_read_in(target.id, block.body):
                        known[target.id] = statement.value
                        continue
                elif isinstance(target, ast.Subscript):
                    kept += _stored(known)
            elif isinstance(statement, ast.For | ast.If):
                kept += _stored(known)
                self._visit(statement)
            kept.append(statement)
        block.body = kept

    @staticmethod
    def _is_read_in(name: str, body: Sequence[ast.stmt]) -> bool:
        assigned = [each.value for each in body if isinstance(each, ast.Assign)]
        return any(isinstance(node, ast.Name) and node.id == name for each in assigned for node in ast.walk(each))


def _stored(known: dict[str, ast.expr]) -> list[ast.stmt]:
    """Assignments of these values, which are known no more."""
    found: list[ast.stmt] = [ast.Assign([ast.Name(name, ast.Store())], value) for name, value in known.items()]
    known.clear()
    return found


class _Replaced(ast.NodeTransformer):
    def __init__(self, known: dict[str, ast.expr]):
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._known.pop(node.id, node)
