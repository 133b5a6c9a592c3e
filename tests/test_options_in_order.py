"""Errors that list what an argument may be list it in order, whatever the order of hashes or of the code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import optim, schedules

X = np.zeros((4, 2))
Y = np.array([0, 1, 0, 1])


def fitting(kind: Any, **arguments: Any) -> Callable[[], Any]:
    return lambda: kind(**arguments).fit(X, Y)


def minimizing(**arguments: Any) -> Callable[[], Any]:
    return lambda: gdfast.minimize(lambda x: (x @ x, 2 * x), np.ones(2), jac=True, **arguments)


@pytest.mark.parametrize(
    "call",
    [
        fitting(gdfast.MLPClassifier, solver="none"),
        fitting(gdfast.MLPClassifier, activation="none"),
        fitting(gdfast.MLPClassifier, activation=["none"]),
        fitting(gdfast.MLPClassifier, init="none"),
        fitting(gdfast.MLPClassifier, learning_rate="none"),
        fitting(gdfast.MLPClassifier, schedule="none"),
        fitting(gdfast.MLPRegressor, loss="none"),
        fitting(gdfast.RNNClassifier, cell="none"),
        fitting(gdfast.RNNRegressor, activation="none"),
        fitting(gdfast.TabularClassifier, preset="none"),
        fitting(gdfast.TabularRegressor, bins="none"),
        fitting(gdfast.preprocessing.PiecewiseLinearEncoder, bins="none"),
        fitting(gdfast.preprocessing.TableEncoder, dtype="none"),
        minimizing(method="none"),
        lambda: schedules.resolve("none"),
        lambda: schedules.Cosine(per="none"),
        lambda: schedules.Plateau(mode="none"),
        lambda: optim.Adam(eps_mode="none"),
        lambda: optim.RMSprop(eps_mode="uncorrected"),
        lambda: gdfast.callbacks.EarlyStopping(mode="none"),
    ],
)
def test_options_are_sorted(call: Callable[[], Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    message = str(caught.value)
    options = re.findall(r"'(\w+)'", re.search(r"(one of|among)(.*?)(}|]|got|;|, or | for |$)", message)[0])  # type: ignore[index]
    assert len(options) > 1, message
    assert options == sorted(options), message
