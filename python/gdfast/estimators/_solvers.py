"""Conversion of ``solver`` to the core's rule, hyper-parameters and learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gdfast import optim

if TYPE_CHECKING:
    from gdfast.estimators._arguments import Arguments

# The rules of gdfast.optim; "sgd" and "adam" are scikit-learn's variants instead.
RULES: dict[str, type[optim.Optimizer]] = {
    "adagrad": optim.Adagrad,
    "rmsprop": optim.RMSprop,
    "adadelta": optim.Adadelta,
    "adamw": optim.AdamW,
    "nadam": optim.NAdam,
    "adamax": optim.Adamax,
    "lion": optim.Lion,
    "rprop": optim.Rprop,
}
STOCHASTIC = frozenset({"sgd", "adam", *RULES})
NAMES = frozenset({"lbfgs", "annealing", *STOCHASTIC})


def is_stochastic(solver: Any) -> bool:
    """Whether the solver trains by epochs and batches."""
    return isinstance(solver, optim.Optimizer) or solver in STOCHASTIC


def rule_of(est: Arguments) -> tuple[str, dict[str, Any], float]:
    """The core's rule, its parameters, and the initial learning rate."""
    solver: Any = est.solver
    if isinstance(solver, optim.Optimizer):
        return *solver._rule(), float(solver.lr)
    if solver == "sgd":
        params = {"momentum": float(est.momentum), "nesterov": float(est.nesterovs_momentum)}
    elif solver == "adam":
        params = {
            "beta_1": float(est.beta_1),
            "beta_2": float(est.beta_2),
            "epsilon": float(est.epsilon),
        }
    else:
        rule, params = RULES[solver]()._rule()
        if est.weight_decay:
            params["weight_decay"] = 0.0  # replaces AdamW's default, instead of adding to it
        return rule, params, float(est.learning_rate_init)
    return solver, params, float(est.learning_rate_init)
