"""Calibration of predicted probabilities: label smoothing undone, and one temperature for all rows.

``exclusive`` says what a row of probabilities holds: one of each class, whose sum is 1, or one of each label.
"""

from __future__ import annotations

import numpy as np

from gdfast.training.arrays import Array

# Probabilities are kept so far from 0 and 1 that their logarithms are finite.
_LEAST = 1e-12


def unsmoothed(probabilities: Array, share: float, *, exclusive: bool) -> Array:
    """Probabilities of a network that was trained on targets smoothed by ``share``, as of plain targets.

    The least probability keeps a mistake's log-loss finite.
    """
    spread = share / (probabilities.shape[1] if exclusive else 2)
    least = 0.1 * spread
    plain: Array = ((probabilities - spread) / (1 - share)).clip(least, 1 - least)
    return plain / plain.sum(axis=1, keepdims=True) if exclusive else plain


def tempered(probabilities: Array, temperature: float, *, exclusive: bool) -> Array:
    """Probabilities after a division of their logits by ``temperature``."""
    if temperature == 1:
        return probabilities
    logits = _log(probabilities) / temperature
    if exclusive:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        scaled: Array = odds / odds.sum(axis=1, keepdims=True)
        return scaled
    others: Array = np.exp(_log(1 - probabilities) / temperature - logits)
    return 1 / (1 + others)


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
    from scipy.optimize import minimize_scalar

    share = 1 / (len(targets) + 1)
    targets = (1 - share) * targets + share / (targets.shape[1] if exclusive else 2)

    def log_loss(log_temperature: float) -> float:
        found = tempered(probabilities, float(np.exp(log_temperature)), exclusive=exclusive)
        losses = -(targets * _log(found)).sum(axis=1)
        if not exclusive:
            losses -= ((1 - targets) * _log(1 - found)).sum(axis=1)
        return float(np.average(losses, weights=weight))

    best = minimize_scalar(log_loss, bounds=(-3.0, 3.0), method="bounded")
    return float(np.exp(best.x))


def _log(probabilities: Array) -> Array:
    logarithms: Array = np.log(np.clip(probabilities, _LEAST, None))
    return logarithms
