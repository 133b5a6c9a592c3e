"""What the tabular estimators share: a front end for columns, and networks that are trained side by side."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv, train_test_split
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    _check_feature_names,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from gdfast import _core
from gdfast._constraints import StrOptions, checks_arguments
from gdfast._convertible import Convertible
from gdfast._described import Described
from gdfast._model_file.models import Savable
from gdfast.estimators import _ranks, _validation
from gdfast.estimators._arguments import Arguments
from gdfast.estimators._feed_forward import FeedForward
from gdfast.estimators._listeners import check_callbacks
from gdfast.estimators._members import SharedCallbacks, side_by_side
from gdfast.estimators._network_estimator import Plan
from gdfast.estimators._scoring import check_scorer
from gdfast.estimators._sklearn_callbacks import forget_fit
from gdfast.estimators._warnings import warn, warn_of_interruption
from gdfast.prediction import inputs
from gdfast.preprocessing._columns import columns_of
from gdfast.preprocessing._names import check_columns
from gdfast.preprocessing._table import TableEncoder
from gdfast.schedules import Cosine, Warmup
from gdfast.training.arrays import Array
from gdfast.training.encoding import EncodedRows
from gdfast.training.outcome import Outcome

# What a preset stands for, by the arguments whose default is None; for max_iter the number of steps that
# epochs are to make, and the fewest and most epochs.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"n_members": 2, "epochs": (1000, 8, 20)},
    "balanced": {"n_members": 4, "epochs": (1600, 12, 32)},
    "best": {"n_members": 8, "epochs": (2400, 16, 48)},
}

# With fewer rows none are set aside for validation.
_FEWEST_TO_SPLIT = 10


class BaseTabular(Savable, Convertible, Described, BaseEstimator, ABC):
    """Networks for tables; use :class:`TabularClassifier` or :class:`TabularRegressor`."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "preset": [StrOptions(set(PRESETS))],
        "n_members": [Interval(Integral, 1, None, closed="left"), None],
        "cv": ["cv_object"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "scoring": [str, callable, None],
        "categorical_features": TableEncoder._parameter_constraints["categorical_features"],
        "bins": TableEncoder._parameter_constraints["bins"],
        "n_bins": [Interval(Integral, 1, None, closed="left"), None],
        "min_frequency": TableEncoder._parameter_constraints["min_frequency"],
        "max_categories": TableEncoder._parameter_constraints["max_categories"],
        "embed_from": TableEncoder._parameter_constraints["embed_from"],
        "max_iter": [Interval(Integral, 1, None, closed="left"), None],
        "callbacks": [list, tuple, None],
        **{
            name: FeedForward._parameter_constraints[name]
            for name in (
                "hidden_layer_sizes",
                "activation",
                "batch_norm",
                "dropout",
                "alpha",
                "weight_decay",
                "batch_size",
                "learning_rate_init",
                "beta_1",
                "beta_2",
                "ema_decay",
                "max_time",
                "verbose",
                "n_jobs",
                "random_state",
            )
        },
    }

    preset: str
    n_members: int | None
    cv: Any
    validation_fraction: float
    scoring: Any
    categorical_features: Any
    bins: str | None
    n_bins: int | None
    min_frequency: int
    max_categories: int
    embed_from: int | None
    hidden_layer_sizes: Any
    activation: Any
    batch_norm: bool
    dropout: Any
    alpha: float
    weight_decay: float
    batch_size: Any
    learning_rate_init: float
    beta_1: float
    beta_2: float
    ema_decay: float
    max_iter: int | None
    callbacks: Any
    max_time: float | None
    verbose: Any
    n_jobs: int | None
    random_state: Any

    members_: list[Any]
    encoder_: Any
    n_features_in_: int
    n_outputs_: int
    n_iter_: Array
    validation_scores_: Array
    history_: list[dict[str, list[float]]]
    oof_prediction_: Array

    _store = Arguments._store

    # Implemented by the kinds of estimators.

    @abstractmethod
    def _check_target(self, y: Any) -> Array:
        """A checked y, of one dimension or two."""

    @abstractmethod
    def _begin(self, y: Array, weight: Array | None) -> None:
        """Set what is known of the target before training."""

    @abstractmethod
    def _target_of_bins(self, y: Array) -> Array:
        """The target for the trees of bins: floats in regression, integers for classes."""

    @abstractmethod
    def _target_of_members(self, y: Array) -> Array:
        """The target that the members are trained on."""

    @abstractmethod
    def _member(self, **arguments: Any) -> FeedForward:
        """A network of this kind."""

    @abstractmethod
    def _classes_to_split(self, y: Array) -> Array | None:
        """What validation rows are stratified by."""

    @abstractmethod
    def _prediction_of(self, member: Any, rows: Any) -> Array:
        """A member's probabilities, or its predicted numbers."""

    def _calibrate(self, rows: Any, y: Array, weight: Array | None, held_out: list[Array]) -> None:
        """Calibrate what the members predict, by the rows that each has not seen."""

    # Training.

    @checks_arguments
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Fit the members to a table and its target.

        Parameters
        ----------
        X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            A frame of pandas or polars, a table of pyarrow, an array or a list of rows: numbers, booleans,
            strings, categories and dates, with NaN or None for what is missing. Columns of a sparse matrix
            are divided by their largest magnitude, and not encoded.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in losses and validation scores.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        TypeError, ValueError
            If a column cannot be encoded (the message names it), the target does not suit the estimator, or
            nothing can be trained.
        """
        _ranks.refuse(self)
        self._check_arguments()
        n_threads = _validation.n_threads(self.n_jobs) or _core.max_threads()
        inputs.check_in_memory(X)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. Give the target."
            )
        fitted = type(self)(**self.get_params(deep=False))
        fitted._fit(X, y, sample_weight, n_threads)
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("__")]:
            del self.__dict__[name]
        self.__dict__.update({k: v for k, v in vars(fitted).items() if k not in self.get_params(deep=False)})
        return self

    def _check_arguments(self) -> None:
        check_callbacks(self.callbacks)
        check_scorer(self.scoring)
        self._member(hidden_layer_sizes=self.hidden_layer_sizes)._check_arguments()

    def _setting(self, name: str) -> Any:
        """An argument, or the value of the preset."""
        value = getattr(self, name, None)
        return PRESETS[self.preset][name] if value is None else value

    def _fit(self, X: Any, y: Any, sample_weight: Any, n_threads: int) -> None:
        random_state = check_random_state(self.random_state)
        y = self._check_target(y)
        rows = self._fit_encoder(X, y, random_state)
        if sample_weight is not None:
            sample_weight = _validation.check_weights(sample_weight, rows)
            if not sample_weight.any():
                raise ValueError("Sample weights must contain at least one non-zero number.")
            if sample_weight.max() < 0:
                raise ValueError("sample_weight has no positive weight: no row is to be learned.")
        self._begin(y, sample_weight)
        target = self._target_of_members(y)

        splits = self._splits(y, sample_weight, random_state)
        seeds = random_state.randint(2**31 - 1, size=len(splits))
        shared = SharedCallbacks(list(self.callbacks or ()))
        at_a_time = min(len(splits), n_threads)
        members = [
            self._new_member(len(training), int(seed), max(1, n_threads // at_a_time), len(validation) > 0)
            for (training, validation), seed in zip(splits, seeds, strict=True)
        ]
        deadline = np.inf if self.max_time is None else time.perf_counter() + self.max_time
        begun = [False] * len(members)

        def job(i: int) -> Outcome | None:
            member = members[i]
            left = deadline - time.perf_counter()
            if left <= 0 and any(begun):
                return None
            begun[i] = True
            if self.max_time is not None:
                member.max_time = max(left, 1e-9)
            member.callbacks = shared.of_member(i) or None
            plan = Plan(split=splits[i] if len(splits[i][1]) else None, latest_of_equal=True, warns=False)
            outcome = member._fit(rows, target, sample_weight, plan=plan)
            member.callbacks, member.max_time, member.n_jobs = None, None, self.n_jobs
            member._training.end()
            forget_fit(member)
            if self.verbose:
                print(self._report(i, len(members), member))
            return outcome

        whole = copy.copy(self)
        whole.max_iter = sum(member.max_iter for member in members)
        try:
            shared.begin(whole)
            outcomes = side_by_side([lambda i=i: job(i) for i in range(len(members))], at_a_time)  # type: ignore[misc]
            trained = [i for i, outcome in enumerate(outcomes) if outcome is not None]
            self._publish([members[i] for i in trained])
            splits = [splits[i] for i in trained]
            self._calibrate(rows, y, sample_weight, [validation for _, validation in splits])
            if self.cv is not None:
                self._publish_oof(rows, splits)
            whole.__dict__.update({**vars(self), "max_iter": whole.max_iter})
        finally:
            shared.end(whole)
        reasons = {outcome.reason for outcome in outcomes if outcome is not None}
        self._warn_of(reasons, len(trained), len(members))

    def _fit_encoder(self, X: Any, y: Array, random_state: Any) -> Any:
        """Fit the encoder, and return the rows as the members take them."""
        if sparse.issparse(X):
            X = validate_data(
                self, X, accept_sparse="csr", dtype=np.float32, ensure_min_samples=2, reset=True
            )
            check_consistent_length(X, y)
            self.encoder_ = MaxAbsScaler().fit(X)
            return self.encoder_.transform(X)
        columns = columns_of(X)
        if columns and len(columns[0].values) < 2:
            raise ValueError(
                f"Found array with {len(columns[0].values)} sample(s) (shape=({len(columns[0].values)}, "
                f"{len(columns)})) while a minimum of 2 is required by {type(self).__name__}."
            )
        if not columns:
            raise ValueError(
                f"Found array with 0 feature(s) (shape=({len(y)}, 0)) while a minimum of 1 is required by "
                f"{type(self).__name__}."
            )
        check_consistent_length(columns[0].values, y)
        check_columns(self, X, columns, reset=True)
        self.encoder_ = TableEncoder(
            categorical_features=self.categorical_features,
            bins=self.bins,
            n_bins=self.n_bins,
            min_frequency=self.min_frequency,
            max_categories=self.max_categories,
            embed_from=self.embed_from,
            random_state=int(random_state.randint(2**31 - 1)),
        )
        _check_feature_names(self.encoder_, X, reset=True)
        self.encoder_.n_features_in_ = len(columns)
        target = self._target_of_bins(y) if self.bins in ("tree", "mixed") else None
        table = self.encoder_._fit_columns(columns, target)
        if self.encoder_.date_features_:
            names = ", ".join(map(repr, self.encoder_.date_features_))
            warn(f"Dates are taken as numbers, days since 1970 or days of a time difference: {names}.")
        return EncodedRows(table, self.encoder_.encoding_)

    def _rows(self, X: Any) -> Any:
        """X as the members take it."""
        check_is_fitted(self)
        if isinstance(self.encoder_, MaxAbsScaler):
            inputs.check_kind(X)
            X = validate_data(self, X, accept_sparse="csr", dtype=np.float32, reset=False)
            return self.encoder_.transform(sparse.csr_array(X))
        inputs.check_in_memory(X)
        if sparse.issparse(X):
            X = check_array(X, accept_sparse="csr").toarray()
        return self.encoder_.encode(X, owner=self)

    def _splits(self, y: Array, weight: Any, random_state: Any) -> list[tuple[Array, Array]]:
        """Training and validation rows of each member, int64. Rows without weight validate nothing."""
        classes = self._classes_to_split(y)
        if self.cv is not None:
            target = y if classes is None else classes
            folds = check_cv(self.cv, target, classifier=classes is not None)
            found = folds.split(np.zeros((len(y), 1)), target)
            return [(np.asarray(t, np.int64), np.asarray(v, np.int64)) for t, v in found]
        weighs = np.ones(len(y), bool) if weight is None else np.asarray(weight) > 0
        rows, rest = np.flatnonzero(weighs), np.flatnonzero(~weighs)
        if len(rows) < _FEWEST_TO_SPLIT:
            return [(np.arange(len(y)), np.empty(0, np.int64))] * self._setting("n_members")
        if classes is not None:
            classes = classes[rows]
            _, counts = np.unique(classes, return_counts=True)
            held_out = int(np.ceil(self.validation_fraction * len(rows)))
            if counts.min() < 2 or len(counts) > min(held_out, len(rows) - held_out):
                classes = None  # too few rows for each class to be on both sides
        splits = []
        for _ in range(self._setting("n_members")):
            seed = random_state.randint(2**31 - 1)
            training, validation = train_test_split(
                rows, test_size=self.validation_fraction, random_state=seed, stratify=classes
            )
            splits.append((np.concatenate([training, rest]), validation))
        return splits

    def _new_member(self, n_rows: int, seed: int, n_jobs: int, validates: bool) -> FeedForward:
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = 64 if n_rows <= 1024 else 128 if n_rows <= 8192 else 256
        batch_size = min(batch_size, n_rows)
        epochs = self.max_iter
        if epochs is None:
            steps, fewest, most = PRESETS[self.preset]["epochs"]
            epochs = int(np.clip(round(steps * batch_size / n_rows), fewest, most))
        steps = epochs * -(-n_rows // batch_size)
        warmup = max(1, steps // 10)
        return self._member(
            hidden_layer_sizes=self.hidden_layer_sizes,
            batch_size=batch_size,
            max_iter=epochs,
            schedule=Warmup(Cosine(steps, per="step"), total_iters=warmup, start_factor=1 / warmup),
            random_state=seed,
            n_jobs=n_jobs,
            early_stopping=validates,
            scoring=self._member_scoring() if validates else None,
        )

    def _member_scoring(self) -> Any:
        return self.scoring

    def _common_arguments(self) -> dict[str, Any]:
        """The arguments of a member that do not depend on the rows."""
        return {
            "activation": self.activation,
            "batch_norm": self.batch_norm,
            "dropout": self.dropout,
            "alpha": self.alpha,
            "weight_decay": self.weight_decay,
            "learning_rate_init": self.learning_rate_init,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "ema_decay": self.ema_decay,
            "init": "lecun_normal",
            "tol": 0.0,
            "n_iter_no_change": np.inf,
        }

    def _publish(self, members: list[Any]) -> None:
        self.members_ = members
        self.n_outputs_ = members[0].n_outputs_
        self.n_iter_ = np.array([member.n_iter_ for member in members])
        self.validation_scores_ = np.array(
            [np.nan if m.best_validation_score_ is None else m.best_validation_score_ for m in members]
        )
        names = {
            "loss": "loss_curve_",
            "val_loss": "validation_loss_curve_",
            "val_score": "validation_scores_",
            "learning_rate": "learning_rate_curve_",
        }
        self.history_ = [
            {name: list(vars(member).get(place) or []) for name, place in names.items()} for member in members
        ]

    def _publish_oof(self, rows: Any, splits: list[tuple[Array, Array]]) -> None:
        for member, (_, validation) in zip(self.members_, splits, strict=True):
            found = self._prediction_of(member, rows[validation])
            if not hasattr(self, "oof_prediction_"):
                self.oof_prediction_ = np.full((rows.shape[0], *found.shape[1:]), np.nan)
            self.oof_prediction_[validation] = found

    def _report(self, number: int, members: int, member: Any) -> str:
        scores = member.validation_scores_ or []
        best = "" if not scores else f", validation score {max(scores):.6g}"
        return f"Member {number + 1} of {members}: {member.n_iter_} epochs{best}"

    def _warn_of(self, reasons: set[Any], trained: int, members: int) -> None:
        if "interrupted" in reasons or (trained < members and "out_of_time" not in reasons):
            warn_of_interruption(f"Training interrupted by user: {trained} of {members} members are trained.")
        if "out_of_time" in reasons:
            warn(
                f"Training stopped: max_time={self.max_time} seconds have passed, and {trained} of {members} "
                "members are trained, not all to their last epoch.",
                ConvergenceWarning,
            )
        if "diverged" in reasons:
            warn(
                "Training of a member diverged: its weights are those that scored best before. Lower "
                "learning_rate_init.",
                ConvergenceWarning,
            )

    @property
    def partial_fit(self) -> Any:
        """Not supported: AttributeError with the reason."""
        raise AttributeError(
            f"{type(self).__name__} has no partial_fit: scales, bins and categories are found on all rows at "
            "once, and the epoch to keep on rows set aside. Fit on all rows, or use gdfast.MLPClassifier or "
            "MLPRegressor behind a fitted gdfast.preprocessing.TableEncoder."
        )

    def _member_predictions(self, X: Any) -> list[Array]:
        """The predictions of each member."""
        rows = self._rows(X)
        return [self._prediction_of(member, rows) for member in self.members_]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.target_tags.required = True
        return tags
