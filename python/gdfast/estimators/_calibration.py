"""The temperature of predicted probabilities, see `gdfast.prediction.calibration`."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from gdfast.prediction.calibration import log_of, tempered
from gdfast.training.arrays import Array


def fit_temperature(probabilities: Array, targets: Array, weight: Array | None, *, exclusive: bool) -> float:
    """The temperature with the least log-loss on held-out rows [1]_.

    One more row in which all classes are as likely keeps it away from 0 where no row is predicted wrongly.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
    targets : ndarray of shape (n_samples, n_classes)
        1 for the class, or the labels, of a row, else 0.
    weight : ndarray of shape (n_samples,) or None

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On calibration of modern neural networks",
       ICML 2017, section 4.2.
    """
    share = 1 / (len(targets) + 1)
    targets = (1 - share) * targets + share / (targets.shape[1] if exclusive else 2)

    def log_loss(log_temperature: float) -> float:
        found = tempered(probabilities, float(np.exp(log_temperature)), exclusive=exclusive)
        losses = -(targets * log_of(found)).sum(axis=1)
        if not exclusive:
            losses -= ((1 - targets) * log_of(1 - found)).sum(axis=1)
        return float(np.average(losses, weights=weight))

    best = minimize_scalar(log_loss, bounds=(-3.0, 3.0), method="bounded")
    return float(np.exp(best.x))
