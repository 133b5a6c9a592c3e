"""From the outputs of a classifier's network to probabilities and labels."""

from __future__ import annotations

import numpy as np

from gdfast.training.arrays import Array

MULTILABEL = "multilabel-indicator"


def probabilities(outputs: Array) -> Array:
    """A column for each class or label; one output is the probability of the second of two classes."""
    if outputs.shape[1] > 1:
        return outputs
    return np.concatenate((1 - outputs, outputs), axis=1)


def labels(outputs: Array, classes: Array, y_type: str, activation: str) -> Array:
    """The classes of the largest outputs, or an indicator matrix of several labels.

    ``y_type`` is scikit-learn's type of the target, ``activation`` that of the output layer.
    """
    if y_type == MULTILABEL:
        return indicators(outputs)
    first = outputs.argmax(axis=1) if activation == "softmax" else (outputs[:, 0] > 0.5).astype(np.intp)
    # A single class is predicted whatever the output.
    found: Array = classes.take(first, mode="clip")
    return found


def most_probable(values: Array, classes: Array, y_type: str) -> Array:
    """The classes of the largest probabilities, or an indicator matrix of several labels."""
    if y_type == MULTILABEL:
        return indicators(values)
    found: Array = classes.take(values.argmax(axis=1), mode="clip")
    return found


def indicators(outputs: Array) -> Array:
    """Which labels are more likely than not."""
    return (outputs > 0.5).astype(int)


def logarithms(values: Array) -> Array:
    with np.errstate(divide="ignore"):
        found: Array = np.log(values)
    return found


def check_classes(classes: Array, y_type: str, activation: str, n_outputs: int) -> None:
    """ValueError if a network with these outputs has not these classes."""
    if activation == ("logistic" if y_type == MULTILABEL else "softmax"):
        fits = n_outputs == len(classes)
    else:
        fits = activation == "logistic" and n_outputs == 1 and 1 <= len(classes) <= 2
    if not fits:
        raise ValueError(
            f"A network with {n_outputs} outputs by {activation!r} does not predict {len(classes)} classes "
            f"of a {y_type} target."
        )
