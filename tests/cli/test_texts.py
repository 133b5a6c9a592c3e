"""What the texts of a column are taken as, and the errors that name a mistaken one."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gdfast
import numpy as np
import pandas as pd
import pytest
from gdfast.__main__ import main
from gdfast._cli import columns
from numpy.testing import assert_array_equal

Say = Callable[..., tuple[int, str, str]]
FAST = ("--preset", "fast", "--max-iter", "2")
DAYS = [f"2026-01-{day:02}" for day in range(1, 31)]
NUMBERS = [str(i / 2) for i in range(30)]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command, and returns its exit status and what it has printed on both streams."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(arguments)
        return status, *capsys.readouterr()

    return run


def write(path: str, delimiter: str = ",", **texts: Sequence[str]) -> None:
    rows = [list(texts), *zip(*texts.values(), strict=True)]
    Path(path).write_text("".join(delimiter.join(row) + "\n" for row in rows))


def replaced(texts: Sequence[str], row: int, text: str) -> list[str]:
    """The texts with another one in a row, counted from 1."""
    return [*texts[: row - 1], text, *texts[row:]]


def train(data: str, *options: str, target: str = "y", out: str = "m") -> tuple[str, ...]:
    return ("train", data, "--target", target, "--out", out, *options, *FAST)


# Decimal commas.


def commas(texts: Sequence[str]) -> list[str]:
    return [text.replace(".", ",") for text in texts]


def test_decimal_commas_are_as_points(say: Say) -> None:
    write("points.csv", a=NUMBERS, y=NUMBERS[::-1])
    write("commas.csv", ";", a=commas(NUMBERS), y=commas(NUMBERS[::-1]))
    assert say(*train("points.csv"))[0] == 0
    assert say(*train("commas.csv", "--decimal", ",", out="c"))[0] == 0
    assert Path("m").read_bytes() == Path("c").read_bytes()
    expected = say("predict", "m", "points.csv")
    assert say("predict", "m", "commas.csv", "--decimal", ",") == expected
    assert expected[0] == 0


def test_decimal_commas_are_not_silently_categories(say: Say) -> None:
    texts = ["1", *commas(NUMBERS[1:28]), "?", "NA"]  # a whole number needs no mark
    write("data.csv", ";", a=texts, y=NUMBERS)
    sentence = (
        "gdfast: error: data.csv: column 'a' has the text '0,5' in row 2, with a comma as decimal mark: "
        "give --decimal ,.\n"
    )
    assert say(*train("data.csv")) == (2, "", sentence)
    assert say(*train("data.csv", "--weight", "a")) == (2, "", sentence)
    write("points.csv", a=NUMBERS, y=NUMBERS)
    say(*train("points.csv"))
    assert say("predict", "m", "data.csv") == (2, "", sentence)
    assert "categories  1 (a)" in say(*train("data.csv", "--categorical", "a"))[1]


@pytest.mark.parametrize("text", ["1.5", "1.000,5", "1,5,2", "1_0"])
def test_a_text_with_a_point_is_no_number_where_commas_are_decimal_marks(say: Say, text: str) -> None:
    write("data.csv", ";", a=replaced(commas(NUMBERS), 7, text), y=commas(NUMBERS))
    assert say(*train("data.csv", "--decimal", ","))[2].startswith(
        f"gdfast: error: data.csv: column 'a' has the text '{text}' in row 7 among numbers: correct it, "
    )


def test_points_are_not_silently_categories_where_commas_are_decimal_marks(say: Say) -> None:
    write("data.csv", ";", a=NUMBERS[1:], y=commas(NUMBERS[1:]))
    assert say(*train("data.csv", "--decimal", ","))[2] == (
        "gdfast: error: data.csv: column 'a' has the text '0.5' in row 1, with a point as decimal mark, but "
        "--decimal , is given: correct it, or give --categorical a or --drop a.\n"
    )


def test_decimal_commas_among_texts_are_categories(say: Say) -> None:
    write("data.csv", ";", a=["1,5", "x", "2,5"] * 10, y=NUMBERS)
    assert "categories  1 (a)" in say(*train("data.csv"))[1]


def test_decimal_commas_of_a_text_column_of_parquet(say: Say) -> None:
    numbers = pd.DataFrame({"a": [float(text) for text in NUMBERS], "y": np.arange(30) / 4})
    numbers.to_parquet("numbers.parquet")
    numbers.assign(a=commas(NUMBERS)).to_parquet("texts.parquet")
    say(*train("numbers.parquet"))
    expected = say("predict", "m", "numbers.parquet")
    assert say("predict", "m", "texts.parquet", "--decimal", ",") == expected
    assert say("predict", "m", "texts.parquet")[2].endswith(": give --decimal ,.\n")


# Dates.


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-01-01T00:00:10Z", "2026-01-01T00:00:10"),
        ("2026-01-01 00:00:10+00:00", "2026-01-01T00:00:10"),
        ("2026-01-01T00:30+0100", "2025-12-31T23:30"),
        ("2026-01-01T23:00:00.5-05:30", "2026-01-02T04:30:00.5"),
        ("2026-01-01T12:00+01", "2026-01-01T11:00"),
    ],
)
def test_dates_with_a_zone_are_those_of_utc(text: str, utc: str) -> None:
    found = columns.of_texts("f", "a", [text, "", text])
    assert found.kind == "date"
    seconds = np.datetime64(utc, "us").astype(np.int64) / 10**6
    assert_array_equal(found.values, [seconds / 86_400, np.nan, seconds / 86_400])


@pytest.mark.parametrize(
    "text", ["2026-01-01Z", "2026-01-01T00:00+24:00", "2026-01-01T00:00+1", "2026-02-29T00:00Z"]
)
def test_what_is_no_zone_makes_no_date(text: str) -> None:
    assert columns.of_texts("f", "a", [text]).kind == "category"


def test_zones_are_as_those_of_pandas(say: Say) -> None:
    times = pd.date_range("2026-03-28", periods=30, freq="3h", tz="Europe/Oslo")
    table = pd.DataFrame({"a": times, "y": np.arange(30) / 4})
    table.to_csv("data.csv", index=False)
    table.to_parquet("data.parquet")
    assert "dates   1 (a)" in say(*train("data.csv"))[1]
    say(*train("data.parquet", out="p"))
    assert Path("m").read_bytes() == Path("p").read_bytes()


@pytest.mark.parametrize("other", ["2026-01-07T00:00:00Z", "2026-02-29", "soon", "7"])
def test_a_mistake_among_dates_is_named(say: Say, other: str) -> None:
    write("data.csv", a=replaced(DAYS, 7, other), y=NUMBERS)
    assert say(*train("data.csv")) == (
        2,
        "",
        f"gdfast: error: data.csv: column 'a' has the text '{other}' in row 7 among dates: correct it, "
        "or give --categorical a or --drop a.\n",
    )
    pd.read_csv("data.csv").to_parquet("data.parquet")
    assert f"has the text '{other}' in row 7 among dates: " in say(*train("data.parquet"))[2]


def test_a_date_without_a_zone_among_those_with_one() -> None:
    texts = replaced([f"{day}T00:00Z" for day in DAYS], 7, "2026-01-07T00:00")
    with pytest.raises(columns.MistakenTextError, match=r"'2026-01-07T00:00' in row 7 among dates\."):
        columns.of_texts("f", "a", texts)


@pytest.mark.parametrize(("texts", "good"), [(NUMBERS, "numbers"), (DAYS, "dates")], ids=["numbers", "dates"])
def test_one_mistake_of_ten_is_one(texts: list[str], good: str) -> None:
    with pytest.raises(columns.MistakenTextError, match=f"'x' in row 3 among {good}"):
        columns.of_texts("f", "a", replaced(texts[:10], 3, "x"))
    assert columns.of_texts("f", "a", replaced(texts[:9], 3, "x")).kind == "category"


def test_a_million_dates_take_seconds() -> None:
    begin = time.process_time()
    columns.of_texts("f", "a", DAYS * 34_000)
    assert time.process_time() - begin < 10


# The columns of a model.


@pytest.fixture
def of_dates(say: Say) -> Say:
    """The model m of a column of dates, d, and one of numbers, a."""
    write("data.csv", d=DAYS, a=NUMBERS, y=NUMBERS[::-1])
    assert say(*train("data.csv"))[0] == 0
    return say


@pytest.mark.parametrize(
    ("column", "texts", "sentence"),
    [
        ("d", replaced(DAYS, 3, "2026-02-29"), "'d' has the text '2026-02-29' in row 3, where dates are"),
        ("d", replaced(DAYS, 3, "x"), "'d' has the text 'x' in row 3, where dates are"),
        ("d", [f"{i}" for i in range(30)], "'d' has the text '0' in row 1, where dates are"),
        ("a", DAYS, "'a' has the text '2026-01-01' in row 1, where numbers are"),
        ("a", replaced(NUMBERS, 3, "x"), "'a' has the text 'x' in row 3, where numbers are"),
    ],
)
def test_what_were_dates_and_numbers_have_to_be_such(
    of_dates: Say, column: str, texts: list[str], sentence: str
) -> None:
    write("new.csv", **{"d": DAYS, "a": NUMBERS, column: texts})
    sentence = f"gdfast: error: new.csv: column {sentence} expected.\n"
    assert of_dates("predict", "m", "new.csv") == (2, "", sentence)


def test_typed_columns_have_to_be_such_as_well(of_dates: Say) -> None:
    good = pd.DataFrame({"d": pd.to_datetime(DAYS), "a": np.arange(30) / 2})
    good.to_parquet("new.parquet")
    assert of_dates("predict", "m", "new.parquet") == of_dates("predict", "m", "data.csv")
    for column, kind, expected in (("d", "number", "date"), ("a", "date", "number")):
        good.assign(**{column: good["a" if column == "d" else "d"]}).to_parquet("new.parquet")
        assert of_dates("predict", "m", "new.parquet") == (
            2,
            "",
            f"gdfast: error: new.parquet: column '{column}' has a {kind} in row 1, where {expected}s are "
            "expected.\n",
        )


def test_columns_without_values_are_of_any_kind(of_dates: Say) -> None:
    write("new.csv", d=[""] * 2, a=[""] * 2)
    pd.DataFrame({"d": [np.nan] * 2, "a": pd.to_datetime([None] * 2)}).to_parquet("new.parquet")
    found = of_dates("predict", "m", "new.csv")
    assert found[0] == 0
    assert of_dates("predict", "m", "new.parquet") == found


def test_other_columns_of_a_file_may_hold_anything(of_dates: Say) -> None:
    expected = of_dates("predict", "m", "data.csv")
    write("new.csv", d=DAYS, a=NUMBERS, z=replaced(DAYS, 3, "x"), w=replaced(NUMBERS, 3, "inf"))
    assert of_dates("predict", "m", "new.csv") == expected


def test_the_dates_of_a_model_of_python(say: Say) -> None:
    table = pd.DataFrame({"d": pd.to_datetime(DAYS), "a": np.arange(30) / 2})
    est = gdfast.TabularRegressor("fast", max_iter=2, random_state=0)
    with pytest.warns(match="Dates are taken as numbers"):
        est.fit(table, np.arange(30) / 4)
    est.save("m")
    write("new.csv", a=NUMBERS, d=replaced(DAYS, 3, "x"))
    assert (
        "column 'd' has the text 'x' in row 3, where dates are expected." in say("predict", "m", "new.csv")[2]
    )
    with pytest.warns(match="Dates are taken as numbers"):
        est.fit(table.to_numpy(), np.arange(30) / 4)  # without names
    est.save("m")
    write("new.csv", d=replaced(DAYS, 3, "x"), a=NUMBERS)
    assert (
        "column 'd' has the text 'x' in row 3, where dates are expected." in say("predict", "m", "new.csv")[2]
    )


def test_a_network_of_numbers_takes_dates_as_days(say: Say) -> None:
    X = np.column_stack([np.arange(30.0), np.arange(30) / 2])
    gdfast.MLPRegressor(hidden_layer_sizes=(2,), solver="lm", max_iter=1, tol=1e9).fit(X, X[:, 0]).save("m")
    write("new.csv", d=DAYS, a=NUMBERS)
    write("days.csv", d=[str(20_454 + i) for i in range(30)], a=NUMBERS)
    found = say("predict", "m", "new.csv")
    assert found[0] == 0
    assert found == say("predict", "m", "days.csv")


def test_regression_on_dates(say: Say) -> None:
    write("data.csv", a=NUMBERS, y=DAYS)
    assert say(*train("data.csv", "--task", "regression"))[0] == 0
    assert type(gdfast.load("m")) is gdfast.TabularRegressor


# Advice.


@pytest.mark.parametrize(("texts", "good"), [(NUMBERS, "numbers"), (DAYS, "dates")], ids=["numbers", "dates"])
def test_the_advice_for_a_mistake_in_the_target_works(say: Say, texts: list[str], good: str) -> None:
    write("data.csv", a=NUMBERS, y=replaced(texts, 7, "x"))
    what = "gdfast: error: data.csv: column 'y' has the text 'x' in row 7"
    advice = "correct it, or give --task classification.\n"
    assert say(*train("data.csv")) == (2, "", f"{what} among {good}: {advice}")
    assert say(*train("data.csv", "--task", "regression"))[2] == (
        f"{what}, where {good} are expected: {advice}"
    )
    assert say(*train("data.csv", "--task", "classification"))[0] == 0


def test_the_advice_for_a_mistake_in_the_weights(say: Say) -> None:
    write("data.csv", a=NUMBERS, y=NUMBERS, w=replaced(NUMBERS, 7, "x"))
    assert say(*train("data.csv", "--weight", "w"))[2] == (
        "gdfast: error: data.csv: column 'w' has the text 'x' in row 7, where numbers are expected: "
        "correct it.\n"
    )
    write("data.csv", a=NUMBERS, y=NUMBERS, w=DAYS)
    assert say(*train("data.csv", "--weight", "w"))[0] == 2


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (replaced(NUMBERS, 7, ""), "has no weight in row 7."),
        (replaced(NUMBERS, 7, "-0.5"), "has the weight -0.5 in row 7, and 0 is the least."),
        (["0"] * 30, "has no weight other than 0."),
    ],
)
def test_a_wrong_weight_is_named(say: Say, texts: list[str], sentence: str) -> None:
    write("data.csv", a=NUMBERS, y=replaced(NUMBERS, 2, ""), w=texts)  # its row is counted
    assert say(*train("data.csv", "--weight", "w"))[2] == (
        f"gdfast: error: data.csv: column 'w' {sentence}\n"
    )


def test_long_texts_are_cut_in_errors(say: Say) -> None:
    cut = f"'{'1' * 40}...'"
    write("data.csv", a=replaced(NUMBERS, 7, "1" * 1000), y=NUMBERS)
    assert say(*train("data.csv"))[2] == (
        f"gdfast: error: data.csv: column 'a' has {cut} in row 7, which is infinite.\n"
    )
    write("data.csv", a=replaced(NUMBERS, 7, "1" * 1000 + "x"), y=NUMBERS)
    assert f"has the text {cut} in row 7 among numbers" in say(*train("data.csv"))[2]
    write("data.csv", a=NUMBERS, y=["1" * 1000] * 30)
    assert f"has one class only, {cut}." in say(*train("data.csv", "--task", "classification"))[2]
