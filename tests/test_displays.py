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
from gdfast import GradientNormDisplay, LearningRateRangeDisplay, LossCurveDisplay
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

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


@pytest.mark.parametrize("display", [LossCurveDisplay, GradientNormDisplay, LearningRateRangeDisplay])
def test_arrays_around_a_network_are_not_taken_for_it(display: Any) -> None:
    net = gdfast.MLPRegressor(**FIT, record_gradients=True, learning_rate_init="auto")
    pipeline = make_pipeline(StandardScaler(), net).fit(X, Y)
    with pytest.raises(ValueError, match=r"A Pipeline has no curves of its own.* pipeline\[-1\]"):
        display.from_estimator(pipeline)
    display.from_estimator(pipeline[-1])


def test_lbfgs_has_the_curve_of_its_validation_set() -> None:
    est = gdfast.MLPRegressor(solver="lbfgs", **FIT).fit(X, Y, X_val=X, y_val=Y)
    display = LossCurveDisplay.from_estimator(est, color="black")
    assert display.line_ is None
    np.testing.assert_array_equal(display.validation_line_.get_ydata(), est.validation_loss_curve_)
    assert display.validation_line_.get_color() == "black"
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["MLPRegressor, validation"]
    display.plot().figure_.canvas.draw()


def recorded(kind: Any = gdfast.MLPRegressor, n_hidden: int = 2, **arguments: Any) -> Any:
    return kind(**{**FIT, "hidden_layer_sizes": (8,) * n_hidden, "record_gradients": True, **arguments}).fit(
        X, Y
    )


@pytest.mark.parametrize("quantity", ["gradient_norm", "weight_norm", "update_ratio"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_curve_for_every_layer(kind: Any, quantity: str) -> None:
    est = recorded(kind)
    display = GradientNormDisplay.from_estimator(est, quantity=quantity)
    assert len(display.lines_) == 3
    for line, curve in zip(display.lines_, np.transpose(est.gradient_records_[quantity]), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4, 5])
        np.testing.assert_array_equal(line.get_ydata(), curve)
        assert line.axes is display.ax_
    assert display.figure_ is display.ax_.figure
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_xlabel() == "Epoch"
    assert quantity.split("_")[0] in display.ax_.get_ylabel() or quantity == "update_ratio"
    assert display.ax_.get_title() == kind.__name__
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == ["layer 1", "layer 2", "output layer"]
    assert display.colorbar_ is None
    display.figure_.canvas.draw()


def test_many_layers_run_from_dark_to_pale() -> None:
    display = GradientNormDisplay.from_estimator(recorded(n_hidden=11), name="deep", linewidth=0.5)
    assert display.ax_.get_legend() is None
    assert display.colorbar_.get_ticks()[[0, -1]].tolist() == [1, 12]
    brightness = [sum(mpl.colors.to_rgb(line.get_color())) for line in display.lines_]
    assert brightness == sorted(brightness)
    assert display.ax_.get_title() == "deep"
    assert {line.get_linewidth() for line in display.lines_} == {0.5}
    again = display.plot(name="again")
    assert again.ax_.get_title() == "again"
    display.figure_.canvas.draw()


def test_layers_that_take_no_part_leave_a_gap() -> None:
    display = GradientNormDisplay.from_estimator(recorded(backprop_depth=lambda epoch: min(3, epoch + 1)))
    gaps = [np.isnan(np.asarray(line.get_ydata(), float)).sum() for line in display.lines_]
    assert gaps == [2, 1, 0]
    display.figure_.canvas.draw()


def test_weights_of_zero_leave_a_gap_in_a_logarithm() -> None:
    display = GradientNormDisplay([[0.0, 1.0], [0.0, 2.0]]).plot()
    assert np.isnan(display.lines_[0].get_ydata()).all()
    display.figure_.canvas.draw()


def test_one_epoch_is_a_point() -> None:
    display = GradientNormDisplay.from_estimator(recorded(max_iter=1))
    assert all(line.get_marker() == "o" for line in display.lines_)


def test_what_has_no_records() -> None:
    with pytest.raises(NotFittedError):
        GradientNormDisplay.from_estimator(gdfast.MLPRegressor())
    with pytest.raises(ValueError, match="fit it with record_gradients=True"):
        GradientNormDisplay.from_estimator(gdfast.MLPRegressor(**FIT).fit(X, Y))
    with pytest.raises(ValueError, match=r"quantity must be one of \['gradient_norm', .* got 'norm'"):
        GradientNormDisplay.from_estimator(recorded(), quantity="norm")
    with pytest.raises(ValueError, match=r"records must have the shape \(n_epochs, n_layers\)"):
        GradientNormDisplay([1.0, 2.0]).plot()


@pytest.mark.parametrize(
    ("display", "arguments"),
    [
        ("LossCurveDisplay", "None"),
        ("GradientNormDisplay", "None"),
        ("LearningRateRangeDisplay", "None"),
        ("CurvatureDisplay", "None, None, None"),
    ],
)
def test_without_matplotlib(display: str, arguments: str) -> None:
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import gdfast\n"
        f"try: gdfast.{display}.from_estimator({arguments})\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "pip install matplotlib" in done.stdout, done.stderr


def test_a_display_keeps_the_curves_that_it_was_made_of() -> None:
    """A later fit adds to the estimator's lists, not to the picture's."""
    est = gdfast.MLPRegressor(warm_start=True, record_gradients=True, **FIT).fit(X, Y, X_val=X, y_val=Y)
    curves, norms = LossCurveDisplay.from_estimator(est), GradientNormDisplay.from_estimator(est)
    est.fit(X, Y, X_val=X, y_val=Y)
    assert len(curves.loss_curve) == len(curves.validation_loss_curve) == len(norms.records) == 5


def test_the_learning_rate_range() -> None:
    est = gdfast.MLPRegressor(**FIT, learning_rate_init="auto").fit(X, Y)
    display = LearningRateRangeDisplay.from_estimator(est, name="net", linewidth=2)
    rates, losses = display.line_.get_data()
    assert list(rates) == est.learning_rate_range_["rates"]
    assert list(losses) == est.learning_rate_range_["losses"]
    assert list(display.found_line_.get_xdata()) == [est.learning_rate_range_["found"]] * 2
    assert display.ax_.get_title() == "net"
    assert display.ax_.get_xscale() == "log"
    with pytest.raises(ValueError, match=r"learning_rate_init=.auto."):
        LearningRateRangeDisplay.from_estimator(gdfast.MLPRegressor(**FIT).fit(X, Y))
