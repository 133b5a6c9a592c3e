"""Regression on tables."""

# scikit-learn ships no types.
# mypy: disallow-subclassing-any=False, disallow-untyped-decorators=False

from __future__ import annotations

import copy
from typing import Any, ClassVar, Literal, overload

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import check_scoring
from sklearn.utils.validation import _check_y, column_or_1d

from gdfast.estimators import _regression, _validation
from gdfast.estimators._feed_forward import FeedForward
from gdfast.estimators._tabular import BaseTabular
from gdfast.estimators.regressor import MLPRegressor
from gdfast.prediction.ensemble import TargetScale, mean_of
from gdfast.training.arrays import Array


class TabularRegressor(RegressorMixin, BaseTabular):
    """Regressor for tables: neural networks behind an encoder of columns.

    X is a table as it is: numbers, strings, categories, booleans, dates and missing values. Each of
    ``n_members`` networks is trained on its own random part of the rows and keeps the epoch that scores best
    on the others; their predictions are averaged. The target is standardised, and predictions stay within the
    range of the targets of training. Columns are encoded batch by batch, as
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
        training loss on the validation rows, and None R2, or the D2 pinball score for the loss "quantile".
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
        Activation of the hidden layers, as in :class:`MLPRegressor`.
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
    loss : {"squared_error", "poisson", "absolute_error", "huber", "quantile"}, default="squared_error"
        The training loss, as in :class:`MLPRegressor`; of "huber" and "quantile" in units of the target's
        standard deviation. With "poisson" the target is not standardised.
    huber_delta : float, default=1.0
        Where the huber loss becomes linear, in standard deviations of the target.
    quantiles : float or sequence of float, default=0.5
        The quantiles that the loss "quantile" predicts, increasing, within (0, 1); several give
        a column each.

    Attributes
    ----------
    encoder_ : TableEncoder or MaxAbsScaler
        What encodes a table, or scales a sparse matrix.
    members_ : list of MLPRegressor
        The networks. They take what ``encoder_`` makes of a table.
    validation_scores_ : ndarray of shape (n_members,)
        The best validation score of each network; NaN without validation rows.
    history_ : list of dict
        For each network its "loss", "val_loss", "val_score" and "learning_rate" by epoch.
    oof_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_classes)
        With ``cv``: what each row's network predicts, which has not seen it: numbers.
    n_iter_ : ndarray of shape (n_members,)
        Number of epochs of each network.
    n_outputs_ : int
        Number of outputs of each network.
    n_features_in_ : int
        Number of columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if all are strings.

    See Also
    --------
    TabularClassifier : The same for classes.
    MLPRegressor : A single network on columns that are encoded already.
    gdfast.preprocessing.TableEncoder : The encoder.

    References
    ----------
    Y. Gorishniy, I. Rubachev and A. Babenko, "On embeddings for numerical features in tabular deep learning",
    NeurIPS 2022 (piecewise-linear encoding).

    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: Strong pre-tuned MLPs and boosted trees
    on tabular data", NeurIPS 2024 (clipping, clamped predictions, best epoch with ties to the latest).

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from gdfast import TabularRegressor
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True)
    >>> reg = TabularRegressor(random_state=0).fit(X, y)
    >>> mean, std = reg.predict(X[:3], return_std=True)
    >>> mean.shape, std.shape
    ((3,), (3,))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseTabular._parameter_constraints,
        **{name: MLPRegressor._parameter_constraints[name] for name in ("loss", "huber_delta", "quantiles")},
    }

    loss: str
    huber_delta: float
    quantiles: Any

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
        loss: str = "squared_error",
        huber_delta: float = 1.0,
        quantiles: Any = 0.5,
    ) -> None:
        self._store(locals())

    def _check_target(self, y: Any) -> Array:
        _validation.check_real_targets(y)
        y = _check_y(y, multi_output=True, y_numeric=True, estimator=self)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.loss == "poisson" and y.min() < 0:
            raise ValueError("loss='poisson' requires y >= 0, but y has negative values.")
        if self.loss == "quantile" and y.ndim == 2:
            raise ValueError(f"loss='quantile' takes one target, but y has {y.shape[1]} columns.")
        checked: Array = y.astype(np.float64)
        return checked

    def _begin(self, y: Array, weight: Array | None) -> None:
        if self.loss == "poisson":
            center, scale = np.zeros(y.shape[1:]), np.ones(y.shape[1:])
        else:
            with np.errstate(over="ignore", invalid="ignore"):
                center = np.average(y, axis=0, weights=weight)
                scale = np.sqrt(np.average((y - center) ** 2, axis=0, weights=weight))
            if not np.isfinite(scale).all():
                raise ValueError("y holds values too large to square. Scale them.")
        trained = y if weight is None else y[np.asarray(weight) > 0]
        scale = np.where(scale > 0, scale, 1.0)
        self._target = TargetScale(center, scale, trained.min(axis=0), trained.max(axis=0))

    def _target_of_bins(self, y: Array) -> Array:
        return y

    def _target_of_members(self, y: Array) -> Array:
        return self._target.standardised(y)

    def _member(self, **arguments: Any) -> FeedForward:
        return MLPRegressor(
            **self._common_arguments(),
            loss=self.loss,
            huber_delta=self.huber_delta,
            quantiles=self.quantiles,
            **arguments,
        )

    def _member_scoring(self) -> Any:
        if self.scoring is None or self.scoring == "loss":
            return self.scoring
        return _InUnits(check_scoring(self, self.scoring), self._target)

    def _classes_to_split(self, y: Array) -> Array | None:
        return None

    def _prediction_of(self, member: Any, rows: Any) -> Array:
        return self._target.in_units(member.predict(rows))

    @overload
    def predict(self, X: Any, return_std: Literal[False] = False) -> Array: ...
    @overload
    def predict(self, X: Any, return_std: Literal[True]) -> tuple[Array, Array]: ...
    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict the targets of every row: the mean of the members' predictions.

        Parameters
        ----------
        X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            The table. Columns of a frame are found by their names.
        return_std : bool, default=False
            Whether to return the standard deviation over the members as well.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predicted values; for several ``quantiles`` a column for each.
        y_std : ndarray of the same shape
            Only if ``return_std`` is True.
        """
        return mean_of(self._member_predictions(X), return_std)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2, the coefficient of determination; for the loss "quantile" the D2 pinball score.

        Parameters
        ----------
        X : {DataFrame, array-like, sparse matrix} of shape (n_samples, n_features)
            The table.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The true values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        score : float
        """
        quantiles = _regression.quantiles_of(self.quantiles) if self.loss == "quantile" else None
        return _regression.score(y, self.predict(X), sample_weight, quantiles)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = self.loss == "poisson"
        return tags


class _InUnits:
    """A scorer that sees a member's predictions in the target's units."""

    def __init__(self, scorer: Any, target: TargetScale) -> None:
        self._scorer = scorer
        self._target = target
        self._score_func = getattr(scorer, "_score_func", scorer)  # whose signature tells of sample_weight

    def __call__(self, est: Any, X: Any, y: Any, **weights: Any) -> float:
        copied = copy.copy(est)

        def predict(other: Any) -> Array:
            return self._target.in_units(est.predict(other))

        copied.__dict__["predict"] = predict
        return float(self._scorer(copied, X, y * self._target.scale + self._target.center, **weights))
