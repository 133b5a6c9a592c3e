"""Every example runs as it stands, and does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_digits(tmp_path: Path) -> None:
    image = tmp_path / "loss.png"
    printed = run("digits.py", str(image))
    assert re.search(r"^Iteration 1, loss = ", printed, re.MULTILINE)
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


def test_deep_tanh(tmp_path: Path) -> None:
    image = tmp_path / "deep.png"
    printed = run("deep_tanh.py", "--seeds", "1", "--plot", str(image))
    too_small, too_large = (
        {name.strip(): (float(loss), float(test)) for name, loss, test in re.findall(
            r"^(\D\S.{24}) +(\d\.\d+) +\S+ +(\d\.\d+)$", table, re.MULTILINE)}
        for table in printed.split("first weights too large")
    )  # fmt: skip
    assert len(too_small) == len(too_large) == 9
    # Ten classes: log(10) and a tenth are what knowing nothing gives.
    for stuck in (
        "plain SGD",
        "clip_norm=1",
        'clip_norm="auto"',
        "backprop_depth=10",
        "backprop_depth growing",
    ):
        assert too_small[stuck] == (pytest.approx(2.303, abs=0.01), pytest.approx(0.1, abs=0.05)), stuck
    for cure in ('init="glorot_uniform"', 'init="he_normal"', "batch_norm=True"):
        assert too_small[cure][1] > 0.9
        assert too_large[cure][1] > 0.9
    assert too_small["Adam"][0] < 2
    for helps in set(too_large) - {"plain SGD"}:
        assert too_large[helps][0] < too_large["plain SGD"][0] - 0.5, helps
    assert too_large["clip_norm=1"][1] > 0.85
    assert image.read_bytes().startswith(b"\x89PNG")


def test_every_example_is_tested() -> None:
    tested = {"deep_tanh.py", "digits.py", "regression.py", "linear_regression.py"}
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested
