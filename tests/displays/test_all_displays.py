"""What holds for all displays: what they refuse, what they keep, and what happens without matplotlib."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import gdfast
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from fits import make
from gdfast import (
    GradientNormDisplay,
    LearningRateRangeDisplay,
    LossCurveDisplay,
    TrainingTimeDisplay,
    WeightsDisplay,
)
from gdfast.callbacks import History
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
DISPLAYS = [
    LossCurveDisplay,
    GradientNormDisplay,
    LearningRateRangeDisplay,
    TrainingTimeDisplay,
    WeightsDisplay,
]


def network() -> Any:
    """One that has what every display takes."""
    return gdfast.MLPRegressor(
        hidden_layer_sizes=(8,),
        max_iter=5,
        random_state=0,
        record_gradients=True,
        learning_rate_init="auto",
        warm_start=True,
        callbacks=[History()],
    )


@pytest.fixture(scope="module")
def fitted() -> Any:
    return network().fit(X, Y)


@pytest.fixture(scope="module")
def tabular() -> Any:
    return gdfast.TabularRegressor(n_members=2, max_iter=1, random_state=0).fit(pd.DataFrame(X), Y)


@pytest.mark.parametrize("display", DISPLAYS)
def test_a_pipeline_is_not_taken_for_the_network_in_it(display: Any) -> None:
    pipeline = make_pipeline(StandardScaler(), network()).fit(X, Y)
    with pytest.raises(ValueError, match=r"A Pipeline is not a network.* pipeline\[-1\]"):
        display.from_estimator(pipeline)
    display.from_estimator(pipeline[-1])


@pytest.mark.parametrize("display", DISPLAYS)
def test_an_estimator_of_several_networks_is_refused(display: Any, tabular: Any) -> None:
    with pytest.raises(ValueError, match=r"A TabularRegressor (has|trains) several networks"):
        display.from_estimator(tabular)


@pytest.mark.parametrize("display", [LossCurveDisplay, WeightsDisplay])
def test_one_of_several_networks_is_taken(display: Any, tabular: Any) -> None:
    display.from_estimator(tabular.members_[0]).figure_.canvas.draw()


@pytest.mark.parametrize("display", DISPLAYS)
def test_what_is_not_fitted(display: Any) -> None:
    with pytest.raises(NotFittedError):
        display.from_estimator(network())


@pytest.mark.parametrize("display", DISPLAYS)
def test_axes_are_given_or_new(display: Any, fitted: Any) -> None:
    _, ax = plt.subplots()
    drawn = display.from_estimator(fitted, ax=ax)
    assert drawn.ax_ is ax
    assert drawn.figure_ is ax.figure
    again = drawn.plot()
    assert again is drawn
    assert again.ax_ is not ax
    assert again.figure_ is again.ax_.figure
    again.figure_.canvas.draw()


@pytest.mark.parametrize("display", DISPLAYS)
def test_a_part_of_a_figure_will_do(display: Any, fitted: Any) -> None:
    """As in scikit-learn's displays, the figure is then the subfigure."""
    figure = plt.figure()
    part = figure.subfigures(1, 2)[1]
    assert display.from_estimator(fitted, ax=part.subplots()).figure_ is part
    figure.canvas.draw()


@pytest.mark.parametrize("display", DISPLAYS)
def test_the_title_of_given_axes_is_kept(display: Any, fitted: Any) -> None:
    _, ax = plt.subplots()
    ax.set_title("mine")
    assert display.from_estimator(fitted, ax=ax).ax_.get_title() == "mine"


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("ax", [3, np.array([None])])
def test_what_is_no_axes(display: Any, fitted: Any, ax: Any) -> None:
    with pytest.raises(TypeError, match=r"^ax must be a matplotlib Axes or None, got (int|ndarray)\.$"):
        display.from_estimator(fitted, ax=ax)


def test_a_display_keeps_what_it_was_made_of() -> None:
    """A later fit adds to the estimator's lists and changes its weights, not those of the picture."""
    est = network().fit(X, Y, X_val=X, y_val=Y)
    curves, norms = LossCurveDisplay.from_estimator(est), GradientNormDisplay.from_estimator(est)
    times, weights = TrainingTimeDisplay.from_estimator(est), WeightsDisplay.from_estimator(est)
    losses, coefs = times.values.copy(), est.coefs_[0].copy()
    est.fit(X, Y, X_val=X, y_val=Y)
    assert len(curves.loss_curve) == len(curves.validation_loss_curve) == len(norms.records) == 5
    np.testing.assert_array_equal(times.values, losses)
    np.testing.assert_array_equal(weights.weights, coefs)
    assert not np.array_equal(est.coefs_[0], coefs)


def test_without_matplotlib() -> None:
    arguments = {**{display.__name__: "None" for display in DISPLAYS}, "CurvatureDisplay": "None, None, None"}
    calls = [f"gdfast.{name}.from_estimator({given})" for name, given in arguments.items()]
    code = "import sys; sys.modules['matplotlib'] = None\nimport gdfast\n" + "".join(
        f"try: {call}\nexcept ImportError as error: print(error)\n" for call in calls
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    said = done.stdout.splitlines()
    assert len(said) == len(calls), done.stderr
    for name, line in zip(arguments, said, strict=True):
        assert f"{name}.from_estimator" in line
        assert "pip install matplotlib" in line
