"""How texts spell numbers and missing values: separators, signs, currencies and units."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Sequence
from functools import cache, cached_property
from typing import NamedTuple

from backprop_cli.structs import Struct

MISSING = frozenset({"", "NA", "NaN", "nan", "null", "NULL", "None"})
"""Texts that mean a missing value in formats without null."""


def is_missing(cell: object, texts: Container[str] = MISSING) -> bool:
    """Whether a cell of text or a value of JSON is missing, given the ``texts`` that mean a missing value."""
    return cell is None or cell != cell or (isinstance(cell, str) and cell.strip() in texts)


def number_of(cell: str) -> float | None:
    """The number that a cell spells, including infinities; None for other text.

    Unlike in Python's ``float``, underscores are not allowed: ``2024_01`` is a word.
    """
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def is_finite(value: object) -> bool:
    """Whether a cell of text spells, or a value of JSON is, a finite number (within float64's range)."""
    number = number_of(value) if isinstance(value, str) else value
    try:
        return isinstance(number, int | float) and math.isfinite(number)
    except OverflowError:
        return False


MINUS = "\u2212\u2010\u2011\u2013\ufe63\uff0d"
"""Substitutes for the hyphen-minus: the minus sign, hyphens, the en dash, and signs of East Asian fonts."""
_PLAIN = str.maketrans(dict.fromkeys(MINUS, "-"))
_SPACES = " \u00a0\u2009\u202f"
_APOSTROPHES = "'\u2019"
_SIGNS = "$€£¥₹₽₩₪₫₴₦₱₺₸₼₾₿¢%‰"
"""Signs of currencies, percent and per mille, which need no space around them."""


class Spelling(Struct):
    """A spelling: ``decimal`` precedes the fraction, ``thousands`` separates groups of digits, ``strip`` has the units.

    Spaces separate units in ``strip`` (``"kg lbs"``); currency and percent signs need none (``"$%"``). A space between
    thousands matches any kind of space, an apostrophe either kind. A minus sign may also be U+2212 or a dash, follow
    the number, or be an accountant's parentheses.
    """

    decimal: str = "."
    thousands: str | None = None
    strip: str = ""

    def number(self, text: str) -> float | None:
        """The finite number that ``text`` spells; None for any other text."""
        found = self._pattern.fullmatch(_one_space(text))
        if found is None:
            return None
        parts = found.groupdict(default="")
        minus = [bool(parts["open"]), *(sign != "+" for sign in map(parts.get, ("first", "second", "last")) if sign)]
        if bool(parts["open"]) != bool(parts["close"]) or sum(minus[:1]) + len(minus[1:]) > 1:
            return None
        if not parts["whole"] + parts["part"]:
            return None
        digits = "".join(filter(str.isdigit, parts["whole"])) or "0"
        value = float(f"{digits}.{parts['part'] or 0}{parts['exponent'].translate(_PLAIN)}")
        return None if value == float("inf") else -value if any(minus) else value

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        tokens = [_in_any_case(token) for token in tokens_of(self.strip)]
        around = rf"\s*(?:(?:{'|'.join(sorted(tokens, key=len, reverse=True))})\s*)*" if tokens else r"\s*"
        whole = f"[0-9]+|{grouped(self.thousands)}" if self.thousands else "[0-9]+"
        return re.compile(
            rf"(?P<open>\()?\s*(?P<first>[-+{MINUS}])?{around}(?P<second>[-+{MINUS}])?\s*"
            rf"(?P<whole>{whole})?(?:{re.escape(self.decimal)}(?P<part>[0-9]*))?(?P<exponent>[eE][-+{MINUS}]?[0-9]+)?"
            rf"{around}(?P<last>[-{MINUS}])?\s*(?P<close>\))?"
        )


_CASED = frozenset({"m", "mw", "mwh", "mpa", "mhz", "mv", "mj", "mn"})
"""Units that begin with milli or mega, which only the case of the letter distinguishes."""


def _in_any_case(token: str) -> str:
    """A pattern of a unit in any case: kg or KG. The case of mW and MW, m and M matters."""
    if len(token) == 1 or token.lower() in _CASED:
        return f"{re.escape(token[0])}(?i:{re.escape(token[1:])})"
    return f"(?i:{re.escape(token)})"


def _alike(unit: str) -> str:
    """A key that is equal for a unit in another case, and for its plural."""
    if len(unit) == 1 or unit.lower() in _CASED:
        return unit[0] + unit[1:].casefold()
    return unit.casefold().removesuffix("s") if len(unit) > 2 else unit.casefold()


def _one_space(text: str) -> str:
    """The text stripped, with single spaces: long runs of white space would slow patterns down."""
    return " ".join(text.split())


def grouped(thousands: str) -> str:
    """A pattern of whole numbers in groups of three digits, or in the Indian way: of two, the last of three."""
    alike = next((marks for marks in (_SPACES, _APOSTROPHES) if thousands in marks), thousands)
    mark = f"[{re.escape(alike)}]"
    return rf"[1-9][0-9]{{0,2}}(?:{mark}[0-9]{{3}})+|[1-9][0-9]?(?:{mark}[0-9]{{2}})+{mark}[0-9]{{3}}"


def tokens_of(strip: str) -> list[str]:
    """The units in ``strip``: each currency or percent sign, and each word between signs and spaces."""
    return re.findall(rf"[{_SIGNS}]|[^\s{_SIGNS}]+", strip)


_MARKS = f".,_{_SPACES}{_APOSTROPHES}"
_SPELLED = (
    rf"(?P<open>\()?\s*[-+{MINUS}]?(?P<prefix>[^\d\s()+{MINUS}{_MARKS}-][^\d\s()+{MINUS}-]*)?\s*[-+{MINUS}]?\s*"
    rf"(?P<body>[0-9](?:[0-9{_MARKS}]*[0-9])?|[.,][0-9]+)(?P<exponent>[eE][-+{MINUS}]?[0-9]+)?"
    rf"(?P<gap>\s*)(?P<suffix>[^\s()+{MINUS}-]+(?:[ ][^\s\d()+{MINUS}-]+)?)?\s*[-{MINUS}]?(?P<close>\))?"
)
"""Roughly a number with text around it. ``marks_of`` checks that text and the marks in the body."""

_MONEY = """
USD EUR GBP CHF JPY CNY RMB INR AUD CAD NZD SEK NOK DKK PLN CZK HUF RON BGN RUB UAH TRY BRL MXN ARS CLP COP ZAR KRW SGD
HKD TWD THB IDR MYR PHP VND ILS AED SAR EGP NGN KES US$ A$ C$ R$ HK$ NZ$ S$ kr kr. Kč zł Ft Rs Rs. Fr. BTC ETH
"""
_MEASURES = """
kg mg µg μg ug lb lbs oz ton tons tonne tonnes mm cm dm km µm μm nm mi mile miles ft feet inch inches yd ml cl dl hl gal
sec secs min mins hr hrs hour hours day days week weeks month months yr yrs year years ms µs μs ns kw mw gw wh kwh mwh
kv mv ma mah ah hz khz mhz ghz pa kpa mpa hpa bar mbar psi kj mj cal kcal kn nm °c °f ° m2 m² m3 m³ m^2 m^3 cm2 cm² cm3
cm³ mm2 mm² mm3 mm³ km2 km² sqm sqft ft2 ft² ft3 ft³ in2 in² ha acres kb mb gb tb kib mib gib tib kbps mbps gbps px pt
dpi mph km/h kmh kph m/s rpm ppm ppb mol mmol mg/dl mg/l g/l mmol/l g/cm3 kg/m3 kg/m2 mmhg bpm db hp ps cc pcs pct
percent kwh/m2 kwh/m² w/m2 w/m² l/100km mpg gwh
"""
_POWERS = frozenset({"sq", "sq.", "square", "cu", "cu.", "cubic", "fl", "fl."})
"""Words before a unit: sq ft, cubic m."""
_NO_MEASURES = "am pm st nd rd th and or und x by of to er"
_MULTIPLES = "k K m M b B bn Bn mn mio Mio mrd Mrd T"
_CURRENCIES, _UNITS = frozenset(_MONEY.split()), frozenset(_MEASURES.split())
_LETTERS = frozenset("mglLshWVtJN")
"""Units of one letter that may follow a number without a space. 5A and 3D are names."""
_SPACED_LETTERS = _LETTERS | frozenset("ACFKd")
_NO_UNITS = frozenset(_NO_MEASURES.split())
_SCALES = frozenset(_MULTIPLES.split())
"""Multiples of an amount of money: $5M."""


_LONGEST = 60
"""Most characters of a text that may be a number with units."""


class Spelled(NamedTuple):
    """A text as a number with marks: ``body`` has the digits, ``units`` the text around them."""

    text: str
    body: str
    units: tuple[str, ...]
    known: bool
    """whether the units are certainly units, not just words that may be units"""


def marks_of(text: str) -> Spelled | None:
    """The parts of a text that may spell a number in some way; None for any other text."""
    found = re.fullmatch(_SPELLED, _one_space(text)) if len(text) <= _LONGEST else None
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    prefix, suffix, body = found["prefix"] or "", found["suffix"] or "", found["body"]
    if prefix and not _is_currency(prefix):
        return None
    known = not suffix or _is_known(suffix, bool(found["gap"]), money=bool(prefix))
    if not known and not (found["gap"] and _may_be_unit(suffix)):
        return None
    has_mark = any(mark in body for mark in _MARKS)
    # Groups after a zero or an international prefix are those of telephones.
    if has_mark and (re.match(r"0[0-9]", body) or (text.strip()[0] == "+" and any(m in body for m in _SPACES))):
        return None
    if not any(candidate.fullmatch(body) for candidate in _bodies().values()):
        return None
    units = tuple(unit for unit in (prefix, suffix) if unit)
    return Spelled(text, body, units, known)


def _is_currency(text: str) -> bool:
    return text in _CURRENCIES or all(sign in _SIGNS for sign in text)


def _is_known(suffix: str, spaced: bool, money: bool) -> bool:
    folded = suffix.casefold().removesuffix(".")
    if _is_currency(suffix) or folded in _UNITS or (money and suffix in _SCALES):
        return True
    power, _, unit = folded.partition(" ")
    if power in _POWERS and (unit in _UNITS or unit == "m"):
        return True
    return suffix in (_SPACED_LETTERS if spaced else _LETTERS)


def _may_be_unit(suffix: str) -> bool:
    return re.fullmatch(r"[a-zµ]{2,12}", suffix) is not None and suffix not in _NO_UNITS


_CHOICES: tuple[tuple[str, str | None], ...] = (
    (".", None),
    (",", None),
    (".", ","),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
    (",", "'"),
    (".", "_"),
    (",", "_"),
)
"""Decimal and thousands marks, the simplest pair first."""


@cache
def _bodies() -> dict[tuple[str, str | None], re.Pattern[str]]:
    """The pattern of a number's digits for each pair of marks. Compiled on first use, to keep a start fast."""
    return {choice: _body(*choice) for choice in _CHOICES}


def _body(decimal: str, thousands: str | None) -> re.Pattern[str]:
    whole = "[0-9]+" if thousands is None else f"[0-9]+|{grouped(thousands)}"
    mark = re.escape(decimal)
    return re.compile(rf"(?:{whole})(?:{mark}[0-9]+)?|{mark}[0-9]+")


class ColumnSpelling(NamedTuple):
    """How a column spells its numbers.

    ``example``: the first text that the current settings do not read. ``spellings``: those that read all texts; several
    if the texts are ambiguous, none if no single one does. ``units``: the numbers' units, if they differ.
    """

    example: str
    spellings: tuple[Spelling, ...]
    units: tuple[str, ...] = ()


Reads = Callable[[str], float | None]
"""The number that a text spells with the current settings; None for any other text."""
MOST = 0.8
"""A column with a larger share of numbers is a column of numbers."""
_SAMPLE = 20_000


def find_spelling(texts: Sequence[str], counts: Sequence[int], reads: Reads) -> ColumnSpelling | None:
    """How a column spells numbers, from its distinct ``texts`` and the ``counts`` of each.

    None if too few of the known values are numbers (see ``MOST``), or if ``reads`` already reads each of them.
    """
    texts, counts = texts[:_SAMPLE], counts[:_SAMPLE]
    pairs = [(marks_of(text), count) for text, count in zip(texts, counts, strict=True)]
    found = [each for each, _ in pairs if each is not None]
    other = [each for each in found if reads(each.text) is None]
    numbers = sum(count for each, count in pairs if each is not None)
    share = numbers / max(1, sum(c for text, c in zip(texts, counts, strict=True) if not _is_placeholder(text)))
    if not other or share <= MOST or _are_telephones(other):
        return None
    units = _different([each.units for each in other])
    if len(units) > 1 and not all(each.known for each in other):
        return None
    shown = [" ".join(kind) for kind in units]
    if {"%", "‰"} & set(shown) and any(not each.units and each.body.strip("0.,") for each in found):
        shown.append("none")  # 0.125 and 12.5% are the same
    if len(shown) > 1:
        return ColumnSpelling(other[0].text, (), tuple(shown))
    bodies, strip = [each.body for each in found], _strip(found)
    fits = [choice for choice, body in _bodies().items() if all(map(body.fullmatch, bodies))]
    return ColumnSpelling(other[0].text, tuple(Spelling(*choice, strip) for choice in _simplest(fits)))


_UNKNOWN = """
n/a n.a. na nan none null nil missing unknown unk #n/a #na #value! #div/0! tba tbd
"""
_PLACEHOLDERS = frozenset(_UNKNOWN.split())


def _is_placeholder(text: str) -> bool:
    """Whether a text stands for an unknown value. Such texts do not make a column one of names."""
    plain = text.strip().casefold()
    return plain in _PLACEHOLDERS or (bool(plain) and not plain.strip("-?." + MINUS + "\u2014"))


def _simplest(fits: list[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """The first that fits; two if a comma may be either mark: 1,234."""
    if fits[:1] == [(",", None)] and (".", ",") in fits:
        return [(".", ","), (",", None)]
    return fits[:1]


def _different(units: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The distinct units, ignoring case and plural. Numbers without a unit fit any."""
    kinds: dict[tuple[str, ...], tuple[str, ...]] = {}
    for unit in units:
        if unit:
            kinds.setdefault(tuple(map(_alike, sorted(unit))), unit)
    return list(kinds.values())


def _strip(found: Sequence[Spelled]) -> str:
    """The shortest setting that strips all units."""
    # The setting ignores case, but takes a plural for another unit.
    units = {_alike(f"{unit}s"): unit for each in reversed(found) for unit in each.units}
    signs = [unit for unit in units.values() if unit in _SIGNS]
    words = [unit for unit in units.values() if unit not in _SIGNS]
    return " ".join(filter(None, ["".join(reversed(signs)), *reversed(words)]))


def _are_telephones(found: Sequence[Spelled]) -> bool:
    """Whether all texts are digits in groups, with the length of telephone numbers."""
    digits = {len(re.sub(r"\D", "", each.body)) for each in found}
    return len(found) > 2 and len(digits) == 1 and min(digits) >= 9 and all(" " in each.body for each in found)
