"""The plot of loss, score or error over the seconds of a fit."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pytest
from fits import KINDS, make
from gdfast import TrainingTimeDisplay
from gdfast.callbacks import History
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
LABELS = {
    "loss": "Training loss",
    "val_loss": "Validation loss",
    "val_score": "Validation score",
    "val_error": "Validation error (1 - score)",
}


def fitted(kind: Any = gdfast.MLPClassifier, **arguments: Any) -> Any:
    return kind(**{"callbacks": [History()], **FIT, **arguments}).fit(X, Y, X_val=X[:50], y_val=Y[:50])


@pytest.mark.parametrize("quantity", LABELS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_quantity_over_the_seconds(kind: Any, quantity: str) -> None:
    est = fitted(kind)
    display = TrainingTimeDisplay.from_estimator(est, quantity=quantity, name="net", linewidth=3)
    expected = {
        "loss": est.loss_curve_,
        "val_loss": est.validation_loss_curve_,
        "val_score": est.validation_scores_,
        "val_error": 1 - np.array(est.validation_scores_),
    }[quantity]
    np.testing.assert_array_equal(display.line_.get_ydata(), expected)
    np.testing.assert_array_equal(display.line_.get_xdata(), est.callbacks[0].history_["time"])
    assert display.line_.get_linewidth() == 3
    assert display.ax_.get_xlabel() == "Time (s)"
    assert display.ax_.get_ylabel() == LABELS[quantity]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["net"]
    display.figure_.canvas.draw()


@pytest.mark.parametrize("solver", ["sgd", "lbfgs", "newton-cg"])
def test_any_solver(solver: str) -> None:
    est = fitted(solver=solver)
    display = TrainingTimeDisplay.from_estimator(est)
    assert len(display.line_.get_ydata()) == est.n_iter_


def test_a_recurrent_network() -> None:
    est = gdfast.RNNRegressor(max_iter=3, callbacks=[History()]).fit(X[:, :, None], Y)
    assert len(TrainingTimeDisplay.from_estimator(est).line_.get_ydata()) == 3


def test_several_fits_and_numbers_of_elsewhere_in_one_plot() -> None:
    first = TrainingTimeDisplay.from_estimator(fitted(), name="gdfast")
    other = TrainingTimeDisplay([0.5, 1.5], [0.9, 0.8], estimator_name="other").plot(ax=first.ax_)
    assert other.ax_ is first.ax_
    legend = [text.get_text() for text in first.ax_.get_legend().get_texts()]
    assert legend == ["gdfast", "other"]
    assert other.line_.get_color() != first.line_.get_color()


def test_every_copy_of_an_estimator_has_a_record_of_its_own() -> None:
    est = fitted()
    before = list(est.callbacks[0].history_["time"])
    copy = clone(est).set_params(max_iter=2).fit(X, Y)
    assert len(TrainingTimeDisplay.from_estimator(copy).seconds) == 2
    assert TrainingTimeDisplay.from_estimator(est).seconds.tolist() == before


def test_one_epoch_is_a_point() -> None:
    assert TrainingTimeDisplay([0.1], [1.0]).plot().line_.get_marker() == "o"


def test_what_has_not_been_recorded() -> None:
    with pytest.raises(ValueError, match=r"MLPClassifier has no record of time: .*callbacks=\[History\(\)\]"):
        TrainingTimeDisplay.from_estimator(gdfast.MLPClassifier(**FIT).fit(X, Y))
    with pytest.raises(ValueError, match="no record of time"):
        TrainingTimeDisplay.from_estimator(MLPClassifier(**FIT).fit(X, Y))
    est = gdfast.MLPClassifier(callbacks=[History()], **FIT).fit(X, Y)
    for quantity in ("val_loss", "val_score", "val_error"):
        with pytest.raises(ValueError, match=f"'{quantity}' takes a validation set"):
            TrainingTimeDisplay.from_estimator(est, quantity=quantity)


def test_a_score_of_which_there_is_no_error() -> None:
    est = fitted(scoring="neg_log_loss")
    with pytest.raises(ValueError, match=r"the score is scoring='neg_log_loss'.* Plot 'val_score'"):
        TrainingTimeDisplay.from_estimator(est, quantity="val_error")
    TrainingTimeDisplay.from_estimator(est, quantity="val_score")


def test_a_record_of_another_training() -> None:
    history = History()
    first = fitted(callbacks=[history])
    fitted(callbacks=[history], random_state=1)
    with pytest.raises(ValueError, match="The History of this MLPClassifier is of another training"):
        TrainingTimeDisplay.from_estimator(first)
    partly = fitted().partial_fit(X, Y)
    with pytest.raises(ValueError, match="or from before partial_fit"):
        TrainingTimeDisplay.from_estimator(partly)


def test_refused_arguments() -> None:
    with pytest.raises(ValueError, match=r"quantity must be one of 'loss', 'val_error', .* got 'error'"):
        TrainingTimeDisplay.from_estimator(fitted(), quantity="error")
    with pytest.raises(ValueError, match="quantity must be one of"):
        TrainingTimeDisplay([1.0], [1.0], quantity="error").plot()
    for seconds, values in (([1.0, 2.0], [1.0]), ([[1.0]], [[1.0]]), (1.0, 1.0)):
        with pytest.raises(ValueError, match="seconds and values must have the same shape"):
            TrainingTimeDisplay(seconds, values).plot()
