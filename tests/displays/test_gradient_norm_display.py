"""The plot of the gradient's norm of every layer."""

from __future__ import annotations

from typing import Any

import gdfast
import matplotlib as mpl
import numpy as np
import pytest
from fits import KINDS, make
from gdfast import GradientNormDisplay
from sklearn.exceptions import NotFittedError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}


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
    with pytest.raises(ValueError, match=r"quantity must be one of 'gradient_norm', .* got 'norm'"):
        GradientNormDisplay.from_estimator(recorded(), quantity="norm")
    with pytest.raises(ValueError, match=r"records must have the shape \(n_epochs, n_layers\)"):
        GradientNormDisplay([1.0, 2.0]).plot()
