"""Conversion of ``solver`` to the core's rule, hyper-parameters and learning rate."""

from __future__ import annotations

from typing import Any

from gdfast import optim
from gdfast.optim._whole import WholeRule

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
    "muon": optim.Muon,
    "prodigy": optim.Prodigy,
    "schedulefree": optim.ScheduleFree,
}
STOCHASTIC = frozenset({"sgd", "adam", *RULES})
NAMES = frozenset({"lbfgs", "annealing", *STOCHASTIC})


def is_stochastic(solver: Any) -> bool:
    """Whether the solver trains by epochs and batches."""
    return isinstance(solver, optim.Optimizer) or solver in STOCHASTIC


def trains_embeddings(solver: Any) -> bool:
    """Whether the solver trains the arrays of embedded columns: a rule that sees whole gradients does not."""
    kind = RULES.get(solver) if isinstance(solver, str) else type(solver)
    return is_stochastic(solver) and not (kind is not None and issubclass(kind, WholeRule))


def rule_of(
    solver: Any,
    *,
    learning_rate_init: float,
    momentum: float,
    nesterovs_momentum: bool,
    beta_1: float,
    beta_2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[str, dict[str, Any], float]:
    """The core's rule, its parameters, and the initial learning rate."""
    if isinstance(solver, optim.Optimizer):
        return *solver._rule(), float(solver.lr)
    if solver == "sgd":
        rule = solver
        params = {"momentum": float(momentum), "nesterov": float(nesterovs_momentum)}
    elif solver == "adam":
        rule = solver
        params = {"beta_1": float(beta_1), "beta_2": float(beta_2), "epsilon": float(epsilon)}
    else:
        rule, params = RULES[solver]()._rule()
        if weight_decay:
            params["weight_decay"] = 0.0  # replaces AdamW's default, instead of adding to it
    # Prodigy finds the learning rate, and has only a factor of it.
    return rule, params, 1.0 if solver == "prodigy" else float(learning_rate_init)
