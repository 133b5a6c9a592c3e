"""`from_sklearn` and `to_sklearn`."""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

import numpy as np

from gdfast.export._predictor import check_no_embeddings, kind_of, read
from gdfast.prediction.predictors import _MLP
from gdfast.training.state import TrainingState
from gdfast.training.weights import Weights

# What both libraries have under one name, where an estimator has it.
_ATTRIBUTES = (
    "coefs_",
    "intercepts_",
    "n_features_in_",
    "feature_names_in_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "classes_",
    "_label_binarizer",
    "n_iter_",
    "t_",
    "loss_",
    "best_loss_",
    "loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "_no_improvement_count",
)
# The moments of the solvers that both have: gdfast's names, and scikit-learn's.
_MOMENTS = {"sgd": {"velocity": "velocities"}, "adam": {"m": "ms", "v": "vs"}}
# Arguments that say what the network is.
_OF_THE_NETWORK = frozenset({"hidden_layer_sizes", "activation"})
# A subclass that has its own of these predicts something else.
_PREDICTS = ("predict", "predict_proba", "_predict", "_forward_pass_fast")
# Without influence on any result.
_OF_THE_MACHINE = ("n_jobs",)


def from_sklearn(est: Any) -> Any:
    """A fitted estimator of gdfast from one of scikit-learn.

    Parameters
    ----------
    est : sklearn.neural_network.MLPClassifier or MLPRegressor
        A fitted estimator, which is not changed.

    Returns
    -------
    est : MLPClassifier or MLPRegressor
        With the same arguments, weights, labels and records, and the same predictions but for the order of
        summation. ``partial_fit`` and ``warm_start`` go on from where the other has ended, with its
        optimizer's moments.

    Raises
    ------
    TypeError
        If ``est`` is no such estimator.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPRegressor
    >>> from gdfast.export import from_sklearn
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> theirs = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", random_state=0).fit(X, X.ravel())
    >>> ours = from_sklearn(theirs)
    >>> type(ours).__module__.partition(".")[0], bool(np.allclose(ours.predict(X), theirs.predict(X)))
    ('gdfast', True)
    """
    from sklearn import neural_network
    from sklearn.utils.validation import check_is_fitted

    from gdfast import estimators

    for name in ("MLPClassifier", "MLPRegressor"):
        if isinstance(est, getattr(neural_network, name)):
            break
    else:
        raise TypeError(
            "est must be an MLPClassifier or MLPRegressor of sklearn.neural_network, got "
            f"{type(est).__module__}.{type(est).__name__}."
        )
    theirs, kind = getattr(neural_network, name), getattr(estimators, name)
    if changed := [m for m in _PREDICTS if getattr(type(est), m, None) is not getattr(theirs, m, None)]:
        raise TypeError(f"{type(est).__name__} has its own {changed[0]}, which cannot be handed over.")
    check_is_fitted(est)
    known = kind._get_param_names()
    arguments = {
        key: copy.deepcopy(value) for key, value in est.get_params(deep=False).items() if key in known
    }
    made = kind(**arguments)
    _hand_over(est, made)
    # Of scores on validation sets there are no losses: the next fit with a validation set records both anew.
    made._training = TrainingState(Weights({}), np.random.RandomState(), scored_by="scikit-learn")
    if hasattr(est, "_optimizer") and est.solver in _MOMENTS:
        made._training.optimizer = _our_optimizer(made, est._optimizer)
    read(made)
    return made


def to_sklearn(est: Any, *, drop: Collection[str] = ()) -> Any:
    """A fitted estimator of scikit-learn from one of gdfast.

    Parameters
    ----------
    est : MLPClassifier or MLPRegressor
        A fitted estimator, which is not changed.
    drop : str or collection of str, default=()
        Names of arguments of training to leave out that scikit-learn has not, such as "dropout": further
        training by scikit-learn then has its defaults. Predictions are the same.

    Returns
    -------
    est : sklearn.neural_network.MLPClassifier or MLPRegressor
        With the same arguments, weights, labels and records, and the same predictions but for the order of
        summation. With the solvers "sgd" and "adam" ``partial_fit`` goes on from where the other has ended.

    Raises
    ------
    TypeError
        If ``est`` is no estimator of gdfast, or ``drop`` no names.
    ValueError
        If scikit-learn's estimator cannot say what ``est`` is: the message names it. Arguments that have no
        influence on predictions may be left out by ``drop``.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast import MLPRegressor
    >>> from gdfast.export import to_sklearn
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> ours = MLPRegressor(hidden_layer_sizes=5, dropout=0.1, max_iter=500, random_state=0).fit(X, X.ravel())
    >>> theirs = to_sklearn(ours, drop="dropout")
    >>> type(theirs).__module__.partition(".")[0], bool(np.allclose(ours.predict(X), theirs.predict(X)))
    ('sklearn', True)
    """
    from sklearn import neural_network

    predictor = read(est)
    if not isinstance(predictor, _MLP):
        raise ValueError(
            f"scikit-learn has no {kind_of(predictor)}: it has MLPClassifier and MLPRegressor only."
        )
    if est is predictor:
        raise TypeError("est must be an estimator: a predictor has no arguments of training.")
    kind = getattr(neural_network, kind_of(predictor))
    drop = _names(drop)
    if unknown := drop - est.get_params(deep=False).keys():
        raise ValueError(f"drop names {min(unknown)!r}, which {type(est).__name__} does not have.")
    if needed := drop & (_OF_THE_NETWORK | ({"loss"} if predictor._network.output == "exp" else set())):
        raise ValueError(f"drop names {min(needed)!r}, without which there is no prediction.")
    _check_network(predictor, kind)
    made = kind(**_arguments(est, predictor, kind, drop))
    vars(made).update(_records_before_training(made))
    _hand_over(est, made)
    made._random_state = copy.deepcopy(est._training.random_state) if "_training" in vars(est) else None
    made._best_coefs, made._best_intercepts = list(made.coefs_), list(made.intercepts_)
    training = vars(est).get("_training")
    optimizer = None if training is None else training.optimizer
    if optimizer is not None and made.solver == optimizer.rule and optimizer.rule in _MOMENTS:
        made._optimizer = _their_optimizer(made, optimizer)
    return made


def _hand_over(source: Any, to: Any) -> None:
    """Copy the attributes that both have."""
    for name in _ATTRIBUTES:
        if name in vars(source):
            vars(to)[name] = copy.deepcopy(vars(source)[name])


def _names(drop: Any) -> frozenset[str]:
    if isinstance(drop, str):
        return frozenset({drop})
    if not isinstance(drop, Collection) or not all(isinstance(name, str) for name in drop):
        raise TypeError(f"drop must be a string or a collection of strings, got {drop!r}.")
    return frozenset(drop)


def _records_before_training(made: Any) -> dict[str, Any]:
    """What scikit-learn's training adds to: an estimator whose weights come from elsewhere has none."""
    if made.solver == "lbfgs":
        return {}
    best: dict[str, Any] = {"best_loss_": np.inf, "validation_scores_": None, "best_validation_score_": None}
    if made.early_stopping:
        best = {"best_loss_": None, "validation_scores_": [], "best_validation_score_": -np.inf}
    return {"loss_curve_": [], "_no_improvement_count": 0, **best}


# What scikit-learn can say.


def _check_network(predictor: Any, kind: type) -> None:
    """ValueError if scikit-learn's network would predict something else."""
    check_no_embeddings(predictor)
    name = f"scikit-learn's {kind.__name__}"
    if predictor._weights.norms() is not None:
        raise ValueError(f"batch_norm=True: {name} has no batch normalisation.")
    activations = {*predictor._network.activations} or {"identity"}
    if len(activations) > 1:
        raise ValueError(
            f"activation={list(predictor._network.activations)}: {name} has one activation for all layers."
        )
    (activation,) = activations
    if activation not in ("identity", "logistic", "tanh", "relu"):
        raise ValueError(
            f"activation={activation!r}: {name} has 'identity', 'logistic', 'tanh' and 'relu' only."
        )
    if predictor._network.output == "quantiles":
        raise ValueError(f"several quantiles: {name} has no output layer for quantiles.")


def _arguments(est: Any, predictor: Any, kind: Any, drop: Collection[str]) -> dict[str, Any]:
    """The arguments of scikit-learn's estimator."""
    name = f"scikit-learn's {kind.__name__}"
    weights = predictor._weights
    found: dict[str, Any] = {}
    constraints = kind._parameter_constraints
    defaults = type(est)().get_params(deep=False)
    for key, value in est.get_params(deep=False).items():
        if key in drop or key in _OF_THE_MACHINE:
            continue
        if key in constraints:
            if key not in _OF_THE_NETWORK and not _allows(kind, key, value):
                raise ValueError(_refusal(f"{key}={value!r}: {name} has no such value", key))
            found[key] = copy.deepcopy(value)
        elif not _is_default(value, defaults[key]):
            raise ValueError(_refusal(f"{key}={_shortened(value)}: {name} has no argument {key}", key))
    found["hidden_layer_sizes"] = tuple(coef.shape[1] for coef in weights.coefs[:-1])
    if not isinstance(found["activation"], str):
        found["activation"] = next(iter(predictor._network.activations), "relu")
    return found


def _refusal(what: str, key: str) -> str:
    return f"{what}. It has no influence on predictions: leave it out by drop=[{key!r}]."


def _allows(kind: Any, key: str, value: Any) -> bool:
    from sklearn.utils._param_validation import InvalidParameterError, validate_parameter_constraints

    try:
        validate_parameter_constraints(
            {key: kind._parameter_constraints[key]}, {key: value}, caller_name=kind.__name__
        )
    except InvalidParameterError:
        return False
    return True


def _is_default(value: Any, default: Any) -> bool:
    if value is default or value is None:
        return True
    try:
        return bool(np.array_equal(value, default)) or not np.any(value)
    except (TypeError, ValueError):
        return False


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."


# The optimizer.


def _our_optimizer(made: Any, theirs: Any) -> Any:
    """None if the moments are not those of the weights, which a user may have replaced."""
    weights = Weights.of(vars(made))
    slots = {
        ours: [np.array(array, weights.dtype, order="C") for array in getattr(theirs, name)]
        for ours, name in _MOMENTS[made.solver].items()
    }
    shapes = [array.shape for array in weights]
    if any([array.shape for array in arrays] != shapes for arrays in slots.values()):
        return None
    found = made._new_optimizer()
    state = found.training_state_dict()
    state["state"] = {"step": int(getattr(theirs, "t", 0)), "slots": slots}
    if made.solver == "sgd":  # that of Adam follows from the first one and the step
        state["learning_rate"] = float(theirs.learning_rate)
    found.load_training_state_dict(state)
    return found


def _their_optimizer(made: Any, optimizer: Any) -> Any:
    from sklearn.neural_network import _stochastic_optimizers as theirs

    parameters = made.coefs_ + made.intercepts_
    rate = float(optimizer.learning_rate_init)
    if made.solver == "sgd":
        found = theirs.SGDOptimizer(
            parameters, rate, made.learning_rate, made.momentum, made.nesterovs_momentum, made.power_t
        )
        found.learning_rate = float(np.mean(optimizer.learning_rate))
    else:
        found = theirs.AdamOptimizer(parameters, rate, made.beta_1, made.beta_2, made.epsilon)
    state = optimizer.state_dict()
    if state is None:
        return found
    for name, arrays in state["slots"].items():
        if name in _MOMENTS[made.solver]:
            setattr(found, _MOMENTS[made.solver][name], [np.array(array) for array in arrays])
    if made.solver == "adam":
        found.t = int(state["step"])
    return found
