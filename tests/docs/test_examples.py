"""Every example runs as it stands, and does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str, stderr: list[str] | None = None) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    if stderr is not None:
        stderr.append(done.stderr)
    return done.stdout


def test_digits(tmp_path: Path) -> None:
    image = tmp_path / "digits.png"
    printed = run("digits.py", str(image), stderr=(bar := []))
    assert re.search(r"MLPClassifier: +\d+%.*epoch/s, loss=", bar[0])
    assert len(printed.splitlines()) == 5
    accuracy, theirs = (float(found) for found in re.findall(r"test accuracy (\d\.\d+)", printed))
    assert accuracy >= 0.97
    # The same fit in float32: an image or two may fall on the other side.
    assert accuracy == pytest.approx(theirs, abs=0.005)
    assert re.search(r"^gdfast is \d+\.\d x faster than scikit-learn$", printed, re.MULTILINE)
    assert image.read_bytes().startswith(b"\x89PNG")


def test_regression() -> None:
    scores = dict(re.findall(r"^(\S.*?) +test R2 (-?\d\.\d+)", run("regression.py"), re.MULTILINE))
    assert float(scores["gdfast"]) > float(scores["linear model"])
    assert float(scores["gdfast"]) == pytest.approx(float(scores["scikit-learn"]), abs=1e-3)


def test_linear_regression() -> None:
    lines = run("linear_regression.py").splitlines()
    by_hand, by_gdfast = (line.split()[-2:] for line in lines[:2])
    assert by_hand == by_gdfast
    found = re.search(r"w = (\S+), b = (\S+)$", lines[-1])
    assert found
    assert float(found[1]) == pytest.approx(2, abs=1e-6)
    assert float(found[2]) == pytest.approx(0, abs=1e-6)


def test_drop_in() -> None:
    printed = run("drop_in.py")
    found = re.findall(
        r"^(\S+) +best score (\S+) +test accuracy (\S+) +searched in \S+ s +(.*)$", printed, re.MULTILINE
    )
    (theirs, *their_result), (ours, *our_result) = found
    assert (theirs, ours) == ("scikit-learn", "gdfast")
    assert our_result == their_result
    assert re.search(r"^gdfast is \d+\.\d x faster than scikit-learn$", printed, re.MULTILINE)


def test_deep_tanh(tmp_path: Path) -> None:
    image = tmp_path / "deep.png"
    printed = run("deep_tanh.py", "--epochs", "3", "--seeds", "1", "--plot", str(image))
    outcomes = re.findall(r"^(\S.*?) +(\d\.\d+) +\d\.\d+ +\d\.\d+$", printed, re.MULTILINE)
    assert len(outcomes) == 18
    small = {name: float(loss) for name, loss in outcomes[:9]}
    # Log-loss of ten classes by chance is 2.303; three epochs tell who is stuck there.
    assert small["plain SGD"] > 2.29
    assert small["batch_norm=True"] < 2.2
    assert image.read_bytes().startswith(b"\x89PNG")


def test_sunspots() -> None:
    scores = dict(re.findall(r"^(\S.*?) +test R2 (-?\d\.\d+)", run("sunspots.py"), re.MULTILINE))
    assert float(scores["recurrent network"]) > float(scores["like this month"]) + 0.005


@pytest.mark.slow
def test_curvature(tmp_path: Path) -> None:
    image = tmp_path / "second_order.png"
    arguments = ("--scale", "0.02", "--seeds", "1", "--repeats", "1", "--plot", str(image))
    printed = run("curvature.py", *arguments)
    assert re.search(r"^lm +1 of 1 seeds reach 1e-6 in 100, after \d", printed, re.MULTILINE)
    assert len(re.findall(r"iterations: .* x as fast", printed)) == 3
    tables = re.findall(r"^(\S.*), after \S+ s: ", printed, re.MULTILINE)
    assert tables == ["noisy sine", "2-d function", "diabetes", "digits", "deep autoencoder"]
    assert image.read_bytes().startswith(b"\x89PNG")


def test_every_example_is_tested() -> None:
    tested = set(re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
