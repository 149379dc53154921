"""The fitted transform in C: columns of a row, numbers and texts, to the network's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.features import Coded, Feature, Scaled
from backprop_cli.data.transform import Transform
from backprop_cli.exporting.c.c99 import literal
from backprop_cli.exporting.c.c_names import array, comment, identifiers, quoted, rows_of
from backprop_cli.structs import Struct

_SAME = """
/* Whether two texts are equal. */
static int same(const char *one, const char *other)
{
    while (*one != '\\0' && *one == *other) {
        ++one;
        ++other;
    }
    return *one == *other;
}

/* The place of a text among names; `other` if it is none of them. */
static int find(const char *text, const char *const *names, int count, int other)
{
    for (int i = 0; i < count; ++i) {
        if (same(text, names[i])) {
            return i;
        }
    }
    return other;
}
"""


class Columns(Struct):
    """The columns of a transform: those of numbers and those of categories, in the order of the features.

    ``tokens``: the network looks its inputs up, and they are integers in [0, tokens).
    """

    transform: Transform

    @property
    def numbers(self) -> int:
        """Numbers of a row."""
        return sum(feature.size for feature in self.transform.features if isinstance(feature, Scaled))

    @property
    def texts(self) -> int:
        """Texts of a row."""
        return sum(isinstance(feature, Coded) for feature in self.transform.features)

    @property
    def rows(self) -> int:
        """Rows of an example: those of a window."""
        return 1 if self.transform.window is None else self.transform.window.length

    @property
    def width(self) -> int:
        """Inputs of a row."""
        return sum(feature.width for feature in self.transform.features)

    def places(self) -> list[tuple[Feature, str, int]]:
        """Each feature with its identifier and its place among the row's numbers, or among its texts."""
        found: list[tuple[Feature, str, int]] = []
        number = text = 0
        names = identifiers(feature.name for feature in self.transform.features)
        for feature, name in zip(self.transform.features, names, strict=True):
            found.append((feature, name, number if isinstance(feature, Scaled) else text))
            if isinstance(feature, Scaled):
                number += feature.size
            else:
                text += 1
        return found

    def definitions(self) -> list[str]:
        """Functions and arrays of names that ``encode`` needs."""
        if not self.texts:
            return []
        lines = _SAME.splitlines()
        for feature, name, _ in self.places():
            if isinstance(feature, Coded):
                lines += ["", f"/* Categories of the column {comment(feature.name)}. */"]
                lines.append(f"static const char *const categories_{name}[{len(feature.categories)}] = {{")
                lines += [*rows_of([quoted(text) for text in feature.categories]), "};"]
        return lines

    def statements(self, kind: str) -> list[str]:
        """The body of ``encode``: it writes the inputs of a row to ``inputs``, and returns at a wrong value."""
        lines: list[str] = []
        done = 0
        for (is_scalar, _), group in groupby(enumerate(self.places()), key=_group):
            members = [place for _, place in group]
            first = self.transform.features.index(members[0][0]) + 1
            if isinstance(members[0][0], Scaled):
                lines += self._numbers([each[0] for each in members], members[0][2], done, first, is_scalar, kind)
            else:
                lines += self._category(members[0][0], members[0][1], members[0][2], done, first, kind)
            done += sum(feature.width for feature, _, _ in members)
        return lines

    def _numbers(
        self, features: Sequence[Feature], number: int, done: int, column: int, is_scalar: bool, kind: str
    ) -> list[str]:
        scaled = [feature for feature in features if isinstance(feature, Scaled)]
        width = sum(feature.size for feature in scaled)
        table = {name: _over(scaled, name) for name in ("shift", "divisor", "factor", "fill")}
        lines = ["    {"]
        terms = {}
        for name, neutral in (("shift", 0.0), ("divisor", 1.0), ("factor", 1.0), ("fill", np.nan)):
            values = table[name]
            if np.array_equal(values, np.full(width, neutral), equal_nan=True):
                continue
            if (values == values[0]).all() or width == 1:
                terms[name] = literal(float(values[0]), "float64")
            else:
                terms[name] = f"{name}[i]"
                lines += [f"        {line}" for line in array(name, values, "float64")]
        rewrites = self.transform.tokens is not None and _scaled(terms) != "x"
        const = "" if "fill" in terms or rewrites else "const "
        names = ", ".join(feature.name for feature in scaled[:8]) + (", ..." if len(scaled) > 8 else "")
        lines.insert(0, f"    /* {comment(names)} */")
        where = f"i + {column}" if is_scalar and width > 1 else str(column)
        lines += [
            f"        for (int i = 0; i < {width}; ++i) {{",
            f"            {const}double x = numbers[{_plus('i', number)}];",
            *_filled(terms.get("fill")),
            *self._stored(_scaled(terms), f"inputs[{_plus('i', done)}]", where, kind),
            "        }",
        ]
        if scaled[0].indicator:
            flag = f"isnan(numbers[{_plus('i', number)}]) ? {literal(1.0, kind)} : {literal(0.0, kind)}"
            lines += [
                f"        for (int i = 0; i < {width}; ++i) {{",
                f"            inputs[{_plus('i', done + width)}] = {flag};",
                "        }",
            ]
        return [*lines, "    }"]

    def _stored(self, value: str, target: str, column: str, kind: str) -> list[str]:
        if self.transform.tokens is not None:
            return [
                *([f"            x = {value};"] if value != "x" else []),
                f"            if (!(x >= 0.0 && x < {self.transform.tokens}.0) || x != floor(x)) {{",
                f"                return {column};",
                "            }",
                f"            {target} = (int64_t)x;",
            ]
        cast = "(float)" if kind == "float32" else ""
        value = f"({value})" if cast and value != "x" else value
        return [
            f"            {target} = {cast}{value};",
            f"            if (!isfinite({target})) {{",
            f"                return {column};",
            "            }",
        ]

    def _category(self, feature: Feature, name: str, text: int, done: int, column: int, kind: str) -> list[str]:
        assert isinstance(feature, Coded)
        missing = -1 if feature.fill is None else feature.fill
        known = len(feature.categories)
        find = f"find(texts[{text}], categories_{name}, {known}, {known if feature.other else -1})"
        lines = [
            f"    /* {comment(feature.name)} */",
            "    {",
            f"        const int category = texts[{text}] == NULL ? {missing} : {find};",
            "        if (category < 0) {",
            f"            return {column};",
            "        }",
        ]
        if not feature.one_hot:
            return [*lines, f"        inputs[{done}] = category;", "    }"]
        one, zero = literal(1.0, kind), literal(0.0, kind)
        return [
            *lines,
            f"        for (int i = 0; i < {feature.width}; ++i) {{",
            f"            inputs[{_plus('i', done)}] = i == category ? {one} : {zero};",
            "        }",
            "    }",
        ]


def _group(entry: tuple[int, tuple[Feature, str, int]]) -> tuple[bool, int]:
    """Neighbouring columns of single inputs are one loop, any other column one of its own."""
    place, (feature, _, _) = entry
    is_scalar = isinstance(feature, Scaled) and not feature.shape and feature.width == 1
    return is_scalar, -1 if is_scalar else place


def _over(features: Sequence[Scaled], name: str) -> Array:
    """A field of all features side by side; NaN for missing values that are errors."""
    parts = [np.nan if getattr(feature, name) is None else getattr(feature, name) for feature in features]
    return np.concatenate(
        [np.broadcast_to(part, feature.size) for part, feature in zip(parts, features, strict=True)]
    ).astype(np.float64)


def _filled(fill: str | None) -> list[str]:
    if fill is None:
        return []
    return ["            if (isnan(x)) {", f"                x = {fill};", "            }"]


def _scaled(terms: dict[str, str]) -> str:
    value = f"x - {terms['shift']}" if "shift" in terms else "x"
    value = value.replace("- -", "+ ")
    if "divisor" in terms:
        value = f"({value}) / {terms['divisor']}" if value != "x" else f"x / {terms['divisor']}"
    if "factor" in terms:
        value = f"({value}) * {terms['factor']}" if " - " in value or " + " in value else f"{value} * {terms['factor']}"
    return value


def _plus(index: str, offset: int) -> str:
    return f"{index} + {offset}" if offset else index
