"""The sections inside ``data``: the split, the transform, texts, time series and augmentation."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema

from backprop_cli.settings import (
    ByName,
    Count,
    FractionBelowOne,
    Many,
    Maybe,
    NonNegative,
    OneOrMany,
    PositiveInt,
    Settings,
    refusal,
)

Name = Annotated[str, Field(min_length=1)]
Names = Annotated[Many[Name], Field(min_length=1)]


class FoldSettings(Settings):
    """One fold of a cross-validation."""

    number: PositiveInt
    """the fold, from 1"""
    of: Annotated[int, Field(ge=2)]
    """number of folds"""

    @model_validator(mode="after")
    def _among_them(self) -> FoldSettings:
        if self.number > self.of:
            raise refusal(f"must be at most the number of folds, {self.of}, got {self.number}", "number")
        return self


class SplitSettings(Settings):
    """The fractions of the rows that are held out of training.

    ``by`` keeps the rows of a group, such as those of one patient, in one split: the fractions are met as nearly as the
    groups allow, and so are the proportions of classes. ``time`` splits in time: the train rows come before those of
    validation, and these before the test rows; rows of the same time stay together. Both columns are inputs only if
    ``features`` names them.
    """

    validation: FractionBelowOne = 0.15
    """fraction for validation; 0: no such split"""
    test: FractionBelowOne = 0.15
    """fraction for the test; 0: no such split"""
    stratify: bool = True
    """give every split the same proportions of classes; no effect without classes, or with ``time``"""
    by: Maybe[Annotated[Names, OneOrMany()]] = None
    """column, or list of columns, whose values name groups: no group has rows in two splits"""
    time: Maybe[Name] = None
    """column of dates or numbers: split in time, with the latest rows in the test split"""
    fold: Maybe[FoldSettings] = None
    """test on one of several equal parts of the rows, and share out the others; ``bp train --folds`` sets it"""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide which row is in which split."""
        return (*(self.by or ()), *(() if self.time is None else (self.time,)))

    @property
    def text(self) -> str:
        """How the rows are split, for a log: ``by patient``, ``in time by date``; empty if at random."""
        if self.by is not None:
            return f"by {' and '.join(self.by)}"
        return "" if self.time is None else f"in time by {self.time}"

    @model_validator(mode="after")
    def _leave_some(self) -> SplitSettings:
        if self.by is not None and self.time is not None:
            raise refusal("'by' and 'time' exclude each other; leave one of them out", "time")
        twice = next((name for name in self.by or () if (self.by or ()).count(name) > 1), None)
        if twice is not None:
            raise refusal(f"names '{twice}' twice", "by")
        if self.validation + self.test >= 1:
            reason = f"validation + test must be less than 1, got {self.validation:g} + {self.test:g}"
            raise refusal(reason)
        return self


def _some_factor(value: float) -> float:
    if value == 0:
        raise refusal("must not be 0: every input would be 0")
    return value


class Scale(Settings):
    """Multiply by a constant."""

    scale: Annotated[float, Field(allow_inf_nan=False), AfterValidator(_some_factor)]
    """the factor, such as 0.00392156862745098 for pixels from 0 to 255"""


DatePart = Literal["year", "month", "day", "weekday", "hour", "elapsed"]


class ColumnSettings(Settings):
    """How a column becomes inputs."""

    numeric: Literal["standardize", "none", "min_max", "robust", "quantile", "log"] | Scale = "standardize"
    """standardize: mean 0, population standard deviation 1; min_max: from 0 to 1; none; {scale: x}: times x; robust:
    median 0, quartile range 1, clipped smoothly to -3..3; quantile: to a normal distribution by the rank; log:
    standardized sign(x) log(1 + |x| / u), u the fifth percentile of |x| above 0
    """
    categorical: Literal["one_hot", "ordinal"] = "one_hot"
    """one_hot: one input per category; ordinal: one input, the category's number"""
    unknown: Literal["other", "error"] = "other"
    """a category that the train split lacks; other: an input of its own, or the number after the last category"""
    missing: Literal["error", "mean", "median", "most_frequent", "indicator"] = "error"
    """the replacement of a missing value; columns of categories use the most frequent category; indicator: the median,
    and an input that says so; a category of its own
    """

    date: Literal["auto"] | Annotated[Many[DatePart], Field(min_length=1)] = "auto"
    """inputs made of a date: year, month, day, weekday, hour, elapsed (days); auto: elapsed, month and weekday, and of
    times the hour. For a single column: read it as dates
    """
    cyclic: bool = True
    """month, day, weekday and hour as sine and cosine; false: as numbers"""
    format: Maybe[Name] = None
    """how dates are spelled, as strptime reads them: "%d/%m/%Y"; default: ISO 8601, or with the month's name"""


class OwnSettings(ColumnSettings):
    """The settings of one column. Keys that are not given have the values above them."""

    like: ClassVar[type[Settings] | None] = ColumnSettings

    @model_serializer(mode="wrap")
    def _given(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if key in self.model_fields_set}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = super().__get_pydantic_json_schema__(schema, handler)
        for key in handler.resolve_ref_schema(described).get("properties", {}).values():
            key.pop("default", None)
        return described


class TransformSettings(ColumnSettings):
    """How columns become inputs. Fitted on the train split alone, and stored in the checkpoint."""

    target: Literal["auto", "none", "standardize"] = "auto"
    """standardize: train on targets of mean 0, deviation 1; auto: with a loss of real numbers, such as
    mean_squared_error. Metrics and predictions are always in the target's own unit
    """
    columns: Maybe[Annotated[dict[str, OwnSettings], AfterValidator(ByName)]] = None
    """keys that differ for single columns: {price: {missing: median}}"""

    @property
    def has_indicators(self) -> bool:
        """Whether missing values may have inputs of their own."""
        return any(each.missing == "indicator" for each in (self, *(self.columns or {}).values()))

    @property
    def date_columns(self) -> tuple[str, ...]:
        """Columns to read as dates, whatever they look like."""
        own = self.columns or {}
        return tuple(name for name, each in own.items() if not each.model_fields_set.isdisjoint(("date", "format")))

    def of(self, column: str) -> ColumnSettings:
        """The settings of a column."""
        own = (self.columns or {}).get(column)
        return self if own is None else self.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})


class TextSettings(Settings):
    """A text as examples: each is a row of tokens, and the target at each position is the next token."""

    tokens: Literal["character", "word"] = "character"
    """character: one token per character; word: words and punctuation with the space before them, other white space"""
    context: PositiveInt = 64
    """tokens per example; the last example of a held-out text may have fewer"""
    lines: bool = False
    """true: each line is an example, between newlines; false: running text, across line ends"""
    stride: PositiveInt | None = None
    """tokens from one train example to the next; default: context. Metrics count each token once, up to the last"""
    minimum_count: PositiveInt = 1
    """above 1: rarer tokens become the token <unknown>, as do tokens that are new after training"""

    @model_validator(mode="after")
    def _lines_have_no_stride(self) -> TextSettings:
        if self.lines and self.stride is not None:
            raise refusal("'stride' goes with running text; with 'lines' every line is an example", "stride")
        return self


class WindowSettings(Settings):
    """Rows in the order of time as examples: ``length`` rows, with the ``horizon`` rows after them as targets.

    ``time`` sorts a file that is not in the order of time. ``group`` separates the series of a file: no window crosses
    from one to another. Each series is split in order, with its last rows held out. The inputs of the first windows of
    a held-out split are rows of the split before it: they are known by the time of prediction. No row is a target in
    two splits, and no train example has a held-out row.
    """

    length: PositiveInt
    """rows of input"""
    horizon: PositiveInt = 1
    """rows whose target is predicted"""
    stride: PositiveInt = 1
    """rows from one example to the next"""
    season: PositiveInt | None = None
    """rows after which the series repeats; the value a season ago then becomes a baseline"""
    time: Maybe[Name] = None
    """column of dates or numbers to sort the rows by; default: they are in the order of time"""
    group: Maybe[Annotated[Names, OneOrMany()]] = None
    """column, or list of columns, whose values separate the series of a file; default: one series"""

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that put the rows in order. They are inputs only if ``features`` names them."""
        return (*(self.group or ()), *(() if self.time is None else (self.time,)))

    @model_validator(mode="after")
    def _tell_apart(self) -> WindowSettings:
        groups = self.group or ()
        twice = next((name for name in groups if groups.count(name) > 1), None)
        if twice is not None:
            raise refusal(f"names '{twice}' twice", "group")
        if self.time in (self.group or ()):
            raise refusal(f"'{self.time}' is under 'time' too; it can be only one of them", "group")
        return self


class AugmentSettings(Settings):
    """Random changes of images during training, new ones each time. Amounts refer to the network's inputs."""

    shift: Count = 0
    """largest shift in pixels, up or down and left or right"""
    flip: Maybe[Literal["horizontal", "vertical", "both"]] = None
    """mirror half of the images; horizontal swaps left and right"""
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    """largest rotation in degrees, either way"""
    noise: NonNegative = 0.0
    """standard deviation of the noise added to every input"""
    cutout: Count = 0
    """side in pixels of a square that is set to 0"""
