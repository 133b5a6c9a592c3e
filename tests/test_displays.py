"""Pictures: what is drawn, on what, and what happens without matplotlib."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gdfast
import matplotlib as mpl
import numpy as np
import pytest
from fits import KINDS, make
from gdfast import LossCurveDisplay
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier

mpl.use("agg")
import matplotlib.pyplot as plt

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}


@pytest.fixture(autouse=True)
def _no_figure_stays() -> Iterator[None]:
    yield
    plt.close("all")


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


def test_without_matplotlib() -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import gdfast\n"
        "try: gdfast.LossCurveDisplay.from_estimator(None)\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "pip install matplotlib" in done.stdout, done.stderr
