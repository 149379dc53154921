"""The source of a compiled function -> C.

``codegen`` writes functions in a small part of Python, so that Python itself can run them as a reference: assignments,
loops over ranges, expressions of one element, and calls of functions in ``functions.c``, ``tiles.c`` and
``convolutions.c``. All of it has one meaning in C.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np

from backprop_cli.execution.carried import names_in, reductions, renamed

KINDS = {"float32": "float", "float64": "double", "int64": "int64_t"}
"""Element types, and their names in C."""

FUNCTIONS = ("exp", "expm1", "log", "log1p", "tanh", "erf")
"""Functions of ``functions.c`` that an expression may call; ``sqrt``, ``abs``, ``max`` and ``min`` are operations."""

LIBRARY = ("sin", "cos", "pow")
"""Functions of the C library that an expression may call."""

CALLS = {
    "product": ("RUNS", "PRODUCTS"),
    "convolution": ("RUNS", "CONVOLUTIONS"),
    "convolution_transpose": ("RUNS", "CONVOLUTIONS"),
    "convolution_weight": ("RUNS", "GRADIENTS"),
}
"""Functions in C, of numbers and of pointers to one type, and the parts that they need, in this order."""

_WHOLE, _BLOCKS = 64, 64
"""A block of a shared loop has a multiple of so many elements, which fill every vector; blocks are at most so many."""

_ONCE = "__attribute__((noinline, noclone))"
"""What a function is that has a single machine code for all its callers."""

_TILES = """#define {part}
#define REAL {real}
#define BITS {bits}
#define OF(name) name##_{kind}
{text}"""
_PRECISION = """#define REAL {real}
#define BITS u{bits}
#define DIGITS {digits}
#define OF(name) name##_{kind}
"""
_SWEEP = "typedef struct { int size, kernel, stride, dilation, before, windows; } sweep;\n"
_PROTOTYPES = """
void product_{kind}(int, int, int, const {real} *, long, long, const {real} *, long, long, {real} *, long);
void convolution_{kind}(int, int, int, int, int, int, sweep, sweep, const {real} *, const {real} *, {real} *);
void convolution_transpose_{kind}(int, int, int, int, int, int, sweep, sweep, const {real} *, const {real} *,
                                  {real} *);
void convolution_weight_{kind}(int, int, int, int, int, int, sweep, sweep, const {real} *, const {real} *, {real} *);
"""
_RUN = """static void (*const pieces[])(void *const *, sharing *, int64_t, int64_t) = {{{names}}};
static void row_blocks(void *const *table, int from, int to)
{{
    const int64_t *const steps = (const int64_t *)table + 4, count = steps[-3], rows = steps[-2], block = steps[-1];
    for (int64_t first = from * block; first < to * block && first < rows; first += block)
        for (int64_t step = 0; step < count; ++step)
            pieces[steps[2 * step]]((void *const *)steps[2 * step + 1], 0, first,
                                    first + block < rows ? first + block : rows);
}}
void run(const int64_t *steps, int64_t count, sharing *share)
{{
    for (int64_t step = 0; step < count; ++step) {{
        const int64_t piece = steps[2 * step];
        void *const *const table = (void *const *)steps[2 * step + 1];
        if (piece >= 0) pieces[piece](table, share, 0, 0);
        else if (share) share(row_blocks, table, *(const int64_t *)table);
        else row_blocks(table, 0, *(const int64_t *)table);
    }}
}}
"""
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/",
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
    ast.And: "&", ast.Or: "|",  # of comparisons: branches would end vectorization
}  # fmt: skip


class CSource(NamedTuple):
    """A C file, and those whose functions it calls."""

    text: str
    tiles: list[str]


def c_source(functions: Sequence[str], vectorized: Collection[str]) -> CSource:
    """The C file of some functions of ``codegen``, and of ``run``, which calls them.

    Its steps are pairs of numbers: that of a function, and the address of its table of addresses. ``vectorized``:
    functions of the C library that the compiler may call for several elements at once.
    """
    head = "#include <stdint.h>\ntypedef void piece(void *const *table, int from, int to);\n"
    head += "typedef void sharing(piece *, void *const *, int);\n" + _SWEEP
    head += "".join(_declared(name, name in vectorized) for name in LIBRARY)
    bodies = [_Function(f"piece_{number}", text) for number, text in enumerate(functions)]
    texts = [body.text() for body in bodies]
    tiles = list(dict.fromkeys(each for body in bodies for each in body.tiles))
    head += "".join(_PROTOTYPES.format(kind=kind, real=KINDS[kind]) for kind in sorted({kind for kind, _ in tiles}))
    for kind in ("float32", "float64"):
        head += _functions(kind, {name for body in bodies for of, name in body.functions if of == kind})
    names = ", ".join(f"piece_{number}" for number in range(len(functions)))
    return CSource(head + "".join(texts) + _RUN.format(names=names), [_tiles(*each) for each in tiles])


def _tiles(kind: str, part: str) -> str:
    """A part of ``tiles.c`` or ``convolutions.c`` in a precision."""
    names = ["tiles.c", *(["convolutions.c"] if part in ("CONVOLUTIONS", "GRADIENTS") else [])]
    text = "\n".join(Path(__file__).with_name(name).read_text(encoding="ascii") for name in names)
    bits = f"int{kind.removeprefix('float')}_t"
    return _TILES.format(part=part, real=KINDS[kind], bits=bits, kind=kind, text=text)


def _functions(kind: str, names: Set[str]) -> str:
    """The parts of ``functions.c`` that some functions need, in a precision."""
    if not names:
        return ""
    _, base, *parts = Path(__file__).with_name("functions.c").read_text(encoding="ascii").split("\n\n")
    wanted, chosen = set(names), list[str]()
    for part in reversed(parts):
        if wanted & set(re.findall(r"^static inline \w+ OF\((\w+)\)", part, re.MULTILINE)):
            wanted |= set(re.findall(r"OF\((\w+)\)", part))
            chosen.insert(0, part)
    info = np.finfo(kind)
    settings = _PRECISION.format(real=KINDS[kind], bits=f"int{info.bits}_t", digits=info.nmant, kind=kind)
    texts = [settings + base, *chosen]
    ends = [f"#undef {name}" for text in texts for name in re.findall(r"^#define (\w+)", text, re.MULTILINE)]
    return "\n".join([*texts, *ends, ""])


def _declared(name: str, vectorized: bool) -> str:
    attribute = '__attribute__((const, simd("notinbranch")))' if vectorized else "__attribute__((const))"
    single, double = (", ".join([kind] * (2 if name == "pow" else 1)) for kind in ("float", "double"))
    return f"{attribute} float {name}f({single});\n{attribute} double {name}({double});\n"


class _Function:
    """One function. ``_kinds`` has the element type of each variable.

    What it needs: of ``tiles.c`` types and parts, of ``functions.c`` types and names.
    """

    def __init__(self, name: str, text: str):
        self.tiles: list[tuple[str, str]] = []
        self.functions: set[tuple[str, str]] = set()
        self._name, self._kinds, self._pieces = name, {"first": "int64", "last": "int64"}, list[str]()
        (tree,) = ast.parse(text).body
        assert isinstance(tree, ast.FunctionDef)
        self._body = tree.body

    def text(self) -> str:
        """The function, of the table of addresses and of ``share`` of ``pool.c``, with its shared loops before it."""
        head = f"static void {self._name}(void *const *table, sharing *share, int64_t first, int64_t last) {{"
        body = [head, *self._statements(self._body), "}", ""]
        return "\n".join([*self._pieces, *body])

    def _statements(self, body: Sequence[ast.stmt]) -> Iterator[str]:
        for statement in body:
            match statement:
                case ast.Assign(targets=[target], value=value):
                    yield self._assignment(target, value)
                case ast.For(iter=ast.Call(func=ast.Name(id="shared"), args=[ast.Constant(value=int(size))])):
                    before = self._body[: self._body.index(statement)]
                    yield self._shared(*_in_blocks(statement, size), before)
                case ast.For(target=ast.Name(id=index), iter=ast.Call(args=[*start, stop]), body=inner):
                    first, end = (self._expression(each)[0] for each in (*(start or [ast.Constant(0)]), stop))
                    self._kinds[index] = "int64"
                    yield from self._loop(index, f"{first}; {index} < {end}", inner)
                case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=arguments)) if name in CALLS:
                    yield self._tile_call(name, arguments)
                case ast.Pass():
                    pass
                case _:
                    raise SyntaxError(f"{ast.unparse(statement)!r} has no meaning in C")

    def _loop(self, index: str, span: str, body: Sequence[ast.stmt]) -> Iterator[str]:
        """A loop, with what the compiler may take for granted of it.

        Without the pragma for reductions each element waits for the one before. A sum has eight parts there, added in
        turn; what a loop adds up is added once, so that the next loop need not wait.
        """
        carried = reductions(index, body, self._kinds)
        parts = {name: f"part_{name}" for name in carried.sums} if carried else {}
        for name, part in parts.items():
            self._kinds[part] = self._kinds[name]
            yield f"{KINDS[self._kinds[name]]} {part} = 0;"
        if carried:
            kinds = (("+", parts.values()), ("max", carried.maxima))
            clauses = [f"reduction({sign}:{','.join(names)})" for sign, names in kinds if names]
            clauses += ["simdlen(8)"] * bool(parts)
            yield f"#pragma omp simd {' '.join(clauses)}" if clauses else "#pragma GCC ivdep"
        yield f"for (int64_t {index} = {span}; ++{index}) {{"
        yield from self._statements([renamed(each, parts) for each in body])
        yield "}"
        yield from (f"{name} += {part};" for name, part in parts.items())

    def _shared(self, loop: ast.For, size: int, before: Sequence[ast.stmt]) -> str:
        """Call ``share`` for a loop of the function, which becomes a function of its own.

        What the loop reads of the statements ``before`` it, pointers and loaded numbers, is repeated there. It is
        compiled once, for one thread and for several: where the compiler inlines it, it may round differently.
        """
        assert isinstance(loop.target, ast.Name)
        index, name = loop.target.id, f"{self._name}_{len(self._pieces)}"
        self._kinds[index] = "int64"
        inner = [*self._statements(loop.body)]
        wanted, repeated = names_in(loop), list[str]()
        for statement in reversed(before):
            match statement:
                case ast.Assign(targets=[ast.Name(id=read) as target], value=value) if read in wanted:
                    wanted |= names_in(value)
                    del self._kinds[read]  # it is declared once more
                    repeated.append(self._assignment(target, value))
        head = f"{_ONCE} static void {name}(void *const *table, int from, int to) {{"
        around = f"for (int64_t {index} = from; {index} < to; ++{index}) {{"
        self._pieces += ["\n".join([head, *reversed(repeated), around, *inner, "}", "}"])]
        return f"if (share) share({name}, table, {size}); else {name}(table, 0, {size});"

    def _assignment(self, target: ast.expr, value: ast.expr) -> str:
        if isinstance(target, ast.Subscript):
            return f"{self._expression(target)[0]} = {self._expression(value)[0]};"
        assert isinstance(target, ast.Name)
        match value:
            case ast.Subscript(value=ast.Name(id="float32s" | "float64s" | "int64s" as table), slice=entry):
                kind = table.removesuffix("s")
                self._kinds[target.id] = kind
                return f"{KINDS[kind]} *{target.id} = table[{ast.unparse(entry)}];"
        text, kind = self._expression(value)
        declared = "" if target.id in self._kinds else f"{KINDS[kind]} "  # a total is set before its loop
        self._kinds[target.id] = kind
        return f"{declared}{target.id} = {text};"

    def _tile_call(self, name: str, arguments: Sequence[ast.expr]) -> str:
        kinds = {self._kinds[each.id] for each in map(_pointer, arguments) if each is not None}
        kind = "".join(kinds)
        self.tiles += [(kind, part) for part in CALLS[name]]
        return f"{name}_{kind}({', '.join(self._argument(each) for each in arguments)});"

    def _argument(self, node: ast.expr) -> str:
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Slice(lower=ast.expr() as start)):
                return f"{name} + {self._expression(start)[0]}"
            case ast.Tuple(elts=numbers):
                return f"(sweep){{{', '.join(map(ast.unparse, numbers))}}}"
            case ast.Name(id=name):
                return name
        return self._expression(node)[0]

    def _expression(self, node: ast.expr) -> tuple[str, str]:
        """The expression in C, and its element type."""
        match node:
            case ast.Name(id="inf"):
                return "__builtin_inf()", "float64"
            case ast.Name(id="nan"):
                return '__builtin_nan("")', "float64"
            case ast.Name(id=name):
                return name, self._kinds[name]
            case ast.Constant(value=bool() | int() as number):
                return str(int(number)), "int64"
            case ast.Constant(value=float() as number):
                return repr(number), "float64"
            case ast.Subscript(value=ast.Name(id=name), slice=index):
                return f"{name}[{self._expression(index)[0]}]", self._kinds[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                text, kind = self._expression(operand)
                return f"(-{text})", kind
            case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _OPERATORS:
                return self._joined([left, right], _OPERATORS[type(operation)])
            case ast.Compare(left=left, ops=[operation], comparators=[right]) if type(operation) in _OPERATORS:
                return self._joined([left, right], _OPERATORS[type(operation)])
            case ast.BoolOp(op=operation, values=values):
                return self._joined(values, _OPERATORS[type(operation)])
            case ast.IfExp(test=test, body=body, orelse=other):
                (then, kind), (otherwise, kind_of_other) = self._expression(body), self._expression(other)
                return f"({self._expression(test)[0]} ? {then} : {otherwise})", _wider(kind, kind_of_other)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call(name, [self._expression(each) for each in arguments])
        raise SyntaxError(f"{ast.unparse(node)!r} has no meaning in C")

    def _joined(self, nodes: Sequence[ast.expr], operator: str) -> tuple[str, str]:
        found = [self._expression(node) for node in nodes]
        kind = found[0][1]
        for _, other in found[1:]:
            kind = _wider(kind, other)
        if operator == "/" and kind == "int64":
            kind = "float64"
            found[0] = f"(double){found[0][0]}", kind
        return f"({f' {operator} '.join(text for text, _ in found)})", kind

    def _call(self, name: str, arguments: Sequence[tuple[str, str]]) -> tuple[str, str]:
        texts = [text for text, _ in arguments]
        kind = arguments[0][1]
        for _, other in arguments[1:]:
            kind = _wider(kind, other)
        if name in KINDS:
            return f"({KINDS[name]}){texts[0]}" if texts[0].startswith("(") else f"({KINDS[name]})({texts[0]})", name
        if name in ("max", "min") and len(texts) == 2:
            # As Python's: the first, unless the second is larger (smaller).
            sign = ">" if name == "max" else "<"
            return f"({texts[1]} {sign} {texts[0]} ? {texts[1]} : {texts[0]})", kind
        if name == "abs" and kind == "int64":
            return f"__builtin_llabs({texts[0]})", kind
        kind = "float64" if kind == "int64" else kind
        if name in FUNCTIONS:
            self.functions.add((kind, name))
            return f"{name}_{kind}({', '.join(texts)})", kind
        if name in ("abs", "sqrt", *LIBRARY):
            known = {"abs": "__builtin_fabs", "sqrt": "__builtin_sqrt"}.get(name, name)
            return f"{known}{'f' if kind == 'float32' else ''}({', '.join(texts)})", kind
        raise SyntaxError(f"the function {name!r} is unknown in compiled steps")


def _in_blocks(loop: ast.For, size: int) -> tuple[ast.For, int]:
    """A shared loop, by blocks if it has assignments alone, and its size.

    The compiler takes several elements of such a loop at once, and those left over one by one, where functions and sums
    round differently. Which are left over must not depend on the threads.
    """
    if not all(isinstance(each, ast.Assign) for each in loop.body):
        return loop, size
    block = _WHOLE * -(-size // (_WHOLE * _BLOCKS))
    count = -(-size // block)
    span = ast.parse(f"range(b * {block}, min(b * {block} + {block}, {size}))", mode="eval").body
    (around,) = ast.parse(f"for b in shared({count}): pass").body
    assert isinstance(around, ast.For)
    around.body = [ast.For(loop.target, span, loop.body, [])]
    return around, count


def _pointer(node: ast.expr) -> ast.Name | None:
    """The pointer in an argument, if it has one."""
    match node:
        case ast.Subscript(value=ast.Name() as pointer) | (ast.Name() as pointer):
            return pointer
    return None


def _wider(kind: str, other: str) -> str:
    """The type that arithmetic of two types has."""
    return max(kind, other, key=("int64", "float32", "float64").index)
