"""The rules that see whole gradients in plain NumPy, in float64: their specification.

A rule is a class with the hyper-parameters as arguments, and ``step(params, grads)``, which changes lists of
arrays in place. Every array is treated alike; a matrix of weights has the shape that it has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def orthogonalised(g: Array, coefficients: tuple[float, float, float], steps: int, eps: float) -> Array:
    """Newton-Schulz by its effect on singular values, which are all that it changes."""
    u, s, vt = np.linalg.svd(g, full_matrices=False)
    s = s / max(np.linalg.norm(g), eps)
    a, b, c = coefficients
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ vt


class Muon:
    def __init__(
        self, lr: float = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95, nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315), eps: float = 1e-7,
        ns_steps: int = 5, adjust_lr_fn: str | None = None, adamw_lr_factor: float = 1.0,
        adamw_betas: tuple[float, float] = (0.9, 0.95), adamw_eps: float = 1e-10, hidden: Any = None,
    ) -> None:  # fmt: skip
        vars(self).update({k: v for k, v in locals().items() if k != "self"})
        self.t, self.state = 0, []

    def step(self, params: list[Array], grads: list[Array]) -> None:
        p: Any = self
        if not self.state:
            self.state = [(np.zeros_like(w), np.zeros_like(w)) for w in params]
        self.t += 1
        for i, (w, g) in enumerate(zip(params, grads, strict=True)):
            m, v = self.state[i]
            if w.ndim != 2 or (p.hidden is not None and not p.hidden[i]):
                lr, (b1, b2) = p.lr * p.adamw_lr_factor, p.adamw_betas
                m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
                update = m / (1 - b1**self.t) / (np.sqrt(v / (1 - b2**self.t)) + p.adamw_eps)
                w[...] = w - lr * p.weight_decay * w - lr * update
            else:
                m = p.momentum * m + (1 - p.momentum) * g
                u = p.momentum * m + (1 - p.momentum) * g if p.nesterov else m
                rows, columns = w.shape
                factor = np.sqrt(max(1, rows / columns))
                if p.adjust_lr_fn == "match_rms_adamw":
                    factor = 0.2 * np.sqrt(max(rows, columns))
                u = orthogonalised(u, p.ns_coefficients, p.ns_steps, p.eps)
                w[...] = w - p.lr * p.weight_decay * w - p.lr * factor * u
            self.state[i] = (m, v)


class ScheduleFree:
    """The three sequences as the paper has them: z, x, and y, where gradients are taken."""

    def __init__(
        self, lr: float = 2.5e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.0, warmup_steps: int = 0, r: float = 0.0, weight_lr_power: float = 2.0,
        base: str = "adamw",
    ) -> None:  # fmt: skip
        vars(self).update({k: v for k, v in locals().items() if k != "self"})
        self.t, self.weight_sum, self.largest = 0, 0.0, 0.0
        self.x: list[Array] = []

    def step(self, params: list[Array], grads: list[Array]) -> None:
        p: Any = self
        if not self.x:
            self.x, self.z = [w.copy() for w in params], [w.copy() for w in params]
            self.v = [np.zeros_like(w) for w in params]
        self.t += 1
        lr = p.lr * min(1.0, self.t / p.warmup_steps if p.warmup_steps else 1.0)
        self.largest = max(self.largest, lr)
        weight = self.t**p.r * self.largest**p.weight_lr_power
        self.weight_sum += weight
        c = weight / self.weight_sum if self.weight_sum else 0.0
        for i, (y, g) in enumerate(zip(params, grads, strict=True)):
            if p.base == "adamw":
                self.v[i] = p.betas[1] * self.v[i] + (1 - p.betas[1]) * g**2
                g = g / (np.sqrt(self.v[i] / (1 - p.betas[1] ** self.t)) + p.eps)
            self.z[i] = self.z[i] - lr * (g + p.weight_decay * y)
            self.x[i] = (1 - c) * self.x[i] + c * self.z[i]
            y[...] = (1 - p.betas[0]) * self.z[i] + p.betas[0] * self.x[i]


class Prodigy:
    """Algorithm 4 of the paper, with the options of the authors' package."""

    def __init__(
        self, lr: float = 1.0, betas: tuple[float, float] = (0.9, 0.999), beta3: float | None = None,
        eps: float = 1e-8, weight_decay: float = 0.0, decouple: bool = True,
        use_bias_correction: bool = False, safeguard_warmup: bool = False, d0: float = 1e-6,
        d_coef: float = 1.0, growth_rate: float | None = None,
    ) -> None:  # fmt: skip
        vars(self).update({k: v for k, v in locals().items() if k != "self"})
        self.t, self.d, self.d_max, self.numerator = 0, d0, d0, 0.0
        self.x0: list[Array] = []

    def step(self, params: list[Array], grads: list[Array]) -> None:
        p: Any = self
        if not self.x0:
            self.x0 = [w.copy() for w in params]
            self.s, self.m, self.v = ([np.zeros_like(w) for w in params] for _ in range(3))
        beta1, beta2 = p.betas
        beta3 = np.sqrt(beta2) if p.beta3 is None else p.beta3
        d, self.t = self.d, self.t + 1
        rate = d * p.lr
        if p.use_bias_correction:
            rate *= np.sqrt(1 - beta2**self.t) / (1 - beta1**self.t)
        if not p.decouple:
            grads = [g + p.weight_decay * w for g, w in zip(grads, params, strict=True)]
        self.numerator *= beta3
        for i, (w, g) in enumerate(zip(params, grads, strict=True)):
            self.numerator += d / p.d0 * rate * np.sum(g * (self.x0[i] - w))
            self.m[i] = beta1 * self.m[i] + (1 - beta1) * d * g
            self.v[i] = beta2 * self.v[i] + (1 - beta2) * (d * g) ** 2
            self.s[i] = beta3 * self.s[i] + d / p.d0 * (d if p.safeguard_warmup else rate) * g
        estimate = p.d_coef * self.numerator / sum(np.abs(s).sum() for s in self.s)
        if d == p.d0:
            d = max(d, estimate)
        self.d_max = max(self.d_max, estimate)
        self.d = self.d_max if p.growth_rate is None else min(self.d_max, d * p.growth_rate)
        for i, w in enumerate(params):
            decay = rate * p.weight_decay if p.decouple else 0.0
            w[...] = w - decay * w - rate * self.m[i] / (np.sqrt(self.v[i]) + self.d * p.eps)


class SOAP:
    """Algorithm 3 of the paper, the first step without a move as in the authors' code."""

    def __init__(
        self, lr: float = 3e-3, betas: tuple[float, float] = (0.95, 0.95), shampoo_beta: float | None = None,
        eps: float = 1e-8, weight_decay: float = 0.01, precondition_frequency: int = 10,
        max_precond_dim: int = 10_000,
    ) -> None:  # fmt: skip
        vars(self).update({k: v for k, v in locals().items() if k != "self"})
        self.t = 0
        self.state: list[Any] = []

    def step(self, params: list[Array], grads: list[Array]) -> None:
        p: Any = self
        b1, b2 = p.betas
        beta = b2 if p.shampoo_beta is None else p.shampoo_beta
        self.t += 1
        if self.t == 1:
            self.state = [{"m": np.zeros_like(w), "v": np.zeros_like(w)} for w in params]
        for w, g, s in zip(params, grads, self.state, strict=True):
            if w.ndim != 2:
                s["m"], s["v"] = b1 * s["m"] + (1 - b1) * g, b2 * s["v"] + (1 - b2) * g**2
                root = np.sqrt(s["v"] / (1 - b2**self.t)) + p.eps
                w[...] = w - p.lr * p.weight_decay * w - p.lr * s["m"] / (1 - b1**self.t) / root
                continue
            squares = [g @ g.T, g.T @ g]
            if self.t == 1:
                s["S"] = [(1 - beta) * square for square in squares]
                s["Q"] = [
                    np.linalg.eigh(S)[1][:, ::-1] if len(S) <= p.max_precond_dim else np.eye(len(S))
                    for S in s["S"]
                ]
                continue
            left, right = s["Q"]
            s["m"] = b1 * s["m"] + (1 - b1) * g
            s["v"] = b2 * s["v"] + (1 - b2) * (left.T @ g @ right) ** 2
            m_hat, v_hat = s["m"] / (1 - b1 ** (self.t - 1)), s["v"] / (1 - b2 ** (self.t - 1))
            update = left @ (left.T @ m_hat @ right / (np.sqrt(v_hat) + p.eps)) @ right.T
            w[...] = w - p.lr * p.weight_decay * w - p.lr * update
            s["S"] = [beta * S + (1 - beta) * square for S, square in zip(s["S"], squares, strict=True)]
            if (self.t - 1) % p.precondition_frequency == 0:
                for axis in range(2):
                    S, Q = s["S"][axis], s["Q"][axis]
                    if len(S) > p.max_precond_dim:
                        continue
                    order = np.argsort(-np.diag(Q.T @ S @ Q), kind="stable")
                    s["v"] = np.take(s["v"], order, axis)
                    s["Q"][axis] = np.linalg.qr(S @ Q[:, order])[0]


class KFAC:
    """The rule for the weights of all layers, then all biases, by the inverse of each layer's matrix."""

    def __init__(
        self, lr: float = 0.1, momentum: float = 0.9, damping: float = 3e-2, decay: float = 0.95,
        weight_decay: float = 0.0, fisher: str = "true", factor_steps: int = 5, inverse_steps: int = 10,
        kl_clip: float | None = 1e-2,
    ) -> None:  # fmt: skip
        vars(self).update({k: v for k, v in locals().items() if k != "self"})
        self.t, self.averages = 0, 0
        self.factors: list[list[Array]] = []

    def step(self, params: list[Array], grads: list[Array], factors: Any) -> None:
        p: Any = self
        n = len(params) // 2
        if self.t % p.factor_steps == 0:
            self.averages += 1
            decay = min(p.decay, 1 - 1 / self.averages)
            if self.averages == 1:
                self.factors = [[np.zeros_like(factor) for factor in pair] for pair in factors]
                self.velocity = [np.zeros_like(w) for w in params]
            for kept, pair in zip(self.factors, factors, strict=True):
                for j in range(2):
                    kept[j] = decay * kept[j] + (1 - decay) * pair[j]
        if self.t % p.inverse_steps == 0:
            self.fisher_inverse = []
            for a, g in self.factors:
                pi = np.sqrt((np.trace(a) / len(a)) / (np.trace(g) / len(g)))
                damped = [
                    a + pi * np.sqrt(p.damping) * np.eye(len(a)),
                    g + np.sqrt(p.damping) / pi * np.eye(len(g)),
                ]
                self.fisher_inverse.append(np.linalg.inv(np.kron(*damped)))
        self.t += 1
        gradients = [np.vstack([grads[i], grads[n + i]]) for i in range(n)]
        updates = [
            (F @ g.ravel()).reshape(g.shape) for F, g in zip(self.fisher_inverse, gradients, strict=True)
        ]
        product = sum(np.sum(u * g) for u, g in zip(updates, gradients, strict=True))
        scale = 1.0 if p.kl_clip is None else min(1.0, np.sqrt(p.kl_clip / (p.lr**2 * product)))
        for i in range(n):
            for j, update, decay in ((i, updates[i][:-1], p.weight_decay), (n + i, updates[i][-1], 0.0)):
                self.velocity[j] = p.momentum * self.velocity[j] + scale * update
                params[j][...] = params[j] - p.lr * decay * params[j] - p.lr * self.velocity[j]
