"""The same estimator of both libraries, data for it, and what it means that the two agree."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import sklearn.neural_network
from sklearn.base import BaseEstimator

EPOCHS = 20
TASKS = ("binary", "multiclass", "multilabel", "one_output", "many_outputs", "poisson", "poisson_many")


def _validates_words() -> bool:
    """Whether scikit-learn scores words on a validation set: 1.7.0 looks for NaNs among them."""
    clf = sklearn.neural_network.MLPClassifier((1,), early_stopping=True, n_iter_no_change=1, tol=1e9)
    try:
        clf.fit(np.zeros((40, 1)), ["no", "yes"] * 20)
    except TypeError:
        return False
    return True


NO, YES = ("no", "yes") if _validates_words() else (0, 1)


def make(task: str, dtype: Any = np.float64, n: int = 210) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(3)
    X = rng.normal(size=(n, 6)).astype(dtype)
    signal = np.tanh(X @ rng.normal(size=(6, 3)))
    y = {
        "binary": np.where(signal[:, 0] > 0, YES, NO),
        "multiclass": signal.argmax(axis=1) * 2 - 1,
        "multilabel": (signal > 0).astype(int),
        "one_output": signal[:, 0] + 0.1 * rng.normal(size=n),
        "many_outputs": signal + 0.1 * rng.normal(size=(n, 3)),
        "poisson": rng.poisson(np.exp(signal[:, 0])),
        "poisson_many": rng.poisson(np.exp(signal)),
    }[task]
    return X, y.astype(dtype) if task.endswith(("output", "outputs")) else y


def both(task: str, **arguments: Any) -> tuple[BaseEstimator, BaseEstimator]:
    """The same estimator of both libraries: gdfast's, then scikit-learn's."""
    if task in ("binary", "multiclass", "multilabel"):
        kinds = gdfast.MLPClassifier, sklearn.neural_network.MLPClassifier
    else:
        kinds = gdfast.MLPRegressor, sklearn.neural_network.MLPRegressor
        if task.startswith("poisson"):
            arguments = {"loss": "poisson", **arguments}
    arguments = {"hidden_layer_sizes": (11,), "max_iter": EPOCHS, "random_state": 5, **arguments}
    ours, theirs = (kind(**arguments) for kind in kinds)
    return ours, theirs


def assert_same(ours: Any, theirs: Any, X: Any, rtol: float) -> None:
    """Attributes, weights (norm-wise, to ten times ``rtol``) and outputs agree."""
    public = {name for name in vars(theirs) if name.endswith("_") and not name.startswith("_")}
    mine = {name for name in vars(ours) if name.endswith("_") and not name.startswith("_")}
    assert mine - {"validation_loss_curve_", "learning_rate_curve_"} == public
    scored = getattr(theirs, "validation_scores_", None) is not None
    assert hasattr(ours, "validation_loss_curve_") == scored
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for name in ("loss_", "best_loss_", "loss_curve_"):
        if getattr(theirs, name, None) is not None:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=rtol, err_msg=name)
    for mine, its in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert mine.shape == its.shape
        assert np.linalg.norm(mine - its) <= 10 * rtol * np.linalg.norm(its)
    if hasattr(theirs, "classes_"):
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    outputs = "predict_proba" if hasattr(theirs, "predict_proba") else "predict"
    mine, its = getattr(ours, outputs)(X), getattr(theirs, outputs)(X)
    assert mine.shape == its.shape
    assert mine.dtype == its.dtype
    # Outputs are sums over weights that agree to 10 rtol, of the order of 1.
    np.testing.assert_allclose(mine, its, rtol=100 * rtol, atol=100 * rtol)
