"""Multilayer perceptrons in scikit-learn's style."""

from gdfast.estimators.classifier import MLPClassifier
from gdfast.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
