"""Every instruction set of the machine runs every numerical test, in a process that proves which one ran."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

import gdfast
import pytest
from gdfast import _core

ISAS = ("avx512", "avx2", "neon", "generic")
NUMERICAL_TESTS = (
    "kernels/test_kernels.py",
    "kernels/test_gradients.py",
    "kernels/test_curvature.py",
    "kernels/test_math.py",
    "kernels/test_extreme_arguments.py",
    "optim/test_rules.py",
    "training/test_training.py",
    "training/test_bits.py",
    "training/test_descent.py",
    "training/test_dropout_norm.py",
    "training/test_sparse.py",
    "training/test_sequences.py",
    "training/test_sequence_bits.py",
)

RunOnIsa = Callable[[str, str], "CompletedProcess[str]"]

RUN_TESTS = """
import sys, pytest, gdfast
# Before and after the tests: what was loaded is what was asked for, and stays it.
print("ran on", gdfast.active_isa(), flush=True)
status = pytest.main(["-q", "-x", "-p", "no:cacheprovider", *{paths!r}])
print("ended on", gdfast.active_isa(), flush=True)
sys.exit(status)
"""


def test_the_best_one_is_listed_and_active_by_default(
    monkeypatch: pytest.MonkeyPatch, run_on_isa: RunOnIsa
) -> None:
    available = _core.available_isas()
    assert available == [isa for isa in ISAS if isa in available], "the best one first"
    assert available[-1] == "generic"
    assert gdfast.active_isa() in available
    result = run_on_isa("", "import gdfast; print(gdfast.active_isa())")  # set, but empty: no wish
    assert result.stdout.strip() == available[0], result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
def test_all_numerical_tests_on(isa: str, run_on_isa: RunOnIsa, request: pytest.FixtureRequest) -> None:
    if isa not in _core.available_isas():
        pytest.skip(f"this machine has no {isa}")
    if isa == gdfast.active_isa():
        pytest.skip(f"this very process runs on {isa}: the numerical tests beside this one are its run")
    paths = [str(request.path.parent / name) for name in NUMERICAL_TESTS]
    result = run_on_isa(isa, RUN_TESTS.format(paths=paths))
    report = result.stdout + result.stderr
    assert result.returncode == 0, report
    assert f"ran on {isa}\n" in report
    assert f"ended on {isa}\n" in report
    assert " passed" in report
    assert " failed" not in report


@pytest.mark.parametrize("isa", ISAS)
def test_one_that_the_machine_lacks_raises_at_import(isa: str, run_on_isa: RunOnIsa) -> None:
    if isa in _core.available_isas():
        pytest.skip(f"this machine has {isa}")
    check_refused(run_on_isa(isa, "import gdfast"), isa)


@pytest.mark.parametrize("name", ["sse9", "AVX2 ", "avx2,generic", "0"])
def test_an_unknown_one_raises_at_import(name: str, run_on_isa: RunOnIsa) -> None:
    check_refused(run_on_isa(name, "import gdfast"), name)


def check_refused(result: Any, asked: str) -> None:
    """An exception, no crash and no quiet fallback: it names the variable, its value and what there is."""
    assert result.returncode == 1, result.stderr
    assert "Error" in result.stderr
    assert "GDFAST_ISA" in result.stderr
    assert asked in result.stderr
    for isa in _core.available_isas():
        assert isa in result.stderr
