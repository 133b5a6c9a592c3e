"""The package as a whole: what importing it costs, and what it says about itself."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from typing import Any

import gdfast
import pytest
from gdfast import _core

MODULES = ["callbacks", "export", "inspect", "kernels", "optim", "preprocessing", "schedules"]


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADED = "print(*{name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names)"


def test_importing_gdfast_loads_numpy_and_the_core_only() -> None:
    with_numpy = set(run("-c", f"import sys, numpy; {LOADED}").split())
    with_gdfast = set(run("-c", f"import sys, gdfast; {LOADED}").split())
    assert with_gdfast - with_numpy == {"gdfast"}
    modules = run(
        "-c", "import sys, gdfast; print(*(m for m in sys.modules if m.startswith('gdfast')))"
    ).split()
    assert set(modules) == {"gdfast", "gdfast._core"}


@pytest.mark.parametrize("name", ["kernels.mlp_forward", "optim.Adam", "schedules.Cosine"])
def test_these_come_without_scikit_learn(name: str) -> None:
    loaded = run("-c", f"import sys, gdfast; gdfast.{name}; {LOADED}").split()
    assert "sklearn" not in loaded
    assert "scipy" not in loaded


def test_minimize_comes_with_scipy_alone() -> None:
    loaded = run("-c", f"import sys, gdfast; gdfast.minimize; {LOADED}").split()
    assert "scipy" in loaded
    assert "sklearn" not in loaded


def test_estimators_come_with_the_first_touch_and_without_matplotlib() -> None:
    loaded = run("-c", f"import sys, gdfast; gdfast.MLPClassifier; {LOADED}").split()
    assert "sklearn" in loaded
    assert "matplotlib" not in loaded


def test_public_names() -> None:
    assert set(gdfast.__all__) <= set(dir(gdfast))
    for name in gdfast.__all__:
        assert getattr(gdfast, name) is not None
    assert gdfast.MLPClassifier.__module__ == "gdfast.estimators.classifier"
    assert gdfast.active_isa() in _core.available_isas()
    with pytest.raises(AttributeError, match="module 'gdfast' has no attribute 'MLPClasifier'"):
        gdfast.MLPClasifier  # noqa: B018


def test_version_is_that_of_the_installed_package() -> None:
    assert gdfast.__version__ == importlib.metadata.version("gdfast")


def test_python_m_gdfast_prints_what_a_bug_report_needs() -> None:
    lines = dict(line.split(maxsplit=1) for line in run("-m", "gdfast").splitlines())
    assert lines["gdfast"] == gdfast.__version__
    assert lines["ISA"].startswith("in use  ")
    assert gdfast.active_isa() in lines["ISA"]
    assert all(isa in lines["ISA"] for isa in _core.available_isas())
    assert int(lines["threads"]) >= 1
    assert lines["compiler"].strip()
    # Whoever wonders why one core is idle has to see it here.
    if lines["openmp"] != "none: everything runs on one thread":
        assert int(lines["openmp"]) >= 201107
    else:
        assert int(lines["threads"]) == 1
    for package in ("numpy", "scipy", "scikit-learn"):
        assert lines[package].strip() == importlib.metadata.version(package)


@pytest.mark.parametrize(
    "module", [gdfast, *(getattr(gdfast, name) for name in MODULES)], ids=["gdfast", *MODULES]
)
def test_dir_has_what_is_public_and_nothing_else(module: Any) -> None:
    assert dir(module) == sorted(module.__all__)
    for name in dir(module):
        getattr(module, name)
    with pytest.raises(AttributeError):
        module.annotations_of_the_future  # noqa: B018


def test_dir_is_the_same_before_and_after_names_are_used() -> None:
    code = "import gdfast; a = dir(gdfast); gdfast.MLPClassifier, gdfast.optim; assert a == dir(gdfast)"
    run("-c", code)
