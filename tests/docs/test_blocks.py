"""Every block of code of the pages runs when it is pasted alone into an empty folder.

A block of ``text`` is no code. Right after a block of code it is its output: white space, times and what
stands for ``...`` are free, decimals and percentages near. After ``<!-- varies -->`` all numbers are free.
"""

from __future__ import annotations

import contextlib
import multiprocessing.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
import sklearn
from gdfast.__main__ import main
from pages import PAGES, ROOT, Block, blocks_of
from processes import MPIEXEC

RUN = {"python", "bash", "c", "c++", "cython"}
SHOWN = {"text", "toml", "bat", "bibtex"}
BLOCKS = [block for page in PAGES for block in blocks_of(page)]

# Pages train for a few epochs.
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

# What a block may import that the tests can do without.
OPTIONAL = ["dask", "dask_mpi", "mlflow", "mpi4py", "numba", "onnx", "onnxruntime", "pyarrow", "skl2onnx"]
OPTIONAL += ["sklearn.callback", "torch"]
OPTIONAL += ["torch.utils.tensorboard"]

# What takes many seconds to import, to start or to compile.
SLOW = re.compile(r"import mlflow|dask.distributed import|cimport|#include <pybind11")

# The file that blocks of Bash and C find: the page's first program that names it writes it, as the text says.
INPUTS = {"command_line.md": "flats.csv", "tutorial.md": "tumours.csv", "export.md": "iris.c"}


def of(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=str(block), marks=marks_of(block))
        for block in BLOCKS
        if block.language in languages
    ]


def marks_of(block: Block) -> list[pytest.MarkDecorator]:
    slow = bool(SLOW.search(block.text))
    strange = "import mlflow" in block.text  # whose own warnings are not ours
    return [pytest.mark.slow] * slow + [pytest.mark.filterwarnings("ignore")] * strange


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, the current one. Temporary files are elsewhere, and gone at the end but for the folder
    of Dask's workers."""
    # The folder of multiprocessing is there as long as the process, and sockets in it need short paths.
    multiprocessing.util.get_temp_dir()
    empty, temporary = tmp_path / "empty", tmp_path / "temporary"
    empty.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield empty
    left = {path.name for path in temporary.iterdir()}
    assert {name for name in left if not name.startswith("dask-scratch-space")} == set()


@pytest.fixture
def clean() -> Iterator[None]:
    """What a block changes in other libraries ends with it."""
    with contextlib.suppress(ImportError):
        import matplotlib as mpl

        mpl.use("agg")
    np.random.seed(0)  # noqa: NPY002
    with sklearn.config_context():
        yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def test_every_block_says_what_it_is() -> None:
    assert {str(block): block.language for block in BLOCKS if block.language not in RUN | SHOWN} == {}


def run_python(block: Block) -> None:
    """In this process. A traceback has the page's lines."""
    for name in OPTIONAL:
        if re.search(rf"^(import|from) {re.escape(name)}\b", block.text, re.MULTILINE):
            pytest.importorskip(name, exc_type=ImportError)
    exec(compile("\n" * block.line + block.text, block.page, "exec"), {"__name__": "__main__"})


def write_input(block: Block, folder: Path) -> list[str]:
    """Write the file that a block of another language finds; its name."""
    name = INPUTS.get(block.page.name)
    if name is None or name not in block.text:
        return []
    run_python(next(b for b in BLOCKS if (b.page, b.language) == (block.page, "python") and name in b.text))
    for path in folder.iterdir():
        if path.name != name:
            path.unlink()
    return [name]


def check_files(block: Block, folder: Path) -> None:
    """Every file and folder that is there is named in the block."""
    assert {path.name for path in folder.iterdir() if path.name not in block.text} == set()


NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d*)?(?:e[-+]?\d+)?%?(?!\w)")
TIME = re.compile(rf"{NUMBER.pattern} ?(?:s|ms|µs|seconds|min|minutes)\b")


def check_output(found: str, shown: str, varies: bool = False) -> None:
    """Words and integers are the same. Others are near: instruction sets round differently, and so training
    ends at other weights."""
    found, shown = (" ".join(TIME.sub("time", text).split()).replace("[ ", "[") for text in (found, shown))
    pattern, numbers = "", []
    for part in re.split(rf"(\.\.\.|{NUMBER.pattern})", shown):
        if part == "...":
            pattern += ".*?"
        elif NUMBER.fullmatch(part):
            pattern += f"({NUMBER.pattern})"
            numbers.append(part)
        else:
            pattern += re.escape(part)
    match = re.fullmatch(pattern, found)
    assert match, f"{found}\nis not what the page shows:\n{shown}"
    if varies:
        return
    for number, expected in zip(match.groups(), numbers, strict=True):
        if re.fullmatch(r"[-+\d,]+", expected):
            assert number == expected
        else:
            value, near = (float(text.rstrip("%").replace(",", "")) for text in (number, expected))
            assert value == pytest.approx(near, rel=0.1, abs=0.02)


def run_processes(block: Block, folder: Path, number: str, name: str) -> None:
    """As processes of an MPI job."""
    pytest.importorskip("dask_mpi")
    if MPIEXEC is None:
        pytest.skip("there is no mpiexec")
    (folder / name).write_text(block.text, encoding="utf-8")
    command = [MPIEXEC, *number.split(), sys.executable, name]
    subprocess.run(command, check=True, timeout=300, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("found", "fits"),
    [
        ("4 rows in 17 s\n  score  0.951\nof 48% [ 1.  -2.5]\nfile c.csv", True),
        ("4 rows in 0.2 s score 0.91 of 52% [1. -2.4] file d.csv", True),
        ("5 rows in 0.2 s score 0.95 of 50% [1. -2.5] file c.csv", False),
        ("4 rows in 0.2 s score 0.82 of 50% [1. -2.5] file c.csv", False),
        ("4 rows in 0.2 s score 0.95 of 50% [1. 2.5] file c.csv", False),
        ("4 rows in 0.2 s loss 0.95 of 50% [1. -2.5] file c.csv", False),
        ("4 rows in 0.2 s score 0.95 of 50% [1. -2.5]", False),
    ],
)
def test_outputs_are_compared(found: str, fits: bool) -> None:
    shown = "4 rows in 0.3 s\nscore 0.95\nof 50%\n[1. -2.5]\nfile ....csv"
    with contextlib.nullcontext() if fits else pytest.raises(AssertionError):
        check_output(found, shown)


def test_numbers_that_vary_are_free() -> None:
    check_output("after 17 epochs: loss 0.2", "after 20 epochs: loss 0.1", varies=True)
    with pytest.raises(AssertionError):
        check_output("after 17 epochs: score 0.2", "after 20 epochs: loss 0.1", varies=True)


@pytest.mark.parametrize("block", of("python"))
@pytest.mark.usefixtures("clean")
def test_python(block: Block, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    if (command := re.search(r"^# mpiexec (-n \d+) python (\S+)$", block.text, re.MULTILINE)) is not None:
        run_processes(block, folder, *command.groups())
    else:
        run_python(block)
    check_files(block, folder)
    if block.output is not None:
        check_output(capfd.readouterr().out, block.output, block.varies)


def commands(block: Block) -> list[str]:
    return re.findall(r"^(?![ #]).+", block.text.replace("\\\n", ""), re.MULTILINE)


def is_run(block: Block) -> bool:
    """Other commands install, or are given in the checkout."""
    return re.match(r"(python -m )?gdfast\b", commands(block)[0]) is not None


@pytest.mark.parametrize("block", [param for param in of("bash") if is_run(param.values[0])])
@pytest.mark.usefixtures("clean")
def test_bash(block: Block, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, too: a command is words, without pipes and variables."""
    write_input(block, folder)
    capsys.readouterr()
    for command in commands(block):
        arguments = shlex.split(command, comments=True)
        assert main(arguments[arguments.index("gdfast") + 1 :]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    check_files(block, folder)
    if block.output is not None:
        check_output(found.out, block.output, block.varies)


@pytest.mark.parametrize("block", [param for param in of("bash") if not is_run(param.values[0])])
def test_bash_that_is_not_run(block: Block) -> None:
    for program in re.findall(r"python3? (\S+\.py)", block.text):
        assert (ROOT / program).exists()


CC = shutil.which(os.environ.get("CC", "cc").split()[0])
CXX = shutil.which(os.environ.get("CXX", "c++").split()[0])
PYTHON_HEADERS = sysconfig.get_paths()["include"]
INCLUDE = [f"-I{gdfast.get_include()}", "-isystem", PYTHON_HEADERS]


def compiler(block: Block) -> str:
    found = CXX if block.language == "c++" else CC
    if found is None or sys.platform == "win32":
        pytest.skip("there is no compiler that takes flags of Unix")
    if "gdfast_import" in block.text and not Path(PYTHON_HEADERS, "Python.h").exists():
        pytest.skip("there are no headers of Python")
    return found


@pytest.mark.parametrize("block", of("c", "c++"))
@pytest.mark.usefixtures("clean")
def test_c(block: Block, folder: Path) -> None:
    """A whole file, which compiles without a warning; a whole program runs."""
    command = [compiler(block), "-Wall", "-Wextra", "-pedantic", "-Werror", *INCLUDE]
    if block.language == "c":
        source, standard = folder / "main.c", "-std=c99"
    else:
        source, standard = folder / "main.cpp", "-std=c++17"
        if "pybind11" in block.text:
            command += ["-isystem", pytest.importorskip("pybind11").get_include()]
    inputs = write_input(block, folder)
    source.write_text(block.text, encoding="utf-8")
    if "int main(" not in block.text:
        subprocess.run([*command, standard, "-fsyntax-only", source.name], check=True, timeout=300)
        return
    subprocess.run([*command, standard, source.name, *inputs, "-o", "main", "-lm"], check=True, timeout=300)
    done = subprocess.run(["./main"], check=True, capture_output=True, text=True, timeout=60)
    if block.output is not None:
        check_output(done.stdout, block.output, block.varies)


@pytest.mark.parametrize("block", of("cython"))
def test_cython(block: Block, folder: Path) -> None:
    """A whole module, which compiles."""
    pytest.importorskip("Cython")
    (folder / "module.pyx").write_text(block.text, encoding="utf-8")
    cython = [sys.executable, "-m", "cython", "-3", "-Werror", f"-I{gdfast.get_include()}", "module.pyx"]
    subprocess.run(cython, check=True, timeout=300)
    subprocess.run([compiler(block), *INCLUDE, "-fsyntax-only", "module.c"], check=True, timeout=300)
