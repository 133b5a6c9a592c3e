"""Networks in scikit-learn's style: for vectors, for sequences, and for tables."""

from gdfast.estimators._warnings import PoorFitWarning
from gdfast.estimators.classifier import MLPClassifier
from gdfast.estimators.regressor import MLPRegressor
from gdfast.estimators.rnn_classifier import RNNClassifier
from gdfast.estimators.rnn_regressor import RNNRegressor
from gdfast.estimators.tabular_classifier import TabularClassifier
from gdfast.estimators.tabular_regressor import TabularRegressor

__all__ = [
    "MLPClassifier",
    "MLPRegressor",
    "PoorFitWarning",
    "RNNClassifier",
    "RNNRegressor",
    "TabularClassifier",
    "TabularRegressor",
]
