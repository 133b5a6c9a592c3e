"""The constructors of the four estimators: names, order, defaults and descriptions that they share."""

from __future__ import annotations

import inspect
import re
from itertools import pairwise
from typing import Any

import gdfast
import pytest
from sklearn.utils._param_validation import validate_parameter_constraints

KINDS = [gdfast.MLPClassifier, gdfast.MLPRegressor, gdfast.RNNClassifier, gdfast.RNNRegressor]
TWINS = [(KINDS[0], KINDS[1]), (KINDS[2], KINDS[3])]
PAIRS = [(a, b) for i, a in enumerate(KINDS) for b in KINDS[i + 1 :]]

# Where the kinds differ on purpose: what the networks have for defaults.
OWN_DEFAULTS = {"hidden_layer_sizes", "activation", "loss", "alpha"}
# Where a classifier's text differs from its regressor's.
OWN_PARAGRAPHS = {"hidden_layer_sizes", "scoring", "loss"}


def parameters(kind: Any) -> dict[str, inspect.Parameter]:
    return dict(list(inspect.signature(kind.__init__).parameters.items())[1:])


def paragraphs(kind: Any) -> dict[str, str]:
    """The docstring's text of each parameter."""
    text = inspect.getdoc(kind) or ""
    section = text[text.index("Parameters\n-----") : text.index("Attributes\n-----")]
    found = re.split(r"^(\w+) : ", section, flags=re.MULTILINE)[1:]
    return dict(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_is_described_and_checked(kind: Any) -> None:
    names = list(parameters(kind))
    assert list(paragraphs(kind)) == names, "in the order of the signature"
    constraints = kind(**{})._parameter_constraints
    assert set(names) <= set(constraints)
    validate_parameter_constraints(constraints, kind().get_params(deep=False), kind.__name__)  # the defaults


@pytest.mark.parametrize("kind", KINDS)
def test_a_constructor_stores_its_arguments_and_does_nothing_else(kind: Any) -> None:
    marks = {name: object() for name in parameters(kind)}
    assert vars(kind(**marks)) == marks


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_what_they_share_is_the_same(one: Any, other: Any) -> None:
    left, right = parameters(one), parameters(other)
    common = [name for name in left if name in right]
    for name in common:
        if name not in OWN_DEFAULTS:
            assert left[name].default == right[name].default, name


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_a_classifier_and_its_regressor_describe_what_they_share_alike(one: Any, other: Any) -> None:
    says, also = paragraphs(one), paragraphs(other)
    for name in says.keys() & also.keys() - OWN_PARAGRAPHS:
        left, right = (re.sub("Classifier|Regressor", "", text).split() for text in (says[name], also[name]))
        assert left == right, name


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_what_they_share_is_in_the_same_order(one: Any, other: Any) -> None:
    left, right = list(parameters(one)), list(parameters(other))
    common = [name for name in left if name in right]
    positions = [right.index(name) for name in common if name != "loss"]
    assert all(a < b for a, b in pairwise(positions))
