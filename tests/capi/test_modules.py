"""Modules compiled against gdfast.h: the header, the import, versions that do not fit, the examples."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import gdfast
import pytest
from capi import INVALID_ARGUMENT, NOT_IMPORTED, OK

INCLUDE = Path(gdfast.get_include())
HEADER = INCLUDE / "gdfast.h"
PROBE = Path(__file__).parent / "probe"
EXAMPLES = Path(__file__).parents[2] / "examples"
PYTHON_HEADERS = sysconfig.get_paths()["include"]
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-isystem", PYTHON_HEADERS]

CC = shutil.which(os.environ.get("CC", "cc").split()[0])
CXX = shutil.which(os.environ.get("CXX", "c++").split()[0])
HAS_PYTHON_HEADERS = Path(PYTHON_HEADERS, "Python.h").exists()
needs_c = pytest.mark.skipif(
    not (CC and HAS_PYTHON_HEADERS), reason="there is no C compiler, or there are no headers of Python"
)
needs_cxx = pytest.mark.skipif(
    not (CXX and HAS_PYTHON_HEADERS), reason="there is no C++ compiler, or there are no headers of Python"
)


def run(code: str, *paths: Path) -> str:
    """Output of Python code in a process of its own, which finds gdfast and what lies in `paths`."""
    found = [*map(str, paths), str(Path(gdfast.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(found)}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compile_probe(folder: Path, include: Path) -> Path:
    """The folder of a module `probe`, compiled against the header in `include`."""
    assert CC
    if sys.platform == "win32":
        pytest.skip("the probe is compiled as on Unix")
    target = folder / f"probe{sysconfig.get_config_var('EXT_SUFFIX')}"
    link = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
    sources = [str(PROBE / "probe.c"), str(PROBE / "elsewhere.c")]
    command = [
        CC,
        "-std=c99",
        *STRICT,
        "-fPIC",
        "-pthread",
        *link,
        f"-I{include}",
        *sources,
        "-o",
        str(target),
    ]
    subprocess.run(command, check=True, timeout=300)
    return folder


def changed_header(folder: Path, old: str, new: str) -> Path:
    text = HEADER.read_text()
    assert text.count(old) == 1
    folder.mkdir()
    (folder / "gdfast.h").write_text(text.replace(old, new))
    return folder


@pytest.fixture(scope="session")
def probe(tmp_path_factory) -> Path:
    return compile_probe(tmp_path_factory.mktemp("probe"), INCLUDE)


@needs_cxx
@pytest.mark.skipif(sys.platform == "win32", reason="these are flags of Unix")
@pytest.mark.parametrize("standard", ["c++11", "c++17"])
def test_the_header_is_cxx(tmp_path, standard):
    source = tmp_path / "header.cpp"
    source.write_text("#include <gdfast.h>\nint load();\nint load() { return gdfast_import(); }\n")
    command = [CXX, f"-std={standard}", *STRICT, f"-I{INCLUDE}", "-fsyntax-only", str(source)]
    subprocess.run(command, check=True, timeout=300)


CLANG = shutil.which("clang")


@pytest.mark.skipif(not CLANG, reason="there is no Clang, which compiles for any system")
@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("target", ["x86_64-pc-windows-msvc", "x86_64-w64-mingw32", "arm64-apple-macos11"])
def test_the_header_is_for_other_systems(tmp_path, target, language):
    assert CLANG
    source = tmp_path / "header.c"
    source.write_text(
        "#define GDFAST_NO_PYTHON\n#include <gdfast.h>\nint call(void);\n"
        "int call(void) { return gdfast_rule_init(NULL, 0, 0); }\n"
    )
    # Freestanding: the headers of those systems are not here.
    command = [CLANG, f"--target={target}", "-x", language, "-ffreestanding", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(
        [*command, "-nostdlibinc", f"-I{INCLUDE}", "-fsyntax-only", str(source)], check=True, timeout=300
    )


@needs_c
def test_one_import_serves_all_files_of_a_module(probe):
    before, loaded, wrong, message = run(
        "import probe; print(probe.init(0)); probe.load(); print(probe.init(0)); print(probe.init(99));"
        "print(probe.error())",
        probe,
    ).splitlines()
    assert [int(before), int(loaded), int(wrong)] == [NOT_IMPORTED, OK, INVALID_ARGUMENT]
    assert message.startswith("kind must be one of GDFAST_RULE_")


@needs_c
def test_without_import_there_is_a_sentence(probe):
    assert "gdfast_import() has not been called" in run("import probe; print(probe.error())", probe)


# Prints what `probe.load()` raises, and that nothing can be called afterwards.
LOAD = """
import probe
try:
    probe.load()
except Exception as error:
    print(type(error).__name__, error)
assert probe.init(0) == 4
"""


@needs_c
def test_a_thread_of_its_own_needs_no_gil(probe):
    """Training on a thread that Python does not know, while the main thread waits for it with the GIL."""
    assert run("import probe; probe.load(); print(probe.train())", probe) == "0\n"


@needs_c
def test_a_header_of_another_abi_is_refused(tmp_path):
    define = "#define GDFAST_ABI_VERSION "
    include = changed_header(tmp_path / "include", define + "1", define + "2")
    version = gdfast.__version__
    assert run(LOAD, compile_probe(tmp_path, include)).startswith(
        f"ImportError compiled against gdfast.h of ABI 2, but the installed gdfast {version} has ABI 1: "
        "compile the module again"
    )


@needs_c
def test_a_header_that_has_more_functions_is_refused(tmp_path):
    include = changed_header(tmp_path / "include", "} gdfast_api;", "int (*more)(void); } gdfast_api;")
    assert re.match(
        r"ImportError compiled against a newer gdfast\.h, whose table has \d+ bytes, where that of the "
        r"installed gdfast \S+ has \d+: upgrade gdfast",
        run(LOAD, compile_probe(tmp_path, include)),
    )


@needs_c
def test_a_header_that_has_fewer_functions_fits(tmp_path):
    last = re.search(r"    int \(\*mlp_step_f64\)\(.*?\);\n(?=} gdfast_api;)", HEADER.read_text(), re.DOTALL)
    assert last
    include = changed_header(tmp_path / "include", last[0], "")
    text = (include / "gdfast.h").read_text()
    text = re.sub(r"static inline int gdfast_mlp_step_f64.*?\n}\n", "", text, flags=re.DOTALL)
    (include / "gdfast.h").write_text(text)
    assert run("import probe; probe.load(); print(probe.init(0))", compile_probe(tmp_path, include)) == "0\n"


CAPSULE = b"gdfast._core._C_API"
# A capsule as another gdfast would have it.
OTHER_CAPSULE = """
import ctypes
from gdfast import _core
new = ctypes.pythonapi.PyCapsule_New
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
class Table(ctypes.Structure):
    _fields_ = [("abi", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("size", ctypes.c_size_t),
                ("version", ctypes.c_char_p)]
table, name = Table({abi}, 0, {size}, b"9.9"), {name}
_core._C_API = new(ctypes.addressof(table), name, None)
"""


@needs_c
@pytest.mark.parametrize(
    ("abi", "size", "name", "message"),
    [
        (2, 10_000, CAPSULE, "of ABI 1, but the installed gdfast 9.9 has ABI 2"),
        (0, 10_000, CAPSULE, "of ABI 1, but the installed gdfast 9.9 has ABI 0"),
        (1, 24, CAPSULE, "compiled against a newer gdfast.h"),
        (1, 10_000, b"other._C_API", "incorrect name"),
    ],
)
def test_a_capsule_of_another_abi_is_refused(probe, abi, size, name, message):
    output = run(OTHER_CAPSULE.format(abi=abi, size=size, name=name) + LOAD, probe)
    assert message in output
    assert output.startswith("ValueError" if "name" in message else "ImportError")


@needs_c
def test_a_gdfast_without_capsule_is_refused(probe):
    assert run("from gdfast import _core; del _core._C_API" + LOAD, probe).startswith(
        "ImportError the installed gdfast has no C API"
    )


@needs_c
def test_a_missing_gdfast_is_an_import_error(probe):
    assert run("import sys; sys.modules['gdfast'] = None" + LOAD, probe).startswith("ModuleNotFoundError")


@needs_c
def test_a_second_import_is_no_error(probe):
    assert run("import probe; probe.load(); probe.load(); print(probe.init(0))", probe) == "0\n"


def build_example(name: str, folder: Path, *needed: str) -> Path:
    for module in needed:
        pytest.importorskip(module)
    if not EXAMPLES.exists():
        pytest.skip("the examples are not here")
    shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(gdfast.__file__).parents[1]),
        "CFLAGS": os.environ.get("CFLAGS", "") + " -O0",  # so that it takes seconds
    }
    done = subprocess.run(
        [sys.executable, "setup.py", "build_ext", "--inplace"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def cython_loop(tmp_path_factory) -> Path:
    return build_example("cython_loop", tmp_path_factory.mktemp("cython_loop"), "Cython", "setuptools")


@pytest.fixture(scope="session")
def pybind11_loop(tmp_path_factory) -> Path:
    return build_example("pybind11_loop", tmp_path_factory.mktemp("pybind11_loop"), "pybind11", "setuptools")


@needs_c
def test_the_cython_example_learns(cython_loop):
    output = run((cython_loop / "main.py").read_text(), cython_loop)
    errors = [float(error) for error in re.findall(r"mean squared error (\S+)", output)]
    assert len(errors) == 5
    assert errors[-1] < 3e-3  # the variance of what is predicted is about 0.5


@needs_c
def test_the_cython_example_runs_on_threads(cython_loop):
    """Two models at once, without the GIL: what each learns alone."""
    run(
        """
import threading
from online import OnlineRegressor
models = [OnlineRegressor(seed=seed) for seed in (1, 2, 1, 2)]
alone = [model.learn(2000) for model in models[:2]]
together = {}
threads = [threading.Thread(target=lambda i=i: together.update({i: models[i].learn(2000)})) for i in (2, 3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert [together[2], together[3]] == alone
""",
        cython_loop,
    )


@needs_cxx
def test_the_pybind11_example_learns(pybind11_loop):
    output = run((pybind11_loop / "main.py").read_text(), pybind11_loop)
    values = [float(value) for value in re.findall(r"chance of (\S+)", output)]
    # A walk ends up to 0.2 beyond its ends: about the straight line from -0.07 to 1.07.
    expected = [(place + 0.07) / 1.14 for place in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert values == pytest.approx(expected, abs=0.1)


FUNCTION = r"static inline [a-z* ]+\b(gdfast_[a-z0-9_]+)\("


def names(text: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, text))


def test_the_pxd_declares_what_the_header_has():
    header, pxd = HEADER.read_text(), (INCLUDE / "gdfast.pxd").read_text()
    assert names(pxd, r"\b(gdfast_[a-z0-9_]+)\(") == names(header, FUNCTION)
    constants = r"\b(GDFAST_(?:RULE|EPS|ACTIVATION|OUTPUT|LOSS|FLOAT)[A-Z0-9_]*)\b"
    assert names(pxd, constants) == names(re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL), constants)
    for struct in ("gdfast_rule", "gdfast_mlp_options"):
        members = re.search(rf"typedef struct {struct} {{(.*?)}} {struct};", header, re.DOTALL)
        in_pxd = re.search(rf"ctypedef struct {struct}:\n(.*?)\n\n", pxd, re.DOTALL)
        assert members
        assert in_pxd
        fields = re.sub(r"/\*.*?\*/", "", members[1], flags=re.DOTALL)
        fields = names(fields, r"\b(\w+)(?=[;,])") - {"reserved"}
        assert set(re.findall(r"(\w+)$", in_pxd[1], re.MULTILINE)) == fields


def test_every_function_has_an_address():
    functions = names(HEADER.read_text(), FUNCTION) - {"gdfast_import"}
    assert len(functions) == 14
    for name in functions:
        assert gdfast.function_address(name) > 0


def test_an_unknown_function_is_refused():
    with pytest.raises(ValueError, match=r"name must be one of gdfast_last_error, .*; got 'gdfast_none'"):
        gdfast.function_address("gdfast_none")
    with pytest.raises(TypeError, match="name must be a string, got 3"):
        gdfast.function_address(3)
