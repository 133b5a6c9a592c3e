"""The whole method in plain NumPy, written to be read: this file is the specification of gdfast's core.

A network is a list of weight matrices ``coefs[l]`` of shape (fan_in, fan_out), a list of biases
``intercepts[l]``
of shape (fan_out,), one activation for each hidden layer and one for the output::

    a[0] = X                                     (n, n_features)
    a[l] = f_l(a[l-1] @ coefs[l-1] + intercepts[l-1])

Everything here works row-major on whole batches, in the dtype it is given, and returns new arrays. Nothing is
optimised; where a choice of formula could surprise, a comment says why it is this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import reference_rules
from numpy.typing import NDArray

Array = NDArray[Any]

# --------------------------------------------------------------------------------------------- activations


def identity(z: Array) -> Array:
    return z


def logistic(z: Array) -> Array:
    # exp of a number that is never positive: no overflow, and full relative precision on both tails.
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def relu(z: Array) -> Array:
    return np.maximum(z, 0)


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "identity": identity,
    "logistic": logistic,
    "tanh": np.tanh,
    "relu": relu,
    "softmax": softmax,
    "exp": np.exp,
}

# The derivative of each hidden activation, as a function of its *result* a = f(z): z need not be kept.
SLOPES: dict[str, Callable[[Array], Array]] = {
    "identity": lambda a: np.ones_like(a),
    "logistic": lambda a: a * (1 - a),
    "tanh": lambda a: 1 - a**2,
    "relu": lambda a: (a > 0).astype(a.dtype),
}

# A loss implies its output activation, so that d loss / d z of the output layer is always prediction -
# target.
OUTPUT_OF: dict[str, str] = {
    "cross_entropy": "softmax",
    "binary_cross_entropy": "logistic",
    "squared_error": "identity",
    "poisson": "exp",
}

# --------------------------------------------------------------------------------------------- forward


def forward_pass(
    X: Array, coefs: Sequence[Array], intercepts: Sequence[Array], activations: Sequence[str], output: str
) -> list[Array]:
    """The values of every layer, from ``X`` itself to the output."""
    values = [X]
    for coef, intercept, name in zip(coefs, intercepts, [*activations, output], strict=True):
        values.append(FUNCTIONS[name](values[-1] @ coef + intercept))
    return values


def forward(
    X: Array, coefs: Sequence[Array], intercepts: Sequence[Array], activations: Sequence[str], output: str
) -> Array:
    """The network's output, shape (n, k)."""
    return forward_pass(X, coefs, intercepts, activations, output)[-1]


# --------------------------------------------------------------------------------------------- losses


def x_log_y(x: Array, y: Array) -> Array:
    """``x * log(y)``, and 0 wherever x is 0 (also where y is 0)."""
    return x * np.log(y, out=np.zeros(np.broadcast(x, y).shape, np.result_type(x, y)), where=x != 0)


def clip_probability(p: Array) -> Array:
    # A probability of exactly 0 for what did happen would cost infinity: keep one rounding unit away.
    eps = np.finfo(p.dtype).eps
    return np.clip(p, eps, 1 - eps)


def target(loss: str, y: Array, prediction: Array) -> Array:
    """``y`` in the shape of the prediction, (n, k): class indices become one-hot rows."""
    if loss != "cross_entropy":
        return y
    return np.equal(y[:, None], np.arange(prediction.shape[1])).astype(prediction.dtype)


def elementwise_loss(loss: str, y: Array, prediction: Array) -> Array:
    """The loss of every row and output, (n, k), before any average."""
    t = target(loss, y, prediction)
    if loss == "squared_error":
        return 0.5 * (t - prediction) ** 2
    if loss == "poisson":
        # Half the deviance: with the terms that depend on y alone, so that a perfect prediction costs 0.
        return x_log_y(t, t / prediction) - t + prediction
    p = clip_probability(prediction)
    if loss == "cross_entropy":
        return -x_log_y(t, p)
    assert loss == "binary_cross_entropy"
    return -x_log_y(t, p) - x_log_y(1 - t, 1 - p)


def mean_loss(loss: str, y: Array, prediction: Array, sample_weight: Array | None = None) -> float:
    """(Weighted) mean over the rows, sum over the outputs."""
    return float(np.average(elementwise_loss(loss, y, prediction), weights=sample_weight, axis=0).sum())


def reported_loss(loss: str, y: Array, prediction: Array, sample_weight: Array | None = None) -> float:
    """The number scikit-learn's loss curve shows: it averages the squared error over the outputs."""
    mean = mean_loss(loss, y, prediction, sample_weight)
    return mean / prediction.shape[1] if loss == "squared_error" else mean


def total_weight(n_rows: int, sample_weight: Array | None) -> float:
    return float(n_rows) if sample_weight is None else float(sample_weight.sum())


def penalty(coefs: Sequence[Array], alpha: float, total: float) -> float:
    """L2 as scikit-learn scales it: over the rows of the batch, biases left out."""
    return 0.5 * alpha * sum(float((coef**2).sum()) for coef in coefs) / total


# --------------------------------------------------------------------------------------------- backward


def backward(
    values: Sequence[Array],
    y: Array,
    coefs: Sequence[Array],
    activations: Sequence[str],
    loss: str,
    sample_weight: Array | None = None,
) -> list[Array]:
    """d (weighted sum of the rows' losses) / d z of every layer after the input, each (n, fan_out)."""
    delta = values[-1] - target(loss, y, values[-1])
    if sample_weight is not None:
        delta = delta * sample_weight[:, None]
    deltas = [delta]
    for layer in range(len(coefs) - 1, 0, -1):
        delta = (delta @ coefs[layer].T) * SLOPES[activations[layer - 1]](values[layer])
        deltas.insert(0, delta)
    return deltas


def gradients(
    values: Sequence[Array], deltas: Sequence[Array], coefs: Sequence[Array], alpha: float, total: float
) -> tuple[list[Array], list[Array]]:
    """Gradients of the mean loss with its penalty, for the weights and for the biases."""
    coef_grads = [
        (a.T @ delta + alpha * coef) / total for a, delta, coef in zip(values, deltas, coefs, strict=False)
    ]
    return coef_grads, [delta.sum(axis=0) / total for delta in deltas]


def loss_and_grad(
    X: Array,
    y: Array,
    coefs: Sequence[Array],
    intercepts: Sequence[Array],
    activations: Sequence[str],
    loss: str,
    alpha: float = 0.0,
    sample_weight: Array | None = None,
) -> tuple[float, list[Array], list[Array]]:
    """The loss (mean over rows, sum over outputs, with the penalty) and its true gradient."""
    values = forward_pass(X, coefs, intercepts, activations, OUTPUT_OF[loss])
    total = total_weight(len(X), sample_weight)
    deltas = backward(values, y, coefs, activations, loss, sample_weight)
    coef_grads, intercept_grads = gradients(values, deltas, coefs, alpha, total)
    mean = mean_loss(loss, y, values[-1], sample_weight)
    return mean + penalty(coefs, alpha, total), coef_grads, intercept_grads


# --------------------------------------------------------------------------------------------- updates


def sgd_update(
    param: Array,
    grad: Array,
    velocity: Array,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    lr_in_velocity: bool = False,
) -> tuple[Array, Array]:
    """One step of gradient descent: the new parameter and the new velocity.

    PyTorch multiplies the velocity by the learning rate when it steps; scikit-learn puts the learning rate
    into the velocity (``lr_in_velocity``). The two part as soon as the learning rate changes.
    """
    grad = grad + weight_decay * param
    if lr_in_velocity:
        velocity = momentum * velocity - lr * grad
        return param + (momentum * velocity - lr * grad if nesterov else velocity), velocity
    velocity = momentum * velocity + grad
    return param - lr * (momentum * velocity + grad if nesterov else velocity), velocity


def adam_update(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    step: int,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    eps_mode: str = "outside",
) -> tuple[Array, Array, Array]:
    """One step of Adam (the first is ``step=1``): the new parameter and moments.

    The published variants differ in where epsilon goes: beside the corrected root ("outside": PyTorch),
    beside the root that is not corrected ("uncorrected": scikit-learn), or under the root ("inside").
    """
    grad = grad + weight_decay * param
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    correction_1, correction_2 = 1 - betas[0] ** step, 1 - betas[1] ** step
    if eps_mode == "outside":
        return param - lr * (m / correction_1) / (np.sqrt(v / correction_2) + eps), m, v
    if eps_mode == "inside":
        return param - lr * (m / correction_1) / np.sqrt(v / correction_2 + eps), m, v
    assert eps_mode == "uncorrected"
    return param - lr * math.sqrt(correction_2) / correction_1 * m / (np.sqrt(v) + eps), m, v


# --------------------------------------------------------------------------------------------- training


class Trainer:
    """Minibatch descent; the same calls as ``gdfast._core.Trainer``, which see.

    ``coefs`` and ``intercepts`` are the caller's arrays. Training works on its own copy of them and writes it
    back after each epoch that ended with finite weights.
    """

    def __init__(
        self,
        coefs: Sequence[Array],
        intercepts: Sequence[Array],
        activations: Sequence[str],
        loss: str,
        *,
        alpha: float = 0.0,
        batch_size: int,
        rule: str,
        rule_params: Mapping[str, Any],
    ) -> None:
        self.plain = [*coefs, *intercepts]
        self.activations, self.loss, self.alpha, self.batch_size = activations, loss, alpha, batch_size
        self.rule, self.rule_params = rule, in_torch_words(rule, rule_params)
        self.step = 0
        self.slots = {
            name: [np.full_like(p, value) for p in self.plain]
            for name, value in reference_rules.slots(rule, self.rule_params).items()
        }
        self.load()

    def load(self) -> None:
        """Take the weights from the caller's arrays again; the rule's state goes on."""
        self.params = [p.copy() for p in self.plain]

    def run_epoch(
        self,
        X: Array,
        y: Array,
        order: Array | None = None,
        sample_weight: Array | None = None,
        *,
        learning_rate: float,
    ) -> tuple[float, bool]:
        """One pass over the rows of ``order``: the mean of the batches' losses, and whether all is finite."""
        order = np.arange(len(X)) if order is None else order
        loss_sum = 0.0
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            weight = None if sample_weight is None else sample_weight[rows]
            # A batch that weighs nothing has no mean: it is skipped, and counts as no step.
            if total_weight(len(rows), weight) > 0:
                loss_sum += self.train_step(X[rows], y[rows], weight, learning_rate) * len(rows)
        finite = all(bool(np.isfinite(p).all()) for p in self.params)
        if finite:
            for plain, p in zip(self.plain, self.params, strict=True):
                plain[...] = p
        return loss_sum / max(len(order), 1), finite

    def train_step(self, X: Array, y: Array, sample_weight: Array | None, learning_rate: float) -> float:
        """rows -> forward -> loss -> backward -> update; returns the loss before the update."""
        half = len(self.params) // 2
        coefs, intercepts = self.params[:half], self.params[half:]
        total = total_weight(len(X), sample_weight)
        values = forward_pass(X, coefs, intercepts, self.activations, OUTPUT_OF[self.loss])
        loss = reported_loss(self.loss, y, values[-1], sample_weight) + penalty(coefs, self.alpha, total)
        deltas = backward(values, y, coefs, self.activations, self.loss, sample_weight)
        coef_grads, intercept_grads = gradients(values, deltas, coefs, self.alpha, total)
        self.update([*coef_grads, *intercept_grads], learning_rate)
        return loss

    def update(self, grads: Sequence[Array], learning_rate: float) -> None:
        """One step of the rule. Its own decay, like alpha's, is of the weights only."""
        self.step += 1
        for i, grad in enumerate(grads):
            params = dict(self.rule_params)
            if i >= len(grads) // 2:
                params["weight_decay"] = 0.0
            state = {name: arrays[i] for name, arrays in self.slots.items()}
            rule = reference_rules.RULES[self.rule]
            self.params[i], state = rule(self.params[i], grad, state, self.step, lr=learning_rate, **params)
            for name, array in state.items():
                self.slots[name][i] = array


def in_torch_words(rule: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The trainer's rule_params, whose sgd and adam are scikit-learn's variants unless they say otherwise."""
    words = dict(params)
    if rule == "sgd":
        words.setdefault("lr_in_velocity", True)
    if rule in ("adam", "adamw"):
        words.setdefault("eps_mode", "uncorrected")
        if "beta_1" in words:
            words["betas"] = (words.pop("beta_1"), words.pop("beta_2"))
        if "epsilon" in words:
            words["eps"] = words.pop("epsilon")
    return words
