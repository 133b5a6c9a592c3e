"""scikit-learn's own tests of its multilayer perceptrons, as installed, run with gdfast's classes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import gdfast
import pytest
import sklearn.neural_network

# They were written for a suite in which a warning is no error.
pytestmark = pytest.mark.filterwarnings("default")

PRIVATE = {"test_gradient"}  # calls scikit-learn's ``_loss_grad_lbfgs``


def load() -> ModuleType | None:
    """The module of tests, with gdfast's classes where it names scikit-learn's; None where it is missing."""
    path = Path(sklearn.neural_network.__file__).parent / "tests" / "test_mlp.py"
    if not path.exists():
        return None
    spec = importlib.util.spec_from_file_location("sklearns_test_mlp", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLPClassifier", "MLPRegressor"):
            patch.setattr(sklearn.neural_network, name, getattr(gdfast, name))
        spec.loader.exec_module(module)
    return module


SUITE = load()


@pytest.fixture
def global_random_seed() -> int:
    """scikit-learn's fixture, by its name."""
    return 0


def test_the_suite_is_found() -> None:
    if SUITE is None:
        pytest.skip("this installation of scikit-learn comes without its tests")
    assert SUITE.MLPClassifier is gdfast.MLPClassifier
    assert set(vars(SUITE)) >= PRIVATE


if SUITE is not None:
    globals().update(
        {name: test for name, test in vars(SUITE).items() if name.startswith("test_") and name not in PRIVATE}
    )
