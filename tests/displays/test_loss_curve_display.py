"""The plot of the loss over the epochs."""

from __future__ import annotations

from typing import Any

import gdfast
import matplotlib.pyplot as plt
import numpy as np
import pytest
from fits import KINDS, make
from gdfast import LossCurveDisplay
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_both_curves_are_drawn(kind: Any) -> None:
    est = kind(early_stopping=True, **FIT).fit(X, Y)
    display = LossCurveDisplay.from_estimator(est)
    np.testing.assert_array_equal(display.line_.get_xdata(), [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(display.line_.get_ydata(), est.loss_curve_)
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), est.validation_loss_curve_)
    assert display.validation_line_.axes is display.line_.axes is display.ax_
    assert display.validation_line_.get_color() == display.line_.get_color()
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_xlabel() == "Epoch"
    assert display.ax_.get_ylabel() == "Loss"
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == [f"{kind.__name__}, training", f"{kind.__name__}, validation"]
    display.figure_.canvas.draw()


@pytest.mark.parametrize("n_epochs", [1, 2, 3, 7, 250])
def test_ticks_are_whole_epochs(n_epochs: int) -> None:
    display = LossCurveDisplay(list(range(n_epochs)), validation_loss_curve=list(range(n_epochs))).plot()
    display.figure_.canvas.draw()
    ticks = display.ax_.get_xticks()
    assert len(ticks) >= 1
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_a_logarithmic_axis_of_epochs_stays_one() -> None:
    _, ax = plt.subplots()
    ax.set_xscale("log")
    LossCurveDisplay([3.0, 2.0, 1.0]).plot(ax=ax)
    assert ax.get_xscale() == "log"
    ax.figure.canvas.draw()


def test_one_epoch_is_a_point_of_each_curve() -> None:
    display = LossCurveDisplay([1.0], validation_loss_curve=[1.0]).plot()
    assert display.line_.get_marker() == display.validation_line_.get_marker() == "o"
    assert display.validation_line_.get_markerfacecolor() != display.line_.get_markerfacecolor()


def test_several_estimators_on_one_picture() -> None:
    _, ax = plt.subplots()
    plain = gdfast.MLPRegressor(**FIT).fit(X, Y)
    first = LossCurveDisplay.from_estimator(plain, ax=ax, name="plain", color="black")
    second = LossCurveDisplay.from_estimator(
        gdfast.MLPRegressor(**FIT).fit(X, Y, X_val=X, y_val=Y), ax=ax, validation_kwargs={"linestyle": ":"}
    )
    assert first.ax_ is second.ax_ is ax
    assert first.validation_line_ is None
    assert first.line_.get_color() == "black"
    assert second.validation_line_.get_linestyle() == ":"
    again = first.plot(name="again")
    assert again.ax_ is not ax
    assert again.line_.get_label() == "again, training"


def test_scikit_learns_estimators_will_do() -> None:
    display = LossCurveDisplay.from_estimator(MLPClassifier(**FIT).fit(X, Y))
    assert len(display.line_.get_ydata()) == 5


def test_what_has_no_curve() -> None:
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(gdfast.MLPRegressor())
    with pytest.raises(ValueError, match="solver='lbfgs' records none"):
        LossCurveDisplay.from_estimator(gdfast.MLPRegressor(solver="lbfgs", **FIT).fit(X, Y))


def test_lbfgs_has_the_curve_of_its_validation_set() -> None:
    est = gdfast.MLPRegressor(solver="lbfgs", **FIT).fit(X, Y, X_val=X, y_val=Y)
    display = LossCurveDisplay.from_estimator(est, color="black")
    assert display.line_ is None
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), est.validation_loss_curve_)
    assert display.validation_line_.get_color() == "black"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["MLPRegressor, validation"]
    display.plot().figure_.canvas.draw()
