"""Training runs of the core's trainer, or the reference's, with any rule."""

from __future__ import annotations

from typing import Any

from gdfast import _core
from numpy.typing import NDArray
from problems import Problem, problem
from rule_variants import VARIANTS

Array = NDArray[Any]

# scikit-learn's variants by scikit-learn's names, and all others by torch's; the learning rate.
RULES: dict[str, tuple[str, dict[str, Any], float]] = {
    "sgd": ("sgd", {"momentum": 0.0, "nesterov": 0}, 0.1),
    "momentum": ("sgd", {"momentum": 0.9, "nesterov": 0}, 0.1),
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": 1}, 0.1),
    "adam": ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}, 0.01),
}
MORE_RULES = {f"optim {name}": (*rule._rule(), rule.lr) for name, rule in VARIANTS.items()}
ALL_RULES = {**RULES, **MORE_RULES}

BATCH = 5  # rows, where a run is not told otherwise

# Large enough that a second thread pays.
LARGE = problem("squared_error", [64, 256, 256, 3], 512)


def copies(p: Problem) -> tuple[list[Array], list[Array]]:
    return [c.copy() for c in p.coefs], [b.copy() for b in p.intercepts]


class Run:
    """A trainer with the arrays that it trains."""

    def __init__(self, p: Problem, rule: str, *, kind: Any = None, **options: Any) -> None:
        self.coefs, self.intercepts = copies(p)
        self.p = p
        name, params, self.learning_rate = ALL_RULES[rule]
        options = {"batch_size": BATCH, **options}
        self.trainer = (kind or _core.Trainer)(
            self.coefs, self.intercepts, p.activations, p.loss, rule=name, rule_params=params, **options
        )

    @property
    def arrays(self) -> list[Array]:
        return [*self.coefs, *self.intercepts]

    def epoch(
        self, order: Array | None = None, X: Any = None, learning_rate: float | None = None
    ) -> tuple[float, bool]:
        return self.trainer.run_epoch(
            self.p.X if X is None else X,
            self.p.y,
            order,
            self.p.sample_weight,
            learning_rate=self.learning_rate if learning_rate is None else learning_rate,
        )
