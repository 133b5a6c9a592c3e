"""What each kind of estimator has: its own arguments, and methods that are written once."""

from __future__ import annotations

import inspect
from typing import Any

import gdfast
import pytest

MLPS = gdfast.MLPClassifier, gdfast.MLPRegressor
RNNS = gdfast.RNNClassifier, gdfast.RNNRegressor


def arguments(*kinds: Any) -> set[str]:
    return {name for kind in kinds for name in inspect.signature(kind).parameters}


@pytest.mark.parametrize(("kind", "others"), [*((r, MLPS) for r in RNNS), *((m, RNNS) for m in MLPS)])
def test_a_network_has_no_attribute_for_arguments_of_another_kind(kind: Any, others: Any) -> None:
    foreign = arguments(*others) - arguments(kind) - {"loss"}  # scikit-learn's classifier has loss
    assert foreign
    assert not [name for name in foreign if hasattr(kind(), name)]
    assert not foreign & kind._parameter_constraints.keys()
    assert not issubclass(kind, others)


@pytest.mark.parametrize("kind", [*MLPS, *RNNS])
def test_no_implementation_is_overridden(kind: Any) -> None:
    """Only what is abstract in a base class is overridden."""
    own = [base for base in kind.__mro__ if base.__module__.startswith("gdfast.")]
    methods: dict[str, list[type]] = {}
    for base in own:
        for name, value in vars(base).items():
            is_method = callable(value) or isinstance(value, property | staticmethod | classmethod)
            if is_method and not name.startswith("__") and not name.startswith("_abc"):
                methods.setdefault(name, []).append(base)
    implemented = {
        name: [base for base in bases if not getattr(vars(base)[name], "__isabstractmethod__", False)]
        for name, bases in methods.items()
    }
    assert not {name: bases for name, bases in implemented.items() if len(bases) > 1}
