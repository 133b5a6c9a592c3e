"""A network at work: from weights and samples to the values of the output layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from gdfast import _core
from gdfast.estimators import _activations, _validation
from gdfast.estimators._activations import Activation
from gdfast.estimators._arguments import Arguments
from gdfast.estimators._validation import Array


class Network(Arguments):
    """An estimator with weights, and the outputs that they give."""

    coefs_: list[Array]
    intercepts_: list[Array]
    n_features_in_: int
    n_layers_: int
    n_outputs_: int
    out_activation_: str
    bn_gamma_: list[Array]
    bn_beta_: list[Array]
    bn_mean_: list[Array]
    bn_var_: list[Array]

    def _weights(self) -> list[Array]:
        """All that training changes."""
        return [*self.coefs_, *self.intercepts_, *(a for norm in self._norms() or () for a in norm)]

    def _norms(self) -> list[tuple[Array, Array, Array, Array]] | None:
        """How each hidden layer is normalised, as the core takes it; None where none is."""
        if "bn_gamma_" not in self.__dict__:
            return None
        lists = _validation.array_lists(self, *_validation.NORMS)
        for name, arrays in zip(_validation.NORMS, lists, strict=True):
            if len(arrays) != len(self.coefs_) - 1:
                raise ValueError(
                    f"{name} must hold an array for each of the {len(self.coefs_) - 1} hidden layers, got "
                    f"{len(arrays)}."
                )
        return list(zip(*lists, strict=True))

    def _core_outputs(self, dtype: np.dtype[Any] | None = None) -> dict[str, Any]:
        """The network without its loss, as the core's arguments; its norms in ``dtype``, where given."""
        arguments = {
            "activations": self._hidden_activations(),
            "output": self.out_activation_,
            "n_threads": _validation.n_threads(self.n_jobs),
        }
        if (norms := self._norms()) is not None:
            if dtype is not None:
                norms = [tuple(_validation.as_weights(norm, dtype, writable=False)) for norm in norms]  # type: ignore[misc]
            arguments.update(batch_norm=norms, bn_epsilon=float(self.bn_epsilon))
        return arguments

    def _hidden_activations(self) -> Sequence[Activation]:
        names = _activations.of_layers(self.activation, len(self.coefs_) - 1)
        return _activations.with_parameters(names, self.activation_params)

    def _forward(self, X: Any, rows: Array | None, out: Array) -> None:
        """The outputs of these rows of a checked X (None: all), with the weights at hand, into ``out``."""
        _core.forward(X, self.coefs_, self.intercepts_, rows=rows, out=out, **self._core_outputs())

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
            or not isinstance(coefs, list | tuple)
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
            intercepts = fitted.get("intercepts_", ())
            return _core.forward_if_finite(X, coefs, intercepts, **self._core_outputs())
        except (TypeError, ValueError):  # unaligned rows, or weights that a user has set
            return None

    def _check_chain(self) -> None:
        """ValueError where the weights at hand are not those of a network from features to outputs."""
        coefs, intercepts = _validation.array_lists(self, "coefs_", "intercepts_")
        hidden = [coef.shape[-1] if coef.ndim else 0 for coef in coefs[:-1]]
        expected = list(pairwise([self.n_features_in_, *hidden, self.n_outputs_]))
        _validation.check_shapes(coefs, intercepts, expected, "features, hidden_layer_sizes and outputs")
        if self._norms() is not None:
            _validation.check_norms(self, hidden)

    def _outputs_of_anything(self, X: Any) -> Array:
        check_is_fitted(self)
        _validation.check_no_dates(X)
        self._check_chain()
        X = validate_data(self, X, accept_sparse=["csr", "csc"], order="C", reset=False)
        weights = _validation.weights_dtype(self.coefs_, self.intercepts_)
        single = np.result_type(X.dtype, weights) == np.float32
        dtype = np.dtype(np.float32 if single else np.float64)
        coefs = _validation.as_weights(self.coefs_, dtype, writable=False)
        intercepts = _validation.as_weights(self.intercepts_, dtype, writable=False)
        network = self._core_outputs(dtype)
        return _core.forward(_validation.as_matrix(X, dtype), coefs, intercepts, **network)
