"""Conversion of ``solver`` to the core's rule, hyper-parameters and learning rate."""

from __future__ import annotations

from typing import Any

from gdfast import optim
from gdfast.optim._whole import WholeRule
from gdfast.training.losses import Loss
from gdfast.training.network import MLP, Network, has_likelihood
from gdfast.training.weights import Weights

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
    "kfac": optim.KFAC,
    "soap": optim.SOAP,
    "prodigy": optim.Prodigy,
    "schedulefree": optim.ScheduleFree,
}
STOCHASTIC = frozenset({"sgd", "adam", *RULES})
NAMES = frozenset({"lbfgs", "newton-cg", "lm", "annealing", *STOCHASTIC})


def is_stochastic(solver: Any) -> bool:
    """Whether the solver trains by epochs and batches."""
    return isinstance(solver, optim.Optimizer) or solver in STOCHASTIC


def trains_embeddings(solver: Any) -> bool:
    """Whether the solver trains the arrays of embedded columns: a rule that sees whole gradients does not."""
    return is_stochastic(solver) and not sees_whole_gradients(solver)


def sees_whole_gradients(solver: Any) -> bool:
    """Whether the rule of a stochastic solver sees whole gradients."""
    return issubclass(_kind(solver), WholeRule)


def _kind(solver: Any) -> type:
    """The class of its rule; that of any other rule for a name that is not in the list."""
    return RULES.get(solver, optim.Optimizer) if isinstance(solver, str) else type(solver)


def is_random(solver: Any) -> bool:
    """Whether the solver draws random numbers in steps."""
    return needs_factors(solver) and (isinstance(solver, str) or solver.fisher == "true")


def needs_factors(solver: Any) -> bool:
    """Whether the solver needs Kronecker factors."""
    return getattr(_kind(solver), "_needs_factors", False)


def takes_rows_anywhere(solver: Any) -> bool:
    """Whether the solver trains on rows wherever they are in X, each perhaps several times."""
    return is_stochastic(solver) and not needs_factors(solver)


def check_factors(solver: Any, network: Network, weights: Weights, loss: Loss, X: Any) -> None:
    """ValueError if there are no Kronecker factors for a solver that needs them."""
    if not needs_factors(solver):
        return
    why = None
    if not isinstance(network, MLP):
        why = "is for multilayer perceptrons: recurrent layers have no Kronecker factors"
    elif weights.norms() is not None:
        why = "is not supported with batch_norm=True"
    elif isinstance(X, tuple):
        why = "needs dense rows, for its factors are dense, but X is sparse"
    elif is_random(solver) and not has_likelihood(loss):
        name = loss if isinstance(loss, str) else loss[0]
        why = (
            f"has no true Fisher matrix for loss={name!r}, which is no likelihood: choose "
            "solver=optim.KFAC(fisher='empirical')"
        )
    if why is not None:
        raise ValueError(f"solver={solver!r} {why}.")


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
