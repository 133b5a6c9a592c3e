"""What the classifier and the regressor share: arguments, the course of a fit, the outputs of a network."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import _check_sample_weight, validate_data

from gdfast.estimators import _activations, _descent, _solvers, _validation, _weights
from gdfast.estimators._annealed import fit_annealing
from gdfast.estimators._holdout import Holdout
from gdfast.estimators._lbfgs import fit_lbfgs
from gdfast.estimators._losses import Loss
from gdfast.estimators._network import Network
from gdfast.estimators._optimizer import Optimizer
from gdfast.estimators._order import RowOrder
from gdfast.estimators._progress import Progress
from gdfast.estimators._sklearn_callbacks import CallbackSupportMixin, FitTask
from gdfast.estimators._stochastic import fit_stochastic
from gdfast.estimators._transaction import transaction
from gdfast.estimators._validation import NORMS, Array, Samples
from gdfast.schedules import resolve

_TRAINING_RECORDS = (
    "loss_curve_",
    "learning_rate_curve_",
    "gradient_records_",
    "bn_gamma_",
    "bn_beta_",
    "bn_mean_",
    "bn_var_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "validation_loss_curve_",
    "_scored_by",
    "_optimizer",
    "_order",
)


class _Plan(NamedTuple):
    """What a fit is to do, all of it checked."""

    samples: Samples
    order: RowOrder
    holdout: Holdout | None
    as_checked: tuple[Any, Any]
    weight_given: Array | None
    random_state: np.random.RandomState


class BaseMLP(CallbackSupportMixin, Network, ABC):
    """A multilayer perceptron; use :class:`MLPClassifier` or :class:`MLPRegressor`."""

    loss_: float
    best_loss_: Any
    loss_curve_: list[float]
    validation_scores_: Any
    best_validation_score_: Any
    validation_loss_curve_: list[float]
    n_iter_: int
    t_: int
    learning_rate_curve_: list[float]
    gradient_records_: dict[str, list[list[float]]]

    _optimizer: Optimizer
    _order: RowOrder
    _no_improvement_count: int
    _scored_by: Any  # ``scoring`` as it was when the scores were recorded

    # What a kind of estimator has to say for itself.

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """X and y, checked by scikit-learn; y still in the user's terms."""

    @abstractmethod
    def _validate_holdout(self, X: Any, y: Any) -> tuple[Any, Any]:
        """The same for a validation set, of a model that knows its features and outputs."""

    @abstractmethod
    def _encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """A checked y as the core takes it."""

    @abstractmethod
    def _count_outputs(self, y: Any) -> int:
        """Units of the output layer for a checked y."""

    @abstractmethod
    def _choose_output(self) -> tuple[str, Loss]:
        """Activation of the output layer, and the loss, by the core's names."""

    @abstractmethod
    def _scorer(self, y: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        """The function that scores outputs against this encoded y."""

    def _stratifies(self) -> bool:
        """Whether the validation split keeps the proportions of an encoded y of shape (n, 1)."""
        return False

    def _fewest_held_out(self) -> int:
        """How many rows a validation set must have that is set aside."""
        return 2

    def _steps_per_batch(self, X: Any) -> int:
        """How many updates a batch of a checked X makes, at most."""
        return 1

    def _take_classes(self, X: Any, y: Any, classes: Any) -> None:
        """What the first call of ``partial_fit`` is told of later ones."""

    def _weighs_classes(self) -> bool:
        """Whether some samples may weigh nothing on the user's word."""
        return False

    def _weigh(self, y: Any, sample_weight: Array | None) -> Array | None:
        """The weights to train with, for a checked y."""
        return sample_weight

    def _training_targets(self, targets: Array) -> Array:
        """What to train on in place of these encoded targets."""
        return targets

    def _training_loss(self) -> Loss:
        """The loss to train by, by the core's name."""
        return self._choose_output()[1]

    # Training.

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
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
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            A validation set of your own: with ``early_stopping``, in place of the one that would be set
            aside; without, loss and score on it are recorded and the best weights kept, while the training
            loss decides when to stop. In a pipeline, ``Pipeline(..., transform_input=["X_val"])`` transforms
            it as it does X.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Its targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            Its weights. Unlike those of a set that is put aside, they are not multiplied by class weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If X holds dates or time differences, or y in regression those or text.
        ValueError
            If the data are empty, not finite, not numeric or of different lengths; if arguments or weights do
            not fit the data; if an argument has no effect beside the others; or if training diverged without
            a validation set, in which case the weights are those of the last epoch in which they were finite.
            With one it ends with a ConvergenceWarning.
        """
        _validation.check_holdout_is_whole(X_val, y_val, sample_weight_val)
        holdout = None if X_val is None else (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, holdout, incremental=False)

    def _check_solver(self) -> bool:
        if not _solvers.is_stochastic(self.solver):
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def _check_partial_fit(self) -> None:
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        given_holdout: tuple[Any, Any, Any] | None,
        *,
        incremental: bool,
        classes: Any = None,
    ) -> Self:
        with transaction(self) as attempt:
            as_given = X, y
            plan = self._prepare(X, y, sample_weight, given_holdout, incremental, classes)
            task = None
            if not incremental:
                task = FitTask(self, *as_given, plan.weight_given, plan.order.training)
            self._train(plan, Progress(self, task, attempt), incremental)
        return self

    def _train(self, plan: _Plan, course: Progress, incremental: bool) -> None:
        with course as progress:
            try:
                if _solvers.is_stochastic(self.solver):
                    fit_stochastic(
                        self, plan.samples, plan.order, plan.holdout, progress, single_epoch=incremental
                    )
                elif self.solver == "annealing":
                    fit_annealing(
                        self,
                        plan.samples,
                        plan.as_checked,
                        plan.order.training,
                        plan.holdout,
                        progress,
                        plan.random_state,
                    )
                else:
                    fit_lbfgs(self, plan.samples, plan.holdout, progress)
            finally:
                if plan.holdout is not None:
                    plan.holdout.restore_best(self)

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        given_holdout: tuple[Any, Any, Any] | None,
        incremental: bool,
        classes: Any,
    ) -> _Plan:
        """Check all there is to check, and begin what a fit begins with."""
        sizes = self._check_arguments()
        _validation.n_threads(self.n_jobs)
        if incremental:
            self._check_partial_fit()
            self._take_classes(X, y, classes)
        begins = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validate_input(X, y, incremental, reset=begins)
        if sample_weight is not None:
            sample_weight = self._check_weights(sample_weight, X)
            if not sample_weight.any():  # scikit-learn's check knows this in 1.9, not in 1.7
                raise ValueError("Sample weights must contain at least one non-zero number.")
        weight_given = sample_weight
        sample_weight = self._weigh(y, sample_weight)
        if not incremental and sample_weight is not None and not sample_weight.any():
            raise ValueError("class_weight and sample_weight leave no sample a weight other than zero.")
        random_state = check_random_state(self.random_state)
        self.n_outputs_ = self._count_outputs(y)
        if given_holdout is not None:
            given_holdout = self._check_holdout(*given_holdout)
        layer_units = [X.shape[1], *sizes, self.n_outputs_]
        if begins:
            self._begin(layer_units, X.dtype, random_state)
        # The dtype of the weights leads: training that continues from float32 stays in float32.
        dtype = self._take_weights(layer_units)
        samples = self._samples(X, y, sample_weight, dtype)
        sets_aside = given_holdout is None and self.early_stopping and self.solver != "lbfgs"
        order = self._row_order(X.shape[0], random_state, sets_aside, incremental)
        holdout = None
        if given_holdout is not None:
            holdout = self._holdout(self._samples(*given_holdout, dtype), None, given_holdout[:2])
        elif sets_aside:
            # By the names under which scikit-learn's error lists classes that are too small.
            labels = np.where(samples.y.ravel(), "True", "False") if self._stratifies() else None
            rows = order.set_aside(self.validation_fraction, labels, self._fewest_held_out())
            holdout = self._holdout(samples, rows, (X, y))
        trained = samples.weight
        if trained is not None and order.training is not None:
            trained = trained[order.training]
        if not (incremental and self._weighs_classes()):
            _validation.check_mean_weight(trained, "sample_weight")
        samples = samples._replace(y=self._training_targets(samples.y))

        if self.solver != "lbfgs":
            self._start_records(holdout)
        if _solvers.is_stochastic(self.solver):
            self._start_optimizer(incremental, len(sizes), random_state)
        return _Plan(samples, order, holdout, (X, y), weight_given, random_state)

    def _validate_arrays(self, X: Any, y: Any, reset: bool, **checks: Any) -> tuple[Any, Any]:
        """X and y, checked by scikit-learn; y of one column has one dimension."""
        _validation.check_no_dates(X)
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            dtype=(np.float64, np.float32),
            order="C",
            reset=reset,
            **checks,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _check_weights(self, sample_weight: Any, X: Any) -> Array:
        """Weights as the loss takes them: one for each target."""
        weights: Array = _check_sample_weight(sample_weight, X)
        return weights

    def _check_holdout(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Array | None]:
        """A user's validation set, checked as X, y and sample_weight are."""
        with _validation.naming("X_val and y_val"):
            X, y = self._validate_holdout(X, y)
            if sample_weight is not None:
                sample_weight = self._check_weights(sample_weight, X)
                _validation.check_mean_weight(sample_weight, "sample_weight_val")
            if len(y) < 2:
                raise ValueError("The validation set is too small: a score takes at least 2 samples.")
        return X, y, sample_weight

    def _begin(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> None:
        """The first weights, and no records."""
        # Drawn even where they are given, so that the order of rows does not depend on who gave them.
        coefs, intercepts = self._draw_weights(layer_units, dtype, random_state)
        if self.coefs_init is not None:
            coefs = _weights.given(self.coefs_init, coefs, "coefs_init")
        if self.intercepts_init is not None:
            intercepts = _weights.given(self.intercepts_init, intercepts, "intercepts_init")

        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layer_units)
        self.out_activation_, _ = self._choose_output()
        for name in _TRAINING_RECORDS:
            self.__dict__.pop(name, None)
        self.coefs_, self.intercepts_ = coefs, intercepts

    def _draw_weights(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> tuple[list[Array], list[Array]]:
        _validation.check_addressable(layer_units, np.dtype(np.float64).itemsize)
        activations = _activations.to_draw_for(self.activation, len(layer_units) - 2)
        return _weights.draw(self.init, layer_units, activations, dtype, random_state)

    def _take_weights(self, layer_units: list[int], dtype: np.dtype[Any] | None = None) -> np.dtype[Any]:
        """Bring the weights at hand, which a user may have edited or replaced, into the core's form.

        ValueError where they are not those of a network with ``layer_units``. Returns their dtype: ``dtype``,
        where given, or their own.
        """
        coefs, intercepts = _validation.array_lists(self, "coefs_", "intercepts_")
        self._check_shapes(coefs, intercepts, layer_units)
        if dtype is None:
            dtype = _validation.weights_dtype(coefs, intercepts)
        self._start_norms(layer_units[1:-1], dtype)
        for name in ("coefs_", "intercepts_", *(NORMS if self.batch_norm else ())):
            arrays = getattr(self, name)
            taken = _validation.as_weights(arrays, dtype, writable=True)
            if not isinstance(arrays, list) or any(a is not b for a, b in zip(arrays, taken, strict=True)):
                setattr(self, name, taken)
        self.n_layers_ = len(layer_units)
        return dtype

    def _take_edited_weights(self, dtype: np.dtype[Any]) -> None:
        """The same in the course of a fit in ``dtype``, after a callback."""
        sizes = _validation.hidden_sizes(self.hidden_layer_sizes)
        self._take_weights([self.n_features_in_, *sizes, self.n_outputs_], dtype)

    def _check_shapes(self, coefs: list[Array], intercepts: list[Array], layer_units: list[int]) -> None:
        """ValueError where these are not the weights of a network with ``layer_units``."""
        expected = list(pairwise(layer_units))
        _validation.check_shapes(coefs, intercepts, expected, "features, hidden_layer_sizes and outputs")

    def _holdout(self, samples: Samples, rows: Array | None, as_checked: tuple[Any, Any]) -> Holdout:
        return Holdout(self, samples, rows, as_checked)

    def _samples(self, X: Any, y: Any, sample_weight: Array | None, dtype: np.dtype[Any]) -> Samples:
        """Checked data as the core takes them."""
        if sample_weight is not None:
            sample_weight = _validation.convert(sample_weight, dtype, "sample_weight")
        return Samples(_validation.as_matrix(X, dtype), self._encode(y, dtype), sample_weight)

    def _row_order(
        self, n_samples: int, random_state: np.random.RandomState, sets_aside: bool, incremental: bool
    ) -> RowOrder:
        if incremental or not self.keep_optimizer_state:
            return RowOrder(n_samples, random_state)
        kept = getattr(self, "_order", None)
        if kept is None or kept.n_samples != n_samples or (kept.validation is not None) != sets_aside:
            self._order = RowOrder(n_samples, random_state)
        return self._order

    def _start_records(self, holdout: Holdout | None) -> None:
        """Begin the records that this fit adds to, where an earlier one has not begun them."""
        if not hasattr(self, "loss_curve_"):
            self.loss_curve_ = []
            self._no_improvement_count = 0
        if not hasattr(self, "learning_rate_curve_"):  # scikit-learn has none to be set by hand
            self.learning_rate_curve_ = []
        if self.early_stopping:
            self.best_loss_ = None
        elif getattr(self, "best_loss_", None) is None:
            self.best_loss_ = np.inf
        if holdout is None:
            self.validation_scores_ = self.best_validation_score_ = None
            self.__dict__.pop("validation_loss_curve_", None)

    def _start_norms(self, sizes: list[int], dtype: np.dtype[Any]) -> None:
        """Begin what batch normalisation keeps, or check what there is."""
        if not self.batch_norm:
            for name in NORMS:
                self.__dict__.pop(name, None)
        elif not any(hasattr(self, name) for name in NORMS):
            self.bn_gamma_, self.bn_var_ = ([np.ones(n, dtype) for n in sizes] for _ in range(2))
            self.bn_beta_, self.bn_mean_ = ([np.zeros(n, dtype) for n in sizes] for _ in range(2))
        else:
            _validation.check_norms(self, sizes)

    def _start_optimizer(self, incremental: bool, n_hidden: int, random_state: np.random.RandomState) -> None:
        kept = getattr(self, "_optimizer", None)
        if incremental and kept is not None:
            return
        self._optimizer = self._new_optimizer()
        if _descent.is_random(self, n_hidden):
            self._optimizer.seed = int(random_state.randint(2**31))
        if kept is not None and self.keep_optimizer_state:
            self._optimizer.go_on_from(kept)

    def _new_optimizer(self) -> Optimizer:
        rule, rule_params, learning_rate = _solvers.rule_of(self)
        # scikit-learn's own schedules are sgd's alone.
        by_name = self.learning_rate if self.solver == "sgd" else "constant"
        schedule: Any = by_name if self.schedule is None else self.schedule
        if schedule not in ("constant", "invscaling", "adaptive"):
            schedule = resolve(schedule)
        return Optimizer(rule, rule_params, learning_rate, schedule, float(self.power_t))

    def _core_network(self) -> dict[str, Any]:
        """The network and its loss, as the core's arguments."""
        return {
            "activations": self._hidden_activations(),
            "loss": self._training_loss(),
            "alpha": float(self.alpha),
            "n_threads": _validation.n_threads(self.n_jobs),
        }

    def _core_descent(self) -> dict[str, Any]:
        """What is done in a step beyond the plain one, as the trainer's arguments."""
        return _descent.options(self, len(self.coefs_) - 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dense_targets(y: Any, dtype: np.dtype[Any]) -> Array:
    """A checked y of one or two dimensions as the core takes it, of shape (n_samples, n_outputs)."""
    if sparse.issparse(y):
        raise TypeError("Sparse targets are not supported here. Use '.toarray()' to make y dense.")
    return _validation.convert(y.reshape(len(y), -1), dtype, "y")
