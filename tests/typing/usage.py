"""Typical use, as type checkers see it: mypy checks this file. ``assert_type`` says what it infers.

What is wrong on purpose has a comment that ignores the error; the comment is an error where there is none.
"""

from __future__ import annotations

from typing import Any, assert_type

import gdfast
import numpy as np
from gdfast import (
    MLPClassifier,
    MLPRegressor,
    RNNClassifier,
    RNNRegressor,
    TabularClassifier,
    TabularRegressor,
    callbacks,
    optim,
    schedules,
)
from gdfast.preprocessing import TableEncoder
from numpy.typing import NDArray


def typical_use() -> None:
    X = np.zeros((4, 2), np.float32)
    y = np.array([0, 1, 0, 1])
    sequences = np.zeros((4, 3, 2))

    # Estimators: fit returns the estimator, predictions are arrays.
    classifier = MLPClassifier((8,), solver=optim.Adam(lr=0.1), schedule=schedules.Cosine(), random_state=0)
    assert_type(classifier.fit(X, y), MLPClassifier)
    assert_type(classifier.partial_fit(X, y, classes=[0, 1]), MLPClassifier)
    assert_type(classifier.fit(X, y, X_val=X, y_val=y).predict(X), NDArray[Any])
    assert_type(classifier.predict_proba(X), NDArray[Any])
    assert_type(classifier.predict_log_proba(X), NDArray[Any])
    assert_type(classifier.coefs_, list[NDArray[Any]])
    classifier.save("model.safetensors")

    regressor = MLPRegressor(
        loss="quantile", quantiles=[0.1, 0.9], callbacks=[callbacks.EarlyStopping("loss")]
    )
    assert_type(regressor.fit(X, y), MLPRegressor)
    assert_type(regressor.partial_fit(X, y), MLPRegressor)
    assert_type(regressor.predict(X), NDArray[Any])
    assert_type(regressor.score(X, y), float)

    recurrent = RNNClassifier((8,), cell="gru")
    assert_type(recurrent.fit(sequences, y), RNNClassifier)
    assert_type(recurrent.predict(sequences), NDArray[Any])
    assert_type(recurrent.predict_proba(sequences), NDArray[Any])
    _, states = recurrent.predict(sequences, return_state=True)
    assert_type(states, list[NDArray[Any]])
    assert_type(recurrent.predict(sequences, states, True), tuple[NDArray[Any], list[NDArray[Any]]])
    assert_type(RNNRegressor().fit(sequences, y).predict(sequences), NDArray[Any])

    tabular = TabularClassifier("fast", max_iter=1)
    assert_type(tabular.fit(X, y), TabularClassifier)
    assert_type(tabular.predict(X), NDArray[Any])
    assert_type(tabular.predict_proba(X), NDArray[Any])
    assert_type(tabular.predict_proba(X, return_std=True), tuple[NDArray[Any], NDArray[Any]])
    assert_type(TabularRegressor().fit(X, y).predict(X), NDArray[Any])
    assert_type(TabularRegressor().fit(X, y).predict(X, return_std=True), tuple[NDArray[Any], NDArray[Any]])

    # The other modules.
    assert_type(TableEncoder().fit(X, y), TableEncoder)
    assert_type(TableEncoder().fit(X, y).transform(X), NDArray[Any])
    assert_type(gdfast.active_isa() == "generic", bool)
    assert_type(gdfast.kernels.mlp_forward(X, [X.T @ X], [X[0]]), NDArray[Any])
    weights = np.zeros(3)
    optim.SGD(lr=0.1, momentum=0.9).step(weights, weights)
    assert_type(gdfast.LossCurveDisplay.from_estimator(classifier), gdfast.LossCurveDisplay)
    assert_type(gdfast.WeightsDisplay.from_estimator(classifier, image_shape=(2, 2)), gdfast.WeightsDisplay)
    assert_type(callbacks.History().history_, dict[str, list[float]])

    # The class of what is loaded is the file's; predictions need no class.
    loaded: MLPClassifier = gdfast.load("model.safetensors")
    assert_type(loaded.predict(X), NDArray[Any])
    predictor = gdfast.load("model.safetensors", training=False)
    assert_type(predictor.n_features_in_, int)
    print(predictor.predict(X), predictor.predict_proba(X))

    # Several estimators of one kind.
    assert_type(gdfast.fit_many([classifier], X, y, rows=[[0, 1]]), list[MLPClassifier])
    gdfast.fit_many([classifier], X, y, row=None)  # type: ignore[call-arg]

    result = gdfast.minimize(lambda x: float(x @ x), [1.0, 2.0], method=optim.Adam(lr=0.1))
    assert_type(result.x, NDArray[np.float64])
    assert_type(result.fun, float)
    assert_type(result.nit, int)
    assert_type(result.success, bool)
    assert_type(result.message, str)

    # What does not exist.
    print(predictor.predict_probas(X))  # type: ignore[attr-defined]
    print(gdfast.MLPClasifier)  # type: ignore[attr-defined]
    print(gdfast.preprocessing.TableEncoders)  # type: ignore[attr-defined]
    print(optim.Adamm)  # type: ignore[attr-defined]
    MLPClassifier(hidden_layers=(8,))  # type: ignore[call-arg]
