"""The C files compile without a warning, and predict what the estimators predict: also on ARM, by qemu."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from exports import (
    CELLS,
    LABELS,
    OUTPUTS,
    N,
    beyond_float32,
    classifier,
    close,
    recurrent,
    regressor,
    rows,
    sequences,
)
from gdfast.export import to_c
from gdfast.training.activations import NAMES
from sklearn.exceptions import ConvergenceWarning, NotFittedError

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning")

STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wdouble-promotion"]
STRICT += ["-Wshadow", "-Wmissing-prototypes", "-Wstrict-prototypes"]
# A compiler, and what runs its programs.
PLATFORMS = {
    "gcc": (["gcc"], []),
    "clang": (["clang"], []),
    "arm": (["arm-linux-gnueabihf-gcc", "-static"], ["qemu-arm"]),
}
# Sums and functions of math.h in float, some units in the last place; compilers may make multiply-adds.
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}

# Reads rows and writes what is predicted: as numbers, the class's first.
MAIN = """
#define NET_DECLARATIONS
#include "net.c"
#include <stdio.h>
typedef {number} number;
int main(void)
{{
    number x[{n_steps} * NET_N_FEATURES], out[NET_N_OUTPUTS];
    int label = -1;
    while (fread(x, sizeof(number), {n_steps} * NET_N_FEATURES, stdin) == {n_steps} * NET_N_FEATURES) {{
        {calls}
    }}
    return 0;
}}
"""
WRITE = "fwrite(&label, sizeof label, 1, stdout); fwrite(out, sizeof(number), NET_N_OUTPUTS, stdout);"


@pytest.fixture(params=PLATFORMS)
def platform(request: pytest.FixtureRequest) -> str:
    compiler, runner = PLATFORMS[request.param]
    for program in (compiler[0], *runner):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} here")
    return str(request.param)


def build(folder: Path, est: Any, platform: str, calls: str, n_steps: int = 1, dtype: str = "float32") -> Any:
    """A function from rows of numbers to labels and outputs."""
    to_c(est, folder / "net.c", name="net", dtype=dtype)
    number = "float" if dtype == "float32" else "double"
    (folder / "main.c").write_text(MAIN.format(number=number, n_steps=n_steps, calls=calls))
    compiler, runner = PLATFORMS[platform]
    program = folder / platform
    files = ["main.c", "net.c"]
    done = subprocess.run(
        [*compiler, *STRICT, "-O1", *files, "-o", str(program), "-lm"],
        cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = (folder / "net.c").read_text()
    found = re.search(r"NET_N_OUTPUTS (\d+)", text)
    assert found

    def call(X: Any) -> tuple[Any, Any]:
        done = subprocess.run(
            [*runner, str(program)],
            input=X.astype(dtype).tobytes(),
            capture_output=True,
            timeout=120,
            check=True,
        )
        kind = np.dtype([("label", "<i4"), ("out", np.dtype(dtype), (int(found[1]),))])
        values = np.frombuffer(done.stdout, kind)
        return values["label"], values["out"]

    return call


def predictions(returns: bool) -> str:
    return f"{'label = ' if returns else ''}net_predict(x, out); {WRITE}"


def check_classifier(folder: Path, est: Any, platform: str, dtype: str = "float32") -> None:
    returns = est._label_binarizer.y_type_ != "multilabel-indicator"
    label, out = build(folder, est, platform, predictions(returns), dtype=dtype)(rows())
    close(out, est.predict_proba(rows(dtype)), TOLERANCE[dtype])
    predicted = est.predict(rows(dtype))
    assert ((est.classes_[label] if returns else out > 0.5) == predicted).all()


def test_a_network(tmp_path: Path, platform: str) -> None:
    check_classifier(
        tmp_path, classifier("str", np.float32, batch_norm=True, activation=("gelu", "mish")), platform
    )


def test_a_recurrent_network(tmp_path: Path, platform: str) -> None:
    est = recurrent("gru", dtype=np.float32)
    X = sequences(np.float32)
    label, out = build(tmp_path, est, platform, f"label = net_predict(x, 5, out); {WRITE}", 5)(X)
    close(out, est.predict_proba(X), TOLERANCE["float32"])
    assert (est.classes_[label] == est.predict(X)).all()


@pytest.fixture
def compiler() -> str:
    for name in ("gcc", "clang"):
        if shutil.which(name):
            return name
    pytest.skip("there is neither gcc nor clang here")


@pytest.mark.parametrize("activation", sorted(NAMES))
def test_activations(activation: str, tmp_path: Path, compiler: str) -> None:
    arguments = {"activation_params": {"leaky_relu": 0.3, "elu": 0.7}} if "elu" in activation else {}
    if activation not in ("leaky_relu", "elu"):
        arguments = {}
    check_classifier(tmp_path, classifier("int", np.float32, activation=activation, **arguments), compiler)


@pytest.mark.parametrize("activation", sorted(NAMES))
def test_large_inputs(activation: str, tmp_path: Path, compiler: str) -> None:
    """Nothing is infinite times zero on the way."""
    est = regressor("one", np.float32, activation=activation)
    call = build(tmp_path, est, compiler, predictions(False))
    for factor in (1e4, 1e12):
        assert np.isfinite(call(rows() * factor)[1]).all()


@pytest.mark.parametrize("kind", [*LABELS, "multilabel"])
def test_labels(kind: str, tmp_path: Path, compiler: str) -> None:
    check_classifier(tmp_path, classifier(kind, np.float32, batch_norm=True), compiler)
    labels = re.search(
        r"^const (.*net_labels\[\d\]) = \{\n(.*?)\}", (tmp_path / "net.c").read_text(), re.M | re.S
    )
    if kind == "multilabel":
        assert labels is None
        return
    assert labels
    expected = {
        "int": "int64_t net_labels[3]|INT64_C(-1), INT64_C(3), INT64_C(1000000000000)",
        "str": 'char *const net_labels[3]|"bl\\303\\245", "green", "red"',
        "object": 'char *const net_labels[3]|"blue", "green", "red"',
        "float": "double net_labels[3]|0.0, 1.0, 5.0",
        "bool": "int net_labels[2]|0, 1",
        "binary": 'char *const net_labels[2]|"no", "yes"',
        "single": 'char *const net_labels[1]|"only"',
    }
    assert f"{labels[1]}|{' '.join(labels[2].split()).removesuffix(',')}" == expected[kind]


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_regression(outputs: str, tmp_path: Path, compiler: str) -> None:
    est = regressor(outputs, np.float32, activation="tanh", batch_norm=True)
    _, out = build(tmp_path, est, compiler, predictions(False))(rows())
    close(out, est.predict(rows(np.float32)).reshape(N, -1), TOLERANCE["float32"])


@pytest.mark.parametrize("size", [(), (1,), (9,), (3, 20, 2)])
def test_sizes_of_layers(size: tuple[int, ...], tmp_path: Path, compiler: str) -> None:
    check_classifier(
        tmp_path, classifier("str", np.float32, hidden_layer_sizes=size, activation="identity"), compiler
    )


def test_double(tmp_path: Path, compiler: str) -> None:
    est = classifier("str", np.float64, batch_norm=True, activation=("silu", "softplus"))
    check_classifier(tmp_path, est, compiler, "float64")


@pytest.mark.parametrize("per_step", [False, True], ids=["last", "each"])
@pytest.mark.parametrize(("cell", "activation"), CELLS)
def test_cells(cell: str, activation: str, per_step: bool, tmp_path: Path, compiler: str) -> None:
    """Step by step: the output after each step is that of the sequence up to it."""
    est = recurrent(cell, activation, per_step=per_step, classifies=False, dtype=np.float32)
    calls = f"""net_state state; int i; net_reset(&state);
        for (i = 0; i < 5; i++) {{ net_step(&state, x + 3 * i, out); {WRITE} }}"""
    X = sequences(np.float32)
    _, out = build(tmp_path, est, compiler, calls, 5)(X)
    out = out.reshape(len(X), 5, 2)
    if per_step:
        close(out, est.predict(X), TOLERANCE["float32"])
    else:
        for step in range(5):
            close(out[:, step], est.predict(X[:, : step + 1]), TOLERANCE["float32"])
    assert ("net_predict" in (tmp_path / "net.c").read_text()) is not per_step


def test_a_microcontrollers_compiler(tmp_path: Path) -> None:
    """No memory of the file's own: neither data that is written nor data that starts at zero."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("there is no arm-none-eabi-gcc here")
    for i, est in enumerate((classifier("str", np.float32, batch_norm=True), recurrent("lstm"))):
        to_c(est, tmp_path / f"net{i}.c", max_bytes=4096)
        command = ["arm-none-eabi-gcc", *STRICT, "-Os", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard"]
        command += ["-mfpu=fpv4-sp-d16", "-c", f"net{i}.c", "-o", "net.o"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        if "No such file" in done.stderr and "math.h" in done.stderr:
            pytest.skip("arm-none-eabi-gcc has no math.h here: newlib is not installed")
        assert done.returncode == 0, done.stderr
        sizes = subprocess.run(["arm-none-eabi-size", "net.o"], cwd=tmp_path, capture_output=True, text=True)
        _, data, bss, *_ = sizes.stdout.splitlines()[1].split()
        assert (data, bss) == ("0", "0")
        symbols = subprocess.run(
            ["arm-none-eabi-nm", "-u", "net.o"], cwd=tmp_path, capture_output=True, text=True
        )
        assert {line.split()[-1] for line in symbols.stdout.splitlines()} <= {
            "expf",
            "tanhf",
            "erfcf",
            "memset",
        }


def test_two_files_in_one_program_of_cpp(tmp_path: Path, compiler: str) -> None:
    to_c(classifier("int", np.float32), tmp_path / "one.c", name="one")
    to_c(regressor("one", np.float32), tmp_path / "two.c", name="two")
    (tmp_path / "main.cpp").write_text(
        '#define ONE_DECLARATIONS\n#define TWO_DECLARATIONS\n#include "one.c"\n#include "two.c"\n'
        "int main() { float x[ONE_N_FEATURES] = {}, p[ONE_N_OUTPUTS], y[TWO_N_OUTPUTS];"
        " two_predict(x, y); return one_labels[one_predict(x, p)] == 12345; }\n"
    )
    for command in (
        ["-c", "one.c"],
        ["-c", "two.c"],
        ["-x", "c++", "main.cpp", "-x", "none", "one.o", "two.o", "-lm"],
    ):
        done = subprocess.run([compiler, *command], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    assert subprocess.run([tmp_path / "a.out"]).returncode == 0


def test_a_header_of_ones_own_beside_the_file(tmp_path: Path, compiler: str) -> None:
    """Its guard is another one: a file NET.H has mostly NET_H."""
    to_c(regressor("one", np.float32), tmp_path / "net.c", name="net")
    (tmp_path / "net.h").write_text(
        '#ifndef NET_H\n#define NET_H\n#define NET_DECLARATIONS\n#include "net.c"\n#endif\n'
    )
    (tmp_path / "main.c").write_text(
        '#include "net.h"\nint main(void) { float x[NET_N_FEATURES], y[NET_N_OUTPUTS];'
        " return net_predict == 0 && x == y; }\n"
    )
    done = subprocess.run(
        [compiler, "-std=c99", "-c", "main.c"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


# What is refused.


def with_label(label: str) -> Any:
    est = classifier("binary")
    est.classes_ = est._label_binarizer.classes_ = np.array(["a", label])
    return est


class NoEstimator:
    pass


@pytest.mark.parametrize(
    ("est", "options", "error", "message"),
    [
        (classifier, {"max_bytes": 100}, ValueError, r"have 332 bytes as float32, more than max_bytes=100"),
        (
            classifier,
            {"max_bytes": 400, "dtype": "float64"},
            ValueError,
            "have 664 bytes as float64, more than",
        ),
        (classifier, {"max_bytes": 0}, ValueError, "max_bytes must be at least 1"),
        (classifier, {"max_bytes": 1e6}, TypeError, "max_bytes must be an integer"),
        (classifier, {"name": "2net"}, ValueError, "name must be an identifier of C"),
        (classifier, {"name": "int"}, ValueError, "name must be an identifier of C"),
        (classifier, {"name": "_net"}, ValueError, "name must be an identifier of C"),
        (classifier, {"name": "a b"}, ValueError, "name must be an identifier of C"),
        (classifier, {"name": 3}, TypeError, "name must be a string"),
        (classifier, {"dtype": "float16"}, ValueError, "dtype must be float32 or float64"),
        (gdfast.MLPRegressor, {}, NotFittedError, "not fitted"),
        (NoEstimator, {}, TypeError, "est must be a fitted estimator of gdfast"),
        (classifier, {"dtype": "foo"}, ValueError, "dtype must be float32 or float64, got 'foo'"),
        (lambda: beyond_float32("weight"), {}, ValueError, "est has numbers that are beyond float32"),
        (lambda: beyond_float32("parameter"), {}, ValueError, "est has numbers that are beyond float32"),
        (lambda: beyond_float32("factor"), {}, ValueError, "est has numbers that are beyond float32"),
        (lambda: with_label("x" * 5000), {}, ValueError, "more than 4095 bytes"),
        (lambda: with_label("a\0b"), {}, ValueError, "null character"),
    ],
)
def test_refusals(est: Any, options: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    path = tmp_path / "net.c"
    path.write_text("before")
    made = est()
    with pytest.raises(error, match=message):
        to_c(made, path, **options)
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() == "before"


def test_tables_are_refused(tmp_path: Path) -> None:
    est = gdfast.TabularRegressor(n_members=1, max_iter=1).fit(rows(), np.arange(N))
    with pytest.raises(ValueError, match=r"A TabularRegressor cannot be said in C.*Use to_onnx"):
        to_c(est, tmp_path / "net.c")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        to_c(classifier(), tmp_path / "nowhere" / "net.c")


def test_a_predictor_is_written_without_scikit_learn(tmp_path: Path) -> None:
    est = classifier()
    est.save(tmp_path / "net.safetensors")
    to_c(est, tmp_path / "expected.c")
    code = """
import sys, gdfast
gdfast.export.to_c(gdfast.load("net.safetensors", training=False), "net.c")
print("sklearn" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "False", done.stderr
    assert (tmp_path / "net.c").read_bytes() == (tmp_path / "expected.c").read_bytes()


def test_the_same_file_each_time(tmp_path: Path) -> None:
    for name in ("a.c", "b.c"):
        to_c(classifier(), tmp_path / name)
    assert (tmp_path / "a.c").read_bytes() == (tmp_path / "b.c").read_bytes()
