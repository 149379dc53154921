"""Columns of dates in C: seconds since 1970 to the network's inputs."""

from __future__ import annotations

import math

from backprop_cli.data.dated import CYCLES, Dated
from backprop_cli.exporting.c.c99 import literal
from backprop_cli.exporting.c.c_names import comment

_PLACES = ("year", "month", "day", "weekday", "hour")
"""The parts that ``parts_of_time`` finds, in its order."""

PARTS_OF_TIME = """
/* The year, the month, day and weekday (Monday) from 0, and the hour of a time in seconds since 1970, UTC. */
static void parts_of_time(double seconds, double *parts)
{
    const double days = floor(seconds / 86400.0);
    const double since = days + 719468.0; /* the first of March of the year 0 */
    const double era = floor(since / 146097.0);
    const double day = since - era * 146097.0;
    const double year =
        floor((day - floor(day / 1460.0) + floor(day / 36524.0) - floor(day / 146096.0)) / 365.0);
    const double rest = day - (365.0 * year + floor(year / 4.0) - floor(year / 100.0));
    const double month = floor((5.0 * rest + 2.0) / 153.0); /* from March */
    parts[0] = year + 400.0 * era + (month < 10.0 ? 0.0 : 1.0);
    parts[1] = month < 10.0 ? month + 2.0 : month - 10.0;
    parts[2] = rest - floor((153.0 * month + 2.0) / 5.0);
    parts[3] = days + 3.0 - 7.0 * floor((days + 3.0) / 7.0);
    parts[4] = (seconds - days * 86400.0) / 3600.0;
}
"""


def date_lines(feature: Dated, number: int, done: int, column: int, kind: str) -> list[str]:
    """The statements that write the inputs of a column of dates from ``numbers[number]``."""
    values = [value for part in feature.parts for value in _values(part, feature)]
    cast = "(float)" if kind == "float32" else ""
    lines = [
        f"    /* {comment(feature.name)} */",
        "    {",
        f"        double seconds = numbers[{number}];",
    ]
    if feature.indicator:
        one, zero = literal(1.0, kind), literal(0.0, kind)
        lines.append(f"        inputs[{done + len(values)}] = isnan(seconds) ? {one} : {zero};")
    if feature.fill is not None:
        fill = literal(feature.fill, "float64")
        lines += ["        if (isnan(seconds)) {", f"            seconds = {fill};", "        }"]
    lines += ["        if (!isfinite(seconds)) {", f"            return {column};", "        }"]
    if any(part in _PLACES for part in feature.parts):
        lines += ["        double parts[5];", "        parts_of_time(seconds, parts);"]
    for place, value in enumerate(values):
        shift, divisor = float(feature.shift[place]), float(feature.divisor[place])
        scaled = value if shift == 0 else f"({value} - {literal(shift, 'float64')})".replace("- -", "+ ")
        scaled = scaled if divisor == 1 else f"{scaled} / {literal(divisor, 'float64')}"
        lines.append(f"        inputs[{done + place}] = {f'{cast}({scaled})' if cast else scaled};")
    return [*lines, "    }"]


def _values(part: str, feature: Dated) -> list[str]:
    """The numbers of a part, before they are scaled."""
    if part == "elapsed":
        return [f"(seconds - {literal(feature.origin, 'float64')}) / 86400.0"]
    place = f"parts[{_PLACES.index(part)}]"
    if part == "year":
        return [place]
    length, first = CYCLES[part]
    if not feature.cyclic:
        return [f"({place} + {first}.0)" if first else place]
    angle = f"{place} * {literal(2 * math.pi / length, 'float64')}"
    return [f"sin({angle})", f"cos({angle})"]
