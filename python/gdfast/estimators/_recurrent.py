"""Recurrent networks: sequences, arguments, weights, states and outputs."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from gdfast._constraints import StrOptions
from gdfast.estimators import _holdout, _ineffective, _ranks, _schedules, _validation
from gdfast.estimators._network_estimator import NetworkEstimator
from gdfast.estimators._sequences import check_not_per_step, check_step_weights, check_targets
from gdfast.prediction import sequences
from gdfast.prediction.sequences import check_sequences
from gdfast.training import init
from gdfast.training.arrays import Array, check_addressable
from gdfast.training.data import Carried, Sequences
from gdfast.training.network import GATES, RNN
from gdfast.training.scheduled import Scheduled
from gdfast.training.weights import GROUPS


class Recurrent(NetworkEstimator):
    """A network estimator's part for recurrent networks."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **NetworkEstimator._parameter_constraints,
        "cell": [StrOptions(set(GATES))],
        "activation": [StrOptions({"tanh", "relu"})],
        "per_step": ["boolean"],
        "tbptt": [tuple, list, None],
        "stateful": ["boolean"],
    }

    cell: str
    activation: str
    per_step: bool
    tbptt: tuple[int, int] | None
    stateful: bool

    state_: list[Array]

    # Arguments and data.

    def _check_network_arguments(self, sizes: list[int]) -> None:
        _ranks.refuse(self)
        # scikit-learn does not check the arguments again in a later partial_fit.
        if self.cell not in GATES:
            raise ValueError(f"cell must be one of {sorted(GATES)}, got {self.cell!r}.")
        _ineffective.check(type(self), vars(self), _ineffective.RULES_OF_CELLS)
        if not sizes:
            raise ValueError("hidden_layer_sizes must name at least one recurrent layer, got none.")
        self._truncation()
        if self.per_step and self.scoring not in (None, "loss"):
            raise ValueError(
                "With per_step=True scoring must be None or 'loss': scorers take one target each."
            )

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

    def _check_takes_streams(self, incremental: bool) -> None:
        raise TypeError(f"{type(self).__name__} takes no stream. Give arrays.")

    def _check_data(self, X: Any, y: Any, *, reset: bool) -> tuple[Sequences, Array]:
        numeric = self._has_numeric_targets
        X = replace(self._check_features(X, reset=reset), per_step=bool(self.per_step))
        y = check_targets(y, X, per_step=self.per_step, numeric=numeric)
        if reset and not self.per_step:
            check_not_per_step(y, X, numeric=numeric)
        return X, y.astype(np.float64) if numeric and y.dtype.kind != "f" else y

    def _check_features(self, X: Any, *, reset: bool) -> Sequences:
        checked = check_sequences(X)
        # Counts and compares features and their names as in scikit-learn.
        named = checked.steps if checked.frame is None else checked.frame
        validate_data(self, named, reset=reset, skip_check_array=True)
        return checked

    def _check_weights(self, sample_weight: Any, X: Sequences) -> Array:
        if not self.per_step:
            return _validation.check_weights(sample_weight, X)
        with _validation.naming("sample_weight"):
            return check_step_weights(sample_weight, X)

    # Training.

    def _fit_sequences(
        self, X: Any, y: Any, sample_weight: Any, X_val: Any, y_val: Any, sample_weight_val: Any
    ) -> None:
        _holdout.check_complete(X_val, y_val, sample_weight_val)
        self._fit(X, y, sample_weight, None if X_val is None else (X_val, y_val, sample_weight_val))
        if self.stateful:
            # Every epoch starts from zeros: the final states are computed with the final weights.
            _, self.state_ = self._run(self._check_features(X, reset=False), None)

    def _partial_fit_sequences(self, X: Any, y: Any, sample_weight: Any, classes: Any = None) -> None:
        if not self.stateful:
            self._fit(X, y, sample_weight, incremental=True, classes=classes)
            return
        X = check_sequences(X)
        carried = Carried(None)
        if hasattr(self, "coefs_") and hasattr(self, "state_"):
            states = () if self.state_ is None else self.state_
            first = states[0] if isinstance(states, Sequence) and states else None
            if isinstance(first, np.ndarray) and first.ndim and len(first) != len(X):
                raise ValueError(
                    f"With stateful=True the sequences of one call continue in the next: the last call had "
                    f"{len(first)}, X has {len(X)}. Call reset_state() before other sequences."
                )
            network, weights = self._network_and_weights()
            carried.arrays = sequences.initial_states(
                network, weights, len(X), states, weights.dtype, "state_"
            )
        self._fit(replace(X, carried=carried), y, sample_weight, incremental=True, classes=classes)
        if carried.arrays is not None:
            self.state_ = carried.arrays

    def reset_state(self) -> Self:
        """Reset the states: the next ``partial_fit`` starts from zeros.

        Returns
        -------
        self : object
            The estimator.
        """
        self.__dict__.pop("state_", None)
        return self

    def _draw_weights(
        self, layer_units: list[int], dtype: np.dtype[Any], random_state: np.random.RandomState
    ) -> tuple[list[Array], list[Array]]:
        check_addressable([GATES[self.cell] * n for n in layer_units], np.dtype(np.float64).itemsize)
        return init.draw_recurrent(self.cell, layer_units, dtype, random_state)

    def _n_arrays(self, n_hidden: int) -> dict[str, int]:
        return dict.fromkeys(GROUPS[:2], 2 * n_hidden + 1)  # input-to-hidden and hidden-to-hidden

    def _network(self, *, training: bool = False) -> RNN:
        return RNN(
            self.cell,
            self.activation,
            bool(self.per_step),
            self._truncation(),
            self.out_activation_,
            _validation.n_threads(self.n_jobs),
        )

    def _network_options(self) -> dict[str, Any]:
        return {}

    def _scheduled(self, n_hidden: int) -> list[Scheduled]:
        return _schedules.of_weight_decay(self.weight_decay, self.weight_decay_schedule)

    # Outputs.

    def _run(self, X: Sequences, initial_state: Any) -> tuple[Array, list[Array]]:
        """The values of the output layer for each step or each sequence, and the final states."""
        return sequences.run(*self._network_and_weights(), X, initial_state)

    def _predict(self, X: Any, initial_state: Any, return_state: bool, finish: Callable[[Array], Any]) -> Any:
        check_is_fitted(self)
        X = self._check_features(X, reset=False)
        outputs, states = self._run(X, initial_state)
        results = finish(outputs)
        if self.per_step:
            results = X.split(results)
        return (results, states) if return_state else results

    def _score_sequences(self, X: Any, y: Any, sample_weight: Any) -> float:
        check_is_fitted(self)
        X = self._check_features(X, reset=False)
        y = check_targets(y, X, per_step=self.per_step, numeric=self._has_numeric_targets)
        if sample_weight is not None:
            sample_weight = self._check_weights(sample_weight, X)
        outputs, _ = self._run(X, None)
        return float(self._score_of(y, self._predictions(outputs), sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags
