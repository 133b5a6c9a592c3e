"""What type checkers make of the package for those who use it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import gdfast
import pytest

USAGE = Path(__file__).with_name("usage.py")


@pytest.mark.slow  # .ci/run checks it among all types
def test_mypy_knows_the_types_of_typical_use(tmp_path: Path) -> None:
    """In strict mode, with no configuration but this."""
    pytest.importorskip("mypy")
    settings = tmp_path / "mypy.ini"
    settings.write_text(
        "[mypy]\nstrict = True\n"
        # scikit-learn has no types, and gdfast's own errors are found where gdfast is checked.
        "[mypy-sklearn.*,scipy.*,joblib.*,threadpoolctl.*,matplotlib.*,tqdm.*]\n"
        "ignore_missing_imports = True\n"
        "[mypy-gdfast.*]\nignore_errors = True\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", settings, "--cache-dir", tmp_path / "cache", USAGE],
        env={**os.environ, "MYPYPATH": str(Path(gdfast.__file__).parents[1])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_pyright_knows_the_types_of_typical_use(tmp_path: Path) -> None:
    pytest.importorskip("basedpyright")
    settings = {
        "include": [str(USAGE)],
        "extraPaths": [str(Path(gdfast.__file__).parents[1])],
        "typeCheckingMode": "standard",
        "enableTypeIgnoreComments": True,
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "basedpyright", "--project", tmp_path),
            *("--pythonpath", sys.executable, "--level", "error"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
