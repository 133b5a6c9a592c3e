"""Models that predict, and do nothing else.

They take what the estimators take, and return the same bits. Errors call them by the estimators' names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gdfast import _core
from gdfast.prediction import inputs, labels, sequences
from gdfast.prediction.calibration import calibrated
from gdfast.prediction.ensemble import TargetScale, mean_of
from gdfast.prediction.inputs import Features
from gdfast.preprocessing._columns import columns_of, in_order
from gdfast.preprocessing._encoder import ColumnEncoder
from gdfast.training.arrays import Array
from gdfast.training.data import Sequences, is_sparse
from gdfast.training.encoding import EncodedRows
from gdfast.training.network import MLP, RNN
from gdfast.training.weights import Weights


def n_threads(n_jobs: int | None) -> int:
    """The maximum number of threads for ``n_jobs``; 0 lets the core choose."""
    if n_jobs is None:
        return 0
    return min(n_jobs, 2**31 - 1) if n_jobs > 0 else max(1, _core.max_threads() + 1 + n_jobs)


@dataclass(frozen=True)
class Classes:
    """The classes of a classifier.

    Attributes
    ----------
    values : ndarray of shape (n_classes,)
    y_type : {"binary", "multiclass", "multilabel-indicator"}
    is_sparse : bool
        Whether labels were a sparse matrix, and are predicted as one. That needs scipy.
    """

    values: Array
    y_type: str
    is_sparse: bool

    def shown(self, found: Array) -> Any:
        """Predicted classes or labels in the form in which they were given."""
        if not self.is_sparse:
            return found
        from scipy import sparse

        return sparse.csr_matrix(found)


class Predictor:
    """Base class.

    Attributes
    ----------
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        If X had names in the fit.
    n_outputs_ : int
        Number of units of the output layer.
    classes_ : ndarray of shape (n_classes,)
        Of classifiers.
    """

    n_outputs_: int
    if TYPE_CHECKING:  # which methods there are depends on the file
        predict: Callable[..., Any]
        predict_proba: Callable[..., Any]
        predict_log_proba: Callable[..., Any]

    def __init__(self, features: Features, classes: Classes | None) -> None:
        self._features = features
        self.n_features_in_ = features.n_features
        if features.names is not None:
            self.feature_names_in_ = features.names
        if classes is not None:
            self._classes, self.classes_ = classes, classes.values

    def __repr__(self) -> str:
        return f"<predictor of {self._features.kind} with {self.n_features_in_} features>"


class _MLP(Predictor):
    def __init__(
        self, features: Features, classes: Classes | None, network: MLP, weights: Weights, n_outputs: int
    ) -> None:
        super().__init__(features, classes)
        self._network, self._weights, self.n_outputs_ = network, weights, n_outputs

    def _outputs(self, X: Any) -> Array:
        return self._outputs_of_checked(inputs.checked_rows(X, self._features))

    def _outputs_of_checked(self, X: Any) -> Array:
        if isinstance(X, EncodedRows):
            self._weights.check_embeddings(X.encoding.embedding_shapes)
        return self._network.outputs(self._weights, X, self.n_outputs_)


class MLPRegressor(_MLP):
    """The predictions of :class:`gdfast.MLPRegressor`."""

    def predict(self, X: Any) -> Array:
        """Predict the targets of every sample, see :meth:`gdfast.MLPRegressor.predict`."""
        return _numbers(self._outputs(X))


class MLPClassifier(_MLP):
    """The predictions of :class:`gdfast.MLPClassifier`."""

    def predict(self, X: Any) -> Any:
        """Predict the classes or labels of every sample, see :meth:`gdfast.MLPClassifier.predict`."""
        return _labels(self._outputs(X), self._classes, self._network.output)

    def predict_proba(self, X: Any) -> Array:
        """Probabilities, see :meth:`gdfast.MLPClassifier.predict_proba`."""
        return labels.probabilities(self._outputs(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithm of :meth:`predict_proba`."""
        return labels.logarithms(self.predict_proba(X))


class _RNN(Predictor):
    def __init__(
        self, features: Features, classes: Classes | None, network: RNN, weights: Weights, n_outputs: int
    ) -> None:
        super().__init__(features, classes)
        self._network, self._weights, self.n_outputs_ = network, weights, n_outputs

    def _predict(self, X: Any, initial_state: Any, return_state: bool, finish: Callable[[Array], Any]) -> Any:
        checked: Sequences = sequences.check_sequences(X)
        inputs.check_features(checked.frame, checked.shape[1], self._features)
        outputs, states = sequences.run(self._network, self._weights, checked, initial_state)
        results = finish(outputs)
        if self._network.per_step:
            results = checked.split(results)
        return (results, states) if return_state else results


class RNNRegressor(_RNN):
    """The predictions of :class:`gdfast.RNNRegressor`."""

    def predict(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Predict the targets of every sequence or step, see :meth:`gdfast.RNNRegressor.predict`."""
        return self._predict(X, initial_state, return_state, _numbers)


class RNNClassifier(_RNN):
    """The predictions of :class:`gdfast.RNNClassifier`."""

    def predict(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Predict the classes or labels, see :meth:`gdfast.RNNClassifier.predict`."""

        def finish(outputs: Array) -> Any:
            return _labels(outputs, self._classes, self._network.output)

        return self._predict(X, initial_state, return_state, finish)

    def predict_proba(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Probabilities, see :meth:`gdfast.RNNClassifier.predict_proba`."""
        return self._predict(X, initial_state, return_state, labels.probabilities)

    def predict_log_proba(self, X: Any, initial_state: Any = None, return_state: bool = False) -> Any:
        """Logarithm of :meth:`predict_proba`."""

        def finish(outputs: Array) -> Array:
            return labels.logarithms(labels.probabilities(outputs))

        return self._predict(X, initial_state, return_state, finish)


class ColumnScale:
    """Divides the columns of sparse rows by their largest magnitudes, as scikit-learn's ``MaxAbsScaler``."""

    def __init__(self, scale: Array) -> None:
        self._factors = 1.0 / scale

    def scaled(self, X: Any) -> SparseRows:
        """A sparse matrix, or an array, as scaled sparse rows of float32."""
        if is_sparse(X):
            rows = X.tocsr()
            data, indices, indptr = rows.data, rows.indices, rows.indptr
        else:
            row, indices = np.nonzero(X)
            data = X[row, indices]
            indptr = np.searchsorted(row, np.arange(len(X) + 1))
        data = data.astype(np.float32, copy=False) * self._factors.take(indices)
        return SparseRows(data, indices, indptr, (len(indptr) - 1, X.shape[1]))


@dataclass(frozen=True)
class SparseRows:
    """The three arrays of a CSR matrix, with what else is asked of one."""

    data: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    def tocsr(self) -> SparseRows:
        return self


class _Tabular(Predictor):
    def __init__(
        self,
        features: Features,
        classes: Classes | None,
        encoder: ColumnEncoder | ColumnScale,
        members: Sequence[_MLP],
    ) -> None:
        super().__init__(features, classes)
        self._encoder, self._members = encoder, members
        self.n_outputs_ = members[0].n_outputs_

    def _rows(self, X: Any) -> EncodedRows | SparseRows:
        if isinstance(self._encoder, ColumnScale):
            return self._encoder.scaled(inputs.checked_rows(X, self._features, np.float32))
        if is_sparse(X):
            inputs.check_finite(X.data)
            X = X.toarray()
        X = in_order(X, self._features.names)
        columns = columns_of(X)
        inputs.check_features(X, len(columns), self._features)
        return self._encoder.encode(columns)

    def _outputs(self, X: Any) -> list[Array]:
        """Those of each member."""
        rows = self._rows(X)
        return [member._outputs_of_checked(rows) for member in self._members]


class TabularRegressor(_Tabular):
    """The predictions of :class:`gdfast.TabularRegressor`."""

    def __init__(
        self,
        features: Features,
        encoder: ColumnEncoder | ColumnScale,
        members: Sequence[_MLP],
        target: TargetScale,
    ) -> None:
        super().__init__(features, None, encoder, members)
        self._target = target

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the targets of every row, see :meth:`gdfast.TabularRegressor.predict`."""
        found = [self._target.in_units(_numbers(outputs)) for outputs in self._outputs(X)]
        return mean_of(found, return_std)


class TabularClassifier(_Tabular):
    """The predictions of :class:`gdfast.TabularClassifier`.

    ``smoothings`` has the members' label smoothing.
    """

    _classes: Classes

    def __init__(
        self,
        features: Features,
        classes: Classes,
        encoder: ColumnEncoder | ColumnScale,
        members: Sequence[_MLP],
        smoothings: Sequence[float],
        temperature: float,
    ) -> None:
        super().__init__(features, classes, encoder, members)
        self._smoothings, self._temperature = smoothings, temperature

    def predict(self, X: Any) -> Any:
        """Predict the classes or labels of every row, see :meth:`gdfast.TabularClassifier.predict`."""
        probabilities = self.predict_proba(X)
        found = labels.most_probable(probabilities, self._classes.values, self._classes.y_type)
        return self._classes.shown(found)

    def predict_proba(self, X: Any, return_std: bool = False) -> Any:
        """Probabilities, see :meth:`gdfast.TabularClassifier.predict_proba`."""
        exclusive = self._classes.y_type != labels.MULTILABEL
        found = [
            calibrated(labels.probabilities(outputs), smoothing, self._temperature, exclusive=exclusive)
            for outputs, smoothing in zip(self._outputs(X), self._smoothings, strict=True)
        ]
        return mean_of(found, return_std)

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithm of :meth:`predict_proba`."""
        return labels.logarithms(self.predict_proba(X))


def _numbers(outputs: Array) -> Array:
    return outputs.ravel() if outputs.shape[1] == 1 else outputs


def _labels(outputs: Array, classes: Classes, activation: str) -> Any:
    return classes.shown(labels.labels(outputs, classes.values, classes.y_type, activation))
