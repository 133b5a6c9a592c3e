"""Classification of tables."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Literal, overload

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import Interval
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_y, column_or_1d

from gdfast._constraints import StrOptions
from gdfast.estimators._calibration import fit_temperature
from gdfast.estimators._feed_forward import FeedForward
from gdfast.estimators._tabular import BaseTabular
from gdfast.estimators.classifier import MLPClassifier
from gdfast.prediction.calibration import calibrated, uncalibrated
from gdfast.prediction.ensemble import mean_of
from gdfast.prediction.labels import logarithms, most_probable
from gdfast.training.arrays import Array

# Scores that count right predictions: label smoothing improves them, but biases probabilities.
_COUNTING = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_micro",
    "f1_macro",
    "f1_weighted",
    "matthews_corrcoef",
)


class TabularClassifier(ClassifierMixin, BaseTabular):
    """Classifier for tables: neural networks behind an encoder of columns.

    X is a table as it is: numbers, strings, categories, booleans, dates and missing values. Each of
    ``n_members`` networks is trained on its own random part of the rows and keeps the epoch that scores best
    on the others; their probabilities are averaged. Columns are encoded batch by batch, as
    :class:`gdfast.preprocessing.TableEncoder` does, and never stored as a whole.

    Parameters
    ----------
    preset : {"fast", "balanced", "best"}, default="balanced"
        What the arguments whose default is None stand for:

        =========  =======  ========  ========
        argument   fast     balanced  best
        =========  =======  ========  ========
        n_members  2        4         8
        max_iter   8 to 20  12 to 32  16 to 48
        =========  =======  ========  ========

    n_members : int, default=None
        Number of networks. With ``cv`` it is the number of folds.
    cv : int, cross-validation generator or iterable, default=None
        Folds in place of random validation rows: one network is trained for each, and ``oof_prediction_`` has
        what it predicts for the rows that it has not seen.
    validation_fraction : float, default=0.1
        Share of the rows on which a network's epochs are scored; with less than 10 rows there are none.
    scoring : str, callable or None, default=None
        The score that decides which epoch is kept, as in :func:`sklearn.metrics.check_scoring`; "loss" is the
        training loss on the validation rows, and None accuracy.
    categorical_features : "from_dtype", None, or array-like of bool, int or str, default="from_dtype"
        Which columns hold categories. "from_dtype": those of strings, booleans, categories or other objects.
        Or a mask, indices or names of columns; None for none.
    bins : {"mixed", "tree", "values", "quantile", None}, default="mixed"
        How numbers are split into bins, see :class:`gdfast.preprocessing.PiecewiseLinearEncoder`.
    n_bins : int, default=None
        The largest number of bins of a column; with "mixed" there may be twice as many. None: one for 256
        rows, from 12 to 48, and fewer if there are many columns of numbers.
    min_frequency : int, default=2
        Categories of fewer rows share one input.
    max_categories : int, default=4096
        The largest number of categories of a column; the rarest beyond it share one.
    embed_from : int or None, default=256
        Columns of more categories are embedded: each network learns a short vector for each category, which
        is its inputs (``1.6 n^0.56`` numbers for n categories, as in fastai). Columns of fewer have an input
        for each category. None: no column is embedded.
    hidden_layer_sizes : array-like of shape (n_hidden_layers,), default=(256, 256)
        Number of units of each hidden layer.
    activation : str or sequence of str, default="relu"
        Activation of the hidden layers, as in :class:`MLPClassifier`.
    batch_norm : bool, default=True
        Whether hidden layers are normalised over the batch.
    dropout : float or sequence of float, default=0.0
        Dropout rate of the hidden layers; a sequence has a rate for the inputs and one for each hidden layer.
    alpha : float, default=0.0
        Strength of the L2 penalty.
    weight_decay : float, default=1.0
        Decoupled weight decay: the learning rate times it is the share that a step takes off each weight.
    batch_size : int or "auto", default="auto"
        Rows of a step. "auto": 64 up to 1,024 rows, 128 up to 8,192, else 256.
    learning_rate_init : float, default=0.003
        The largest learning rate. It rises linearly over the first tenth of the steps, and falls to 0 by half
        a cosine.
    beta_1, beta_2 : float, default=0.9 and 0.95
        Decay rates of Adam's moments.
    ema_decay : float, default=0.8
        Largest decay of the average of the weights over epochs, which is what is scored and kept.
    max_iter : int, default=None
        Number of epochs. By the preset it is such that there are about 1,000, 1,600 or 2,400 steps, within
        the limits above.
    callbacks : list, default=None
        Callbacks, see :mod:`gdfast.callbacks`. To them the training of all members is one: ``est`` is the
        network at work, ``logs["member"]`` its number, and a true return value ends this network's training.
        ``on_train_begin`` and ``on_train_end`` are called once, with this estimator.
    max_time : float, default=None
        Seconds after which training ends; networks that have not begun are left out.
    verbose : bool, default=False
        Whether to print a line for each network.
    n_jobs : int, default=None
        Number of threads: networks are trained side by side, and several threads work on one if there are
        more threads than networks. None means all cores. The result is the same for any number.
    random_state : int, RandomState instance or None, default=None
        Draws validation rows, first weights and orders.
    class_weight : dict, "balanced", or None, default=None
        Weights of the classes in the training loss, as in :class:`MLPClassifier`.
    label_smoothing : float or "auto", default="auto"
        Share of each target that is spread over all classes. "auto": 0.1 where ``scoring`` counts right
        predictions, such as accuracy, and 0 where it judges probabilities. ``predict_proba`` undoes it,
        and scales what is left by ``temperature_``.

    Attributes
    ----------
    encoder_ : TableEncoder or MaxAbsScaler
        What encodes a table, or scales a sparse matrix.
    members_ : list of MLPClassifier
        The networks. They take what ``encoder_`` makes of a table.
    validation_scores_ : ndarray of shape (n_members,)
        The best validation score of each network; NaN without validation rows.
    history_ : list of dict
        For each network its "loss", "val_loss", "val_score" and "learning_rate" by epoch.
    oof_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_classes)
        With ``cv``: what each row's network predicts, which has not seen it: its probabilities.
    n_iter_ : ndarray of shape (n_members,)
        Number of epochs of each network.
    n_outputs_ : int
        Number of outputs of each network.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all are strings.
    classes_ : ndarray of shape (n_classes,)
        The class labels.
    temperature_ : float
        What logits are divided by: the networks' probabilities on the rows that they have not seen have the
        least log-loss so. 1 without validation rows.

    See Also
    --------
    TabularRegressor : The same for numbers.
    MLPClassifier : A single network on columns that are encoded already.
    gdfast.preprocessing.TableEncoder : The encoder.

    References
    ----------
    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning",
    NeurIPS 2022 (piecewise-linear encoding).

    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: Strong pre-tuned MLPs and boosted trees
    on tabular data", NeurIPS 2024 (clipping, label smoothing, best epoch with ties to the latest).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.model_selection import train_test_split
    >>> from gdfast import TabularClassifier
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> clf = TabularClassifier(random_state=0).fit(X_train, y_train)
    >>> clf.score(X_test, y_test) > 0.95
    True
    >>> clf.predict_proba(X_test).shape
    (143, 2)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseTabular._parameter_constraints,
        "class_weight": MLPClassifier._parameter_constraints["class_weight"],
        "label_smoothing": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
    }

    classes_: Array
    temperature_: float

    def __init__(
        self,
        preset: str = "balanced",
        *,
        n_members: int | None = None,
        cv: Any = None,
        validation_fraction: float = 0.1,
        scoring: Any = None,
        categorical_features: Any = "from_dtype",
        bins: str | None = "mixed",
        n_bins: int | None = None,
        min_frequency: int = 2,
        max_categories: int = 4096,
        embed_from: int | None = 256,
        hidden_layer_sizes: Any = (256, 256),
        activation: Any = "relu",
        batch_norm: bool = True,
        dropout: Any = 0.0,
        alpha: float = 0.0,
        weight_decay: float = 1.0,
        batch_size: int | str = "auto",
        learning_rate_init: float = 0.003,
        beta_1: float = 0.9,
        beta_2: float = 0.95,
        ema_decay: float = 0.8,
        max_iter: int | None = None,
        callbacks: Any = None,
        max_time: float | None = None,
        verbose: bool | int = False,
        n_jobs: int | None = None,
        random_state: Any = None,
        class_weight: Any = None,
        label_smoothing: float | str = "auto",
    ) -> None:
        self._store(locals())

    def _check_target(self, y: Any) -> Array:
        y = _check_y(y, multi_output=True, estimator=self)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        checked: Array = y
        return checked

    def _begin(self, y: Array, weight: Array | None) -> None:
        self._label_binarizer = LabelBinarizer().fit(y)
        self.classes_ = self._label_binarizer.classes_

    def _target_of_bins(self, y: Array) -> Array:
        numbers: Array = y if y.ndim == 2 else np.unique(y, return_inverse=True)[1]
        return numbers.astype(np.int64)

    def _target_of_members(self, y: Array) -> Array:
        return y

    def _member(self, **arguments: Any) -> FeedForward:
        smoothing = self.label_smoothing
        if smoothing == "auto":
            smoothing = 0.1 if self.scoring is None or self.scoring in _COUNTING else 0.0
        return MLPClassifier(
            **self._common_arguments(),
            class_weight=self.class_weight,
            label_smoothing=smoothing,
            **arguments,
        )

    def _classes_to_split(self, y: Array) -> Array | None:
        return y if y.ndim == 1 else None

    def _prediction_of(self, member: Any, rows: Any) -> Array:
        return calibrated(
            member.predict_proba(rows),
            member.label_smoothing,
            self.temperature_,
            exclusive=self._is_exclusive,
        )

    @property
    def _is_exclusive(self) -> bool:
        """Whether a row has one class, and not any number of labels."""
        return bool(self._label_binarizer.y_type_ != "multilabel-indicator")

    def _calibrate(self, rows: Any, y: Array, weight: Array | None, held_out: list[Array]) -> None:
        self.temperature_ = 1.0
        at = np.concatenate(held_out)
        seen = None if weight is None else weight[at]
        if not len(at) or (seen is not None and not seen.any()):
            return
        probabilities = [
            uncalibrated(
                member.predict_proba(rows[validation]), member.label_smoothing, exclusive=self._is_exclusive
            )
            for member, validation in zip(self.members_, held_out, strict=True)
            if len(validation)
        ]
        targets = self._label_binarizer.transform(y[at]).astype(np.float64)
        if targets.shape[1] == 1:
            targets = np.hstack([1 - targets, targets])
        self.temperature_ = fit_temperature(
            np.concatenate(probabilities),
            targets,
            seen,
            exclusive=self._is_exclusive,
        )

    def predict(self, X: Any) -> Array:
        """Predict the class, or the labels, of every row.

        Parameters
        ----------
        X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            The table. Columns of a frame are found by their names.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The class labels, or an indicator matrix.
        """
        probabilities, binarizer = self.predict_proba(X), self._label_binarizer
        if binarizer.sparse_input_:
            labels: Array = binarizer.inverse_transform(probabilities)
            return labels
        return most_probable(probabilities, self.classes_, binarizer.y_type_)

    @overload
    def predict_proba(self, X: Any, return_std: Literal[False] = False) -> Array: ...
    @overload
    def predict_proba(self, X: Any, return_std: Literal[True]) -> tuple[Array, Array]: ...
    def predict_proba(self, X: Any, return_std: bool = False) -> Any:
        """Probability of every class, or of every label, for every row: the mean of the members'.

        Parameters
        ----------
        X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            The table. Columns of a frame are found by their names.
        return_std : bool, default=False
            Whether to return the standard deviation over the members as well.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        y_std : ndarray of shape (n_samples, n_classes)
            Only if ``return_std`` is True.
        """
        return mean_of(self._member_predictions(X), return_std)

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
        """
        return logarithms(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
