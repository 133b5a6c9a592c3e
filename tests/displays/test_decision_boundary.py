"""scikit-learn's DecisionBoundaryDisplay takes the estimators of vectors and of tables."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
from fits import make
from sklearn.inspection import DecisionBoundaryDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make(n_features=3)
X = X[:, :2]
FRAME = pd.DataFrame(X, columns=["length", "width"])
CLASSES = {"two classes": (Y == 0).astype(int), "three classes": Y, "labels": np.array(list("abc"))[Y]}


def grid_of(display: Any) -> np.ndarray:
    return np.column_stack([display.xx0.ravel(), display.xx1.ravel()])


@pytest.mark.parametrize("method", ["auto", "predict", "predict_proba"])
@pytest.mark.parametrize("y", CLASSES.values(), ids=CLASSES)
def test_a_classifier(y: np.ndarray, method: str) -> None:
    clf = gdfast.MLPClassifier((8,), max_iter=5, random_state=0).fit(X, y)
    display = DecisionBoundaryDisplay.from_estimator(clf, X, response_method=method, grid_resolution=9)
    grid = grid_of(display)
    if method == "predict":
        expected = np.searchsorted(clf.classes_, clf.predict(grid)).reshape(9, 9)
    else:
        expected = clf.predict_proba(grid).reshape(9, 9, -1)
        if len(clf.classes_) == 2:
            expected = expected[:, :, 1]
    np.testing.assert_array_equal(display.response, expected)
    display.figure_.canvas.draw()


def test_a_classifier_of_tables() -> None:
    clf = gdfast.TabularClassifier(n_members=1, max_iter=2, random_state=0).fit(FRAME, Y)
    display = DecisionBoundaryDisplay.from_estimator(clf, FRAME, grid_resolution=9)
    grid = pd.DataFrame(grid_of(display), columns=FRAME.columns)
    np.testing.assert_array_equal(display.response, clf.predict_proba(grid).reshape(9, 9, 3))
    assert display.ax_.get_xlabel() == "length"
    display.figure_.canvas.draw()


@pytest.mark.parametrize("kind", [gdfast.MLPRegressor, gdfast.TabularRegressor])
def test_a_regressor(kind: Any) -> None:
    est = kind(max_iter=2, random_state=0).fit(FRAME, X[:, 0])
    display = DecisionBoundaryDisplay.from_estimator(est, FRAME, grid_resolution=9)
    grid = pd.DataFrame(grid_of(display), columns=FRAME.columns)
    np.testing.assert_array_equal(display.response, est.predict(grid).reshape(9, 9))


def test_a_network_in_a_pipeline() -> None:
    clf = make_pipeline(StandardScaler(), gdfast.MLPClassifier(max_iter=2, random_state=0)).fit(FRAME, Y)
    display = DecisionBoundaryDisplay.from_estimator(clf, FRAME, grid_resolution=9)
    assert display.response.shape == (9, 9, 3)


def test_a_recurrent_network_has_no_plane_to_draw_on() -> None:
    rnn = gdfast.RNNClassifier(max_iter=1, random_state=0).fit(X[:, :, None], Y)
    with pytest.raises(ValueError, match=r"X must be an array of shape \(n_sequences, n_steps, n_features\)"):
        DecisionBoundaryDisplay.from_estimator(rnn, X, grid_resolution=9)
