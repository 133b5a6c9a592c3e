"""The plot of the test that finds the learning rate."""

from __future__ import annotations

import gdfast
import pytest
from fits import make
from gdfast import LearningRateRangeDisplay

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make()
FIT = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}


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
