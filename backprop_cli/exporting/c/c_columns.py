"""The fitted transform in C: columns of a row, numbers and texts, to the network's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from backprop_cli.autodiff import Array
from backprop_cli.data.curves import CENTRE, RAREST, TAIL, WIDEST, Logarithm, Quantiles
from backprop_cli.data.dated import Dated
from backprop_cli.data.features import Coded, Feature, Scaled
from backprop_cli.data.transform import Transform
from backprop_cli.exporting.c.c99 import literal
from backprop_cli.exporting.c.c_dates import PARTS_OF_TIME, date_lines
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


_LOGARITHM = """
/* sign(x) log(1 + |x| / unit) */
static double logarithm(double x, double unit)
{
    return copysign(log1p(fabs(x) / unit), x);
}
"""
_CLIPPED = """
/* x / sqrt(1 + (x / 3)^2) */
static double smoothly_clipped(double x)
{
    return x / hypot(1.0, x / 3.0);
}
"""
_QUANTILE = """
/* A polynomial of degree 7, lowest power first. */
static double polynomial(const double *c, double x)
{
    double sum = c[7];
    for (int i = 6; i >= 0; --i) {
        sum = sum * x + c[i];
    }
    return sum;
}

/* The first of `count` rising knots that is not below x, or (`above`) that is above x. */
static int position(double x, const double *knots, int count, int above)
{
    int low = 0;
    for (int high = count; low < high;) {
        const int middle = (low + high) / 2;
        if (knots[middle] < x || (above && knots[middle] <= x)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The share of rows below x, by knots at equal steps, as a quantile of the normal distribution (AS 241). */
static double quantile(double x, const double *knots, int count)
{
    const int first = position(x, knots, count, 0), next = position(x, knots, count, 1);
    double place = first == 0 ? 0.0 : count - 1.0;
    if (next > first) {
        place = 0.5 * (first + next - 1.0);
    } else if (first > 0 && first < count) {
        place = first - 1.0 + (x - knots[first - 1]) / (knots[first] - knots[first - 1]);
    }
    const double share = fmin(fmax(place / (count - 1.0), RAREST), 1.0 - RAREST);
    const double offset = share - 0.5;
    if (fabs(offset) <= WIDEST) {
        const double r = 0.180625 - offset * offset;
        return offset * polynomial(CENTRE_0, r) / polynomial(CENTRE_1, r);
    }
    const double r = sqrt(-log(fmin(share, 1.0 - share))) - 1.6;
    return copysign(polynomial(TAIL_0, r) / polynomial(TAIL_1, r), offset);
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
        return sum(feature.size for feature in self.transform.features if not isinstance(feature, Coded))

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
            found.append((feature, name, text if isinstance(feature, Coded) else number))
            if isinstance(feature, Coded):
                text += 1
            else:
                number += feature.size
        return found

    def definitions(self) -> list[str]:
        """Functions and arrays that ``encode`` needs."""
        numbers = [feature for feature in self.transform.features if isinstance(feature, Scaled)]
        lines = _SAME.splitlines() if self.texts else []
        if any(isinstance(feature.curve, Logarithm) for feature in numbers):
            lines += _LOGARITHM.splitlines()
        if any(isinstance(feature.curve, Quantiles) for feature in numbers):
            lines += _quantile()
        if any(feature.clipped for feature in numbers):
            lines += _CLIPPED.splitlines()
        if any(isinstance(feature, Dated) for feature in self.transform.features):
            lines += PARTS_OF_TIME.splitlines()
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
            if isinstance(members[0][0], Dated):
                lines += date_lines(members[0][0], members[0][2], done, first, kind)
            elif isinstance(members[0][0], Scaled):
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
        bent, more = _bent(scaled[0])
        table = {name: _over(scaled, name) for name in ("shift", "divisor", "factor", "fill")}
        lines = ["    {", *(f"        {line}" for line in more)]
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
        value = _scaled(terms, bent)
        value = f"smoothly_clipped({value})" if scaled[0].clipped else value
        rewrites = self.transform.tokens is not None and value != "x"
        const = "" if "fill" in terms or rewrites else "const "
        names = ", ".join(feature.name for feature in scaled[:8]) + (", ..." if len(scaled) > 8 else "")
        lines.insert(0, f"    /* {comment(names)} */")
        where = f"i + {column}" if is_scalar and width > 1 else str(column)
        lines += [
            f"        for (int i = 0; i < {width}; ++i) {{",
            f"            {const}double x = numbers[{_plus('i', number)}];",
            *_filled(terms.get("fill")),
            *self._stored(value, f"inputs[{_plus('i', done)}]", where, kind),
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
    is_scalar = isinstance(feature, Scaled) and not feature.shape and feature.width == 1 and feature.is_linear
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


def _quantile() -> list[str]:
    """The function for columns with knots, and its coefficients."""
    lines, text = [""], _QUANTILE.replace("RAREST", literal(RAREST, "float64")).replace("WIDEST", str(WIDEST))
    for name, parts in (("CENTRE", CENTRE), ("TAIL", TAIL)):
        for part, numbers in enumerate(parts):
            own = f"{name.lower()}_{'bottom' if part else 'top'}"
            lines += array(own, np.array(numbers), "float64")
            text = text.replace(f"{name}_{part}", own)
    return [*lines, *text.splitlines()]


def _bent(feature: Scaled) -> tuple[str, list[str]]:
    """``x`` on the feature's curve, and the arrays that it needs."""
    curve = feature.curve
    if curve is None:
        return "x", []
    if isinstance(curve, Logarithm):
        if len(curve.unit) == 1:
            return f"logarithm(x, {literal(float(curve.unit[0]), 'float64')})", []
        return "logarithm(x, unit[i])", array("unit", curve.unit, "float64")
    count, columns = curve.knots.shape
    start = "knots" if columns == 1 else f"knots + i * {count}"
    return f"quantile(x, {start}, {count})", array("knots", curve.knots.T.reshape(-1), "float64")


def _scaled(terms: dict[str, str], x: str) -> str:
    value = f"{x} - {terms['shift']}" if "shift" in terms else x
    value = value.replace("- -", "+ ")
    if "divisor" in terms:
        value = f"({value}) / {terms['divisor']}" if value != x else f"{x} / {terms['divisor']}"
    if "factor" in terms:
        value = f"({value}) * {terms['factor']}" if " - " in value or " + " in value else f"{value} * {terms['factor']}"
    return value


def _plus(index: str, offset: int) -> str:
    return f"{index} + {offset}" if offset else index
