"""Columns of dates and times as inputs."""

from __future__ import annotations

import json
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_support import Load
from hypothesis import given
from hypothesis import strategies as st

from backprop_cli.data.dataset import load_inputs
from backprop_cli.data.dated import CYCLES, Dates, names_of, values_of_parts
from backprop_cli.data.examples import Dataset
from backprop_cli.data.fitted import check_fitted
from backprop_cli.data.transform import Transform
from backprop_cli.errors import DataError, SettingError

PARTS = ("year", "month", "day", "weekday", "hour", "elapsed")


def table(load: Load, cells: list[str], own: dict[str, Any] | None = None, **transform: Any) -> Dataset:
    Path("d.csv").write_text("t,x,y\n" + "".join(f'"{cell}",{i % 3},{i}\n' for i, cell in enumerate(cells)))
    columns = {} if own is None else {"columns": {"t": own}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load("regression", source="d.csv", target="y", split=None, transform={**transform, **columns})


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_the_parts_are_those_of_the_standard_library(time: datetime) -> None:
    seconds = np.array([(time - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)])
    whole = np.floor(seconds)
    time = time.replace(microsecond=0)
    hour = time.hour + time.minute / 60 + time.second / 3600
    expected = [time.year, time.month, time.day, time.isoweekday(), hour, whole[0] / 86400]
    np.testing.assert_allclose(values_of_parts(whole, PARTS, False, 0.0)[0], expected, rtol=1e-12, atol=1e-9)
    cyclic = dict(zip(names_of(PARTS, True), values_of_parts(whole, PARTS, True, 0.0)[0], strict=True))
    for part, (length, first) in CYCLES.items():
        place = expected[PARTS.index(part)] - first
        angle = np.arctan2(cyclic[f"{part}_sin"], cyclic[f"{part}_cos"]) * length / (2 * np.pi)
        assert (angle - place + length / 2) % length == pytest.approx(length / 2, abs=1e-6)


def test_a_column_of_dates_is_read_as_such(load: Load) -> None:
    cells = [f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(100)]
    data = table(load, cells)
    names = ["t.elapsed", "t.month_sin", "t.month_cos", "t.weekday_sin", "t.weekday_cos", "x"]
    assert data.feature_names == names
    elapsed = np.asarray(data.train.inputs)[:, 0]
    assert (elapsed.mean(), elapsed.std()) == (pytest.approx(0, abs=1e-12), pytest.approx(1))
    again = Transform.from_json(json.loads(json.dumps(data.transform.to_json())))
    check_fitted(again)
    assert json.dumps(again.to_json()) == json.dumps(data.transform.to_json())
    found, _ = load_inputs(Path("d.csv"), again, dtype="float64")
    np.testing.assert_array_equal(found, data.train.inputs)


def test_times_have_an_hour_too(load: Load) -> None:
    data = table(load, ["2024-01-31 06:00", "2024-01-31T18:30", "2024-02-01"])
    assert data.feature_names[-3:] == ["t.hour_sin", "t.hour_cos", "x"]
    np.testing.assert_allclose(np.asarray(data.train.inputs)[:, -3], [1, np.sin(18.5 / 12 * np.pi), 0], atol=1e-12)


@pytest.mark.parametrize(
    ("cells", "own"),
    [
        (["2024-03-01", "2024-03-02", "2025-12-24"], {}),
        (["1 Mar 2024", "2 March 2024", "24 Dec 2025"], {}),
        (["01.03.2024", "02.03.2024", "24.12.2025"], {}),
        (["03/01/2024", "03/02/2024", "12/24/2025"], {}),
        (["01/03/24", "02/03/24", "24/12/25"], {"format": "%d/%m/%y"}),
        (["20240301", "20240302", "20251224"], {"format": "%Y%m%d"}),
        (["2024-03-01T00:00:00+00:00", "2024-03-01T19:00-05:00", "2025-12-24T00:00Z"], {}),
    ],
)
def test_spellings(load: Load, cells: list[str], own: dict[str, Any]) -> None:
    data = table(load, cells, {"date": ["year", "month", "day", "weekday"], "cyclic": False, **own})
    (feature, _) = data.transform.features
    raw = np.asarray(data.train.inputs)[:, :4] * feature.divisor + feature.shift
    np.testing.assert_allclose(raw, [[2024, 3, 1, 5], [2024, 3, 2, 6], [2025, 12, 24, 3]], rtol=1e-12)


def test_settings_for_all_dates_and_for_one(load: Load) -> None:
    cells = ["2024-03-01", "2024-04-02"]
    assert table(load, cells, date=["year", "weekday"]).feature_names[:-1] == [
        "t.year",
        "t.weekday_sin",
        "t.weekday_cos",
    ]
    assert table(load, cells, {"date": ["day"]}, date=["year"], cyclic=False).feature_names == ["t.day", "x"]
    with pytest.raises(SettingError) as caught:
        table(load, cells, {"numeric": "log"})
    assert caught.value.problems[0].reason == "means nothing for 't', which holds dates; leave it out"
    with pytest.raises(SettingError, match="means nothing for 't', which holds categories"):
        table(load, ["a", "b"], {"cyclic": False})


def test_missing_dates(load: Load) -> None:
    cells = ["2024-01-01", "2024-01-03", "", "2024-01-11"]
    with pytest.raises(DataError, match=r"d.csv:4: column 't': the value is missing; fill it in, or train with"):
        table(load, cells)
    for how, day in {"median": 3, "mean": 5, "most_frequent": 1}.items():
        data = table(load, cells, {"date": ["day"], "cyclic": False}, missing=how)
        (feature, _) = data.transform.features
        assert data.train.inputs[2, 0] * feature.divisor[0] + feature.shift[0] == pytest.approx(day)
    data = table(load, cells, missing="indicator", date=["elapsed"])
    assert data.feature_names == ["t.elapsed", "t=<missing>", "x"]
    assert np.asarray(data.train.inputs)[:, 1].tolist() == [0, 0, 1, 0]


def test_a_text_that_is_no_date(load: Load) -> None:
    cells = [f"2024-01-{1 + i:02}" for i in range(20)]
    way_out = (
        "correct it, or read the column as names with data.categories: [t] (dates are 2024-01-31, 2024-01-31 14:30, "
        "31.01.2024, 31 Jan 2024, or as data.transform.format says)"
    )
    for wrong in ("2024-02-31", "soon"):
        with pytest.raises(DataError) as caught:
            table(load, [*cells, wrong])
        assert str(caught.value) == f"d.csv:22: column 't': expected a date, got '{wrong}'; {way_out}"
    transform = table(load, cells).transform
    Path("new.csv").write_text("t,x\n2024-01-31,1\nsoon,1\n")
    with pytest.raises(DataError, match=r"new.csv:3: column 't': expected a date, got 'soon'"):
        load_inputs(Path("new.csv"), transform, dtype="float64")
    with pytest.raises(DataError, match=r"expected a time as '%d.%m.%Y' spells it, got '2024-01-01'"):
        table(load, cells, {"format": "%d.%m.%Y"})


def test_day_or_month_first(load: Load) -> None:
    with pytest.raises(DataError) as caught:
        table(load, ["01/02/2024", "03/04/2024"])
    assert str(caught.value).endswith(
        "write dates as 2024-01-31 (or 31.01.2024), or say how they are written with data.transform: "
        '{columns: {t: {format: "%d/%m/%Y"}}}'
    )
    data = table(load, ["01/02/2024", "23/04/2024"], {"date": ["month"], "cyclic": False})
    Path("new.csv").write_text("t,x\n05/02/2024,1\n")
    (feature, _) = data.transform.features
    found, _ = load_inputs(Path("new.csv"), data.transform, dtype="float64")
    assert found[0, 0] * feature.divisor[0] + feature.shift[0] == pytest.approx(2)


def test_dates_as_categories(load: Load) -> None:
    Path("d.csv").write_text("t,y\n2024-01-01,1\n2024-01-02,2\n")
    data = load("regression", source="d.csv", target="y", split=None, categories=["t"])
    assert data.feature_names == ["t=2024-01-01", "t=2024-01-02"]


def test_the_fast_way_is_the_usual_one() -> None:
    texts = ["2024-01-31", "1969-12-31 23:59", "2024-02-29T12:34:56.789", "0001-01-01"]
    slow = [Dates()._second(text) for text in texts]
    np.testing.assert_allclose(Dates().seconds(texts), slow, rtol=0, atol=1e-5)
    assert np.isnan(Dates().seconds(["2024-06-31", "2024-01-01"])).tolist() == [True, False]
