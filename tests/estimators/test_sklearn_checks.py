"""scikit-learn's own checks of an estimator: all pass, whatever the arguments, that its own MLP passes."""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import gdfast
import pytest
import sklearn.neural_network
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

# Checks fit what they please, and seldom until it converges.
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning"),
]

KINDS = ("MLPClassifier", "MLPRegressor")
SKIPPED = {
    # Input of other array libraries wants an environment variable set before SciPy is imported.
    "check_array_api_input",
    # scikit-learn's MLP has no decision_function either.
    "check_classifiers_multilabel_output_format_decision_function",
}


@pytest.mark.parametrize("name", KINDS)
def test_every_check_passes(name: str) -> None:
    results = check_estimator(getattr(gdfast, name)(), on_skip=None)
    assert len(results) > 50
    assert {result["status"] for result in results} <= {"passed", "skipped"}
    assert {result["check_name"] for result in results if result["status"] == "skipped"} <= SKIPPED


# What a few epochs or a handful of samples cannot do, they cannot do in scikit-learn either: the checks that
# fail there have not been thought of for such arguments (partial_fit beside early_stopping, one sample for
# validation, weights that stand for repetitions of a sample in mini-batches, a second fit that should forget
# the first although warm_start is on).
ARGUMENTS: dict[str, dict[str, Any]] = {
    "sgd": {"solver": "sgd"},
    "sgd-plain": {"solver": "sgd", "momentum": 0.0},
    "sgd-invscaling": {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": False},
    "sgd-adaptive": {"solver": "sgd", "learning_rate": "adaptive", "tol": 1e-2},
    "lbfgs": {"solver": "lbfgs", "max_iter": 50},
    "early-stopping": {"early_stopping": True},
    "sgd-early-stopping": {"solver": "sgd", "learning_rate": "adaptive", "early_stopping": True},
    "warm-start": {"warm_start": True},
    "in-order": {"shuffle": False, "batch_size": 7, "max_iter": 20},
    "tanh-deep": {"hidden_layer_sizes": (5, 4), "activation": "tanh"},
    "logistic": {"activation": "logistic", "alpha": 0.1},
    "identity": {"activation": "identity"},
    "no-hidden-layer": {"hidden_layer_sizes": ()},
    "poisson": {"loss": "poisson"},
    "poisson-lbfgs": {"loss": "poisson", "solver": "lbfgs", "max_iter": 50},
}
CASES = [
    (name, case)
    for case, arguments in ARGUMENTS.items()
    for name in KINDS
    if name == "MLPRegressor" or "loss" not in arguments
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), CASES)
def test_what_fails_with_other_arguments_fails_in_scikit_learn_too(name: str, case: str) -> None:
    theirs = getattr(sklearn.neural_network, name)(**ARGUMENTS[case])
    ours = getattr(gdfast, name)(**ARGUMENTS[case])
    # Check by check, for check_estimator gives scikit-learn's own MLP other arguments in places.
    for estimator, check in estimator_checks_generator(ours):
        error = failure_of(check, estimator)
        if error is not None and failure_of(check, clone(theirs)) is None:
            raise error


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("n_jobs", [1, 2, -1])
def test_the_number_of_threads_fails_no_check(name: str, n_jobs: int) -> None:
    results = check_estimator(getattr(gdfast, name)(n_jobs=n_jobs), on_skip=None)
    assert {result["check_name"] for result in results if result["status"] == "skipped"} <= SKIPPED


def failure_of(check: Any, estimator: Any) -> Exception | AssertionError | None:
    try:
        check(estimator)
    except SkipTest:
        return None
    except (Exception, AssertionError) as error:
        return error
    return None
