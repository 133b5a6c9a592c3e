"""Files and streams as they come: what stands in them is taken as it stands, and nothing is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import gdfast
import numpy as np
import pandas as pd
import pytest
from gdfast.__main__ import main

FAST = ("--preset", "fast", "--max-iter", "2")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A model file of data.csv in the working directory."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    table = pd.DataFrame(random.standard_normal((80, 2)), columns=["a", "b"])
    table["y"] = np.where(table["a"] > 0, "ä", "b")
    table.to_csv("data.csv", index=False)
    assert main(["train", "data.csv", "--target", "y", "--out", "m", *FAST]) == 0
    capsys.readouterr()
    return tmp_path / "m"


def in_ascii(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "gdfast", *arguments],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )


def test_a_plot_is_not_written_over_its_model(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "data.csv", "--target", "y", "--out", "new.png", "--plot", "./new.png", *FAST]
    assert main(arguments) == 2
    assert "--plot new.png is the file of the model" in capsys.readouterr().err
    assert not Path("new.png").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_predictions_go_through_a_named_pipe(model: Path) -> None:
    os.mkfifo("pipe")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(Path("pipe").read_text(encoding="utf-8")))
    reader.start()
    assert main(["predict", "m", "data.csv", "--out", "pipe"]) == 0
    reader.join(20)
    assert Path("pipe").is_fifo()
    assert len(read[0].splitlines()) == 81


def test_a_link_stays_one(model: Path) -> None:
    Path("real").mkdir()
    Path("real/out.csv").touch()
    Path("link.csv").symlink_to("real/out.csv")
    assert main(["predict", "m", "data.csv", "--out", "link.csv"]) == 0
    assert Path("link.csv").is_symlink()
    assert len(Path("real/out.csv").read_text(encoding="utf-8").splitlines()) == 81


def test_underscores_make_no_numbers(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"code": ["1_2", "12", "1_20"] * 30, "y": [1.5, 2.5, 9.5] * 30})
    table.to_csv("codes.csv", index=False)
    assert main(["train", "codes.csv", "--target", "y", "--out", "codes", *FAST]) == 0
    assert "categories  1 (code)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "labels", [("9007199254740993", "9007199254740992"), ("10000000000000000001", "20000000000000000001")]
)
def test_classes_too_large_for_floats(model: Path, labels: tuple[str, str]) -> None:
    Path("ids.csv").write_text("x,y\n" + "".join(f"{i % 2},{labels[i % 2]}\n" for i in range(90)))
    options = ("--target", "y", "--task", "classification", "--out", "ids")
    assert main(["train", "ids.csv", *options, *FAST]) == 0
    assert sorted(gdfast.load("ids").classes_) == sorted(labels)


def test_commas_in_the_names_of_columns(model: Path) -> None:
    rows = "".join(f"{i},{i % 7},{i / 10}\n".replace(",", ";") for i in range(90))
    Path("semicolons.csv").write_text('"price, EUR";"area, m2";y\n' + rows)
    assert main(["train", "semicolons.csv", "--target", "y", "--out", "s", *FAST]) == 0
    assert list(gdfast.load("s").feature_names_in_) == ["price, EUR", "area, m2"]


def test_letters_that_the_encoding_of_a_pipe_lacks(model: Path) -> None:
    done = in_ascii("predict", "m", "data.csv")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "ä" in done.stdout.decode()
    done = in_ascii("info", "m")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\xe4" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="sh closes the output")
def test_a_closed_output(model: Path) -> None:
    close = f"exec '{sys.executable}' -m gdfast info m >&-"
    done = subprocess.run(["sh", "-c", close], stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
