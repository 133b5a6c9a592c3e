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
    logits = log_of(probabilities) / temperature
    if exclusive:
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        scaled: Array = odds / odds.sum(axis=1, keepdims=True)
        return scaled
    others: Array = np.exp(log_of(1 - probabilities) / temperature - logits)
    return 1 / (1 + others)


def calibrated(probabilities: Array, smoothing: float, temperature: float, *, exclusive: bool) -> Array:
    """The float64 probabilities of a network trained with label smoothing, at a temperature."""
    plain = uncalibrated(probabilities, smoothing, exclusive=exclusive)
    found = tempered(plain, temperature, exclusive=exclusive)
    # float32 is too coarse for scikit-learn's metrics, which want a sum of 1.
    return found / found.sum(axis=1, keepdims=True) if exclusive else found


def uncalibrated(probabilities: Array, smoothing: float, *, exclusive: bool) -> Array:
    """The float64 probabilities of a network, label smoothing undone."""
    plain = probabilities.astype(np.float64)
    return unsmoothed(plain, smoothing, exclusive=exclusive) if smoothing else plain


def log_of(probabilities: Array) -> Array:
    logarithms: Array = np.log(np.clip(probabilities, _LEAST, None))
    return logarithms
