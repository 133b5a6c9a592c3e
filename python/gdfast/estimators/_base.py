"""Base class of the estimators: preparation and course of a fit."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from scipy import sparse
from sklearn.base import _fit_context
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing, check_random_state, column_or_1d
from sklearn.utils.validation import _check_sample_weight, _check_y, check_consistent_length, validate_data

from gdfast.estimators import _annealing, _descent, _solvers, _validation
from gdfast.estimators._attributes import forget, publish, records_of
from gdfast.estimators._divergence import diagnose
from gdfast.estimators._listeners import FitListeners
from gdfast.estimators._network import NetworkEstimator
from gdfast.estimators._outcome import say
from gdfast.estimators._scoring import Score, check_scores, scorer_of
from gdfast.estimators._sklearn_callbacks import CallbackSupportMixin, FitTask
from gdfast.estimators._transaction import transaction
from gdfast.estimators._warnings import warn
from gdfast.schedules import resolve
from gdfast.training import activations, init
from gdfast.training.annealing import Energy
from gdfast.training.arrays import Array, check_addressable, check_mean_weight, convert
from gdfast.training.data import Data
from gdfast.training.encoding import EncodedRows
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor, Validation
from gdfast.training.network import MLP, Network
from gdfast.training.optimizer import Optimizer
from gdfast.training.options import AUTO_BATCH_SIZE, StepOptions, TrainingOptions
from gdfast.training.order import RowOrder
from gdfast.training.outcome import Outcome
from gdfast.training.state import TrainingState
from gdfast.training.train import train
from gdfast.training.weights import NORMS, Weights


@dataclass(frozen=True)
class Plan:
    """What a caller within this package decides about a fit.

    Attributes
    ----------
    split : (ndarray, ndarray) or None
        The training rows and the validation rows, in place of a random split.
    latest_of_equal : bool
        Whether weights with a score equal to the best replace it.
    warns : bool
        Whether the outcome is told by warnings.
    """

    split: tuple[Array, Array] | None = None
    latest_of_equal: bool = False
    warns: bool = True


_DEFAULT_PLAN = Plan()


class _Run(NamedTuple):
    """The checked inputs of a fit."""

    network: Network
    data: Data
    state: TrainingState
    options: TrainingOptions
    validation: Validation | None
    energy: Energy | None
    kept_order: RowOrder | None
    weight_given: Array | None


class BaseMLP(CallbackSupportMixin, NetworkEstimator, ABC):
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

    _no_improvement_count: int
    _training: TrainingState

    @property
    def _optimizer(self) -> Optimizer | None:
        """The optimizer, under scikit-learn's name."""
        return self._training.optimizer

    # Implemented by the kinds of estimators.

    @abstractmethod
    def _validate_input(self, X: Any, y: Any, incremental: bool, reset: bool) -> tuple[Any, Any]:
        """X and y, checked by scikit-learn; y is not yet encoded."""

    @abstractmethod
    def _validate_holdout(self, X: Any, y: Any) -> tuple[Any, Any]:
        """The same for a validation set, after the numbers of features and outputs are known."""

    @abstractmethod
    def _encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        """A checked y in the form that the core takes."""

    @abstractmethod
    def _count_outputs(self, y: Any) -> int:
        """Number of units of the output layer for a checked y."""

    @abstractmethod
    def _choose_output(self) -> tuple[str, Loss]:
        """Activation of the output layer, and the loss, by the core's names."""

    @abstractmethod
    def _scorer(self, y: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        """The function that scores outputs against this encoded y."""

    def _stratifies(self) -> bool:
        """Whether the validation split is stratified by an encoded y of shape (n, 1)."""
        return False

    def _fewest_held_out(self) -> int:
        """Minimum number of rows of a validation set that is set aside."""
        return 2

    def _take_classes(self, X: Any, y: Any, classes: Any) -> None:
        """Process ``classes`` of the first call of ``partial_fit``."""

    def _weighs_classes(self) -> bool:
        """Whether class weights may give some samples a weight of zero."""
        return False

    def _weigh(self, y: Any, sample_weight: Array | None) -> Array | None:
        """The sample weights of training, for a checked y."""
        return sample_weight

    def _training_targets(self, targets: Array) -> Array:
        """The targets of training, from these encoded targets."""
        return targets

    def _training_loss(self) -> Loss:
        """The loss of training, by the core's name."""
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
            The input data. float32 and float64 keep their dtype, all others become float64. A C-contiguous
            array is not copied, and a sparse matrix stays sparse.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, an indicator matrix for several labels, or real numbers in regression.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample's loss in the mean over its batch. A batch whose weights sum to zero is
            skipped.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation set. With ``early_stopping`` it replaces the fraction of the training data; without,
            its loss and score are recorded and the best weights are kept, while the training loss decides
            when to stop. In a pipeline, ``Pipeline(..., transform_input=["X_val"])`` transforms it like X.
        y_val : array-like of shape (n_val,) or (n_val, n_outputs), default=None
            Targets of the validation set.
        sample_weight_val : array-like of shape (n_val,), default=None
            Sample weights of the validation set. Unlike those of samples that are set aside, they are not
            multiplied by class weights.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError
            If X holds dates or time differences, or y in regression holds these or text.
        ValueError
            If the data are empty, not finite, not numeric or of different lengths; if arguments or weights do
            not match the data; if an argument has no effect in combination with the others; or if training
            diverges without a validation set, in which case the weights are those of the last epoch in which
            they were finite. With a validation set, divergence gives a ConvergenceWarning.
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
        self._fit_by_plan(X, y, sample_weight, given_holdout, incremental=incremental, classes=classes)
        return self

    def _fit_by_plan(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        given_holdout: tuple[Any, Any, Any] | None = None,
        *,
        incremental: bool = False,
        classes: Any = None,
        plan: Plan = _DEFAULT_PLAN,
    ) -> Outcome:
        """Check, translate, train and publish."""
        with transaction(self) as attempt:
            as_given = X, y
            run = self._prepare(X, y, sample_weight, given_holdout, incremental, classes, plan)
            task = None
            if not incremental:
                rows = None if run.state.order is None else run.state.order.training
                task = FitTask(self, *as_given, run.weight_given, rows)
            takes_edits = run.options.solver == "stochastic"
            listeners = FitListeners(self, run.state, task, attempt, takes_edits=takes_edits)
            return self._train(run, listeners, incremental, plan)

    def _train(self, run: _Run, listeners: FitListeners, incremental: bool, plan: Plan) -> Outcome:
        state, options = run.state, run.options
        monitor = Monitor(state, options, run.validation, self.scoring)
        with listeners:
            try:
                outcome = train(
                    run.network,
                    self._training_loss(),
                    run.data,
                    state,
                    options,
                    monitor,
                    listeners,
                    run.energy,
                )
            finally:
                monitor.restore_best()
                state.order = run.kept_order
                publish(self, state)
            if plan.warns:
                say(
                    self,
                    outcome,
                    state,
                    incremental=incremental,
                    diagnosis=lambda: diagnose(self, run.data, run.network, options, outcome.not_finite),
                )
        return outcome

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        given_holdout: tuple[Any, Any, Any] | None,
        incremental: bool,
        classes: Any,
        plan: Plan,
    ) -> _Run:
        """Check all inputs, and create the objects of a fit."""
        sizes = self._check_arguments()
        _validation.n_threads(self.n_jobs)
        if incremental:
            self._check_partial_fit()
            self._take_classes(X, y, classes)
        begins = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        X, y = self._validate_input(X, y, incremental, reset=begins)
        if sample_weight is not None:
            sample_weight = self._check_weights(sample_weight, X)
            if not sample_weight.any():  # checked by scikit-learn 1.9, but not by 1.7
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
        embedded = _validation.embedding_shapes(X)
        if embedded and not _solvers.is_stochastic(self.solver):
            raise ValueError(
                f"solver={self.solver!r} cannot train the embeddings of X's columns. Use a stochastic "
                "solver, such as 'adam', or encode X with embed_from=None."
            )
        if given_holdout is not None and _validation.embedding_shapes(given_holdout[0]) != embedded:
            raise ValueError("X_val must have the same embedded columns as X.")
        if begins:
            self._begin(layer_units, X.dtype, random_state)
            if embedded:
                self.embeddings_ = init.embeddings(embedded, X.dtype, random_state)
        # The weights determine the dtype: training that continues from float32 stays in float32.
        weights = self._take_weights(layer_units, embedded)
        data = self._data(X, y, sample_weight, weights.dtype)
        before = vars(self).get("_training")
        state = TrainingState(weights, random_state, records_of(self))
        state.scored_by = getattr(before, "scored_by", None)
        self._training = state
        network, options = self._trained_network(), self._options(X.shape[0], incremental)
        options = replace(options, latest_of_equal=plan.latest_of_equal)

        sets_aside = given_holdout is None and self.early_stopping and self.solver != "lbfgs"
        kept = getattr(before, "order", None)
        state.order, kept = self._row_order(X.shape[0], random_state, sets_aside, incremental, kept)
        validation = None
        if given_holdout is not None:
            held_out = self._data(*given_holdout, weights.dtype)
            validation = self._validation(network, held_out, None, *given_holdout[:2])
        elif sets_aside:
            if plan.split is not None:
                state.order.set_aside(*plan.split)
            rows = self._set_aside(state.order, data, random_state)
            validation = self._validation(network, data, rows, X, y)
        training_rows = state.order.training
        _, trained = data.targets_of(training_rows)
        if not (incremental and self._weighs_classes()):
            check_mean_weight(trained, "sample_weight")
        data = data._replace(y=self._training_targets(data.y))
        if self.solver != "lbfgs":
            state.records.begin(by_score=self.early_stopping, validates=validation is not None)
        if options.solver == "stochastic":
            state.optimizer = self._start_optimizer(before, incremental, len(sizes), random_state)
        if validation is not None:
            check_scores(self, lambda: validation.measure(state))
        energy = None
        if options.solver == "annealing":
            told = validation is not None and validation.is_weighted
            energy = self._energy(network, data, state, options, X, y, told)
        clips = options.solver == "stochastic" and self.batch_size != "auto"
        if clips and options.batch_size > (n := len(state.order)):
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
            options = replace(options, batch_size=n)
        return _Run(network, data, state, options, validation, energy, kept, weight_given)

    def _options(self, n_samples: int, incremental: bool) -> TrainingOptions:
        """The options of training."""
        is_stochastic = _solvers.is_stochastic(self.solver)
        return TrainingOptions(
            solver="stochastic" if is_stochastic else self.solver,
            max_iter=int(self.max_iter),
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            by_score=bool(self.early_stopping),
            step=StepOptions(
                **_descent.declared(self, StepOptions),
                learning_rate_factors=_descent.rate_factors(
                    self, len(_validation.hidden_sizes(self.hidden_layer_sizes))
                ),
            ),
            batch_size=AUTO_BATCH_SIZE if self.batch_size == "auto" else int(self.batch_size),
            shuffle=bool(self.shuffle),
            single_epoch=incremental,
            backprop_depth=self.backprop_depth,
            max_fun=int(self.max_fun),
            annealing=_annealing.as_floats(self.annealing_params),
            verbose=self.verbose,
            **_descent.declared(self, TrainingOptions),
        )

    def _set_aside(self, order: RowOrder, data: Data, random_state: np.random.RandomState) -> Array:
        """The validation rows, drawn once as in scikit-learn."""
        if order.validation is None:
            # The names appear in scikit-learn's error about classes that are too small.
            labels = np.where(data.y.ravel(), "True", "False") if self._stratifies() else None
            training, validation = train_test_split(
                np.arange(order.n_samples, dtype=np.int64),
                random_state=random_state,
                test_size=self.validation_fraction,
                stratify=labels,
            )
            order.set_aside(training, validation)
            if len(validation) < self._fewest_held_out():
                raise ValueError(
                    "The validation set is too small. Increase 'validation_fraction' or the size of your "
                    "dataset."
                )
        assert order.validation is not None
        return order.validation

    def _validation(self, network: Network, data: Data, rows: Array | None, X: Any, y: Any) -> Validation:
        """The validation set; X and y are the same samples in the form for scorers."""
        targets, weight = data.targets_of(rows)
        hint = "Increase 'validation_fraction', or train without early_stopping."
        check_mean_weight(weight, "sample_weight", " over the validation set", hint)
        score: Score | None
        if self.scoring is None:
            score = self._scorer(targets, weight)
        elif self.scoring == "loss":
            score = None
        else:
            if rows is not None:
                X, y = _safe_indexing(X, rows), y[rows]
            score = scorer_of(self, X, y, weight)
        return Validation(network, data, rows, self._choose_output()[1], self.n_outputs_, score)

    def _energy(
        self,
        network: Network,
        data: Data,
        state: TrainingState,
        options: TrainingOptions,
        X: Any,
        y: Any,
        told: bool,
    ) -> Energy:
        """The function that annealing minimizes; for ``told`` see `scorer_of`."""
        assert state.order is not None
        rows = state.order.training
        score = None
        if self.scoring not in (None, "loss"):
            if rows is not None:
                X, y = _safe_indexing(X, rows), y[rows]
            score = scorer_of(self, X, y, data.targets_of(rows)[1], told=told)
        energy = Energy(network, self._training_loss(), data, rows, state, options.step.alpha, score)
        if score is not None:
            check_scores(self, lambda: score(energy.outputs()))
        return energy

    def _validate_arrays(self, X: Any, y: Any, reset: bool, **checks: Any) -> tuple[Any, Any]:
        """X and y, checked by scikit-learn; a y of one column becomes one-dimensional."""
        _validation.check_no_dates(X)
        if isinstance(X, EncodedRows):
            _validation.check_encoded(self, X, reset=reset)
            y = _check_y(y, multi_output=True, **checks)
            check_consistent_length(X, y)
        else:
            X, y = self._validate_matrix(X, y, reset, **checks)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _validate_matrix(self, X: Any, y: Any, reset: bool, **checks: Any) -> tuple[Any, Any]:
        found: tuple[Any, Any] = validate_data(
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
        return found

    def _check_weights(self, sample_weight: Any, X: Any) -> Array:
        """Sample weights for the loss: one for each target."""
        weights: Array = _check_sample_weight(sample_weight, X)
        return weights

    def _check_holdout(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Array | None]:
        """A user's validation set, checked like X, y and sample_weight."""
        with _validation.naming("X_val and y_val"):
            X, y = self._validate_holdout(X, y)
            if sample_weight is not None:
                sample_weight = self._check_weights(sample_weight, X)
                check_mean_weight(sample_weight, "sample_weight_val")
            if len(y) < 2:
                raise ValueError("The validation set is too small: a score takes at least 2 samples.")
        return X, y, sample_weight

    def _begin(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> None:
        """Initialise the weights, and delete the records."""
        # Drawn even if they are given, so that the order of rows is the same in both cases.
        coefs, intercepts = self._draw_weights(layer_units, dtype, random_state)
        if self.coefs_init is not None:
            coefs = init.given(self.coefs_init, coefs, "coefs_init")
        if self.intercepts_init is not None:
            intercepts = init.given(self.intercepts_init, intercepts, "intercepts_init")

        forget(self)
        self.n_iter_ = 0
        self.t_ = 0
        self.n_layers_ = len(layer_units)
        self.out_activation_, _ = self._choose_output()
        self.coefs_, self.intercepts_ = coefs, intercepts

    def _draw_weights(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> tuple[list[Array], list[Array]]:
        check_addressable(layer_units, np.dtype(np.float64).itemsize)
        names = activations.to_draw_for(self.activation, len(layer_units) - 2)
        return init.draw(self.init, layer_units, names, dtype, random_state)

    def _layer_units(self) -> list[int]:
        """The sizes of all layers, after the numbers of features and outputs are known."""
        sizes = _validation.hidden_sizes(self.hidden_layer_sizes)
        return [self.n_features_in_, *sizes, self.n_outputs_]

    def _take_weights(
        self, layer_units: list[int], embedded: list[tuple[int, int]], dtype: np.dtype[Any] | None = None
    ) -> Weights:
        """Convert the current weights, which a user may have edited or replaced, to the core's form.

        ValueError if they are not those of a network with ``layer_units`` and embeddings of the shapes
        ``embedded``. The dtype is ``dtype``, if given, else their own.
        """
        if not self.batch_norm:
            for name in NORMS:
                self.__dict__.pop(name, None)
        weights = Weights.of(vars(self), dtype)
        if self.batch_norm and not any(name in weights.lists for name in NORMS):
            weights.begin_norms(layer_units[1:-1])
        self._check_shapes(weights, layer_units)
        weights.check_embeddings(embedded)
        self.__dict__.update(weights.lists)
        self.n_layers_ = len(layer_units)
        return weights

    def _data(self, X: Any, y: Any, sample_weight: Array | None, dtype: np.dtype[Any]) -> Data:
        """Checked samples in the form that the core takes."""
        if sample_weight is not None:
            sample_weight = convert(sample_weight, dtype, "sample_weight")
        return Data(_validation.as_matrix(X, dtype), self._encode(y, dtype), sample_weight)

    def _row_order(
        self,
        n_samples: int,
        random_state: np.random.RandomState,
        sets_aside: bool,
        incremental: bool,
        kept: RowOrder | None,
    ) -> tuple[RowOrder, RowOrder | None]:
        """The order of this fit, and the one to keep for the next."""
        if incremental or not self.keep_optimizer_state:
            return RowOrder(n_samples, random_state), kept
        if kept is None or kept.n_samples != n_samples or (kept.validation is not None) != sets_aside:
            kept = RowOrder(n_samples, random_state)
        return kept, kept

    def _start_optimizer(
        self,
        before: TrainingState | None,
        incremental: bool,
        n_hidden: int,
        random_state: np.random.RandomState,
    ) -> Optimizer:
        kept = None if before is None else before.optimizer
        scheduled = _descent.scheduled(self, n_hidden)
        if incremental and kept is not None:
            kept.reschedule(scheduled)
            return kept
        optimizer = self._new_optimizer()
        optimizer.reschedule(scheduled)
        if _descent.is_random(self, n_hidden):
            optimizer.seed = int(random_state.randint(2**31))
        if kept is not None and self.keep_optimizer_state:
            optimizer.go_on_from(kept)
        return optimizer

    def _new_optimizer(self) -> Optimizer:
        rule, rule_params, learning_rate = _solvers.rule_of(self)
        # learning_rate applies to sgd only.
        by_name = self.learning_rate if self.solver == "sgd" else "constant"
        schedule: Any = by_name if self.schedule is None else self.schedule
        if schedule not in ("constant", "invscaling", "adaptive"):
            schedule = resolve(schedule)
        return Optimizer(rule, rule_params, learning_rate, schedule, float(self.power_t))

    def _trained_network(self) -> Network:
        """The network with dropout and the momentum of batch normalisation."""
        network = self._network()
        assert isinstance(network, MLP)
        rates = _descent.dropout_rates(self.dropout, len(self.coefs_) - 1)
        return replace(network, dropout=rates if any(rates) else None, bn_momentum=float(self.bn_momentum))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def dense_targets(y: Any, dtype: np.dtype[Any]) -> Array:
    """A checked y of one or two dimensions as an array of shape (n_samples, n_outputs)."""
    if sparse.issparse(y):
        raise TypeError("Sparse targets are not supported here. Use '.toarray()' to make y dense.")
    return convert(y.reshape(len(y), -1), dtype, "y")
