"""The optimizer rules in plain NumPy: the specification of ``gdfast.optim``.

A rule takes a parameter, its gradient, its state and the number of the step (the first is 1), and returns the
new parameter and the new state. Hyper-parameters have torch's names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
State = dict[str, Array]
Stepped = tuple[Array, State]


def decayed(w: Array, g: Array, lr: float, weight_decay: float, decoupled: bool) -> tuple[Array, Array]:
    """Parameter and gradient after the decay: L2 is part of the gradient, decoupled shrinks the parameter."""
    return (w - lr * weight_decay * w, g) if decoupled else (w, g + weight_decay * w)


def sgd(
    w: Array, g: Array, s: State, t: int, *, lr: float, momentum: float = 0.0, dampening: float = 0.0,
    dampen_first: bool = False, nesterov: bool = False, lr_in_velocity: bool = False,
    weight_decay: float = 0.0,
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, False)
    if momentum == 0:
        return w - lr * g, {}
    damped = g if t == 1 and not dampen_first else (1 - dampening) * g
    if lr_in_velocity:
        velocity = momentum * s["velocity"] - lr * damped
        return w + (momentum * velocity - lr * g if nesterov else velocity), {"velocity": velocity}
    velocity = momentum * s["velocity"] + damped
    return w - lr * (momentum * velocity + g if nesterov else velocity), {"velocity": velocity}


def adagrad(
    w: Array, g: Array, s: State, t: int, *, lr: float, lr_decay: float = 0.0, weight_decay: float = 0.0,
    initial_accumulator_value: float = 0.0, eps: float = 1e-10,
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, False)
    total = s["sum"] + g**2
    return w - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(total) + eps), {"sum": total}


def rmsprop(
    w: Array, g: Array, s: State, t: int, *, lr: float, alpha: float = 0.99, eps: float = 1e-8,
    weight_decay: float = 0.0, momentum: float = 0.0, centered: bool = False, eps_mode: str = "outside",
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, False)
    new = {"v": alpha * s["v"] + (1 - alpha) * g**2}
    spread = new["v"]
    if centered:
        new["mean"] = alpha * s["mean"] + (1 - alpha) * g
        spread = np.maximum(spread - new["mean"] ** 2, 0)
    move = g / (np.sqrt(spread + eps) if eps_mode == "inside" else np.sqrt(spread) + eps)
    if momentum:
        move = new["velocity"] = momentum * s["velocity"] + move
    return w - lr * move, new


def adadelta(
    w: Array, g: Array, s: State, t: int, *, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, False)
    v = rho * s["v"] + (1 - rho) * g**2
    move = np.sqrt(s["delta"] + eps) / np.sqrt(v + eps) * g
    return w - lr * move, {"v": v, "delta": rho * s["delta"] + (1 - rho) * move**2}


def denominator(v: Array, beta: float, t: int, eps: float, eps_mode: str) -> Array:
    if eps_mode == "outside":
        return np.sqrt(v / (1 - beta**t)) + eps
    if eps_mode == "inside":
        return np.sqrt(v / (1 - beta**t) + eps)
    assert eps_mode == "uncorrected"
    return (np.sqrt(v) + eps) / np.sqrt(1 - beta**t)


def adam(
    w: Array, g: Array, s: State, t: int, *, lr: float, betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8, weight_decay: float = 0.0, amsgrad: bool = False, eps_mode: str = "outside",
    decoupled: bool = False,
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, decoupled)
    new = {"m": betas[0] * s["m"] + (1 - betas[0]) * g, "v": betas[1] * s["v"] + (1 - betas[1]) * g**2}
    v = new["v"]
    if amsgrad:
        v = new["v_max"] = np.maximum(s["v_max"], v)
    return w - lr * new["m"] / (1 - betas[0] ** t) / denominator(v, betas[1], t, eps, eps_mode), new


def adamw(w: Array, g: Array, s: State, t: int, **params: Any) -> Stepped:
    return adam(w, g, s, t, **params, decoupled=True)


def nadam(
    w: Array, g: Array, s: State, t: int, *, lr: float, betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8, weight_decay: float = 0.0, momentum_decay: float = 4e-3,
    decoupled_weight_decay: bool = False,
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, decoupled_weight_decay)
    mu = betas[0] * (1 - 0.5 * 0.96 ** (np.arange(1, t + 2) * momentum_decay))
    m, v = betas[0] * s["m"] + (1 - betas[0]) * g, betas[1] * s["v"] + (1 - betas[1]) * g**2
    ahead = mu[t] * m / (1 - np.prod(mu)) + (1 - mu[t - 1]) * g / (1 - np.prod(mu[:t]))
    return w - lr * ahead / denominator(v, betas[1], t, eps, "outside"), {"m": m, "v": v}


def adamax(
    w: Array, g: Array, s: State, t: int, *, lr: float, betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8, weight_decay: float = 0.0,
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, False)
    m = betas[0] * s["m"] + (1 - betas[0]) * g
    u = np.maximum(betas[1] * s["u"], np.abs(g) + eps)
    return w - lr / (1 - betas[0] ** t) * m / u, {"m": m, "u": u}


def lion(
    w: Array, g: Array, s: State, t: int, *, lr: float, betas: tuple[float, float] = (0.9, 0.99),
    weight_decay: float = 0.0,
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, True)
    direction = np.sign(betas[0] * s["m"] + (1 - betas[0]) * g)
    return w - lr * direction, {"m": betas[1] * s["m"] + (1 - betas[1]) * g}


def rprop(
    w: Array, g: Array, s: State, t: int, *, lr: float, etas: tuple[float, float] = (0.5, 1.2),
    step_sizes: tuple[float, float] = (1e-6, 50.0), weight_decay: float = 0.0,
) -> Stepped:  # fmt: skip
    w, g = decayed(w, g, lr, weight_decay, False)
    turn = np.sign(g) * np.sign(s["prev"])
    size = np.where(s["step_size"] == 0, lr, s["step_size"])  # the first step's
    size = np.clip(size * np.where(turn > 0, etas[1], np.where(turn < 0, etas[0], 1)), *step_sizes)
    g = np.where(turn < 0, 0, g)
    return w - np.sign(g) * size, {"prev": g, "step_size": size}


RULES = {
    "sgd": sgd, "adagrad": adagrad, "rmsprop": rmsprop, "adadelta": adadelta, "adam": adam, "adamw": adamw,
    "nadam": nadam, "adamax": adamax, "lion": lion, "rprop": rprop,
}  # fmt: skip


def slots(rule: str, params: Mapping[str, Any]) -> dict[str, float]:
    """The names of a rule's arrays of state, and what they hold before the first step."""
    if rule == "sgd":
        return {"velocity": 0.0} if params.get("momentum") else {}
    if rule == "rmsprop":
        used = {"v": True, "mean": params.get("centered"), "velocity": params.get("momentum")}
        return {name: 0.0 for name, here in used.items() if here}
    if rule == "adagrad":
        return {"sum": params.get("initial_accumulator_value", 0.0)}
    names = {"adadelta": "v delta", "nadam": "m v", "adamax": "m u", "lion": "m", "rprop": "prev step_size"}
    return dict.fromkeys(names.get(rule, "m v v_max" if params.get("amsgrad") else "m v").split(), 0.0)


class Optimizer:
    """``gdfast.optim``'s ``step`` on one array or a list of them, by rules of this module."""

    def __init__(self, rule: str, **params: Any) -> None:
        self.rule, self.params, self.steps = rule, params, 0
        self.state: list[State] = []

    def step(self, params: list[Array], grads: list[Array]) -> None:
        if not self.state:
            begin = slots(self.rule, self.params)
            self.state = [{name: np.full_like(w, value) for name, value in begin.items()} for w in params]
        self.steps += 1
        for i, (w, g) in enumerate(zip(params, grads, strict=True)):
            w[...], self.state[i] = RULES[self.rule](w, g, self.state[i], self.steps, **self.params)
