"""Every example runs as it stands, and does what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
GALLERY = EXAMPLES / "gallery"


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


def check_search(printed: str) -> None:
    """One thread for each fit, and an accuracy that a search finds."""
    assert re.search(r"^at most 1 threads for a fit$", printed, re.MULTILINE)
    for accuracy in re.findall(r"best accuracy (\d\.\d+)", printed):
        assert float(accuracy) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["dask", "ray"])
def test_search_joblib(backend: str) -> None:
    pytest.importorskip("distributed" if backend == "dask" else "ray")
    printed = run("search_joblib.py", backend)
    check_search(printed)
    assert re.search(r"24 fits in .* s, on 2 processes$", printed, re.MULTILINE)
    assert re.search(r"^the data were sent 1 times$", printed, re.MULTILINE)


@pytest.mark.slow
def test_search_dask_ml() -> None:
    dask = pytest.importorskip("dask")
    pytest.importorskip("dask_ml", exc_type=ImportError)
    if tuple(map(int, dask.__version__.split(".")[:2])) >= (2025, 3):
        pytest.skip("dask-ml does not work with this version of Dask")
    printed = run("search_dask_ml.py")
    check_search(printed)
    megabytes = [float(found) for found in re.findall(r"^  (\S+) MB between workers", printed, re.MULTILINE)]
    # The partitions are 0.9 MB; 50 or more calls of partial_fit would take them along many times.
    assert len(megabytes) == 2
    assert max(megabytes) < 12


@pytest.mark.slow
def test_search_optuna() -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("distributed")
    printed = run("search_optuna.py")
    check_search(printed)
    trials, pruned = re.search(r"^(\d+) trials on 2 workers, (\d+) of them pruned$", printed, re.M).groups()
    assert int(trials) == 24
    assert int(pruned) > 0
    done, most = re.search(r"^(\d+) epochs instead of (\d+)$", printed, re.MULTILINE).groups()
    assert int(done) < int(most)


def test_every_example_is_tested() -> None:
    tested = set(re.findall(r'run\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


# Runs a program of the gallery as `python PATH` does, and then draws the figures that are still open.
RUN_AND_DRAW = """
import os, runpy, sys
import matplotlib.pyplot as plt

runpy.run_path(sys.argv[1], run_name="__main__")
assert not os.listdir(), os.listdir()
for number in plt.get_fignums():
    plt.figure(number).savefig(f"{number}.png")
"""


def run_in_gallery(name: str, folder: Path) -> str:
    """What a program of the gallery prints. It must draw pictures, and leave no files but those."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    pictures, temporary = folder / "pictures", folder / "temporary"
    pictures.mkdir()
    temporary.mkdir()
    # Where there is a screen, matplotlib warns that "agg" shows nothing.
    filters = ("-W", "error", "-W", "ignore:FigureCanvasAgg:UserWarning")
    environment = {"MPLBACKEND": "agg", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    before = sorted(GALLERY.rglob("*"))
    done = subprocess.run(
        [sys.executable, *filters, "-c", RUN_AND_DRAW, str(GALLERY / name)],
        cwd=pictures,
        env={**os.environ, **environment, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(GALLERY.rglob("*")) == before
    assert list(temporary.iterdir()) == []
    drawn = list(pictures.iterdir())
    assert drawn
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)
    return done.stdout


def numbers(pattern: str, printed: str) -> list[float]:
    """The numbers in the one line that matches."""
    (found,) = re.findall(pattern, printed, re.MULTILINE)
    return [float(number) for number in (found if isinstance(found, tuple) else (found,))]


WITH_DATA = sorted(path for path in GALLERY.rglob("*.py") if "/data" in path.read_text(encoding="utf-8"))


def test_gallery_header_counts_the_data_files() -> None:
    assert len(WITH_DATA) == 5
    assert "Five need a file" in (GALLERY / "GALLERY_HEADER.rst").read_text(encoding="utf-8")


@pytest.mark.parametrize("program", WITH_DATA, ids=lambda path: path.stem)
def test_downloaded_program_reads_the_file_beside_it(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    source = program.read_text(encoding="utf-8")
    (name,) = re.findall(r'^path = Path\("(\S+)"\)$', source, re.MULTILINE)
    assert f":download:`{name} </../examples/data/{name}>`" in source
    shutil.copy(EXAMPLES / "data" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["a notebook's kernel"])
    cells = source.split("# %%\n")
    reading = next(i for i, cell in enumerate(cells) if name in cell)
    variables: dict[str, object] = {}
    exec("".join(cells[: reading + 1]), variables)
    assert variables["path"] == Path(name)


# What the texts of the gallery say is held to what the programs print.


def test_gallery_digits(tmp_path: Path) -> None:
    printed = run_in_gallery("tables/plot_digits.py", tmp_path)
    assert numbers(r"other images: (\S+)$", printed)[0] == pytest.approx(0.98, abs=0.01)


def test_gallery_diabetes(tmp_path: Path) -> None:
    printed = run_in_gallery("tables/plot_diabetes.py", tmp_path)
    (linear,), (network,) = (numbers(rf"^{name} +R2 (\S+)$", printed) for name in ("linear model", "network"))
    assert linear < network < linear + 0.05


def test_gallery_house_prices(tmp_path: Path) -> None:
    printed = run_in_gallery("tables/plot_house_prices.py", tmp_path)
    mean, linear, networks = (
        numbers(rf"^{name} +root mean squared error +(\S+)$", printed)[0]
        for name in ("mean of the training rows", "linear model", "TabularRegressor")
    )
    assert networks < 0.8 * linear < 0.6 * mean
    assert numbers(r"last fifth has (\S+) times", printed)[0] == pytest.approx(2, abs=0.5)


def test_gallery_quantile_bands(tmp_path: Path) -> None:
    printed = run_in_gallery("tables/plot_quantile_bands.py", tmp_path)
    shares = re.findall(r"^ *(\d+)% +(\S+)%$", printed, re.MULTILINE)
    assert [level for level, _ in shares] == ["5", "25", "50", "75", "95"]
    assert all(float(share) == pytest.approx(float(level), abs=2) for level, share in shares)
    summer, winter = (float(width) for width in re.findall(r"(\S+) degrees wide$", printed, re.MULTILINE))
    assert summer > winter + 1


def test_gallery_speakers(tmp_path: Path) -> None:
    printed = run_in_gallery("sequences/plot_speakers.py", tmp_path)
    assert numbers(r"accuracy on the test utterances: (\S+)$", printed)[0] == pytest.approx(0.98, abs=0.015)


def test_gallery_sunspots(tmp_path: Path) -> None:
    printed = run_in_gallery("sequences/plot_sunspots.py", tmp_path)
    network, cycle, present = (
        numbers(rf"^{name} +R2 (\S+) one month ahead, +(\S+) in the mean$", printed)
        for name in ("recurrent networks", "as 11 years before", "as in the present month")
    )
    assert network[0] > present[0]
    assert network[1] > cycle[1] + 0.05
    assert present[1] < 0


@pytest.mark.slow
def test_gallery_truncation(tmp_path: Path) -> None:
    printed = run_in_gallery("sequences/plot_truncation.py", tmp_path)
    rows = re.findall(r"^delay (\d+): (.*)$", printed, re.MULTILINE)
    assert [delay for delay, _ in rows] == ["1", "2", "3", "5"]
    for delay, row in rows:
        for reach, score in re.findall(r"k2 = (\d+) ([-.\d]+)", row):
            enough = int(reach) > int(delay)
            assert float(score) > 0.85 if enough else float(score) < 0.7


@pytest.mark.slow
def test_gallery_deep_tanh(tmp_path: Path) -> None:
    printed = run_in_gallery("training/plot_deep_tanh.py", tmp_path)
    found = [float(x) for x in re.findall(r"test accuracy (\S+)$", printed, re.MULTILINE)]
    plain, clipped, growing, _, normalised, glorot = zip(found[:6], found[6:], strict=True)
    assert max(plain) < 0.3  # near chance, from both first weights
    assert max(clipped[0], growing[0]) < 0.3
    assert min(clipped[1], growing[1]) > 0.5
    assert min(*normalised, *glorot) > 0.8


@pytest.mark.slow
def test_gallery_learning_rates(tmp_path: Path) -> None:
    printed = run_in_gallery("training/plot_learning_rates.py", tmp_path)
    (constant, rate, constant_test), (warmed, best, warmed_test) = (
        numbers(rf"^{name} +least error (\S+), at the rate (\S+); on the test rows (\S+)$", printed)
        for name in ("constant", "warm-up and cosine")
    )
    assert warmed < constant - 0.01
    assert warmed_test < constant_test - 0.01
    assert best > 2 * rate


def test_gallery_curvature(tmp_path: Path) -> None:
    printed = run_in_gallery("training/plot_curvature.py", tmp_path)
    largest, limit = numbers(r"^largest eigenvalues +\[(\S+) ", printed), numbers(r"rate +(\S+)$", printed)
    assert limit[0] == pytest.approx(2 / largest[0], rel=0.01)
    adam, newton, lm = (
        numbers(rf"^{name} +mean squared error (\S+) after", printed)[0]
        for name in ("adam", "newton-cg", "lm")
    )
    assert max(newton, lm) < 1e-5 < adam


def test_gallery_gradient_descent(tmp_path: Path) -> None:
    printed = run_in_gallery("functions/plot_gradient_descent.py", tmp_path)
    by_hand, by_gdfast = (line.split()[-2:] for line in printed.splitlines()[:2])
    assert by_hand == by_gdfast
    w, b = numbers(r"^step 600: .*w = (\S+), b = (\S+)$", printed)
    assert w == pytest.approx(2, abs=1e-6)
    assert b == pytest.approx(0, abs=1e-6)


def test_gallery_annealing(tmp_path: Path) -> None:
    printed = run_in_gallery("functions/plot_annealing.py", tmp_path)
    (descent,), (annealing,) = (
        numbers(rf"^{name} .* f\(x\) = (\S+)$", printed) for name in ("gradient descent", "annealing")
    )
    assert annealing < 0.01 < 10 < descent
    assert numbers(r"^accuracy (\S+) after", printed)[0] > 0.9


def test_gallery_matrix_factorization(tmp_path: Path) -> None:
    printed = run_in_gallery("functions/plot_matrix_factorization.py", tmp_path)
    (baseline,) = numbers(r"^error with the mean of each pixel: (\S+)$", printed)
    for name in ("SGD, momentum 0.9", "RMSprop", "Adam"):
        assert numbers(rf"^{name} .* unknown pixels (\S+)$", printed)[0] < 0.75 * baseline


def test_gallery_save_and_serve(tmp_path: Path) -> None:
    printed = run_in_gallery("production/plot_save_and_serve.py", tmp_path)
    assert "the same bits: True" in printed
    assert "scikit-learn imported: False" in printed
    assert "SciPy imported: False" in printed
    small, whole = (numbers(rf"^{name}.safetensors +(\d+) KiB$", printed)[0] for name in ("digits", "whole"))
    assert small < 0.4 * whole


def test_every_program_of_the_gallery_is_tested() -> None:
    tested = set(re.findall(r'run_in_gallery\("(\S+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert {path.relative_to(GALLERY).as_posix() for path in GALLERY.rglob("*.py")} == tested
    assert len(tested) >= 12
