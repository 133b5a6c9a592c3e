"""Plots of a fit, in the style of scikit-learn's Display classes: a file for each class."""

from gdfast._displays.curvature import CurvatureDisplay
from gdfast._displays.gradient_norm import GradientNormDisplay
from gdfast._displays.learning_rate_range import LearningRateRangeDisplay
from gdfast._displays.loss_curve import LossCurveDisplay
from gdfast._displays.training_time import TrainingTimeDisplay
from gdfast._displays.weights import WeightsDisplay

__all__ = [
    "CurvatureDisplay",
    "GradientNormDisplay",
    "LearningRateRangeDisplay",
    "LossCurveDisplay",
    "TrainingTimeDisplay",
    "WeightsDisplay",
]
