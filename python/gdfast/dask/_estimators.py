"""The estimators for Dask, and the course of their fits."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

import copy
import os
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from gdfast._constraints import available_if, checks_arguments
from gdfast.callbacks import ModelCheckpoint
from gdfast.dask._arguments import ARGUMENTS, like
from gdfast.dask._needs import is_array, is_collection, needs_dask
from gdfast.dask._partitions import Partitions
from gdfast.dask._predict import lazily
from gdfast.dask._rounds import RoundOrder, parts_of
from gdfast.dask._samples import ClusterSamples
from gdfast.dask._synchronous import Call, fit_on_ranks
from gdfast.estimators import MLPClassifier, MLPRegressor, _holdout, _ranks, _solvers, _validation
from gdfast.estimators._feed_forward import FeedForward
from gdfast.estimators._network_estimator import Holdout, Plan
from gdfast.estimators._outcome import warn_of
from gdfast.estimators._samples import Samples
from gdfast.estimators._task import Task
from gdfast.estimators._warnings import warn


class DaskNetwork(FeedForward):
    """An estimator's part for data on a cluster."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "local_epochs": [Interval(Real, 0, None, closed="neither")],
        "n_groups": [Interval(Integral, 1, None, closed="left"), None],
        "synchronous": ["boolean"],
    }

    _local: ClassVar[Any]  # the class for data in memory

    local_epochs: float
    n_groups: int | None
    synchronous: bool
    _client: Any

    @property
    def client(self) -> Any:
        """The client whose cluster trains: the one that has been set, else the current one of Dask.

        Returns
        -------
        client : distributed.Client

        Raises
        ------
        ImportError
            If Dask is not installed.
        ValueError
            If there is none.
        TypeError
            When it is set to something else than a client or None, which unsets it.
        """
        distributed = needs_dask("distributed")
        if (given := vars(self).get("_client")) is not None:
            return given
        try:
            return distributed.get_client()
        except ValueError:
            raise ValueError(
                f"{type(self).__name__} needs a Dask client to fit, and there is none. Create one by "
                "dask.distributed.Client(), or set the property client."
            ) from None

    @client.setter
    def client(self, client: Any) -> None:
        if client is not None and not isinstance(client, needs_dask("distributed").Client):
            raise TypeError(f"client must be a dask.distributed.Client or None, got {client!r}.")
        self._client = client

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_client"}

    def to_local(self) -> Any:
        """The same estimator for data in memory, with copies of the fitted attributes.

        Returns
        -------
        est : MLPClassifier or MLPRegressor
            It has the arguments but for those of the cluster, and goes on training, too.
        """
        local = self._without_training()
        if (training := vars(self).get("_training")) is not None:
            local._training = copy.deepcopy(training)
            if isinstance(training.order, RoundOrder):
                local._training.order = None
        return local

    def _without_training(self) -> Any:
        """The estimator for data in memory, without the state of training."""
        given = self.get_params(deep=False)
        local = self._local(**{name: value for name, value in given.items() if name not in ARGUMENTS})
        left_out = (*given, "_client", "_training")
        fitted = {name: value for name, value in vars(self).items() if name not in left_out}
        vars(local).update(copy.deepcopy(fitted))
        return local

    def save(self, path: str | os.PathLike[str], *, drop: Collection[str] = ()) -> None:
        """Save what :meth:`to_local` returns to a file that :func:`gdfast.load` reads.

        Parameters
        ----------
        path : str or path-like
            Path of the file, which may exist.
        drop : str or collection of str, default=()
            Names of arguments to leave out, as in :meth:`gdfast.MLPClassifier.save`.
        """
        self.to_local().save(path, drop=drop)

    @checks_arguments
    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Fit the model to data on the cluster, where they lie.

        Every partition is checked and encoded by the worker that has it; partitions without rows are left
        out. What is not in memory is computed, and is kept in memory (or where Dask spills it) until the end.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            The input data; sizes of chunks may be unknown. Chunks may be sparse matrices.
        y : dask.array.Array, dask.dataframe.Series or DataFrame of shape (n_samples,) or (n_samples, \
n_outputs)
            The targets, cut like X. An array whose sizes are known is cut so. The classes are all labels that
            occur in any partition.
        sample_weight : dask.array.Array or dask.dataframe.Series of shape (n_samples,), default=None
            Weight of each sample, at least 0, cut like X.
        X_val : array-like or a collection of Dask, of shape (n_val, n_features), default=None
            Validation set, which the client evaluates, in synchronous steps a worker: a collection is brought
            into its memory. Rounds require it for ``early_stopping``.
        y_val : array-like or a collection of Dask, of shape (n_val,) or (n_val, n_outputs), default=None
            Targets of the validation set.
        sample_weight_val : array-like or a collection of Dask, of shape (n_val,), default=None
            Sample weights of the validation set.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ImportError
            If Dask is not installed.
        TypeError
            If the data are no collections of Dask.
        ValueError
            If there is no client; if an argument has no meaning here; if the data are not finite, not numeric
            or of different lengths, or a partition does not have the columns of the others: the message has
            its number, and the estimator is unchanged; or if training diverges without a validation set, in
            which case the weights are those of the last round in which they were finite.

        Warns
        -----
        ConvergenceWarning
            If training has reached ``max_iter`` or ``max_time``.
        """
        _ranks.refuse(self)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        _holdout.check_complete(X_val, y_val, sample_weight_val)
        holdout = None if X_val is None else (X_val, y_val, sample_weight_val)
        return self._fit_and_warn(X, y, sample_weight, holdout)

    def _fit_and_warn(
        self, X: Any, y: Any, sample_weight: Any, holdout: Any = None, **arguments: Any
    ) -> Self:
        needs_dask("distributed")
        incremental = arguments.get("incremental", False)
        if self.synchronous:
            return self._fit_synchronously(X, y, sample_weight, holdout, **arguments)
        if self.early_stopping and holdout is None and not incremental:
            raise ValueError(
                f"early_stopping takes a validation set of {type(self).__name__}: give X_val and y_val."
            )
        try:
            # The warnings of a poor fit are measured on rows, and those are on the workers.
            outcome = self._fit(X, y, sample_weight, holdout, plan=Plan(warns=False), **arguments)
        finally:
            training = vars(self).get("_training")
            if training is not None and training.optimizer is not None:
                # Without the trainer, which holds on to the data on the cluster.
                training.optimizer = copy.copy(training.optimizer)
        warn_of(
            outcome,
            self._training,
            solver=self.solver,
            max_iter=self.max_iter,
            max_time=self.max_time,
            by_score=self.early_stopping,
            incremental=incremental,
            diagnosis=lambda: "",
            shortcoming=lambda: "",
        )
        return self

    def _fit_synchronously(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        holdout: Any,
        *,
        incremental: bool = False,
        classes: Any = None,
    ) -> Self:
        self._check_arguments(incremental=incremental)
        begins = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        template = clone(self._local(**self._plain_params()))
        partitions = Partitions.of(self.client, template, X, y, sample_weight)
        names = copy.copy(self)  # whose names of features are those of the partitions
        validate_data(names, partitions.header, reset=begins, skip_check_array=True)
        local = self.to_local()
        vars(local).pop("feature_names_in_", None)  # the ranks have arrays
        arguments = {} if classes is None else {"classes": classes}
        if holdout is not None:
            X_val, y_val, weight_val = needs_dask().compute(*holdout)
            with _validation.naming("X_val and y_val"):
                validate_data(names, X_val, reset=False, skip_check_array=True)
            if np.ndim(weight_val) == 0 and weight_val is not None:
                weight_val = np.full(len(y_val), weight_val)
            holdout = (
                _sliceable(X_val),
                _sliceable(y_val),
                None if weight_val is None else np.asarray(weight_val),
            )
        method = "partial_fit" if incremental else "fit"
        fitted = fit_on_ranks(partitions, Call(local, method, arguments), holdout)
        if fitted.est is not None:
            self._take_over(fitted.est)
            if (known := vars(names).get("feature_names_in_")) is not None:
                self.feature_names_in_ = known
        for message, category in fitted.warned:
            warn(message, category)
        if fitted.error is not None:
            raise fitted.error
        return self

    def _take_over(self, local: Any) -> None:
        """Have the fitted attributes of an estimator for data in memory, and no other ones."""
        own = {*self.get_params(deep=False), "_client"}
        for name in [name for name in vars(self) if name not in own]:
            delattr(self, name)
        self.__dict__.update({name: value for name, value in vars(local).items() if name not in own})
        if isinstance(self.random_state, np.random.RandomState):
            self.random_state.set_state(local.random_state.get_state())

    def _check_synchronous(self) -> None:
        """ValueError for arguments that have no meaning in synchronous steps."""
        for name in ("local_epochs", "n_groups"):
            if getattr(self, name) != ARGUMENTS[name]:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} is for rounds of local steps, and synchronous=True "
                    "makes none."
                )
        if self.resume is not None:
            raise ValueError(f"resume is not supported by {type(self).__name__}.")
        if self.callbacks or vars(self).get("_skl_callbacks"):
            raise ValueError(
                "callbacks are not supported with synchronous=True: they would run on the workers."
            )

    def _check_rounds(self) -> None:
        """ValueError for arguments that have no meaning in rounds."""
        name = type(self).__name__
        rounds = self.local_epochs
        if rounds >= 1 and rounds != round(rounds):
            raise ValueError(f"local_epochs={rounds!r} must be a whole number, or less than 1.")
        if rounds < 1 and abs(parts_of(rounds) * rounds - 1) > 1e-9:
            raise ValueError(
                f"local_epochs={rounds!r} must be a whole number, or the reciprocal of one, such as 0.25."
            )
        if not _solvers.is_stochastic(self.solver):
            raise ValueError(
                f"{name} trains by steps over batches, but solver={self.solver!r} takes none. Use a "
                "stochastic solver, such as 'adam'."
            )
        if _solvers.sees_whole_gradients(self.solver):
            raise ValueError(
                f"solver={self.solver!r} is not supported by {name}: its state has no average. Use a rule "
                "for each parameter by itself, such as 'adam' or 'sgd'."
            )
        if self.learning_rate_init == "auto":
            raise ValueError(
                f"learning_rate_init='auto' is not supported by {name}. Find a rate on a part of the data, "
                "with the estimator for data in memory."
            )
        if self.clip_norm == "auto":
            raise ValueError(f"clip_norm='auto' is not supported by {name}. Give a number.")
        if self.resume is not None or any(isinstance(c, ModelCheckpoint) for c in self.callbacks or ()):
            raise ValueError(f"ModelCheckpoint and resume are not supported by {name}.")
        if any(hasattr(callback, "on_gradient") for callback in self.callbacks or ()):
            raise ValueError(
                f"A callback has on_gradient, which is not supported by {name}: workers take the steps."
            )

    def _check_arguments(self, *, incremental: bool = False) -> list[int]:
        sizes = super()._check_arguments(incremental=incremental)
        if self.synchronous:
            self._check_synchronous()
        else:
            self._check_rounds()
        return sizes

    def _check_holdout(self, task: Task, X: Any, y: Any, sample_weight: Any) -> Holdout:
        return super()._check_holdout(task, *needs_dask().compute(X, y, sample_weight))

    def _samples(self, X: Any, y: Any, sample_weight: Any, *, reset: bool, **how: Any) -> Samples:
        template = clone(self._local(**self._plain_params()))
        partitions = Partitions.of(self.client, template, X, y, sample_weight)
        return ClusterSamples(self, partitions, sample_weight, reset=reset, incremental=how["incremental"])

    def _plain_params(self) -> dict[str, Any]:
        """The arguments by which partitions are checked."""
        left_out = (*ARGUMENTS, "callbacks", "scoring", "coefs_init", "intercepts_init")
        return {name: value for name, value in self.get_params(False).items() if name not in left_out}

    # Prediction.

    def _lazily(self, method: str, X: Any, columns: Any = None) -> Any:
        """What a method of the estimator for data in memory returns, for each partition of a collection."""
        check_is_fitted(self)
        local = self._without_training()
        if is_array(X):
            width = X.shape[1] if X.ndim == 2 and not np.isnan(X.shape[1]) else self.n_features_in_
            row = np.zeros((1, int(width)), X.dtype)
        else:
            row = X._meta_nonempty.iloc[:1]
        empty = getattr(local, method)(row)[:0]  # which checks the columns, too
        return lazily(local, method, X, empty, columns)

    def predict(self, X: Any) -> Any:
        """Predict the targets of every sample: lazily, partition by partition, for a collection of Dask.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y : dask.array.Array, dask.dataframe.Series, DataFrame or ndarray
            An array for an array, a series (for several outputs a frame) with the index of X for a frame, and
            a NumPy array for what is in memory. A partition with values that are not finite raises when it is
            computed, and the error has its number.
        """
        if not is_collection(X):
            return super().predict(X)
        return self._lazily("predict", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The score of the predictions: accuracy, or R2 in regression.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like of shape (n_samples, n_features)
            The input data.
        y : dask.array.Array, dask.dataframe.Series or array-like
            The true targets, cut like X.
        sample_weight : dask.array.Array, dask.dataframe.Series or array-like, default=None
            Weight of each sample.

        Returns
        -------
        score : float
            That of the estimator for data in memory. Targets and predictions, but not X, come into the
            client's memory.
        """
        predicted, y, weight = needs_dask().compute(self.predict(X), y, sample_weight)
        return self._score_of(np.asarray(y), np.asarray(predicted), weight)


def _sliceable(array: Any) -> Any:
    return sparse.csr_array(array) if sparse.issparse(array) else np.asarray(array)


@like(MLPClassifier)
class DaskMLPClassifier(DaskNetwork, MLPClassifier):
    """Multilayer perceptron classifier for arrays and frames of Dask.

    It has the arguments, attributes and methods of :class:`gdfast.MLPClassifier`, and trains by rounds of
    local steps where the partitions lie. The property ``client`` is the client whose cluster trains: set it
    to choose one; else it is the current one of Dask. It is no argument, and no part of clones and pickles.

    Parameters
    ----------
    {parameters}
    {rounds}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DaskMLPRegressor : The same for real targets.
    gdfast.MLPClassifier : For data in memory.

    Notes
    -----
    {notes}

    References
    ----------
    {references}

    Examples
    --------
    >>> import dask.array as da  # doctest: +SKIP
    >>> from dask.distributed import Client  # doctest: +SKIP
    >>> from gdfast.dask import DaskMLPClassifier
    >>> client = Client(n_workers=2)  # doctest: +SKIP
    >>> X = da.random.default_rng(0).normal(size=(10_000, 20), chunks=(1000, 20))  # doctest: +SKIP
    >>> y = X[:, 0] * X[:, 1] > 0  # doctest: +SKIP
    >>> clf = DaskMLPClassifier(random_state=0).fit(X, y)  # doctest: +SKIP
    >>> clf.predict(X)  # doctest: +SKIP
    dask.array<predict_block, shape=(10000,), dtype=bool, chunksize=(1000,), chunktype=numpy.ndarray>
    """

    _local = MLPClassifier
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MLPClassifier._parameter_constraints,
        **DaskNetwork._parameter_constraints,
    }

    @available_if(lambda est: est._check_solver())
    @checks_arguments
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Train for one round on the given data, with the optimizer state of the previous call.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            The input data.
        y : dask.array.Array or dask.dataframe.Series of shape (n_samples,) or (n_samples, n_outputs)
            Class labels, or an indicator matrix for several labels, cut like X.
        sample_weight : dask.array.Array or dask.dataframe.Series of shape (n_samples,), default=None
            Weight of each sample.
        classes : array-like of shape (n_classes,), default=None
            All classes that occur in any call. Required in the first call only.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit_and_warn(X, y, sample_weight, incremental=True, classes=classes)

    def predict_proba(self, X: Any) -> Any:
        """Probability of every class, or of every label: lazily, partition by partition, for a collection.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : dask.array.Array, dask.dataframe.DataFrame or ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``, by which those of a frame are named.
        """
        if not is_collection(X):
            return super().predict_proba(X)
        check_is_fitted(self)
        return self._lazily("predict_proba", X, self.classes_)

    def predict_log_proba(self, X: Any) -> Any:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : dask.array.Array, dask.dataframe.DataFrame or array-like of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_y_prob : dask.array.Array, dask.dataframe.DataFrame or ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        if not is_collection(X):
            return super().predict_log_proba(X)
        check_is_fitted(self)
        return self._lazily("predict_log_proba", X, self.classes_)


@like(MLPRegressor)
class DaskMLPRegressor(DaskNetwork, MLPRegressor):
    """Multilayer perceptron regressor for arrays and frames of Dask.

    It has the arguments, attributes and methods of :class:`gdfast.MLPRegressor`, and trains by rounds of
    local steps where the partitions lie. The property ``client`` is the client whose cluster trains: set it
    to choose one; else it is the current one of Dask. It is no argument, and no part of clones and pickles.

    Parameters
    ----------
    {parameters}
    {rounds}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    DaskMLPClassifier : The same for class labels.
    gdfast.MLPRegressor : For data in memory.

    Notes
    -----
    {notes}

    References
    ----------
    {references}

    Examples
    --------
    >>> import dask.dataframe as dd  # doctest: +SKIP
    >>> from dask.distributed import Client  # doctest: +SKIP
    >>> from gdfast.dask import DaskMLPRegressor
    >>> client = Client(n_workers=2)  # doctest: +SKIP
    >>> flats = dd.read_parquet("flats")  # doctest: +SKIP
    >>> reg = DaskMLPRegressor(random_state=0)
    >>> reg.fit(flats.drop(columns="price"), flats["price"])  # doctest: +SKIP
    """

    _local = MLPRegressor
    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MLPRegressor._parameter_constraints,
        **DaskNetwork._parameter_constraints,
    }

    @available_if(lambda est: est._check_solver())
    @checks_arguments
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one round on the given data, with the optimizer state of the previous call.

        Parameters
        ----------
        X : dask.array.Array or dask.dataframe.DataFrame of shape (n_samples, n_features)
            The input data.
        y : dask.array.Array or dask.dataframe.Series of shape (n_samples,) or (n_samples, n_outputs)
            The target values, cut like X.
        sample_weight : dask.array.Array or dask.dataframe.Series of shape (n_samples,), default=None
            Weight of each sample.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._fit_and_warn(X, y, sample_weight, incremental=True)
