"""The information for a bug report."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from gdfast import _core
from gdfast._cli.output import show

_DEPENDENCIES = ("numpy", "scipy", "scikit-learn", "joblib", "threadpoolctl", "matplotlib")


def run() -> None:
    available = ", ".join(_core.available_isas())
    facts = {
        "gdfast": _core.__version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "ISA in use": f"{_core.active_isa()} (available: {available}; GDFAST_ISA overrides)",
        "threads": str(_core.max_threads()),
        **_core.build_info(),
        **{package: _installed(package) for package in _DEPENDENCIES},
    }
    show(facts.items())


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
