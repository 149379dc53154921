"""Every data format, as ``train`` and as ``predict`` read it, and configurations."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
from harness import Target
from mutations import Mutation
from PIL import Image

from backprop_cli.data.dataset import load_dataset
from backprop_cli.data.fit import Demand
from backprop_cli.data.settings import DataSettings
from backprop_cli.data.sources import known_input_shape
from backprop_cli.data.stream import stream_inputs
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError
from backprop_cli.nn.task import task_of
from backprop_cli.session.checked_plugins import read_config
from backprop_cli.session.experiment import network_of

ROWS = 24
_COLUMNS: dict[str, list[Any]] = {
    "a": [i / 8 for i in range(ROWS)],
    "b": [i * i % 7 for i in range(ROWS)],
    "c": ["red", "green", "blue"] * (ROWS // 3),
    "y": ["p", "q"] * (ROWS // 2),
}
_FITTED: dict[str, Transform] = {}


def _reader(task: str = "classes", **keys: Any) -> Callable[[Path], object]:
    """What ``train`` reads of a file, and what ``predict`` does with a network trained on the first sound one."""
    word = str((task, keys))

    def read(path: Path) -> None:
        settings = DataSettings.model_validate({"source": path.name, **keys})
        known_input_shape(settings, path.parent)
        tokens = 128 if task == "tokens" else None
        if word not in _FITTED:
            dataset = load_dataset(settings, Demand(task_of(task), "float32", tokens=tokens), base=path.parent, seed=0)
            _FITTED.setdefault(word, dataset.transform)
        if word in _FITTED and task != "tokens":
            with suppress(DataError):
                for _ in stream_inputs(path, _FITTED[word], dtype="float32"):
                    pass
        load_dataset(settings, Demand(task_of(task), "float32", tokens=tokens), base=path.parent, seed=0)

    return read


def _table(delimiter: str) -> Callable[[Path], list[bytes]]:
    def good(folder: Path) -> list[bytes]:
        plain = [delimiter.join(_COLUMNS), *(delimiter.join(map(str, row)) for row in zip(*_COLUMNS.values()))]  # noqa: B905
        quoted = [line.replace("green", f'"gr{delimiter}een"').replace("blue", '"bl""\nue"') for line in plain]
        missing = [line.replace("red", "") for line in plain]
        return ["\n".join(lines).encode() for lines in (plain, quoted, [*missing, ""])] + ["\r\n".join(plain).encode()]

    return good


def _json_lines(folder: Path) -> list[bytes]:
    rows = [dict(zip(_COLUMNS, row)) for row in zip(*_COLUMNS.values())]  # noqa: B905
    return ["".join(f"{_json(row)}\n" for row in rows).encode()]


def _json_array(folder: Path) -> list[bytes]:
    rows = [_json(dict(zip(_COLUMNS, row))) for row in zip(*_COLUMNS.values())]  # noqa: B905
    return [f"[{', '.join(rows)}]".encode(), "[\n{}\n]\n".format(",\n".join(rows)).encode()]


def _json(row: dict[str, Any]) -> str:
    return str(row).replace("'", '"')


def _packed(good: Callable[[Path], list[bytes]]) -> Callable[[Path], list[bytes]]:
    return lambda folder: [gzip.compress(data, mtime=0) for data in good(folder)]


def _inside_gzip(data: bytes, mutation: Mutation) -> bytes:
    return gzip.compress(mutation(gzip.decompress(data)), mtime=0)


def _numbers() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, 3))


def _npy(folder: Path) -> list[bytes]:
    records = np.array([(i, i / 2, "xy"[i % 2]) for i in range(ROWS)], [("a", "i4"), ("b", "f8"), ("c", "U2")])
    arrays = [_numbers(), _numbers().astype(">f4"), np.asfortranarray(_numbers()), records, np.arange(ROWS)]
    return [_saved(array) for array in arrays] + [_saved(_numbers(), (2, 0)), _saved(_numbers(), (3, 0))]


def _saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, array, version, allow_pickle=False)
    return out.getvalue()


def _npz(save: Callable[..., None]) -> Callable[[Path], list[bytes]]:
    def good(folder: Path) -> list[bytes]:
        out, more = io.BytesIO(), io.BytesIO()
        save(out, x=_numbers(), y=np.array(_COLUMNS["y"]))
        save(more, x=_numbers().reshape(ROWS, 3, 1).astype("f4"), y=np.arange(ROWS) % 2, s=np.array([b"u", b"vw"] * 12))
        return [out.getvalue(), more.getvalue()]

    return good


def _inside_npz(data: bytes, mutation: Mutation) -> bytes:
    """A change in one member, whose check sum fits again."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        chosen = old.namelist()[len(mutation(b"ab")) % len(old.namelist())]
        for info in old.infolist():
            content = old.read(info)
            new.writestr(info, mutation(content) if info.filename == chosen else content)
    return out.getvalue()


def _idx(folder: Path) -> list[bytes]:
    shape = struct.pack(">3I", ROWS, 2, 3)
    values = bytes(range(ROWS * 6))
    floats = np.arange(ROWS * 2).astype(">f4").tobytes()
    return [b"\0\0\x08\x03" + shape + values, b"\0\0\x0d\x02" + shape[:8] + floats]


def _arrow_table(kind: str) -> Any:
    text = {
        "plain": pa.array(_COLUMNS["c"]),
        "view": pa.array(_COLUMNS["c"], pa.string_view()),
        "dictionary": pa.array(_COLUMNS["c"]).dictionary_encode(),
        "view dictionary": pa.DictionaryArray.from_arrays(
            pa.array([i % 3 for i in range(ROWS)], pa.uint32()), pa.array(["red", "green", "blue"], pa.string_view())
        ),
        "large": pa.array(_COLUMNS["c"], pa.large_string()),
    }[kind]
    extra = {} if kind == "view dictionary" else {"d": pa.array([None, 1, 2, 3] * 6, pa.date32())}
    return pa.table({**_COLUMNS, "c": text, "y": pa.array([True, False] * 12), **extra})


_KINDS = ("plain", "view", "dictionary", "view dictionary", "large")


def _ipc(new: Callable[..., Any], kinds: tuple[str, ...], **options: Any) -> Callable[[Path], list[bytes]]:
    def good(folder: Path) -> list[bytes]:
        found = []
        for kind in kinds:
            out, table = io.BytesIO(), _arrow_table(kind)
            with new(out, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
                writer.write_table(table, max_chunksize=10)
            found.append(out.getvalue())
        return found

    return good


def _parquet(folder: Path) -> list[bytes]:
    found = []
    for kind, options in (
        ("plain", {"compression": "none"}),
        ("large", {"compression": "snappy"}),
        ("dictionary", {"compression": "zstd", "row_group_size": 10, "data_page_version": "2.0"}),
        ("plain", {"compression": "gzip", "use_dictionary": False, "write_statistics": False}),
    ):
        out = io.BytesIO()
        pa.parquet.write_table(_arrow_table(kind), out, **options)
        found.append(out.getvalue())
    return found


def _image(format: str, **options: Any) -> Callable[[Path], list[bytes]]:
    """The damaged image is one of a class; the others are beside it."""

    def good(folder: Path) -> list[bytes]:
        random_bytes = np.random.default_rng(0).integers(0, 256, (2, 6, 5, 3), np.uint8)
        drawn = [Image.fromarray(random_bytes[0]), Image.fromarray(random_bytes[1]).convert("L")]
        drawn += [drawn[0].convert("P"), drawn[0].convert("RGBA")] if format == "PNG" else [drawn[0].convert("CMYK")]
        found = []
        for image in drawn:
            out = io.BytesIO()
            image.save(out, format, **options)
            found.append(out.getvalue())
        return found

    return good


def _read_image(path: Path) -> None:
    """As one image to predict from, and as one of a folder to train on."""
    folder = path.parent / "images"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / f"0{path.suffix}").write_bytes(path.read_bytes())
    read = _reader(split="none", image={"size": [4, 4], "mode": "gray"})
    read_single = _reader("regression", target="features", split="none", image={"mode": "gray"})
    with suppress(DataError):
        read(folder)
    read_single(path)


def _inside_png(data: bytes, mutation: Mutation) -> bytes:
    """A change in one chunk (of the pixels beneath their packing), whose check sum fits again."""
    chunks = list(_chunks(data))
    chosen = random.Random(zlib.crc32(mutation(data))).randrange(len(chunks))
    out = data[:8]
    for place, (kind, content) in enumerate(chunks):
        if place == chosen:
            content = zlib.compress(mutation(zlib.decompress(content))) if kind == b"IDAT" else mutation(content)
        out += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return out


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        place += 12 + size


def _text(folder: Path) -> list[bytes]:
    lines = ["To be, or not to be: that is the question.", "", "Whether ’tis nobler\tin the mind to suffer"]
    return ["\n".join(lines * 4).encode(), "\r\n".join(lines * 4).encode()]


def _yaml(folder: Path) -> list[bytes]:
    (folder / "small.csv").write_bytes(_table(",")(folder)[0])
    return [_CONFIGURATION.encode(), _ALIASES.encode()]


_CONFIGURATION = """\
name: flowers
seed: 3
data: {source: small.csv, target: y, split: {validation: 0.2, test: 0.2}, transform: {numeric: min_max}}
model:
  input: [5]
  layers:
    - {type: dense, units: 8, activation: relu, name: first}   # a comment
    - {type: dropout, rate: 0.25}
    - {type: dense, units: 4, inputs: dropout_1}
    - {type: dense, units: 2}
loss: {type: cross_entropy, label_smoothing: 0.1}
optimizer: {type: adam, learning_rate: 1e-3}
training: {epochs: 3, batch_size: 8, clip_norm: 1.0}
early_stopping: {patience: 5}
metrics: [accuracy]
"""
_ALIASES = """\
data: &data
  source: "small.csv"
  target: 'y'
model:
  input: [5]
  layers:
  - &layer {type: dense, units: 0x8}
  - *layer
  - type: dense
    units: 2
loss: cross_entropy
training: {epochs: 1, batch_size: 010}
"""


def _read_yaml(path: Path) -> None:
    network_of(read_config(path))


_FEATURES: dict[str, Any] = {"target": "features", "transform": {"missing": "mean"}}
_TABLE: dict[str, Any] = {"target": "y", "transform": {"missing": "mean"}}

TARGETS = [
    Target("csv", ".csv", _table(","), _reader(**_TABLE)),
    Target("tsv", ".tsv", _table("\t"), _reader(**_TABLE)),
    Target("semicolons", ".csv", _table(";"), _reader(**_TABLE)),
    Target("csv_gz", ".csv.gz", _packed(_table(",")), _reader(**_TABLE), _inside_gzip),
    Target("jsonl", ".jsonl", _json_lines, _reader(**_TABLE)),
    Target("json", ".json", _json_array, _reader(**_TABLE)),
    Target("npy", ".npy", _npy, _reader("regression", **_FEATURES)),
    Target("npz", ".npz", _npz(np.savez), _reader(**_TABLE), _inside_npz),
    Target("npz_deflated", ".npz", _npz(np.savez_compressed), _reader(**_TABLE), _inside_npz),
    Target("idx", ".idx", _idx, _reader("regression", **_FEATURES)),
    Target("idx_gz", ".idx.gz", _packed(_idx), _reader("regression", **_FEATURES), _inside_gzip),
    Target("parquet", ".parquet", _parquet, _reader(**_TABLE)),
    Target("arrow", ".arrow", _ipc(pa.ipc.new_file, _KINDS), _reader(**_TABLE)),
    Target("arrow_lz4", ".arrow", _ipc(pa.ipc.new_file, _KINDS[:3], compression="lz4"), _reader(**_TABLE)),
    Target("arrow_stream", ".arrows", _ipc(pa.ipc.new_stream, _KINDS), _reader(**_TABLE)),
    Target("png", ".png", _image("PNG"), _read_image, _inside_png),
    Target("jpeg", ".jpg", _image("JPEG"), _read_image),
    Target("text", ".txt", _text, _reader("tokens", text={"context": 8})),
    Target("yaml", ".yaml", _yaml, _read_yaml),
]
