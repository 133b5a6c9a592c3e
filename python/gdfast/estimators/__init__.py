"""Multilayer perceptrons and recurrent networks in scikit-learn's style."""

from gdfast.estimators.classifier import MLPClassifier
from gdfast.estimators.regressor import MLPRegressor
from gdfast.estimators.rnn_classifier import RNNClassifier
from gdfast.estimators.rnn_regressor import RNNRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "RNNClassifier", "RNNRegressor"]
