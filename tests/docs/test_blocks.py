"""Every block of code of the pages runs when it is pasted alone into an empty folder.

A block of ``text`` is no code. Right after a block of code it is its output, in which white space, times and
what stands for ``...`` are free, and decimals are compared to a tenth.
"""

from __future__ import annotations

import contextlib
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

LANGUAGES = {"python", "bash", "c", "c++", "cython", "toml", "text"}
BLOCKS = [block for page in PAGES for block in blocks_of(page)]

# Pages train for a few epochs.
pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

# What a block may import that the tests can do without.
OPTIONAL = ["mlflow", "numba", "onnx", "onnxruntime", "skl2onnx", "sklearn.callback", "torch"]
OPTIONAL += ["torch.utils.tensorboard"]

# What takes many seconds to import or to compile.
SLOW = re.compile(r"import mlflow|cimport|#include <pybind11")

# What blocks of Bash and C find: files that a page's Python writes, as its text says.
INPUTS = {"command_line.md": ["flats.csv"], "export.md": ["iris.c"]}

# Bash of these programs is not run: it installs, or works on the checkout.
ELSEWHERE = {"apt-get", "brew", "cc", "cmake", "conda", "ctest", "git", "make", "pip", "pytest", "python3"}


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
    """An empty folder, the current one. Temporary files are elsewhere and gone at the end, but for those of
    multiprocessing, which are there as long as the process."""
    empty, temporary = tmp_path / "empty", tmp_path / "temporary"
    empty.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield empty
    assert {path.name for path in temporary.iterdir() if not path.name.startswith("pymp-")} == set()


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
    assert {str(block): block.language for block in BLOCKS if block.language not in LANGUAGES} == {}


def run_python(block: Block) -> None:
    """In this process. A traceback has the page's lines."""
    for name in OPTIONAL:
        if re.search(rf"^(import|from) {re.escape(name)}\b", block.text, re.MULTILINE):
            pytest.importorskip(name, exc_type=ImportError)
    exec(compile("\n" * block.line + block.text, block.page, "exec"), {"__name__": "__main__"})


def run_writers(block: Block) -> list[str]:
    """Write the files that a block finds, and return their names."""
    inputs = INPUTS.get(block.page.name, [])
    for writer in BLOCKS:
        if (writer.page, writer.language) == (block.page, "python") and any(map(writer.text.count, inputs)):
            run_python(writer)
    return inputs


def check_files(block: Block, folder: Path, inputs: list[str]) -> None:
    """Every file and folder that a block has left is named in it."""
    left = {path.name for path in folder.iterdir()} - set(inputs)
    assert {name for name in left if name not in block.text} == set()


NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d*)?(?:e[-+]?\d+)?(?![\w])")
TIME = re.compile(rf"{NUMBER.pattern} ?(?:s|ms|µs|seconds)\b")


def check_output(found: str, shown: str) -> None:
    """Words and integers are the same; decimals are near, for other instruction sets round differently."""
    found, shown = (" ".join(TIME.sub("time", text).split()) for text in (found, shown))
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
    for number, expected in zip(match.groups(), numbers, strict=True):
        if re.fullmatch(r"[-+\d,]+", expected):
            assert number == expected
        else:
            assert float(number) == pytest.approx(float(expected), rel=0.1)


@pytest.mark.parametrize("block", of("python"))
@pytest.mark.usefixtures("clean")
def test_python(block: Block, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_python(block)
    check_files(block, folder, [])
    if block.output is not None:
        check_output(capsys.readouterr().out, block.output)


def commands(block: Block) -> list[str]:
    return re.findall(r"^(?![ #]).+", block.text.replace("\\\n", ""), re.MULTILINE)


def is_run(block: Block) -> bool:
    return all(re.match(r"(python -m )?gdfast\b", command) for command in commands(block))


@pytest.mark.parametrize("block", [param for param in of("bash") if is_run(param.values[0])])
@pytest.mark.usefixtures("clean")
def test_bash(block: Block, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, too: a command is words, without pipes and variables."""
    inputs = run_writers(block)
    for command in commands(block):
        arguments = shlex.split(command, comments=True)
        assert main(arguments[arguments.index("gdfast") + 1 :]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    check_files(block, folder, inputs)
    if block.output is not None:
        check_output(found.out, block.output)


@pytest.mark.parametrize("block", [param for param in of("bash") if not is_run(param.values[0])])
def test_bash_that_is_not_run(block: Block) -> None:
    for command in commands(block):
        program, *arguments = command.split()
        if program == "python":
            assert (ROOT / arguments[0]).exists()
        else:
            assert Path(program).name in ELSEWHERE


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
    sources = [name for name in run_writers(block) if name.endswith(".c")]
    source.write_text(block.text, encoding="utf-8")
    if "int main(" not in block.text:
        subprocess.run([*command, standard, "-fsyntax-only", source.name], check=True, timeout=300)
        return
    subprocess.run([*command, standard, source.name, *sources, "-o", "main", "-lm"], check=True, timeout=300)
    done = subprocess.run(["./main"], check=True, capture_output=True, text=True, timeout=60)
    if block.output is not None:
        check_output(done.stdout, block.output)


@pytest.mark.parametrize("block", of("cython"))
def test_cython(block: Block, folder: Path) -> None:
    """A whole module, which compiles."""
    pytest.importorskip("Cython")
    (folder / "module.pyx").write_text(block.text, encoding="utf-8")
    cython = [sys.executable, "-m", "cython", "-3", "-Werror", f"-I{gdfast.get_include()}", "module.pyx"]
    subprocess.run(cython, check=True, timeout=300)
    subprocess.run([compiler(block), *INCLUDE, "-fsyntax-only", "module.c"], check=True, timeout=300)
