"""Feed-forward networks: rows of samples, arguments, weights and outputs."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import (
    _check_y,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from gdfast import _core, optim
from gdfast._constraints import StrOptions, checks_arguments
from gdfast.data import Stream
from gdfast.estimators import _annealing, _dropout, _holdout, _ranks, _schedules, _solvers, _validation
from gdfast.estimators._network_estimator import NetworkEstimator
from gdfast.estimators._shared_rows import SharedRows
from gdfast.estimators._task import data_for
from gdfast.prediction import inputs
from gdfast.schedules import Schedule
from gdfast.training import activations, init
from gdfast.training.arrays import Array, check_addressable, check_mean_weight
from gdfast.training.data import Data, is_sparse
from gdfast.training.encoding import EncodedRows
from gdfast.training.losses import Loss
from gdfast.training.network import MLP
from gdfast.training.options import check_depth
from gdfast.training.scheduled import Scheduled
from gdfast.training.weights import EMBEDDINGS, GROUPS, NORMS, Weights


class FeedForward(NetworkEstimator):
    """A network estimator's part for feed-forward networks."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkEstimator._parameter_constraints,
        "activation": [StrOptions(set(activations.NAMES)), "array-like"],
        "solver": [StrOptions(set(_solvers.NAMES)), optim.Optimizer],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
        "activation_params": [dict, None],
        "init": [str, tuple],
        "dropout": [Interval(Real, 0, 1, closed="left"), "array-like"],
        "dropout_schedule": [str, Schedule, callable, None],
        "batch_norm": ["boolean"],
        "bn_momentum": [Interval(Real, 0, 1, closed="both")],
        "bn_epsilon": [Interval(Real, 0, None, closed="neither")],
        "backprop_depth": [Interval(Integral, 1, None, closed="left"), callable, None],
        "annealing_params": [dict, None],
    }

    activation: Any
    max_fun: int
    activation_params: dict[str, float] | None
    init: Any
    dropout: Any
    dropout_schedule: Any
    batch_norm: bool
    bn_momentum: float
    bn_epsilon: float
    backprop_depth: Any
    annealing_params: dict[str, Any] | None
    bayesian_regularization: bool = False  # an argument of regressors

    bn_gamma_: list[Array]
    bn_beta_: list[Array]
    bn_mean_: list[Array]
    bn_var_: list[Array]
    embeddings_: list[Array]

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
        """Fit the model to the data matrix X and the targets y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or stream
            The input data. float32 and float64 keep their dtype, all others become float64. A C-contiguous
            array is not copied, and a sparse matrix stays sparse. Data that do not fit in memory are a
            `gdfast.data.Stream`, or one of its sources: an iterable of blocks ``(X, y)``, paths of Parquet
            files, a pyarrow ``Dataset``, a Dask collection.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or str
            Class labels, an indicator matrix for several labels, or real numbers in regression. Of files,
            data sets and frames of Dask the name of the target's column; None with a stream that has it.
        sample_weight : array-like of shape (n_samples,), or str, default=None
            Weight of each sample's loss in the mean over its batch. A batch whose weights sum to zero is
            skipped. Of files, data sets and frames of Dask the name of a column.
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

        Warns
        -----
        ConvergenceWarning
            If training has reached ``max_iter`` or ``max_time``. The message goes on if the scales of the
            inputs differ widely, or if nothing has been learned of targets far from one.
        PoorFitWarning
            If training has ended for lack of improvement, or has converged, with a loss hardly below that of
            the best constant prediction, or with a large loss and inputs on widely different scales.
        """
        _holdout.check_complete(X_val, y_val, sample_weight_val)
        holdout = None if X_val is None else (X_val, y_val, sample_weight_val)
        if (stream := Stream.find(X, y, sample_weight)) is not None:
            X, y, sample_weight = stream, None, None
        self._fit(X, y, sample_weight, holdout)
        return self

    # Arguments and data.

    def _check_network_arguments(self, sizes: list[int]) -> None:
        n_hidden = len(sizes)
        activations.of_layers(self.activation, n_hidden)
        activations.check_parameters(self.activation_params)
        init.check(self.init)
        _annealing.check(self.annealing_params)
        _dropout.rates(self.dropout, n_hidden)
        _schedules.check("dropout_schedule", self.dropout_schedule)
        if not callable(self.backprop_depth) and self.backprop_depth is not None:
            check_depth(self.backprop_depth, n_hidden + 1)

    def _check_takes_streams(self, incremental: bool) -> None:
        if incremental:
            raise TypeError("partial_fit takes the rows of one call. fit takes a stream.")
        if not _solvers.is_stochastic(self.solver):
            raise ValueError(
                f"solver={self.solver!r} needs all rows at once, which a stream does not give. Use a "
                "stochastic solver, such as 'adam'."
            )
        if _ranks.current() is not None:
            raise ValueError("gdfast.distributed.mpi() does not support streams. Give arrays.")

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> tuple[Any, Any]:
        if self._has_numeric_targets:
            _validation.check_real_targets(y)
        checks: dict[str, Any] = {"multi_output": True}
        if self._has_numeric_targets:
            checks["y_numeric"] = True
        matrix = X.matrix if isinstance(X, SharedRows) else X
        if isinstance(matrix, EncodedRows):
            _validation.check_encoded(self, matrix, reset=reset)
            if matrix.encoding.embedding_shapes and not _solvers.trains_embeddings(self.solver):
                raise ValueError(
                    f"solver={self.solver!r} cannot train the embeddings of X's columns. Use a stochastic "
                    "solver, such as 'adam', or encode X with embed_from=None."
                )
        elif isinstance(X, SharedRows):
            validate_data(self, X.given, reset=reset, skip_check_array=True)
        if isinstance(X, EncodedRows | SharedRows):
            y = _check_y(y, **checks)
            check_consistent_length(X, y)
        else:
            inputs.check_kind(X)
            of_X: dict[str, Any] = {
                "accept_sparse": ["csr", "csc"],
                "dtype": (np.float64, np.float32),
                "order": "C",
                "reset": reset,
            }
            if _ranks.may_be_empty(y):
                X = validate_data(self, X, ensure_min_samples=0, **of_X)
                y = y if is_sparse(y) else np.asarray(y)
                check_consistent_length(X, y)
            else:
                X, y = validate_data(self, X, y, **of_X, **checks)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _check_weights(self, sample_weight: Any, X: Any) -> Array:
        if X.shape[0] == 0 and _ranks.may_be_empty(sample_weight):
            return np.empty(0, X.dtype)
        return _validation.check_weights(sample_weight, X)

    # Training.

    def _draw_weights(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> tuple[list[Array], list[Array]]:
        check_addressable(layer_units, np.dtype(np.float64).itemsize)
        names = activations.to_draw_for(self.activation, len(layer_units) - 2)
        return init.draw(self.init, layer_units, names, dtype, random_state)

    def _n_arrays(self, n_hidden: int) -> dict[str, int]:
        norms = dict.fromkeys(GROUPS[2:], n_hidden) if self.batch_norm else {}
        return dict.fromkeys(GROUPS[:2], n_hidden + 1) | norms

    def _network(self, *, training: bool = False) -> MLP:
        n_hidden = len(self.coefs_) - 1
        names = activations.of_layers(self.activation, n_hidden)
        options: dict[str, Any] = {}
        if training:
            rates = _dropout.rates(self.dropout, n_hidden)
            options = {"dropout": rates if any(rates) else None, "bn_momentum": float(self.bn_momentum)}
        return MLP(
            activations.with_parameters(names, self.activation_params),
            self.out_activation_,
            _validation.n_threads(self.n_jobs),
            bn_epsilon=float(self.bn_epsilon),
            **options,
        )

    def _network_options(self) -> dict[str, Any]:
        return {
            "backprop_depth": self.backprop_depth,
            "max_fun": int(self.max_fun),
            "bayesian_regularization": bool(self.bayesian_regularization),
            "annealing": _annealing.as_floats(self.annealing_params),
        }

    def _scheduled(self, n_hidden: int) -> list[Scheduled]:
        return [
            *_schedules.of_weight_decay(self.weight_decay, self.weight_decay_schedule),
            *_schedules.of_dropout(self.dropout, self.dropout_schedule, n_hidden),
        ]

    # The loss.

    def _loss_at_weights(
        self, X: Any, y: Any, sample_weight: Any, dtype: np.dtype[Any]
    ) -> tuple[MLP, Loss, Data, Weights, float]:
        """The loss of training over these rows, at the weights: what the core takes, and its L2 penalty.

        ValueError if it is not a function of ``coefs_`` and ``intercepts_`` alone.
        """
        check_is_fitted(self)
        if self.batch_norm:
            raise ValueError(
                "This takes estimators with batch_norm=False: a normalised layer makes the loss of a row "
                "depend on the other rows."
            )
        if self.bayesian_regularization:
            raise ValueError(
                "This takes estimators with bayesian_regularization=False, whose penalty is alpha."
            )
        if hasattr(self, EMBEDDINGS):
            raise ValueError(
                "This takes estimators without embedded columns. Encode X with TableEncoder(embed_from=None)."
            )
        network = self._network()
        weights = Weights.of(vars(self), dtype)
        network.check_ends(weights, self.n_features_in_, self.n_outputs_)
        if (where := weights.first_not_finite()) is not None:
            raise ValueError(f"{where} holds numbers that are not finite.")
        X, y = self._check_data(X, y, reset=False)
        task = self._task(y, incremental=True, classes=None)
        if task.output != self.out_activation_:
            raise ValueError(
                f"loss={self.loss!r} is not what the estimator was fitted with: its output layer is "
                f"{self.out_activation_!r}."
            )
        if task.n_outputs != self.n_outputs_:
            raise ValueError(
                f"y has {task.n_outputs} outputs, but the estimator was fitted to {self.n_outputs_}."
            )
        if sample_weight is not None:
            sample_weight = self._check_weights(sample_weight, X)
        data = data_for(task, X, y, task.weigh(y, sample_weight), dtype)
        check_mean_weight(data.weight, "sample_weight")
        targets, loss = task.for_training(data.y)
        return network, loss, data._replace(y=targets), weights, self.alpha * (1 - self.l1_ratio)

    # Outputs.

    def _outputs(self, X: Any) -> Array:
        """The values of the output layer, a new array of shape (n_samples, n_outputs)."""
        outputs = self._outputs_of_plain_array(X)
        return self._outputs_after_checks(X) if outputs is None else outputs

    def _outputs_of_plain_array(self, X: Any) -> Array | None:
        """The outputs if X needs no error and no conversion, else None.

        For one row this takes a tenth of the time of scikit-learn's checks. It raises no errors; those come
        from the checks.
        """
        fitted = self.__dict__
        coefs = fitted.get("coefs_")
        if (
            type(X) is not np.ndarray
            or type(coefs) is not list
            or not coefs
            or "feature_names_in_" in fitted
            or X.ndim != 2
            or X.shape[0] == 0
            or X.shape[1] != fitted["n_features_in_"]
            or X.dtype != getattr(coefs[0], "dtype", None)
            or not X.flags.c_contiguous
        ):
            return None
        try:
            names = activations.of_layers(self.activation, len(coefs) - 1)
            norms: Any = None
            if not fitted.keys().isdisjoint(NORMS):
                norms = Weights({name: fitted[name] for name in NORMS}).norms()
            # By position: names take a quarter of the time of a call.
            outputs = _core.forward_if_finite(
                X,
                coefs,
                fitted["intercepts_"],
                activations.with_parameters(names, self.activation_params),
                self.out_activation_,
                None,
                None,
                _validation.n_threads(self.n_jobs),
                norms,
                1e-5 if norms is None else float(self.bn_epsilon),
            )
        except (TypeError, ValueError, KeyError):  # unaligned rows, or weights that a user has set
            return None
        return outputs if outputs is None or outputs.shape[1] == fitted["n_outputs_"] else None

    def _outputs_after_checks(self, X: Any) -> Array:
        check_is_fitted(self)
        inputs.check_kind(X)
        network, weights = self._network_and_weights()
        if isinstance(X, EncodedRows):
            _validation.check_encoded(self, X, reset=False)
            weights.check_embeddings(X.encoding.embedding_shapes)
        else:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], order="C", reset=False)
        outputs: Array = network.outputs(weights, X, self.n_outputs_)
        return outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
