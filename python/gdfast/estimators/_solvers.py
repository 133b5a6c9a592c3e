"""``solver`` as the core understands it: a rule, its hyper-parameters, and the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gdfast import optim

if TYPE_CHECKING:
    from gdfast.estimators._arguments import Arguments

# By scikit-learn's names scikit-learn's variants; the other rules by their names, as gdfast.optim has them.
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

# What an optim object decides by itself, with the constructor's defaults.
_DECIDED = {
    "learning_rate_init": 0.001,
    "momentum": 0.9,
    "nesterovs_momentum": True,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
}


def is_stochastic(solver: Any) -> bool:
    """Whether it goes by epochs and batches."""
    return isinstance(solver, optim.Optimizer) or solver in STOCHASTIC


def rule_of(est: Arguments) -> tuple[str, dict[str, Any], float]:
    """The core's rule, its parameters, and the learning rate to begin with."""
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
            params["weight_decay"] = 0.0  # in place of AdamW's own, not beside it
        return rule, params, float(est.learning_rate_init)
    return solver, params, float(est.learning_rate_init)


def check(est: Arguments) -> None:
    """ValueError where an argument contradicts an optim object."""
    solver: Any = est.solver
    if not isinstance(solver, optim.Optimizer):
        return
    for name, default in _DECIDED.items():
        if getattr(est, name) != default:
            raise ValueError(
                f"{name}={getattr(est, name)!r} contradicts solver={solver!r}, whose own hyper-parameters "
                f"count. Leave {name} alone, or name the solver by a string."
            )
    if est.learning_rate != "constant":
        raise ValueError(
            f"learning_rate={est.learning_rate!r} is for solver='sgd'. With solver={solver!r} say "
            f"schedule={est.learning_rate!r}, or give it one of gdfast.schedules."
        )
    if est.weight_decay and getattr(solver, "weight_decay", 0):
        raise ValueError(
            f"weight_decay={est.weight_decay!r} contradicts solver={solver!r}, which has one of its own."
        )
