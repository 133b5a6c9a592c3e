"""What the classifier and the regressor share: arguments, the course of a fit, the outputs of a network."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, Options, StrOptions
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gdfast import _core
from gdfast.estimators import _validation
from gdfast.estimators._lbfgs import fit_lbfgs
from gdfast.estimators._optimizer import Optimizer
from gdfast.estimators._stochastic import fit_stochastic
from gdfast.estimators._validation import Array

_STOCHASTIC_SOLVERS = ("sgd", "adam")
_TRAINING_RECORDS = (
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "_optimizer",
)


class BaseMLP(BaseEstimator, ABC):
    """A multilayer perceptron; use :class:`MLPClassifier` or :class:`MLPRegressor`."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "hidden_layer_sizes": ["array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [StrOptions({"identity", "logistic", "tanh", "relu"})],
        "solver": [StrOptions({"lbfgs", "sgd", "adam"})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), Options(Real, {np.inf})],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Integral, None, -1, closed="right"),
            None,
        ],
    }

    loss: str
    hidden_layer_sizes: Any
    activation: str
    solver: str
    alpha: float
    batch_size: Any
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: Any
    tol: float
    verbose: Any
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    n_jobs: int | None

    coefs_: list[Array]
    intercepts_: list[Array]
    loss_: float
    best_loss_: Any
    loss_curve_: list[float]
    validation_scores_: Any
    best_validation_score_: Any
    n_iter_: int
    t_: int
    n_layers_: int
    n_outputs_: int
    n_features_in_: int
    out_activation_: str

    _optimizer: Optimizer
    _no_improvement_count: int

    # What a kind of estimator has to say for itself.

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """X and y, checked by scikit-learn; y still in the user's terms."""

    @abstractmethod
    def _encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """A checked y as the core takes it."""

    @abstractmethod
    def _count_outputs(self, y: Any) -> int:
        """Units of the output layer for a checked y."""

    @abstractmethod
    def _choose_output(self) -> tuple[str, str]:
        """Activation of the output layer, and the loss by the core's name."""

    @abstractmethod
    def _scorer(self, y: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        """The function that scores outputs against this encoded y."""

    def _stratifies(self) -> bool:
        """Whether the validation split keeps the proportions of an encoded y of shape (n, 1)."""
        return False

    # Training.

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model to the data matrix X and the targets y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data. float32 and float64 are trained in as they are, all else as float64. A
            C-contiguous array is not copied, a sparse matrix never made dense.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, an indicator matrix for several labels, or real numbers in regression.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample's loss in the mean over its batch. A batch whose weights sum to zero is
            skipped.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data are empty, not finite, not numeric or of different lengths; or if training diverged,
            in which case the weights are those of the last epoch in which they were finite, or, with
            ``early_stopping``, the best ones.
        """
        return self._fit(X, y, sample_weight, incremental=False)

    def _check_solver(self) -> bool:
        if self.solver not in _STOCHASTIC_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, incremental: bool) -> Self:
        sizes = _validation.hidden_sizes(self.hidden_layer_sizes)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        begins = not hasattr(self, "coefs_") or not (self.warm_start or incremental)

        X, y = self._validate_input(X, y, incremental, reset=begins)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
            if not sample_weight.any():  # scikit-learn's check knows this in 1.9, not in 1.7
                raise ValueError("Sample weights must contain at least one non-zero number.")
        random_state = check_random_state(self.random_state)
        self.n_outputs_ = self._count_outputs(y)
        layer_units = [X.shape[1], *sizes, self.n_outputs_]
        if begins:
            self._begin(layer_units, X.dtype, random_state)
        _validation.check_layers(self.coefs_, self.intercepts_, layer_units)
        # The weights' dtype leads: who goes on from float32 weights has float32 weights in the end.
        dtype = _validation.weights_dtype(self.coefs_, self.intercepts_)
        self.coefs_ = _validation.as_weights(self.coefs_, dtype, writable=True)
        self.intercepts_ = _validation.as_weights(self.intercepts_, dtype, writable=True)
        targets = self._encode(y, dtype)
        matrix = _validation.as_matrix(X, dtype)
        if sample_weight is not None:
            sample_weight = _validation.convert(sample_weight, dtype, "sample_weight")

        if self.solver == "lbfgs":
            fit_lbfgs(self, matrix, targets, sample_weight)
        else:
            self._start_records()
            if not incremental or not hasattr(self, "_optimizer"):
                self._optimizer = self._new_optimizer()
            fit_stochastic(self, matrix, targets, sample_weight, random_state, single_epoch=incremental)
        return self

    def _begin(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> None:
        """Weights by Glorot and Bengio (2010), equation 16, in the order in which scikit-learn draws them."""
        _validation.check_addressable(layer_units, np.dtype(np.float64).itemsize)
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layer_units)
        self.out_activation_, _ = self._choose_output()
        for name in _TRAINING_RECORDS:
            self.__dict__.pop(name, None)

        factor = 2.0 if self.activation == "logistic" else 6.0
        coefs, intercepts = [], []
        for fan_in, fan_out in pairwise(layer_units):
            bound = np.sqrt(factor / (fan_in + fan_out))
            coefs.append(random_state.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
            intercepts.append(random_state.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
        self.coefs_, self.intercepts_ = coefs, intercepts

    def _start_records(self) -> None:
        """Begin the records that this fit adds to, where an earlier one has not begun them."""
        if not hasattr(self, "loss_curve_"):
            self.loss_curve_ = []
            self.best_loss_ = self.validation_scores_ = self.best_validation_score_ = None
            self._no_improvement_count = 0
        if self.early_stopping and self.validation_scores_ is None:
            self.best_loss_, self.validation_scores_, self.best_validation_score_ = None, [], -np.inf
        elif not self.early_stopping and self.best_loss_ is None:
            self.best_loss_, self.validation_scores_, self.best_validation_score_ = np.inf, None, None

    def _new_optimizer(self) -> Optimizer:
        if self.solver == "sgd":
            rule_params = {"momentum": float(self.momentum), "nesterov": float(self.nesterovs_momentum)}
            schedule = self.learning_rate
        else:
            rule_params = {
                "beta_1": float(self.beta_1),
                "beta_2": float(self.beta_2),
                "epsilon": float(self.epsilon),
            }
            schedule = "constant"
        return Optimizer(
            self.solver, rule_params, float(self.learning_rate_init), schedule, float(self.power_t)
        )

    def _core_network(self) -> dict[str, Any]:
        """The network and its loss, as the core's arguments."""
        return {
            "activations": self._hidden_activations(),
            "loss": self._choose_output()[1],
            "alpha": float(self.alpha),
            "n_threads": _validation.n_threads(self.n_jobs),
        }

    # Outputs.

    def _core_outputs(self) -> dict[str, Any]:
        """The network without its loss, as the core's arguments."""
        return {
            "activations": self._hidden_activations(),
            "output": self.out_activation_,
            "n_threads": _validation.n_threads(self.n_jobs),
        }

    def _hidden_activations(self) -> list[str]:
        return [self.activation] * (len(self.coefs_) - 1)

    def _outputs(self, X: Any) -> Array:
        """The output layer's values, of shape (n_samples, n_outputs), new for every call."""
        outputs = self._outputs_of_plain_array(X)
        return self._outputs_of_anything(X) if outputs is None else outputs

    def _outputs_of_plain_array(self, X: Any) -> Array | None:
        """The outputs where nothing about X has to be said or converted, else None.

        For one row this takes a tenth of the time that scikit-learn's checks take. It raises nothing: what is
        wrong with X is for those checks to say.
        """
        fitted = self.__dict__
        coefs = fitted.get("coefs_")
        if (
            type(X) is not np.ndarray
            or not coefs
            or "feature_names_in_" in fitted
            or X.ndim != 2
            or X.shape[0] == 0
            or X.shape[1] != fitted["n_features_in_"]
            or X.dtype != coefs[0].dtype
            or not X.flags.c_contiguous
        ):
            return None
        # Finite where every value is, unless squares overflow: of the fast ways, vdot alone warns of nothing.
        if not math.isfinite(np.vdot(X, X)):
            return None
        try:
            return _core.forward(X, coefs, self.intercepts_, **self._core_outputs())
        except (TypeError, ValueError):  # weights that a user has set and that have to be converted
            return None

    def _outputs_of_anything(self, X: Any) -> Array:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], order="C", reset=False)
        weights = _validation.weights_dtype(self.coefs_, self.intercepts_)
        single = np.result_type(X.dtype, weights) == np.float32
        dtype = np.dtype(np.float32 if single else np.float64)
        coefs = _validation.as_weights(self.coefs_, dtype, writable=False)
        intercepts = _validation.as_weights(self.intercepts_, dtype, writable=False)
        return _core.forward(_validation.as_matrix(X, dtype), coefs, intercepts, **self._core_outputs())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dense_targets(y: Any, dtype: np.dtype[Any]) -> Array:
    """A checked y of one or two dimensions as the core takes it, of shape (n_samples, n_outputs)."""
    if sparse.issparse(y):
        raise TypeError("Sparse targets are not supported here. Use '.toarray()' to make y dense.")
    return _validation.convert(y.reshape(len(y), -1), dtype, "y")
