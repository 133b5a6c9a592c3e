"""The differences of recurrent estimators from multilayer perceptrons: data, weights and states."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from gdfast import optim
from gdfast.estimators import _meaningless, _solvers, _validation
from gdfast.estimators._base import BaseMLP
from gdfast.estimators._sequences import check_not_per_step, check_step_weights, check_targets
from gdfast.prediction import sequences
from gdfast.prediction.sequences import check_sequences
from gdfast.prediction.weights import check_recurrent, recurrent_at_hand
from gdfast.training import init
from gdfast.training.arrays import Array, check_addressable, convert
from gdfast.training.data import Carried, Data, Sequences
from gdfast.training.monitor import Validation
from gdfast.training.network import GATES, RNN, Network
from gdfast.training.order import RowOrder
from gdfast.training.weights import Weights

_MEANINGLESS = (
    _meaningless.Rule(
        ("activation",),
        lambda est: est.cell == "elman",
        "has no meaning with cell={cell!r}, which has its own activations. It is for cell='elman'.",
    ),
)


class Recurrent(BaseMLP):
    """Mixin for recurrent estimators; it comes before the multilayer perceptron in the list of bases."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "cell": [StrOptions(set(GATES))],
        "activation": [StrOptions({"tanh", "relu"})],
        "solver": [StrOptions(set(_solvers.STOCHASTIC)), optim.Optimizer],
        "per_step": ["boolean"],
        "tbptt": [tuple, list, None],
        "stateful": ["boolean"],
    }

    # Arguments of multilayer perceptrons that recurrent networks do not have.
    activation_params = None
    annealing_params = None
    backprop_depth = None
    batch_norm = False
    bn_epsilon = 1e-5
    dropout = 0.0
    dropout_schedule = None
    init = "sklearn"
    max_fun = 15_000

    cell: str
    per_step: bool
    tbptt: tuple[int, int] | None
    stateful: bool

    state_: list[Array]

    # Arguments and data.

    def _check_arguments(self) -> list[int]:
        # scikit-learn does not check the arguments again in a later partial_fit.
        if self.cell not in GATES:
            raise ValueError(f"cell must be one of {sorted(GATES)}, got {self.cell!r}.")
        sizes = super()._check_arguments()
        _meaningless.check(self, _MEANINGLESS)
        if not sizes:
            raise ValueError("hidden_layer_sizes must name at least one recurrent layer, got none.")
        if self.tbptt is not None:
            self._truncation()
        if self.per_step and self.scoring not in (None, "loss"):
            raise ValueError(
                "With per_step=True scoring must be None or 'loss': scorers take one target each."
            )
        return sizes

    def _n_matrices(self, n_hidden: int) -> int:
        return 2 * n_hidden + 1  # input-to-hidden and hidden-to-hidden

    def _truncation(self) -> tuple[int, int] | None:
        if self.tbptt is None:
            return None
        if not isinstance(self.tbptt, tuple | list):
            raise TypeError(f"tbptt must be a pair of integers (k1, k2) or None, got {self.tbptt!r}.")
        whole = [isinstance(k, Integral) and not isinstance(k, bool) for k in self.tbptt]
        if whole != [True, True]:
            raise TypeError(f"tbptt must be a pair of integers (k1, k2) or None, got {self.tbptt!r}.")
        # Larger values have the same effect as the core's largest integer.
        k1, k2 = (min(int(k), np.iinfo(np.int64).max) for k in self.tbptt)
        if not 1 <= k1 <= k2:
            raise ValueError(
                f"tbptt must be (k1, k2) with 1 <= k1 <= k2: an update every k1 steps, whose gradient "
                f"reaches back k2 steps, no fewer; got {self.tbptt!r}."
            )
        return k1, k2

    def _validate_arrays(self, X: Any, y: Any, reset: bool, **checks: Any) -> tuple[Sequences, Array]:
        X = self._check_features(X, reset)
        numeric = bool(checks.get("y_numeric"))
        y = check_targets(y, X, per_step=self.per_step, numeric=numeric)
        if reset and not self.per_step:
            check_not_per_step(y, X, numeric=numeric)
        return X, y.astype(np.float64) if numeric and y.dtype.kind != "f" else y

    def _check_features(self, X: Any, reset: bool) -> Sequences:
        checked = check_sequences(X)
        # Counts and compares features and their names as in scikit-learn.
        named = checked.steps if checked.frame is None else checked.frame
        validate_data(self, named, reset=reset, skip_check_array=True)
        return checked

    def _check_weights(self, sample_weight: Any, X: Any) -> Array:
        if self.per_step:
            return check_step_weights(sample_weight, X)
        return super()._check_weights(sample_weight, X)

    def _data(self, X: Any, y: Any, sample_weight: Array | None, dtype: np.dtype[Any]) -> Data:
        if sample_weight is not None:
            sample_weight = convert(sample_weight, dtype, "sample_weight")
        return Data(X.as_type(dtype), self._encode(y, dtype), sample_weight)

    def _validation(self, network: Network, data: Data, rows: Array | None, X: Any, y: Any) -> Validation:
        if rows is not None:
            targets = data.X.rows_of(rows) if self.per_step else rows
            data = Data(data.X.take(rows), *data.targets_of(targets))
            X, y = X.take(rows), y[targets]
        return super()._validation(network, data, None, X.split(X.steps), y)

    def _set_aside(self, order: RowOrder, data: Data, random_state: np.random.RandomState) -> Array:
        if order.n_samples < 2:
            raise ValueError(
                "early_stopping sets whole sequences aside, but there is one only. Give X_val and y_val (the "
                "end of a series, for instance), or several sequences."
            )
        return super()._set_aside(order, data, random_state)

    def _fewest_held_out(self) -> int:
        return 1 if self.per_step else 2

    def _stratifies(self) -> bool:
        return not self.per_step and super()._stratifies()

    # Weights.

    def _begin(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> None:
        super()._begin(layer_units, dtype, random_state)
        self.reset_state()  # the states belong to the old weights

    def _draw_weights(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> tuple[list[Array], list[Array]]:
        """Input-to-hidden uniform by Glorot and Bengio (2010), hidden-to-hidden orthogonal, gate by gate.

        Biases are zero, except one for an LSTM's forget gates (Gers et al., 2000), which are then initially
        open.
        """
        gates = GATES[self.cell]
        check_addressable([gates * n for n in layer_units], np.dtype(np.float64).itemsize)
        coefs, intercepts = [], []
        for fan_in, units in pairwise(layer_units[:-1]):
            coefs.append(np.hstack([_glorot(fan_in, units, random_state) for _ in range(gates)]))
            coefs.append(np.hstack([init.orthogonal((units, units), random_state) for _ in range(gates)]))
            input_bias = np.zeros(gates * units)
            if self.cell == "lstm":
                input_bias[units : 2 * units] = 1
            intercepts += [input_bias, np.zeros(gates * units)]
        coefs.append(_glorot(layer_units[-2], layer_units[-1], random_state))
        intercepts.append(np.zeros(layer_units[-1]))
        return [c.astype(dtype) for c in coefs], [b.astype(dtype) for b in intercepts]

    def _check_shapes(self, weights: Weights, layer_units: list[int]) -> None:
        check_recurrent(weights, layer_units, self.cell)

    def _weights_at_hand(self) -> Weights:
        return recurrent_at_hand(vars(self), self.cell)

    # Training.

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
        if not self.stateful:
            return super()._fit(X, y, sample_weight, given_holdout, incremental=incremental, classes=classes)
        if not incremental:
            super()._fit(X, y, sample_weight, given_holdout, incremental=False)
            # Every epoch starts from zeros: the final states are computed with the final weights.
            _, self.state_ = self._run(self._check_features(X, reset=False), None)
            return self
        X = check_sequences(X)
        carried = Carried(None)
        if hasattr(self, "coefs_") and hasattr(self, "state_"):
            states = () if self.state_ is None else self.state_
            first = states[0] if isinstance(states, Sequence) and states else None
            if isinstance(first, np.ndarray) and first.ndim and len(first) != len(X):
                raise ValueError(
                    f"With stateful=True the sequences of one call go on in the next: the last one had "
                    f"{len(first)}, X has {len(X)}. Call reset_state() before other sequences."
                )
            weights = self._weights_at_hand()
            carried.arrays = sequences.initial_states(
                self._network(), weights, len(X), states, weights.dtype, "state_"
            )
        given = replace(X, carried=carried)
        super()._fit(given, y, sample_weight, given_holdout, incremental=True, classes=classes)
        if carried.arrays is not None:
            self.state_ = carried.arrays
        return self

    def reset_state(self) -> Self:
        """Reset the states: the next ``partial_fit`` starts from zeros.

        Returns
        -------
        self : object
            The estimator.
        """
        self.__dict__.pop("state_", None)
        return self

    def _network(self) -> RNN:
        return RNN(
            f"elman_{self.activation}" if self.cell == "elman" else self.cell,
            bool(self.per_step),
            self._truncation(),
            self.out_activation_,
            _validation.n_threads(self.n_jobs),
        )

    def _trained_network(self) -> Network:
        return self._network()

    # Outputs.

    def _run(self, X: Sequences, initial_state: Any) -> tuple[Array, list[Array]]:
        """The values of the output layer for each step or each sequence, and the final states."""
        return sequences.run(self._network(), self._weights_at_hand(), X, initial_state)

    def _predict(self, X: Any, initial_state: Any, return_state: bool, finish: Callable[[Array], Any]) -> Any:
        check_is_fitted(self)
        X = self._check_features(X, reset=False)
        outputs, states = self._run(X, initial_state)
        results = finish(outputs)
        if self.per_step:
            results = X.split(results)
        return (results, states) if return_state else results

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy, R2 or, for quantiles, the D2 pinball score, over sequences or over all steps.

        Parameters
        ----------
        X : array-like of shape (n_sequences, n_steps, n_features), or list of arrays
            The sequences.
        y : array-like, as for :meth:`fit`
            The true targets.
        sample_weight : array-like of shape (n_sequences,), default=None
            Sample weights; with ``per_step`` there may be one for each step.

        Returns
        -------
        score : float
            :func:`sklearn.metrics.accuracy_score`, :func:`sklearn.metrics.r2_score` or, for the loss
            "quantile", the mean over quantiles of :func:`sklearn.metrics.d2_pinball_score`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        ValueError
            If ``fit`` would refuse X, X has another number of features, or y does not match X.
        """
        check_is_fitted(self)
        X = self._check_features(X, reset=False)
        y = check_targets(y, X, per_step=self.per_step, numeric=is_regressor(self))
        if sample_weight is not None:
            sample_weight = self._check_weights(sample_weight, X)
        outputs, _ = self._run(X, None)
        return float(self._score_of(y, self._predictions(outputs), sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags


def _glorot(fan_in: int, fan_out: int, random_state: np.random.RandomState) -> Array:
    bound = np.sqrt(6.0 / (fan_in + fan_out))
    return random_state.uniform(-bound, bound, (fan_in, fan_out))
