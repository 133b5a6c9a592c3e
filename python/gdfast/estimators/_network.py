"""Prediction: from weights and samples to the values of the output layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from gdfast import _core
from gdfast.estimators import _validation
from gdfast.estimators._arguments import Arguments
from gdfast.prediction.weights import check_dense, dense_at_hand
from gdfast.training import activations
from gdfast.training.arrays import Array
from gdfast.training.encoding import EncodedRows
from gdfast.training.network import MLP
from gdfast.training.weights import NORMS, Weights


class NetworkEstimator(Arguments):
    """An estimator with weights, and the outputs of its network."""

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
    embeddings_: list[Array]

    def _network(self) -> Any:
        """The network that the arguments describe."""
        names = activations.of_layers(self.activation, len(self.coefs_) - 1)
        return MLP(
            activations.with_parameters(names, self.activation_params),
            self.out_activation_,
            _validation.n_threads(self.n_jobs),
            bn_epsilon=float(self.bn_epsilon),
        )

    def _outputs(self, X: Any) -> Array:
        """The values of the output layer, a new array of shape (n_samples, n_outputs)."""
        outputs = self._outputs_of_plain_array(X)
        return self._outputs_of_anything(X) if outputs is None else outputs

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
            norms: dict[str, Any] = {}
            if not fitted.keys().isdisjoint(NORMS):
                weights = Weights({name: fitted[name] for name in NORMS})
                norms = {"batch_norm": weights.norms(), "bn_epsilon": float(self.bn_epsilon)}
            outputs = _core.forward_if_finite(
                X,
                coefs,
                fitted["intercepts_"],
                activations.with_parameters(names, self.activation_params),
                self.out_activation_,
                n_threads=_validation.n_threads(self.n_jobs),
                **norms,
            )
        except (TypeError, ValueError, KeyError):  # unaligned rows, or weights that a user has set
            return None
        return outputs if outputs is None or outputs.shape[1] == fitted["n_outputs_"] else None

    def _weights_at_hand(self) -> Weights:
        """The current weights, which a user may have edited; ValueError if they do not fit this network."""
        return dense_at_hand(vars(self))

    def _check_shapes(self, weights: Weights, layer_units: list[int]) -> None:
        """ValueError if these are not the weights of a network with ``layer_units``."""
        check_dense(weights, layer_units)

    def _outputs_of_anything(self, X: Any) -> Array:
        check_is_fitted(self)
        _validation.check_no_dates(X)
        weights = self._weights_at_hand()
        if isinstance(X, EncodedRows):
            _validation.check_encoded(self, X, reset=False)
            weights.check_embeddings(X.encoding.embedding_shapes)
        else:
            X = validate_data(self, X, accept_sparse=["csr", "csc"], order="C", reset=False)
        outputs: Array = self._network().outputs(weights, X, self.n_outputs_)
        return outputs
