"""The command line: what it prints and writes, and the sentences of its errors."""

from __future__ import annotations

import contextlib
import csv
import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
from gdfast.__main__ import main
from numpy.testing import assert_array_equal
from sklearn import metrics

Say = Callable[..., tuple[int, str, str]]
FAST = ("--max-iter", "2", "--preset", "fast")


def frame(n: int = 120) -> pd.DataFrame:
    """A table of numbers with gaps, texts, booleans, dates, and targets of both kinds."""
    random = np.random.default_rng(0)
    age = random.integers(18, 80, n).astype(float)
    city = random.choice(["Oslo", "Rome", "Lima, Peru"], n)
    price = 2 * age + 30 * (city == "Rome")
    age[3] = np.nan
    return pd.DataFrame(
        {
            "age": age,
            "city": city,
            "member": random.random(n) < 0.5,
            "day": pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d"),
            "price": price,
            "churn": np.where(price > 110, "yes", "no"),
            "rooms": random.integers(1, 4, n),
            "importance": random.random(n),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the table in data.csv."""
    monkeypatch.chdir(tmp_path)
    frame().to_csv("data.csv", index=False)
    return tmp_path


@pytest.fixture
def say(folder: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Runs a command, and returns its exit status and what it has printed on both streams."""

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(arguments)
        return status, *capsys.readouterr()

    return run


def values_of(out: str) -> dict[str, str]:
    """What is printed in two columns."""
    lines = (line.strip().partition("  ") for line in out.splitlines())
    return {name: value.strip() for name, _, value in lines}


def scores_of(out: str) -> dict[str, float]:
    lines = [line.split() for line in out.partition("score on")[2].splitlines()[1:]]
    return {line[0]: float(line[1]) for line in lines if line[0] not in ("model", "plot")}


def predictions(path: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# The report and the options of the whole.


def test_without_a_command_it_is_the_report(say: Say) -> None:
    status, out, err = say()
    assert (status, err) == (0, "")
    assert values_of(out)["gdfast"] == gdfast.__version__


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--version"], f"gdfast {gdfast.__version__}\n"),
        (["--help"], "usage: gdfast"),
        (["train", "--help"], "--target COLUMN"),
        (["train", "--help"], "Train on a table, and save the model. "),
        (["train", "--help"], "--seed N"),
        (["train", "--help"], "2, 4 or 8 networks, of more epochs each (default: balanced)"),
        (["predict", "--help"], "--proba"),
        (["predict", "--help"], "Predict the rows of a table by a saved model. "),
        (["info", "--help"], "Say what a model file holds. "),
        (["bench", "--help"], "--rows N"),
        (["bench", "--help"], "Measure this machine: its peak, and seconds of six networks. "),
    ],
    ids=" ".join,
)
def test_help_and_version(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        main(arguments)
    assert said.strip() in " ".join(capsys.readouterr().out.split())


def test_help_has_the_networks_of_the_presets() -> None:
    """It says their numbers itself, for it imports no estimators."""
    from gdfast.estimators._tabular import PRESETS

    assert {name: preset["n_members"] for name, preset in PRESETS.items()} == {
        "fast": 2,
        "balanced": 4,
        "best": 8,
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["train", "data.csv", "--out", "m"],
        ["train", "data.csv", "--target", "y"],
        *(
            ["train", "data.csv", "--target", "y", "--out", "m", *option]
            for option in (
                ("--preset", "slow"),
                ("--task", "clustering"),
                ("--time", "0"),
                ("--time", "nan"),
                ("--max-iter", "0"),
                ("--test-size", "1"),
                ("--test-size", "a"),
                ("--seed", "-1"),
                ("--decimal", ";"),
                ("--plot", ""),
            )
        ),
        ["train", "", "--target", "y", "--out", "m"],
        ["predict", "m", ""],
        ["bench", "--rows", "0"],
    ],
    ids=lambda arguments: " ".join(arguments[-2:]),
)
def test_wrong_arguments_end_with_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(arguments)
    out, err = capsys.readouterr()
    assert out == ""
    assert "error:" in err


# Training.


def test_train_a_classifier_and_predict(say: Say) -> None:
    status, out, err = say(
        *("train", "data.csv", "--target", "churn", "--out", "m.safetensors"),
        *("--drop", "price", "--drop", "importance", "--max-iter", "10"),
    )
    assert (status, err) == (0, "")
    said = values_of(out)
    assert said["data"] == "data.csv: 120 rows, 8 columns"
    assert "churn, classification (classes: 2 (no, yes)" in said["target"]
    assert said["features"] == "5"
    assert said["numbers"] == "2 (age, rooms)"
    assert said["categories"] == "2 (city, member)"
    assert said["dates"] == "1 (day)"
    assert said["left out"] == "2 (price, importance)"
    assert "96 rows in" in said["trained on"]
    assert "24 rows held out" in said["score on"]
    scores = scores_of(out)
    assert set(scores) == {"accuracy", "log-loss", "AUC"}
    assert scores["AUC"] > 0.8

    assert say("predict", "m.safetensors", "data.csv", "--proba", "--out", "p.csv") == (0, "", "")
    found = predictions("p.csv")
    assert list(found[0]) == ["prediction", "probability_no", "probability_yes"]
    table = pd.read_csv("data.csv")
    assert np.mean([row["prediction"] for row in found] == table["churn"]) > 0.8
    # The same as by hand.
    table["member"] = table["member"].astype(str)
    table["day"] = pd.to_datetime(table["day"])
    probabilities = gdfast.load("m.safetensors").predict_proba(table)
    assert_array_equal([float(row["probability_yes"]) for row in found], probabilities[:, 1])


def test_train_a_regressor_and_predict_to_standard_output(say: Say) -> None:
    status, out, _ = say("train", "data.csv", "--target", "price", "--out", "m.safetensors", *FAST)
    assert status == 0
    assert "price, regression (" in out
    assert set(scores_of(out)) == {"R2", "RMSE", "MAE"}
    status, out, err = say("predict", "m.safetensors", "data.csv")
    assert (status, err) == (0, "")
    name, *numbers = out.splitlines()
    assert name == "prediction"
    assert len(numbers) == 120
    assert np.isfinite(np.array(numbers, float)).all()


def test_the_scores_are_those_of_rows_that_were_held_out(say: Say) -> None:
    """Half of the rows have another target. A model that had seen them would know it."""
    table = pd.DataFrame({"row": np.arange(400), "y": np.random.default_rng(0).permutation(400) % 2})
    table.to_csv("noise.csv", index=False)
    _, out, _ = say("train", "noise.csv", "--target", "y", "--out", "m", "--test-size", "0.5", *FAST)
    assert "200 rows held out" in out
    assert 0.3 < scores_of(out)["accuracy"] < 0.7


def test_the_same_seed_gives_the_same_file_and_scores(say: Say, folder: Path) -> None:
    arguments = ("train", "data.csv", "--target", "churn", *FAST)
    outs = [scores_of(say(*arguments, "--out", name, "--seed", seed)[1])
            for name, seed in (("a", "3"), ("b", "3"), ("c", "4"))]  # fmt: skip
    assert outs[0] == outs[1] != outs[2]
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes() != (folder / "c").read_bytes()


@pytest.mark.parametrize(
    ("target", "option", "kind"),
    [
        ("churn", (), gdfast.TabularClassifier),
        ("rooms", (), gdfast.TabularClassifier),
        ("rooms", ("--task", "regression"), gdfast.TabularRegressor),
        ("member", (), gdfast.TabularClassifier),
        ("price", (), gdfast.TabularRegressor),
        ("day", (), gdfast.TabularRegressor),
        ("floor", (), gdfast.TabularRegressor),
        # Held out are rows enough for scikit-learn 1.7 not to warn of many classes.
        ("floor", ("--task", "classification", "--test-size", "0.4"), gdfast.TabularClassifier),
    ],
)
def test_the_task_is_found_or_given(say: Say, target: str, option: tuple[str, ...], kind: type) -> None:
    table = frame()
    table["floor"] = np.arange(len(table)) % 13
    table.to_csv("floors.csv", index=False)
    assert say("train", "floors.csv", "--target", target, "--out", "m", *option, *FAST)[0] == 0
    assert type(gdfast.load("m")) is kind


def test_classes_that_are_whole_numbers_stay_whole_numbers(say: Say) -> None:
    say("train", "data.csv", "--target", "rooms", "--out", "m", *FAST)
    assert gdfast.load("m").classes_.tolist() == [1, 2, 3]
    assert set(say("predict", "m", "data.csv")[1].split()[1:]) <= {"1", "2", "3"}


def test_rows_without_a_target_are_left_out(say: Say) -> None:
    table = frame()
    table.loc[:9, "price"] = np.nan
    table.to_csv("gaps.csv", index=False)
    _, out, _ = say("train", "gaps.csv", "--target", "price", "--out", "m", *FAST)
    assert "110 rows, 10 more without a target" in out


def test_weights_count_in_training_and_in_scores(say: Say) -> None:
    table = frame()
    table["importance"] = np.where(table["city"] == "Rome", 0.0, 1.0)
    table.to_csv("weighted.csv", index=False)
    _, out, _ = say(
        "train", "weighted.csv", "--target", "price", "--out", "m", "--weight", "importance", *FAST
    )
    assert "importance" in values_of(out)["weight"]
    assert "importance" not in gdfast.load("m").feature_names_in_
    # With weights, it is the error of the other rows.
    from sklearn.model_selection import train_test_split

    held_out = train_test_split(np.arange(120), test_size=24, random_state=0)[1]
    rest = held_out[(table["city"] != "Rome").to_numpy()[held_out]]
    say("predict", "m", "weighted.csv", "--out", "p.csv")
    predicted = np.array([float(row["prediction"]) for row in predictions("p.csv")])
    error = metrics.mean_absolute_error(table["price"].to_numpy()[rest], predicted[rest])
    assert scores_of(out)["MAE"] == pytest.approx(error, rel=1e-5)  # six digits are printed


def test_test_size_0_trains_on_all_rows(say: Say) -> None:
    _, out, _ = say("train", "data.csv", "--target", "price", "--out", "m", "--test-size", "0", *FAST)
    assert "120 rows in" in out
    assert scores_of(out) == {}


def test_a_class_of_one_row_is_trained_and_not_held_out(say: Say) -> None:
    for seed in range(4):
        table = frame(40)
        table.loc[7, "churn"] = "perhaps"
        table.to_csv("rare.csv", index=False)
        status, *_ = say("train", "rare.csv", "--target", "churn", "--out", "m", "--seed", str(seed), *FAST)
        assert status == 0
        assert gdfast.load("m").classes_.tolist() == ["no", "perhaps", "yes"]


def test_without_rows_held_out_the_reason_is_printed(say: Say) -> None:
    frame(30).assign(churn=[f"c{i}" for i in range(30)]).to_csv("data.csv", index=False)
    arguments = ("train", "data.csv", "--target", "churn", "--out", "m", *FAST)
    assert (
        values_of(say(*arguments)[1])["score on"] == "no rows: those drawn are needed to train their classes"
    )
    assert values_of(say(*arguments, "--test-size", "0")[1])["score on"] == "no rows: none are held out"


def test_rows_held_out_may_have_no_weight(say: Say) -> None:
    from sklearn.model_selection import train_test_split

    held_out = train_test_split(np.arange(120), test_size=24, random_state=0)[1]
    frame().assign(importance=1 - np.isin(np.arange(120), held_out)).to_csv("data.csv", index=False)
    _, out, _ = say(*TRAIN, "--weight", "importance", *FAST)
    assert values_of(out)["score on"] == "no rows: those held out have no weight"


def test_time_ends_training(say: Say) -> None:
    status, _, err = say("train", "data.csv", "--target", "price", "--out", "m", "--time", "1e-6")
    assert status == 0
    assert "warning: Training stopped: max_time=1e-06" in err
    assert len(gdfast.load("m").members_) < 4


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot(say: Say, folder: Path, ending: str) -> None:
    picture = folder / f"curve.{ending}"
    _, out, _ = say("train", "data.csv", "--target", "price", "--out", "m", "--plot", str(picture), *FAST)
    assert values_of(out)["plot"] == str(picture)
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending]
    assert picture.read_bytes().startswith(begins)


# Files.


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_other_delimiters(say: Say, delimiter: str) -> None:
    frame().to_csv("other.csv", index=False, sep=delimiter)
    say("train", "other.csv", "--target", "price", "--out", "a", *FAST)
    say("train", "data.csv", "--target", "price", "--out", "b", *FAST)
    assert Path("a").read_bytes() == Path("b").read_bytes()


def test_a_byte_order_mark_is_no_part_of_a_name(say: Say) -> None:
    frame().to_csv("marked.csv", index=False, encoding="utf-8-sig")
    assert say("train", "marked.csv", "--target", "age", "--out", "m", *FAST)[0] == 0


def test_parquet_is_as_csv(say: Say) -> None:
    table = frame()
    table["day"] = pd.to_datetime(table["day"])
    table["city"] = table["city"].astype("category")
    table.to_parquet("data.parquet")
    say("train", "data.parquet", "--target", "price", "--out", "a", *FAST)
    say("train", "data.csv", "--target", "price", "--out", "b", *FAST)
    assert Path("a").read_bytes() == Path("b").read_bytes()
    assert say("predict", "a", "data.parquet") == say("predict", "a", "data.csv")


class Missing:
    """A finder of modules before all others, for which these are not installed."""

    def __init__(self, *names: str) -> None:
        self.names = names

    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("missing", [["pandas"], ["pandas", "pyarrow", "polars", "tqdm", "matplotlib"]])
def test_it_is_the_same_without_other_libraries(
    say: Say, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = ("train", "data.csv", "--target", "churn", *FAST)
    expected = scores_of(say(*whole, "--out", "a")[1])
    with monkeypatch.context() as patch:
        for name in missing:
            patch.delitem(sys.modules, name, raising=False)
        patch.setattr(sys, "meta_path", [Missing(*missing), *sys.meta_path])
        status, out, err = say(*whole, "--out", "b")
        assert (status, err, scores_of(out)) == (0, "", expected)
        found = say("predict", "a", "data.csv"), say("predict", "b", "data.csv")
        assert found[0] == found[1]
    assert found[0] == say("predict", "b", "data.csv")
    assert list(gdfast.load("b").feature_names_in_) == list(gdfast.load("a").feature_names_in_)


@contextlib.contextmanager
def piped(data: bytes) -> Iterator[str]:
    """A named pipe that another thread writes to."""

    def write() -> None:
        with contextlib.suppress(BrokenPipeError):  # a command that refuses the pipe does not read it
            Path("pipe").write_bytes(data)

    os.mkfifo("pipe")
    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    yield "pipe"
    thread.join(timeout=60)
    os.remove("pipe")
    assert not thread.is_alive()


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("library", ["csv", "pyarrow", "polars"])
def test_a_table_may_be_a_pipe(say: Say, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is as the file, for a model with names and for one without."""
    table = frame()[["rooms", "price", "importance"]]
    table.to_csv("table", index=False) if library == "csv" else table.to_parquet("table")
    if library == "polars":
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    whole = Path("table").read_bytes()
    arguments = ("--target", "price", *FAST)
    say("train", "table", "--out", "a", *arguments)
    with piped(whole) as pipe:
        assert say("train", pipe, "--out", "b", *arguments)[0] == 0
    assert Path("a").read_bytes() == Path("b").read_bytes()
    est = gdfast.MLPRegressor(hidden_layer_sizes=(2,), solver="lm", max_iter=1, tol=1e9)
    est.fit(table.to_numpy(), table["price"]).save("c")
    for model in ("a", "c"):
        with piped(whole) as pipe:
            assert say("predict", model, pipe) == (0, say("predict", model, "table")[1], "")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("data", [b"a,price\n\xff,1\n", b"PAR1", b"", b"a,b\n1\n"], ids=repr)
def test_errors_of_a_pipe_name_it(say: Say, data: bytes) -> None:
    with piped(data) as pipe:
        status, _, err = say("train", pipe, "--target", "price", "--out", "m")
    assert status == 2
    assert err.startswith("gdfast: error: pipe")


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_model_is_no_pipe(say: Say) -> None:
    """Its arrays are read from their places."""
    os.mkfifo("model")
    for command in (("predict", "model", "data.csv"), ("info", "model")):
        assert say(*command) == (2, "", "gdfast: error: model cannot be loaded: it is no regular file.\n")


def test_parquet_by_polars(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    frame().to_parquet("data.parquet")
    say("train", "data.parquet", "--target", "price", "--out", "a", *FAST)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    say("train", "data.parquet", "--target", "price", "--out", "b", *FAST)
    assert Path("a").read_bytes() == Path("b").read_bytes()


def test_categorical_and_the_texts_of_later_files(say: Say) -> None:
    """What is a category for the model is one in every file, although there all of its texts are numbers."""
    codes = np.array([*["1", "2", "3A"] * 30])
    pd.DataFrame({"code": codes, "y": codes == "2"}).to_csv("codes.csv", index=False)
    say("train", "codes.csv", "--target", "y", "--out", "m", "--max-iter", "30")
    Path("later.csv").write_text("code\n1\n2\n")
    assert say("predict", "m", "later.csv")[1].split() == ["prediction", "False", "True"]
    _, out, _ = say("train", "data.csv", "--target", "price", "--out", "m", "--categorical", "rooms", *FAST)
    assert "rooms" in values_of(out)["categories"]


def test_models_of_other_programs(say: Say) -> None:
    """Categories that are no strings, columns in another order, a network of numbers without names."""
    table = frame()
    est = gdfast.TabularRegressor("fast", max_iter=3, random_state=0)
    est.fit(table[["member", "age"]], table["price"]).save("m")
    found = np.array(say("predict", "m", "data.csv")[1].split()[1:], float)
    assert_array_equal(found, est.predict(table))

    X = table[["price", "rooms"]].to_numpy()
    clf = gdfast.MLPClassifier(max_iter=2, solver="lbfgs", random_state=0)
    with pytest.warns(match="lbfgs"):
        clf.fit(X, table["churn"])
    clf.save("m")
    table[["price", "rooms"]].to_csv("two.csv", index=False)
    assert say("predict", "m", "two.csv")[1].split()[1:] == clf.predict(X).tolist()
    assert say("predict", "m", "data.csv")[2] == (
        "gdfast: error: data.csv has 8 columns, but the model was trained on 2 without names.\n"
    )


def test_parquet_and_plots_say_what_to_install(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    frame().to_parquet("data.parquet")
    for name in ("pyarrow.parquet", "polars", "matplotlib"):
        monkeypatch.setitem(sys.modules, name, None)
    arguments = ("train", "data.parquet", "--target", "price", "--out", "m")
    status, _, err = say(*arguments)
    assert (status, err) == (
        2,
        "gdfast: error: data.parquet is a Parquet file: install pyarrow or polars to read it.\n",
    )
    status, _, err = say(*arguments, "--plot", "c.png")
    assert (status, err) == (2, "gdfast: error: --plot needs matplotlib: install it.\n")


# What a file holds.


def test_info(say: Say) -> None:
    say("train", "data.csv", "--target", "churn", "--out", "m", "--drop", "price", *FAST)
    status, out, err = say("info", "m")
    assert (status, err) == (0, "")
    said = values_of(out)
    est = gdfast.load("m")
    assert said["kind"] == "gdfast.TabularClassifier"
    assert said["written by"] == f"gdfast {gdfast.__version__}, format 1"
    assert said["file"] == f"m, {os.path.getsize('m'):,} bytes"
    assert said["features"] == "6"
    assert said["age"] == "number"
    assert said["city"] == "category: 3 (Lima, Peru, Oslo, Rome)"
    assert said["classes"] == "2 (no, yes)"
    member = est.members_[0]
    arrays = [*member.coefs_, *member.intercepts_, *member.bn_gamma_, *member.bn_beta_]
    arrays += [*member.bn_mean_, *member.bn_var_]
    assert said["networks"] == f"2, each of {sum(array.size for array in arrays):,} parameters"
    assert said["epochs"] == "2, 2"
    assert said["preset"] == "'fast'"


@pytest.mark.parametrize(
    "est",
    [
        gdfast.MLPRegressor(hidden_layer_sizes=(5,)),
        gdfast.RNNClassifier(cell="gru"),
        gdfast.preprocessing.RobustClipper(),
        gdfast.MLPClassifier(solver=gdfast.optim.Lion()),
    ],
    ids=lambda est: type(est).__name__,
)
def test_info_of_what_does_not_predict(say: Say, est: Any) -> None:
    est.save("m")
    status, out, _ = say("info", "m")
    assert status == 0
    assert values_of(out)["kind"].endswith(type(est).__name__)
    assert values_of(out)["fitted"] == "no"
    assert say("predict", "m", "data.csv")[0] == 2


def test_info_of_a_network(say: Say) -> None:
    X = np.random.default_rng(0).random((20, 3))
    gdfast.MLPRegressor(hidden_layer_sizes=(5,), solver="lm", max_iter=3, tol=10.0).fit(
        X, X.sum(axis=1)
    ).save("m")
    said = values_of(say("info", "m")[1])
    assert said["networks"] == "1, each of 26 parameters"
    assert said["weights"] == "3 x 5, 5 x 1"
    assert said["outputs"] == "1"


def test_bench(say: Say) -> None:
    status, out, err = say("bench", "--rows", "32")
    assert (status, err) == (0, "")
    before, _, after = out.partition("Seconds of an epoch of 32 rows")
    assert float(values_of(before)["peak, 1 thread"].split()[0]) > 0.1  # Gflop/s
    nets = [line.rpartition("  ") for line in after.splitlines()[1:]]
    assert len(nets) == 6
    assert all(float(seconds) >= 0 for _, _, seconds in nets)


# Errors.

TRAIN = ("train", "data.csv", "--target", "price", "--out", "m")


def cut_csv() -> None:
    text = Path("data.csv").read_text()
    Path("data.csv").write_text(text[: text.rindex(",")])


def cut_parquet() -> None:
    frame().to_parquet("data.parquet")
    whole = Path("data.parquet").read_bytes()
    Path("data.csv").write_bytes(whole[: len(whole) // 2])


def quoted() -> None:
    with open("data.csv", "a") as file:
        file.write('1,"Oslo,')


def write(text: str | bytes) -> Callable[[], None]:
    return lambda: void(Path("data.csv").write_bytes(text if isinstance(text, bytes) else text.encode()))


def void(_: Any) -> None:
    pass


def change(column: str, row: int, text: str) -> Callable[[], None]:
    def run() -> None:
        table = pd.read_csv("data.csv", dtype=str, keep_default_na=False)
        table.loc[row, column] = text
        table.to_csv("data.csv", index=False)

    return run


@pytest.mark.parametrize(
    ("prepare", "arguments", "sentence"),
    [
        (None, ("train", "no.csv", *TRAIN[2:]), "no.csv: No such file or directory"),
        (None, ("train", ".", *TRAIN[2:]), ".: Is a directory"),
        (
            None,
            (*TRAIN[:3], "cost", *TRAIN[4:]),
            "data.csv has no column 'cost' (--target): it has 'age', 'city', 'member', 'day', 'price', "
            "'churn', 'rooms', 'importance'.",
        ),
        (
            None,
            (*TRAIN, "--drop", "romes"),
            "data.csv has no column 'romes' (--drop): it has 'rooms', 'age', ",
        ),
        (None, (*TRAIN, "--drop", "CITY"), "data.csv has no column 'CITY' (--drop): it has 'city', 'age', "),
        (
            None,
            (*TRAIN, "--weight", "cost"),
            "data.csv has no column 'cost' (--weight): it has 'age', 'city', ",
        ),
        (
            None,
            (*TRAIN, "--categorical", "x"),
            "data.csv has no column 'x' (--categorical): it has 'age', ",
        ),
        (None, (*TRAIN, "--drop", "price"), "--target price is also given as --weight or --drop."),
        (None, (*TRAIN, "--weight", "city"), "data.csv: column 'city' has the text "),
        (None, (*TRAIN[:5], "no/m"), "--out no/m cannot be written: There is no folder 'no' to write to"),
        (None, (*TRAIN[:5], "."), "--out . cannot be written: The path must be that of a file"),
        (None, (*TRAIN[:5], "data.csv"), "--out data.csv is the file that is read: name another one."),
        (None, (*TRAIN, "--plot", "c.txt"), "--plot c.txt must end in .pdf, .png, .svg."),
        (None, (*TRAIN, "--plot", "no/c.png"), "--plot no/c.png cannot be written: There is no folder"),
        (None, (*TRAIN, "--test-size", "0.99"), "--test-size 0.99 leaves 1 of 120 rows to train on."),
        (
            None,
            (*TRAIN[:3], "city", *TRAIN[4:], "--task", "regression"),
            "data.csv: column 'city' has the text",
        ),
        (write(""), TRAIN, "data.csv is empty: its first line must have the names of columns."),
        (write("a,price\n"), TRAIN, "data.csv has no rows."),
        (write("a,a,price\n1,2,3\n"), TRAIN, "data.csv has several columns of the name 'a'."),
        (write("price\n1\n2\n"), TRAIN, "data.csv has no columns beside 'price'."),
        (
            write("b,price,k,a\n1,1,1,1\n2,2,2,2\n"),
            (*TRAIN, "--drop", "k", "--drop", "b", "--weight", "a"),
            "data.csv has no columns beside 'b', 'price', 'k', 'a'.",
        ),
        (write("a,price\n1,\n2,3\n"), TRAIN, "data.csv: column 'price' has 1 value, and 2 are the fewest."),
        (write("a,price\n1,x\n2,x\n"), TRAIN, "data.csv: column 'price' has one class only, 'x'."),
        (write("a,price\n1,2\n2,2\n"), TRAIN, "data.csv: column 'price' has one value only, 2.0."),
        (
            write("a,price\n1,2026-01-01\n2,2026-01-01\n"),
            TRAIN,
            "data.csv: column 'price' has one value only, 2026-01-01T00:00:00.",
        ),
        (
            write("a,price\n1,2\n1,\0\n1,2\n"),
            TRAIN,
            "data.csv, line 3 has a NUL byte: the file is damaged, or no text.",
        ),
        (
            write(gzip.compress(b"a,price\n1,2\n")),
            TRAIN,
            "data.csv is compressed by gzip: give <(zcat FILE), or uncompress it.",
        ),
        (
            write("a,price\n1,2,3\n"),
            TRAIN,
            "data.csv, line 2 has 3 fields, but the first line names 2",
        ),
        (write(b"a,price\n\xff,1\n"), TRAIN, "data.csv is no text in UTF-8: invalid start byte"),
        (cut_csv, TRAIN, "data.csv, line 121 has 7 fields, but the first line names 8 columns"),
        (quoted, TRAIN, "data.csv, line 122: unexpected end of data: the file is cut off or malformed."),
        (cut_parquet, TRAIN, "data.csv cannot be read as Parquet: "),
        (
            change("age", 16, "old"),
            TRAIN,
            "data.csv: column 'age' has the text 'old' in row 17 among numbers: correct it, or give "
            "--categorical age or --drop age.",
        ),
        (
            write("'mean' $HOME,price\n" + "1,2\n" * 19 + "x,3\n"),
            TRAIN,
            "data.csv: column \"'mean' $HOME\" has the text 'x' in row 20 among numbers: correct it, or give "
            """--categorical ''"'"'mean'"'"' $HOME' or --drop ''"'"'mean'"'"' $HOME'.""",
        ),
        (
            write("-x,price\n" + "1,2\n" * 19 + "x,3\n"),
            TRAIN,
            "data.csv: column '-x' has the text 'x' in row 20 among numbers: correct it, or give "
            "--categorical=-x or --drop=-x.",
        ),
        (change("age", 16, "inf"), TRAIN, "data.csv: column 'age' has 'inf' in row 17, which is infinite."),
        (
            change("importance", 0, "-1"),
            (*TRAIN, "--weight", "importance"),
            "data.csv: column 'importance' has the weight -1.0 in row 1, and 0 is the least.",
        ),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)
def test_errors_of_train(
    say: Say, folder: Path, prepare: Callable[[], None] | None, arguments: tuple[str, ...], sentence: str
) -> None:
    """One sentence that names the file or the column, status 2, and nothing written."""
    if prepare is not None:
        prepare()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    status, _, err = say(*arguments, *FAST)
    assert err.startswith(f"gdfast: error: {sentence}")
    assert err.count("\n") == 1
    assert status == 2
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_of_many_columns_the_close_ones_are_named(say: Say) -> None:
    names = [f"x{i}" for i in range(3000)]
    write(",".join(names) + "\n" + "1," * 2999 + "1\n")()
    _, _, err = say("train", "data.csv", "--target", "x_2718", "--out", "m")
    said = err.partition(": it has ")[2]
    assert said.startswith("'x2718', ")
    assert said.count(", ") == 9
    assert said.endswith(" and 2,990 more.\n")


def test_of_many_missing_columns_some_are_named(say: Say) -> None:
    X = pd.DataFrame(np.random.default_rng(0).random((8, 30)), columns=[f"x{i}" for i in range(30)])
    est = gdfast.MLPRegressor(hidden_layer_sizes=(2,), max_iter=1, solver="lm", tol=1e9)
    est.fit(X, X.sum(axis=1)).save("m")
    assert say("predict", "m", "data.csv")[2].endswith(" trained on: "
        + ", ".join(f"'x{i}'" for i in range(10)) + " and 20 more.\n")  # fmt: skip


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no folder where nobody may write")
def test_a_folder_that_cannot_be_written_to_is_found_before_training(say: Say) -> None:
    status, out, err = say(*TRAIN[:5], "/proc/m")
    assert (status, out) == (2, "")
    assert err.startswith("gdfast: error: --out /proc/m cannot be written: ")


@pytest.fixture
def trained(say: Say) -> Say:
    assert say(*TRAIN, "--drop", "churn", *FAST)[0] == 0
    return say


def cut_model() -> None:
    whole = Path("m").read_bytes()
    Path("m").write_bytes(whole[:-100])


def damaged_model() -> None:
    whole = bytearray(Path("m").read_bytes())
    whole[300] ^= 1  # in the header
    Path("m").write_bytes(whole)


PREDICT = ("predict", "m", "data.csv")


@pytest.mark.parametrize(
    ("prepare", "arguments", "sentence"),
    [
        (None, ("predict", "no", "data.csv"), "no: No such file or directory"),
        (None, ("predict", "data.csv", "data.csv"), "data.csv cannot be loaded: it is not a model file: "),
        (None, ("predict", ".", "data.csv"), ". cannot be loaded: it is no regular file."),
        (cut_model, PREDICT, "m cannot be loaded: its arrays take"),
        (damaged_model, PREDICT, "m cannot be loaded: "),
        (None, ("predict", "m", "no.csv"), "no.csv: No such file or directory"),
        (None, (*PREDICT, "--proba"), "--proba: m holds TabularRegressor, which predicts numbers."),
        (None, (*PREDICT, "--out", "m"), "--out m is the file that is read: name another one."),
        (None, (*PREDICT, "--out", "no/p.csv"), "--out no/p.csv cannot be written: There is no folder"),
        (
            write("city,rooms,day\nOslo,1,2020-01-01\n"),
            PREDICT,
            "data.csv lacks columns that the model was trained on: 'age', 'member', 'importance'.",
        ),
        (
            change("age", 2, "old"),
            PREDICT,
            "data.csv: column 'age' has the text 'old' in row 3, where numbers are expected.",
        ),
        (cut_csv, PREDICT, "data.csv, line 121 has 7 fields"),
        (write(""), PREDICT, "data.csv is empty"),
        (cut_model, ("info", "m"), "m cannot be loaded: its arrays take"),
        (None, ("info", "no"), "no: No such file or directory"),
        (None, ("info", "data.csv"), "data.csv cannot be loaded: "),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else "",
)
def test_errors_of_predict_and_info(
    trained: Say, folder: Path, prepare: Callable[[], None] | None, arguments: tuple[str, ...], sentence: str
) -> None:
    if prepare is not None:
        prepare()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    status, out, err = trained(*arguments)
    assert err.startswith(f"gdfast: error: {sentence}")
    assert err.count("\n") == 1
    assert (status, out) == (2, "")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_network_of_numbers_names_the_column_of_a_gap(say: Say) -> None:
    table = frame().dropna()[["age", "rooms", "price"]]
    gdfast.MLPRegressor(solver="lm", hidden_layer_sizes=(2,), tol=1e9).fit(
        table[["age", "rooms"]], table["price"]
    ).save("m")
    assert say("predict", "m", "data.csv")[2] == (
        "gdfast: error: data.csv: column 'age' has no value in row 4.\n"
    )


def test_sequences_are_refused(say: Say) -> None:
    X = np.zeros((4, 3, 2))
    X[::2] = 1
    gdfast.RNNClassifier(max_iter=1, tol=1e9, n_iter_no_change=1).partial_fit(
        X, [0, 1, 0, 1], classes=[0, 1]
    ).save("m")
    assert "m holds RNNClassifier, which takes sequences" in say("predict", "m", "data.csv")[2]
    assert values_of(say("info", "m")[1])["kind"] == "gdfast.RNNClassifier"


# As processes.


def command(
    *arguments: str, stdout: Any = subprocess.PIPE, stderr: Any = subprocess.PIPE, unbuffered: bool = False
) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    if unbuffered:
        inherited["PYTHONUNBUFFERED"] = "1"
    return subprocess.Popen(
        [sys.executable, "-m", "gdfast", *arguments],
        env={**inherited, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=stdout,
        stderr=stderr,
        text=True,
    )


def test_an_error_ends_the_process_with_status_2(folder: Path) -> None:
    with command("train", "no.csv", "--target", "y", "--out", "m") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err == "gdfast: error: no.csv: No such file or directory\n"


@pytest.mark.skipif(os.name != "posix", reason="the status is that of a shell of POSIX")
@pytest.mark.parametrize("arguments", [(), ("--help",), ("predict", "m", "data.csv")], ids=" ".join)
def test_a_closed_pipe_ends_silently(trained: Say, arguments: tuple[str, ...]) -> None:
    with command(*arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize(
    "arguments", [(), ("predict", "m", "data.csv"), ("info", "m"), ("bench", "--rows", "32")], ids=" ".join
)
def test_what_cannot_be_printed_names_standard_output(trained: Say, arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full, command(*arguments, stdout=full) as process:
        _, err = process.communicate(timeout=120)
    assert err == "gdfast: error: standard output: No space left on device\n"
    assert process.returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_help_that_cannot_be_printed_is_an_error(unbuffered: bool) -> None:
    with open("/dev/full", "w") as full, command("--help", stdout=full, unbuffered=unbuffered) as process:
        _, err = process.communicate(timeout=120)
    assert err == "gdfast: error: standard output: No space left on device\n"
    assert process.returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [("nothing",), ("info", "no")], ids=" ".join)
def test_an_error_that_cannot_be_printed_ends_with_status_2(
    folder: Path, arguments: tuple[str, ...], unbuffered: bool
) -> None:
    with open("/dev/full", "w") as full, command(*arguments, stderr=full, unbuffered=unbuffered) as process:
        assert process.communicate(timeout=120)[0] == ""
    assert process.returncode == 2


@pytest.mark.skipif(os.name != "posix", reason="sh closes the stream")
@pytest.mark.parametrize("arguments", ["nothing", "info no"])
def test_an_error_for_a_closed_stream_ends_with_status_2(folder: Path, arguments: str) -> None:
    close = f"exec '{sys.executable}' -m gdfast {arguments} 2>&-"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(["sh", "-c", close], env=env, stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="a device of Linux")
@pytest.mark.parametrize("arguments", [("predict", "m", "data.csv"), TRAIN[:4]], ids=" ".join)
def test_a_pipe_without_a_path_is_refused(trained: Say, arguments: tuple[str, ...]) -> None:
    with command(*arguments, "--out", "/dev/stdout") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert err == "gdfast: error: --out /dev/stdout cannot be written: it is a pipe that has no path.\n"


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="a device of POSIX")
def test_a_device_is_written_to(trained: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder need not be writable."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert trained("predict", "m", "data.csv", "--out", "/dev/null") == (0, "", "")


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is another on Windows")
def test_ctrl_c_ends_with_130_and_leaves_nothing(folder: Path) -> None:
    pd.concat([frame()] * 200).to_csv("data.csv", index=False)
    with command(*TRAIN, "--max-iter", "100000") as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith("features"):
            pass
        time.sleep(1)  # it trains, or is about to
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert err == "gdfast: interrupted\n"
    assert process.returncode == 130
    assert "trained on" not in out
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv"]
