"""Class labels as targets, one or several for a sample."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels

from gdfast._constraints import StrOptions
from gdfast.estimators import _class_weight
from gdfast.estimators._task import Task, as_columns
from gdfast.prediction import labels
from gdfast.training.arrays import Array
from gdfast.training.losses import Loss


@dataclass(frozen=True)
class ClassificationTask(Task):
    """Classification.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
    binarizer : LabelBinarizer
    class_weight : dict, list of dict, "balanced", ndarray of shape (n_classes,) or None
    label_smoothing : float
    """

    classes: Array
    binarizer: Any
    class_weight: Any
    label_smoothing: float

    @property
    def _is_multilabel(self) -> bool:
        return bool(self.binarizer.y_type_ == "multilabel-indicator")

    def check(self, y: Any) -> None:
        if y.ndim == 2 and y.shape[1] != self.n_outputs:
            raise ValueError(f"y has {y.shape[1]} labels, but {self.n_outputs} are trained on.")
        if (y.ndim == 2) != self._is_multilabel:
            raise ValueError("Either both y and y_val must be indicator matrices of labels, or none.")
        check_no_new_classes(unique_labels(y), self.classes)

    def encode(self, y: Any, dtype: np.dtype[Any]) -> Array:
        if self._is_multilabel and not y.shape[0]:  # of a rank without rows
            return np.empty((0, self.n_outputs), dtype)
        if self._is_multilabel:
            return as_columns(self.binarizer.transform(y), dtype)
        indices: Array = np.searchsorted(self.classes, y)
        return indices.astype(np.int32) if self.output == "softmax" else as_columns(indices, dtype)

    def scorer(self, y: Array, sample_weight: Array | None) -> Callable[[Array], float]:
        def accuracy(outputs: Array) -> float:
            right = outputs.argmax(axis=1) == y if y.ndim == 1 else ((outputs > 0.5) == y).all(axis=1)
            return float(np.average(right, weights=sample_weight))

        return accuracy

    def weigh(self, y: Any, sample_weight: Array | None) -> Array | None:
        return _class_weight.weigh(self.class_weight, y, self.classes, sample_weight)

    def for_training(self, y: Array) -> tuple[Array, Loss]:
        if not self.label_smoothing:
            return y, self.loss
        if self.output == "softmax":
            return y, ("cross_entropy", [float(self.label_smoothing)])
        fraction = y.dtype.type(self.label_smoothing)
        smoothed: Array = y * (1 - fraction) + fraction / 2
        return smoothed, self.loss

    @property
    def stratifies(self) -> bool:
        return self.n_outputs == 1


class Classification(ClassifierMixin):
    """A network estimator's part for class labels."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "class_weight": [StrOptions({"balanced"}), dict, list, None],
        "label_smoothing": [Interval(Real, 0, 1, closed="left")],
    }

    class_weight: Any
    label_smoothing: float
    warm_start: bool
    out_activation_: str
    classes_: Array
    _label_binarizer: Any

    _has_numeric_targets = False
    loss = "log_loss"  # not an argument, but an attribute of scikit-learn's classifier

    def _check_target_arguments(self, *, incremental: bool) -> None:
        if incremental and self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not supported for partial_fit, which does not see all samples at "
                "once. Use sklearn.utils.compute_class_weight('balanced', classes=classes, y=y) on "
                "enough of them, and pass the weights as a dict."
            )

    def _task(self, y: Any, *, incremental: bool, classes: Any) -> ClassificationTask:
        if incremental and _check_partial_fit_first_call(self, classes):
            known = y if type_of_target(y).startswith("multilabel") else classes
            self._label_binarizer = LabelBinarizer().fit(known)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
        elif incremental:
            check_no_new_classes(unique_labels(y), self.classes_)
        else:
            self._check_same_classes(unique_labels(y))
        kind = self._label_binarizer.y_type_
        if y.ndim == 2 and kind != "multilabel-indicator":
            raise ValueError("The object was not fitted with multilabel input.")
        if y.ndim == 1 and kind == "multilabel-indicator":
            raise ValueError(
                "The object was fitted with multilabel input, but y has one dimension. Give an indicator "
                f"matrix of shape (n_samples, {len(self.classes_)})."
            )
        own = self.classes_, self._label_binarizer, self.class_weight, self.label_smoothing
        if kind == "multiclass":
            return ClassificationTask(len(self.classes_), "softmax", "cross_entropy", *own)
        n_outputs = int(y.shape[1]) if kind == "multilabel-indicator" else 1
        return ClassificationTask(n_outputs, "logistic", "binary_cross_entropy", *own)

    def _check_same_classes(self, classes: Array) -> None:
        if set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to "
                f"fit. Previously got {self.classes_}, `y` has {classes}"
            )

    def _predictions(self, outputs: Array) -> Any:
        """The predicted labels for the values of the output layer."""
        binarizer = self._label_binarizer
        if binarizer.sparse_input_:
            return binarizer.inverse_transform(outputs)
        return labels.labels(outputs, self.classes_, binarizer.y_type_, self.out_activation_)

    @staticmethod
    def _probabilities(outputs: Array) -> Array:
        return labels.probabilities(outputs)

    def _score_of(self, y: Any, predicted: Any, sample_weight: Any) -> float:
        """The score of predictions."""
        return float(accuracy_score(y, predicted, sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def check_no_new_classes(found: Array, classes: Array) -> None:
    if len(np.setdiff1d(found, classes, assume_unique=True)):
        raise ValueError(
            f"`y` has classes not in `self.classes_`. `self.classes_` has {classes}. 'y' has {found}."
        )
