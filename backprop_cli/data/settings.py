"""The YAML section ``data``: where examples come from, what is predicted, how they are split and transformed."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from backprop_cli.data.format import FORMATS, FormatName
from backprop_cli.data.reading import ImageSettings, MissingText, NumbersByColumn, Reading, Spellings
from backprop_cli.data.sections import (
    AugmentSettings,
    Name,
    Names,
    SplitSettings,
    TextSettings,
    TransformSettings,
    WindowSettings,
)
from backprop_cli.settings import (
    FREE,
    REREADS,
    RESPLITS,
    FilePath,
    Many,
    Maybe,
    NonNegative,
    OneOrMany,
    PositiveInt,
    Settings,
    refusal,
)


class FilePair(Settings):
    """Inputs and targets in two files, row by row."""

    inputs: FilePath
    """file of the inputs"""
    targets: FilePath
    """file of the targets"""


GENERATED_FEATURES = ("x1", "x2")
"""The inputs of a synthetic set."""


class GenerateSettings(Settings):
    """A synthetic set with two inputs, ``x1`` and ``x2``."""

    type: Literal["xor", "spiral", "moons", "circles", "linear"]
    """xor, moons, circles: two classes; spiral: three; linear: regression, y = 2 x1 - 3 x2 + 1"""
    examples: PositiveInt = 500
    """number of rows"""
    noise: NonNegative = 0.1
    """standard deviation of the noise added to the inputs (linear: to y)"""


class BareType:
    """Pydantic marker: a bare word stands for the mapping with that ``type`` and defaults."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: Any) -> Any:
            return {"type": value} if isinstance(value, str) else value

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        mapping = handler(schema)
        words = handler.resolve_ref_schema(mapping)["properties"]["type"]["enum"]
        return {"anyOf": [{"enum": [*words, "none"]}, mapping]}


INPUTS = "features"
"""The word under ``target`` for the inputs themselves. Write ``[features]`` for a column of that name."""
NEEDS_TARGET = "needs 'target': the column or array to predict, or 'features' for the inputs themselves"
_ORIGINS = ("source", "generate", "train", "validation", "test")
_OF_COLUMNS = (
    "target",
    "features",
    "exclude",
    "categories",
    "numbers",
    "missing_values",
    "missing_target",
    "sample_weight",
    "transform",
    "window",
)
"""Keys that a text, which has no columns, leaves at their defaults."""

Files = FilePath | FilePair
Generated = Annotated[GenerateSettings, BareType()]
Columns = Annotated[Many[Name], OneOrMany()]


class DataSettings(Settings):
    """Where examples come from: one of ``source``, ``generate``, or a file for each split (``train``, ...)."""

    source: Annotated[FilePath | None, RESPLITS] = None
    """one file, split by `split`, with its format given by the suffix; or a folder that has a folder of images per
    class; or "-": standard input, csv by default
    """
    generate: Annotated[Generated | None, RESPLITS] = None
    """a synthetic set instead of a file"""
    train: Annotated[Files | None, RESPLITS] = None
    """the train split: a file, or {inputs, targets}"""
    validation: Annotated[Files | None, RESPLITS] = None
    """the validation split, if it has files of its own"""
    test: Annotated[Files | None, RESPLITS] = None
    """the test split, if it has files of its own"""
    # Only one format yields the columns that the run has.
    format: Annotated[Annotated[str, FormatName()] | None, FREE] = None
    """format of the files, if their suffix does not say it"""
    target: Annotated[Name | Names | None, REREADS] = None
    """column or array to predict, or a list of columns; `features`: the inputs themselves"""
    features: Annotated[Literal["all"] | Names, REREADS] = "all"
    """columns or arrays to predict from; all: all but the target, with `window` all of numbers, including targets"""
    exclude: Maybe[Columns] = None
    """columns or arrays that `features: all` leaves out"""
    categories: Maybe[Columns] = None
    """columns of numbers, dates or codes to read as categories"""
    numbers: Maybe[Spellings] = None
    """how texts spell numbers: {decimal: ".", thousands: ",", strip: "$%"}, or by column: {price: {...}}"""
    missing_values: Maybe[Annotated[Many[MissingText], OneOrMany()]] = None
    """texts that mean a missing value; default ["", NA, NaN, nan, "null", NULL, None], and none in typed formats"""
    missing_target: Annotated[Literal["error", "drop"], RESPLITS] = "error"
    """drop: leave out rows without a target; a warning counts them"""
    sample_weight: Maybe[Name] = None
    """column or array with the weight of each example in the loss; with {inputs, targets} in the file of targets"""
    split: Annotated[Maybe[SplitSettings], RESPLITS] = None
    """fractions, and what decides; default {validation: 0.15, test: 0.15, stratify: true}, and with `train` none"""
    transform: Annotated[TransformSettings, REREADS] = TransformSettings()
    """how columns become inputs"""
    text: Annotated[Maybe[TextSettings], RESPLITS] = None
    """how a text (.txt) becomes examples; default {} for texts"""
    image: Annotated[Maybe[ImageSettings], REREADS] = None
    """size and colour of images"""
    window: Annotated[Maybe[WindowSettings], RESPLITS] = None
    """rows are a time series: they are split in order, and an example is a window over them"""
    augment: Maybe[AugmentSettings] = None
    """random changes of images during training"""

    @field_validator("target", "features", "exclude", "categories")
    @classmethod
    def _no_name_twice(cls, names: Any) -> Any:
        twice = [name for name in names if names.count(name) > 1] if isinstance(names, tuple) else []
        if twice:
            raise refusal(f"names '{twice[0]}' twice")
        return names

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        """Drop origins that are ``none`` (a file of that name is ``./none``), and fill in defaults.

        A single source is split by default. Files for each split are split only if ``split`` is written.
        """
        if not isinstance(given, dict):
            return given
        written = {key: value for key, value in given.items() if key not in _ORIGINS or value != "none"}
        whole = "split" not in written and written.get("train") is None
        is_text = written.get("text") in (None, "none") and _is_text(written)
        return {**written, **({"split": {}} if whole else {}), **({"text": {}} if is_text else {})}

    @model_validator(mode="after")
    def _one_origin(self) -> DataSettings:
        origins = [key for key in _ORIGINS[:3] if getattr(self, key) is not None]
        alone = [key for key in _ORIGINS[3:] if getattr(self, key) is not None]
        if not origins:
            raise refusal("needs 'source', 'train' or 'generate'")
        if len(origins) > 1:
            raise refusal(f"'{origins[0]}' and '{origins[1]}' exclude each other; keep one", origins[1])
        if alone and self.train is None:
            raise refusal(f"'{alone[0]}' goes with 'train', not with '{origins[0]}'", alone[0])
        self._check_weight()
        self._check_columns()
        if self.target == INPUTS and isinstance(self.train, FilePair):
            raise refusal("'target: features' goes with a single file of inputs, not with {inputs, targets}", "target")
        if self.text is not None:
            self._check_text(self.text)
        elif self.target is None and isinstance(self.first, str) and not self._may_be_folder():
            raise refusal(NEEDS_TARGET)
        self._check_window()
        self._check_split()
        return self

    def _check_split(self) -> None:
        """Raise if ``split`` does not go with the other keys, or if its columns have another use."""
        if self.split is None:
            return
        if self.split.fold is not None and (self.window is not None or self.text is not None):
            what = "windows reach" if self.window is not None else "a text reaches"
            raise refusal(f"folds go with single rows, and {what} from one part into the next; leave them out", "split")
        if self.split.fold is not None and self.test is not None:
            raise refusal("a fold is the test split; leave 'test' out", "test")
        if not self.split.columns:
            return
        key = "by" if self.split.by is not None else "time"
        if self.window is not None:
            reason = f"'{key}' goes with single rows; windows are split in the order of time, each group on its own"
            raise refusal(f"{reason}; leave it out", "split")
        both = next((name for name in self.split.columns if name in (self.target_columns or ())), None)
        if both is not None:
            raise refusal(_taken(both, "split"), "target")

    def _check_window(self) -> None:
        if self.window is None:
            return
        if self.target == INPUTS:
            raise refusal("'window' needs 'target': the column to predict, or a list of them", "window")
        if self.missing_target == "drop":
            raise refusal("would leave holes in a series; fill the targets in, or remove 'window'", "missing_target")
        both = next((name for name in self.target_columns or () if name in self.window.order), None)
        if both is not None:
            raise refusal(_taken(both, "window"), "target")

    @property
    def first(self) -> Files | None:
        """The file that the transform is fitted on; None: a generated set."""
        return self.source if self.source is not None else self.train

    @property
    def target_columns(self) -> tuple[str, ...] | None:
        """The names under ``target``; None if it means the inputs, or is not set."""
        if self.target is None or self.target == INPUTS:
            return None
        return _listed(self.target)

    @property
    def feature_columns(self) -> tuple[str, ...] | None:
        """The names under ``features``; None: all."""
        return None if isinstance(self.features, str) else self.features

    @property
    def order(self) -> tuple[str, ...]:
        """The columns that put the rows of a series in order, or that decide which row is in which split."""
        split = () if self.split is None else self.split.columns
        return split if self.window is None else self.window.order

    @property
    def split_text(self) -> str:
        """The columns that decide which row is in which split, and whether they are inputs; empty if none do."""
        columns = () if self.split is None else self.split.columns
        no_inputs = [name for name in columns if name not in (self.feature_columns or ())]
        if self.split is None or not columns:
            return ""
        unused = f", which {'is no input' if len(no_inputs) == 1 else 'are no inputs'}" if no_inputs else ""
        return self.split.text + unused

    @property
    def weights(self) -> tuple[str, ...]:
        """The column of weights, if any."""
        return _listed(self.sample_weight)

    @property
    def spelled(self) -> tuple[str, ...]:
        """The columns under ``numbers``."""
        return tuple(self.numbers) if isinstance(self.numbers, NumbersByColumn) else ()

    @property
    def reading(self) -> Reading:
        """How the first file is read."""
        return Reading(self.numbers, self.missing_values, self.image)

    def _may_be_folder(self) -> bool:
        """Whether the first file may be a folder of images, whose folders are the default target."""
        name = str(self.first)
        return self.format == "images" or (self.format is None and ("." not in name.rpartition("/")[2].strip(".")))

    def _check_weight(self) -> None:
        if self.sample_weight is not None and self.window is not None:
            reason = (
                "'sample_weight' needs one row per example, so it cannot be used with 'window'; leave one of them out"
            )
            raise refusal(reason, "sample_weight")
        for key, names in (("target", self.target), ("features", self.features)):
            if self.sample_weight in _listed(names):
                raise refusal(_taken(self.sample_weight, key), "sample_weight")

    def _check_columns(self) -> None:
        """Raise unless ``exclude`` and ``categories`` name inputs."""
        if self.exclude and self.features != "all":
            raise refusal("'exclude' goes with 'features: all'; leave one of them out", "exclude")
        own = {"target": self.target, "sample_weight": self.sample_weight, "exclude": self.exclude}
        inputs = {"categories": self.categories or (), "transform": tuple(self.transform.columns or ())}
        for key, columns in ({"exclude": self.exclude or ()} | inputs).items():
            for other, names in own.items():
                both = set(columns).intersection(_listed(names))
                if both and other != key and (key, other) != ("exclude", "target"):
                    raise refusal(_taken(min(both), other), key)
        for key, columns in inputs.items():
            if self.features != "all" and (lost := set(columns) - set(self.features)):
                raise refusal(f"'{min(lost)}' is not under 'features'", key)

    def _check_text(self, text: TextSettings) -> None:
        if not _is_text({key: getattr(self, key) for key in ("format", "source", "train")}):
            raise refusal("'text' goes with a text file; name a .txt, or set format: text", "text")
        for key in _OF_COLUMNS:
            if getattr(self, key) != DataSettings.model_fields[key].default:
                way_out = "" if self.format == "text" else "; for a table set the format (csv, tsv, jsonl)"
                raise refusal(
                    f"'{key}' goes with columns, but a text has none: its next tokens are predicted{way_out}", key
                )
        for key in ("image", "augment"):
            if getattr(self, key) is not None:
                raise refusal(f"'{key}' goes with images, not with a text", key)
        for key in _ORIGINS[2:]:
            if isinstance(getattr(self, key), FilePair):
                raise refusal("{inputs, targets} goes with arrays; for a text name only the file", key)
        if self.split is not None and self.split.columns:
            raise refusal("'by' and 'time' go with columns, but a text has none; leave them out", "split")


def _listed(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The names under a key that takes one, several or none."""
    return (names,) if isinstance(names, str) else names or ()


def _taken(name: str | None, key: str) -> str:
    return f"'{name}' is under '{key}' too; it can be only one of them"


def _is_text(given: dict[str, Any]) -> bool:
    """Whether the files of this section are texts, according to ``format`` or the suffix of the first one."""
    first = given.get("source") or given.get("train")
    if given.get("format") is not None:
        return bool(given["format"] == "text")
    return isinstance(first, str) and FORMATS["text"].matches(first.lower().removesuffix(".gz"))
