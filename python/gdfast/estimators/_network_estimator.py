"""The course of a fit: check, translate, train, publish."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from gdfast._convertible import Convertible
from gdfast._model_file import checkpoints
from gdfast.callbacks import ModelCheckpoint
from gdfast.data import Stream
from gdfast.estimators import (
    _ineffective,
    _ranks,
    _schedules,
    _solvers,
    _step_options,
    _validation,
)
from gdfast.estimators._arguments import Arguments
from gdfast.estimators._attributes import forget, publish, records_of
from gdfast.estimators._divergence import diagnose
from gdfast.estimators._listeners import FitListeners, check_callbacks
from gdfast.estimators._outcome import warn_of
from gdfast.estimators._poor_fit import shortcoming
from gdfast.estimators._samples import Samples
from gdfast.estimators._scoring import Score, check_scorer, check_scores, scorer_of
from gdfast.estimators._sklearn_callbacks import CallbackSupportMixin, FitTask
from gdfast.estimators._streams import StreamSamples
from gdfast.estimators._task import Task, data_for
from gdfast.estimators._transaction import transaction
from gdfast.estimators._warnings import warn
from gdfast.training import init
from gdfast.training.annealing import Energy
from gdfast.training.arrays import Array, check_mean_weight
from gdfast.training.blocks import BlockedData, BlockedValidation
from gdfast.training.data import Data
from gdfast.training.lm import check_size
from gdfast.training.losses import Loss
from gdfast.training.monitor import Monitor, RanksValidation, Validation
from gdfast.training.network import Network
from gdfast.training.optimizer import Optimizer
from gdfast.training.options import AUTO_BATCH_SIZE, StepOptions, TrainingOptions
from gdfast.training.order import RowOrder
from gdfast.training.outcome import Outcome
from gdfast.training.ranks import Ranks
from gdfast.training.rate_range import rate_range
from gdfast.training.scheduled import Scheduled
from gdfast.training.state import TrainingState
from gdfast.training.train import train
from gdfast.training.weights import NORMS, Weights

Holdout = tuple[Any, Any, Any]


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
        Whether to issue warnings about the outcome.
    """

    split: tuple[Array, Array] | None = None
    latest_of_equal: bool = False
    warns: bool = True


_DEFAULT_PLAN = Plan()


class _Run(NamedTuple):
    """The checked inputs of a fit. Of a stream the data are the first block; it is trained on the blocks."""

    network: Network
    loss: Loss
    data: Data
    blocks: BlockedData | None
    state: TrainingState
    options: TrainingOptions
    validation: Validation | BlockedValidation | RanksValidation | None
    energy: Energy | None
    kept_order: RowOrder | None
    samples: Samples
    checkpoint: checkpoints.Checkpoint | None


class NetworkEstimator(CallbackSupportMixin, Convertible, Arguments, ABC):
    """An estimator that trains a network.

    What its targets are is the part of `Classification` or `Regression`, what its network is that of
    `FeedForward` or `Recurrent`.
    """

    coefs_: list[Array]
    intercepts_: list[Array]
    n_features_in_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    loss_: float
    best_loss_: Any
    loss_curve_: list[float]
    validation_scores_: Any
    best_validation_score_: Any
    validation_loss_curve_: list[float]
    n_iter_: int
    t_: int
    learning_rate_curve_: list[float]
    learning_rate_range_: dict[str, Any]
    gradient_records_: dict[str, list[list[float]]]

    _no_improvement_count: int
    _training: TrainingState

    @property
    def _optimizer(self) -> Optimizer | None:
        """The optimizer, under scikit-learn's name."""
        return self._training.optimizer

    # Implemented for each kind of targets.

    _has_numeric_targets: ClassVar[bool]

    @abstractmethod
    def _check_target_arguments(self, *, incremental: bool) -> None:
        """Check the arguments for targets; ``incremental`` is whether for a call of ``partial_fit``."""

    @abstractmethod
    def _task(self, y: Any, *, incremental: bool, classes: Any) -> Task:
        """The task for a y that suits X; its classes become attributes."""

    @abstractmethod
    def _predictions(self, outputs: Array) -> Any:
        """The predicted targets for the values of the output layer."""

    @abstractmethod
    def _score_of(self, y: Any, predicted: Any, sample_weight: Any) -> float:
        """The score of predictions."""

    # Implemented for each kind of network.

    @abstractmethod
    def _check_network_arguments(self, sizes: list[int]) -> None:
        """Check the arguments for the network, whose hidden layers have these sizes."""

    @abstractmethod
    def _check_takes_streams(self, incremental: bool) -> None:
        """TypeError or ValueError if training cannot read a stream."""

    @abstractmethod
    def _check_data(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        """X and y, checked; ``reset`` is whether training begins with them."""

    @abstractmethod
    def _check_weights(self, sample_weight: Any, X: Any) -> Array:
        """Sample weights for a checked X, one for each target."""

    @abstractmethod
    def _draw_weights(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> tuple[list[Array], list[Array]]:
        """The initial weights and biases."""

    @abstractmethod
    def _n_arrays(self, n_hidden: int) -> dict[str, int]:
        """The number of arrays in each group of parameters (`training.weights.GROUPS`)."""

    @abstractmethod
    def _network(self, *, training: bool = False) -> Network:
        """The network that arguments and weights describe; ``training`` adds what prediction leaves out."""

    @abstractmethod
    def _network_options(self) -> dict[str, Any]:
        """The fields of `TrainingOptions` that this kind of network has alone."""

    @abstractmethod
    def _scheduled(self, n_hidden: int) -> list[Scheduled]:
        """The options with a schedule, the learning rate excepted."""

    # Check.

    def _check_arguments(self, *, incremental: bool = False) -> list[int]:
        """Check the arguments without the data, and return the sizes of the hidden layers."""
        self._check_size_of_numbers()
        if incremental:
            self._check_solver()
            if self.early_stopping:
                raise ValueError("partial_fit does not support early_stopping=True")
        self._check_target_arguments(incremental=incremental)
        sizes = _validation.hidden_sizes(self.hidden_layer_sizes)
        self._check_network_arguments(sizes)
        check_callbacks(self.callbacks)
        check_scorer(self.scoring)
        _ineffective.check(type(self), vars(self))
        _step_options.rate_factors(self.learning_rate_factors, self._n_arrays(len(sizes)))
        _schedules.check_learning_rate(self.schedule, self.learning_rate)
        _schedules.check("weight_decay_schedule", self.weight_decay_schedule)
        _validation.n_threads(self.n_jobs)
        return sizes

    def _check_solver(self) -> bool:
        """AttributeError if the solver has no epochs."""
        if not _solvers.is_stochastic(self.solver):
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    def _check_holdout(self, task: Task, X: Any, y: Any, sample_weight: Any) -> Holdout:
        """A user's validation set, checked like X, y and sample_weight."""
        with _validation.naming("X_val and y_val"):
            X, y = self._check_data(X, y, reset=False)
            if y.shape[0]:
                task.check(y)
            if sample_weight is not None:
                sample_weight = self._check_weights(sample_weight, X)
                check_mean_weight(sample_weight, "sample_weight_val", ranks=_ranks.current())
            if y.shape[0] < 2 and _ranks.current() is None:
                raise ValueError("The validation set is too small: a score takes at least 2 samples.")
        return X, y, sample_weight

    # Translate.

    def _samples(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        reset: bool,
        incremental: bool,
        sets_aside: bool,
        ranks: Ranks | None,
        seed: int,
    ) -> Samples:
        """The checked samples of the kind that X is of."""
        if isinstance(X, Stream):
            self._check_takes_streams(incremental)
            return StreamSamples(self, X, reset=reset, sets_aside=sets_aside)
        given: dict[str, Any] = {"reset": reset, "incremental": incremental}
        if ranks is not None:
            return _ranks.RankSamples(self, X, y, sample_weight, ranks=ranks, seed=seed, **given)
        return Samples(self, X, y, sample_weight, **given)

    def _prepare(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        holdout: Holdout | None,
        incremental: bool,
        classes: Any,
        plan: Plan,
    ) -> _Run:
        """Check all inputs, and create the objects of a fit."""
        ranks, seed = _ranks.current(), 0
        if ranks is not None:
            given = {"sample_weight": sample_weight is not None, "X_val": holdout is not None}
            given["sample_weight_val"] = holdout is not None and holdout[2] is not None
            seed = _ranks.begin(self, ranks, "partial_fit" if incremental else "fit", given, classes)
        sizes = self._check_arguments(incremental=incremental)
        checkpoint = None if incremental else self._find_checkpoint(ranks)
        begins = checkpoint is not None or not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        sets_aside = holdout is None and self.early_stopping and self.solver != "lbfgs"
        if sets_aside and not self.validation_fraction:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} sets no rows aside for early_stopping. "
                "Increase it, or give X_val and y_val."
            )
        samples = self._samples(
            X,
            y,
            sample_weight,
            reset=begins,
            incremental=incremental,
            sets_aside=sets_aside,
            ranks=ranks,
            seed=seed,
        )
        task = self._task(samples.labels, incremental=incremental, classes=classes)
        task, sample_weight = samples.weighed(task)
        random_state = samples.random_state(resumes=checkpoint is not None)
        self.n_outputs_ = task.n_outputs
        embedded = _validation.embedding_shapes(samples.X)
        if holdout is not None:
            holdout = self._check_holdout(task, *holdout)
            if _validation.embedding_shapes(holdout[0]) != embedded:
                raise ValueError("X_val must have the same embedded columns as X.")

        layer_units = [samples.n_features, *sizes, self.n_outputs_]
        if self.solver == "lm":
            check_size(layer_units)
        if begins:
            self._begin(layer_units, embedded, task, samples.dtype, random_state)
        # The weights determine the dtype: training that continues from float32 stays in float32.
        weights = self._take_weights(layer_units, embedded)
        samples.check_begin(weights)
        data = samples.data(task, sample_weight, weights.dtype)
        if not _solvers.takes_rows_anywhere(self.solver):
            data = data.apart()
        before = vars(self).get("_training")
        state = self._training = TrainingState(weights, random_state, records_of(self))
        state.scored_by = getattr(before, "scored_by", None)
        network = samples.network(self._network(training=True))
        _solvers.check_factors(self.solver, network, weights, task.loss, data.X)
        options = self._options(len(sizes), incremental, plan)

        held_out = None if holdout is None else data_for(task, *holdout, weights.dtype)
        saves = any(isinstance(c, ModelCheckpoint) for c in self.callbacks or ())
        samples.take_fingerprint(state, data, held_out, wanted=saves or checkpoint is not None)
        kept = samples.begin_order(state, getattr(before, "order", None), checkpoint, sets_aside)
        blocks = samples.blocks(task, data, weights.dtype)
        validation = None
        if held_out is not None and holdout is not None:
            validation = self._validation(network, task, held_out, None, *holdout[:2])
        elif sets_aside:
            validation = samples.set_aside(network, task, data, state, plan.split)
        samples.check_mean_weight(data, state, weighs_classes=sample_weight is not samples.sample_weight)
        targets, loss = task.for_training(data.y)
        data = data._replace(y=targets)

        if not options.bayesian_regularization:
            state.records.forget_evidence()
        if options.solver != "lbfgs":
            state.records.begin(by_score=self.early_stopping, validates=validation is not None)
        if options.solver == "stochastic":
            # A run that continues has a seed.
            draws = checkpoint is None and (
                network.is_random or options.step.gradient_noise > 0 or _solvers.is_random(self.solver)
            )
            state.optimizer = self._start_optimizer(before, incremental, len(sizes), draws, random_state)
            if checkpoint is not None:
                checkpoint.restore_optimizer(state.optimizer)
        if validation is not None:
            check_scores(self, lambda: validation.measure(state))
        energy = None
        if options.solver == "annealing":
            # Of a weighted validation set the scorer has warned already.
            warns = validation is None or not validation.is_weighted
            energy = self._energy(network, loss, data, state, options, samples.X, samples.y, warns)
        options, n_rows = samples.batches(state, options)
        if options.solver == "stochastic" and self.batch_size != "auto" and options.batch_size > n_rows:
            warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
            options = replace(options, batch_size=n_rows)
        run = _Run(network, loss, data, blocks, state, options, validation, energy, kept, samples, checkpoint)
        if state.optimizer is not None:
            self._find_learning_rate(run, getattr(before, "optimizer", None))
        return run

    def _find_checkpoint(self, ranks: Ranks | None) -> checkpoints.Checkpoint | None:
        """The checkpoint that training resumes from."""
        if self.resume is None:
            return None
        return checkpoints.find(self.resume, self) if ranks is None else _ranks.find_checkpoint(self, ranks)

    def _begin(
        self,
        layer_units: list[int],
        embedded: list[tuple[int, int]],
        task: Task,
        dtype: np.dtype[Any],
        random_state: np.random.RandomState,
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
        self.out_activation_ = task.output
        self.coefs_, self.intercepts_ = coefs, intercepts
        if embedded:
            self.embeddings_ = init.embeddings(embedded, dtype, random_state)

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
        sizes = layer_units[1:-1]
        normalises = NORMS[0] in self._n_arrays(len(sizes))
        if not normalises:
            for name in NORMS:
                self.__dict__.pop(name, None)
        weights = Weights.of(vars(self), dtype)
        if normalises and not any(name in weights.lists for name in NORMS):
            weights.begin_norms(sizes)
        self._network().check(weights, layer_units)
        weights.check_embeddings(embedded)
        self.__dict__.update(weights.lists)
        self.n_layers_ = len(layer_units)
        return weights

    def _network_and_weights(self) -> tuple[Any, Weights]:
        """The network and its weights, which a user may have edited; ValueError if they do not fit."""
        weights = Weights.of(vars(self))
        network = self._network()
        network.check_ends(weights, self.n_features_in_, self.n_outputs_)
        return network, weights

    def _options(self, n_hidden: int, incremental: bool, plan: Plan) -> TrainingOptions:
        """The options of training."""
        is_stochastic = _solvers.is_stochastic(self.solver)
        return TrainingOptions(
            solver="stochastic" if is_stochastic else self.solver,
            max_iter=int(self.max_iter),
            tol=self.tol,
            n_iter_no_change=self.n_iter_no_change,
            by_score=bool(self.early_stopping),
            step=StepOptions(
                **_step_options.declared(vars(self), StepOptions),
                learning_rate_factors=_step_options.rate_factors(
                    self.learning_rate_factors, self._n_arrays(n_hidden)
                ),
            ),
            batch_size=AUTO_BATCH_SIZE if self.batch_size == "auto" else int(self.batch_size),
            shuffle=bool(self.shuffle),
            single_epoch=incremental,
            verbose=self.verbose and _ranks.is_first(),
            latest_of_equal=plan.latest_of_equal,
            **self._network_options(),
            **_step_options.declared(vars(self), TrainingOptions),
        )

    def _validation(
        self, network: Network, task: Task, data: Data, rows: Array | None, X: Any, y: Any
    ) -> Validation | RanksValidation:
        """The validation set, of which X and y are the checked samples."""
        targets, weight = data.targets_of(rows)
        hint = "Increase 'validation_fraction', or train without early_stopping."
        ranks = _ranks.current()
        check_mean_weight(weight, "sample_weight", " over the validation set", hint, ranks)
        if ranks is None:
            return self._own_validation(network, task, data, rows, X, y, targets, weight)
        own = None
        if len(targets):
            own = self._own_validation(network, task, data, rows, X, y, targets, weight)
        return _ranks.validation(ranks, own, weight, len(targets))

    def _own_validation(
        self,
        network: Network,
        task: Task,
        data: Data,
        rows: Array | None,
        X: Any,
        y: Any,
        targets: Array,
        weight: Array | None,
    ) -> Validation:
        score: Score | None
        if self.scoring is None:
            score = task.scorer(targets, weight)
        elif self.scoring == "loss":
            score = None
        else:
            score = scorer_of(self, _validation.for_scorer(X, rows), y if rows is None else y[rows], weight)
        return Validation(network, data, rows, task.loss, task.n_outputs, score)

    def _energy(
        self,
        network: Network,
        loss: Loss,
        data: Data,
        state: TrainingState,
        options: TrainingOptions,
        X: Any,
        y: Any,
        warns: bool,
    ) -> Energy:
        """The function that annealing minimizes; for ``warns`` see `scorer_of`."""
        assert state.order is not None
        rows = state.order.training
        score = None
        if self.scoring not in (None, "loss"):
            X, y = _validation.for_scorer(X, rows), y if rows is None else y[rows]
            score = scorer_of(self, X, y, data.targets_of(rows)[1], warns=warns)
        energy = Energy(network, loss, data, rows, state, options.step.alpha, score)
        if score is not None:
            check_scores(self, lambda: score(energy.outputs()))
        return energy

    def _start_optimizer(
        self,
        before: TrainingState | None,
        incremental: bool,
        n_hidden: int,
        draws: bool,
        random_state: np.random.RandomState,
    ) -> Optimizer:
        kept = None if before is None else before.optimizer
        scheduled = {option.name: option for option in self._scheduled(n_hidden)}
        if incremental and kept is not None:
            kept.reschedule(scheduled)
            return kept
        optimizer = self._new_optimizer()
        optimizer.reschedule(scheduled)
        if draws:
            optimizer.seed = int(random_state.randint(2**31))
        if kept is not None and self.keep_optimizer_state:
            found = "learning_rate_range_" in vars(self)
            if self.learning_rate_init == "auto" and found and kept.rule == optimizer.rule:
                optimizer.start_at(kept.learning_rate_init)
            optimizer.continue_from(kept)
        return optimizer

    def _find_learning_rate(self, run: _Run, kept: Optimizer | None) -> None:
        """Set the learning rate of a new optimizer by a range test, unless it continues from ``kept``."""
        optimizer, records = run.state.optimizer, run.state.records
        assert optimizer is not None
        continues = (
            hasattr(records, "learning_rate_range")
            and self.keep_optimizer_state
            and kept is not None
            and kept.rule == optimizer.rule
        )
        if optimizer is kept or run.checkpoint is not None:
            return
        if self.learning_rate_init != "auto":
            vars(records).pop("learning_rate_range", None)
        elif not continues:
            state = run.state
            if run.blocks is not None:
                state = replace(state, order=RowOrder(len(run.data.y), state.random_state))
            records.learning_rate_range = rate_range(run.network, run.loss, run.data, state, run.options)
            optimizer.start_at(records.learning_rate_range["found"])
            if self.verbose:
                print(f"Learning rate found: {optimizer.learning_rate_init:.3g}")

    def _new_optimizer(self) -> Optimizer:
        rule, rule_params, learning_rate = _solvers.rule_of(
            self.solver,
            # 1 until it is found.
            learning_rate_init=1.0 if isinstance(rate := self.learning_rate_init, str) else rate,
            momentum=self.momentum,
            nesterovs_momentum=self.nesterovs_momentum,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
        )
        schedule = _schedules.of_learning_rate(self.schedule, self.learning_rate, self.solver)
        return Optimizer(rule, rule_params, learning_rate, schedule, float(self.power_t))

    # Train and publish.

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        holdout: Holdout | None = None,
        *,
        incremental: bool = False,
        classes: Any = None,
        plan: Plan = _DEFAULT_PLAN,
    ) -> Outcome:
        """Train from the current weights or new ones, and set the attributes.

        Parameters
        ----------
        X, y, sample_weight, classes
            As for ``fit`` and ``partial_fit``.
        holdout : (X_val, y_val, sample_weight_val) or None
        incremental : bool
            Whether it is a call of ``partial_fit``.
        plan : Plan
        """
        with _ranks.of_fit(), transaction(self) as attempt:
            run = self._prepare(X, y, sample_weight, holdout, incremental, classes, plan)
            task = None
            rows = None if run.state.order is None else run.state.order.training
            if not incremental:
                in_memory = run.blocks is None
                weight = run.samples.sample_weight
                task = FitTask(self, X, y, weight, rows) if in_memory else FitTask(self)
            takes_edits = run.options.solver == "stochastic"
            listeners = FitListeners(
                self, run.state, task, attempt, takes_edits=takes_edits, checkpoint=run.checkpoint
            )
            resumes = run.checkpoint is not None
            monitor = Monitor(run.state, run.options, run.validation, self.scoring, resumes=resumes)
            with listeners:
                try:
                    outcome = train(
                        run.network,
                        run.loss,
                        run.data if run.blocks is None else run.blocks,
                        run.state,
                        run.options,
                        monitor,
                        listeners,
                        run.energy,
                    )
                finally:
                    monitor.restore_best()
                    run.state.order = run.kept_order
                    publish(self, run.state)
                if plan.warns:
                    has_all = run.samples.are_all_here  # which the messages are about
                    warn_of(
                        outcome,
                        run.state,
                        solver=self.solver,
                        max_iter=self.max_iter,
                        max_time=self.max_time,
                        by_score=self.early_stopping,
                        incremental=incremental,
                        diagnosis=lambda: self._diagnosis(run, outcome) if has_all else "",
                        shortcoming=lambda: self._shortcoming(run, rows, outcome) if has_all else "",
                    )
                _ranks.end(run.state)
            return outcome

    def _diagnosis(self, run: _Run, outcome: Outcome) -> str:
        return diagnose(self, run.data.apart(), run.network, run.loss, run.options, outcome.not_finite)

    def _shortcoming(self, run: _Run, rows: Array | None, outcome: Outcome) -> str:
        return shortcoming(
            self, run.data, rows, run.network, run.loss, run.state, run.options, outcome.reason
        )
