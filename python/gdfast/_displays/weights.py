"""The weights between the inputs and the first layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from gdfast._checks import check_count
from gdfast._displays.shared import axes_for, check_network, name_of, set_title

_LABELLED_IMAGES = 36  # smaller images leave no room for the number of their unit
_UPRIGHT_NUMBERS = 20  # of units, side by side below a heat map
_LABEL_ROOM = 0.3  # above each image, as a part of its height


class WeightsDisplay:
    """Plot of the weights of the first layer: what each unit looks for in the inputs.

    For images there is one image for each unit, else a heat map of features and units. The units are those
    with the largest norm of their weights, largest first. Zero is white, and the colours of a weight and its
    negative are equally dark.

    Use :meth:`from_estimator` to create it from a fitted estimator.

    Parameters
    ----------
    weights : array-like of shape (n_features, n_units)
        Weights of the layer, as ``coefs_[0]`` of an estimator.
    image_shape : (height, width) or (height, width, 3), default=None
        Shape of the image that a row of X is, raveled; the three channels are red, green and blue, which show
        zero as grey. None plots a heat map.
    feature_names : array-like of str of shape (n_features,), default=None
        Names of the features in a heat map; None uses x0, x1, ...
    estimator_name : str, default=None
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure of the plot.
    im_ : matplotlib AxesImage
        The heat map, or all images as one.
    colorbar_ : matplotlib Colorbar or None
        Scale of the weights; None for images in colour and with ``colorbar=False``.
    texts_ : list of matplotlib Text
        Index of each unit, above its image; empty for more than 36 images and for a heat map.
    units_ : ndarray of shape (n_shown,), dtype=int64
        Indices of the units, in the order of the plot.
    features_ : ndarray of shape (n_shown_features,), dtype=int64
        Indices of the features, in the order of the plot; all for images.

    See Also
    --------
    GradientNormDisplay : Plot of the norms of gradients and weights, layer by layer.
    LossCurveDisplay : Plot of the loss of every epoch.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from gdfast import MLPClassifier, WeightsDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> clf = MLPClassifier((25,), alpha=0.1, early_stopping=True, random_state=0).fit(X / 16, y)
    >>> display = WeightsDisplay.from_estimator(clf, image_shape=(8, 8))
    >>> display.units_.shape
    (16,)
    >>> plt.show()

    Without ``image_shape`` it is a heat map, with the names of the columns of a data frame.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = MLPClassifier((8,), learning_rate_init=0.01, max_iter=500, random_state=0).fit(X, y)
    >>> display = WeightsDisplay.from_estimator(clf)
    >>> display.ax_.get_yticklabels()[0].get_text()
    'sepal length (cm)'
    >>> plt.show()
    """

    ax_: Any
    figure_: Any
    im_: Any
    colorbar_: Any
    texts_: list[Any]
    units_: np.ndarray[Any, np.dtype[np.int64]]
    features_: np.ndarray[Any, np.dtype[np.int64]]

    def __init__(
        self,
        weights: Any,
        *,
        image_shape: Sequence[int] | None = None,
        feature_names: Any = None,
        estimator_name: str | None = None,
    ) -> None:
        self.weights = weights
        self.image_shape = image_shape
        self.feature_names = feature_names
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: Sequence[int] | None = None,
        feature_names: Any = None,
        max_units: int = 16,
        max_features: int = 30,
        cmap: Any = "RdBu_r",
        colorbar: bool = True,
        ax: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the weights of the first layer of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            A fitted estimator; scikit-learn's are also accepted. The networks of an estimator for tables are
            its ``members_``; their features are named by ``est.encoder_.get_feature_names_out()``.
        image_shape : (height, width) or (height, width, 3), default=None
            Shape of the image that a row of X is, raveled. None plots a heat map.
        feature_names : array-like of str of shape (n_features,), default=None
            Names of the features in a heat map; None uses ``feature_names_in_`` if the estimator has it, else
            x0, x1, ...
        max_units : int, default=16
            Number of units at most: those with the largest norms.
        max_features : int, default=30
            Number of features in a heat map at most: those with the largest norms over the units shown, in
            their order in X.
        cmap : str or matplotlib Colormap, default="RdBu_r"
            Colours from negative weights to positive ones; not used for images in colour.
        colorbar : bool, default=True
            Whether to add a scale of the weights.
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Title; None uses the name of the estimator's class.
        **kwargs
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        display : WeightsDisplay
            The plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If ``max_units`` or ``max_features`` is not an integer.
        ValueError
            If the estimator is not a feed-forward network, but for instance a pipeline or a recurrent
            network, or an argument has an invalid value.
        """
        check_network(cls, estimator)
        from gdfast.estimators._recurrent import Recurrent

        kind = type(estimator).__name__
        if isinstance(estimator, Recurrent):
            raise ValueError(
                f"This {kind} is not a feed-forward network: its first weights are those of "
                "one time step, for each unit and gate. Plot them by WeightsDisplay(est.coefs_[0]).plot()."
            )
        if not hasattr(estimator, "coefs_"):
            raise ValueError(f"This {kind} has no coefs_: it is not a multilayer perceptron.")
        if feature_names is None and image_shape is None:
            feature_names = getattr(estimator, "feature_names_in_", None)
        display = cls(
            np.array(estimator.coefs_[0]),
            image_shape=image_shape,
            feature_names=feature_names,
            estimator_name=name_of(estimator, name),
        )
        return display.plot(
            ax=ax, max_units=max_units, max_features=max_features, cmap=cmap, colorbar=colorbar, **kwargs
        )

    def plot(
        self,
        ax: Any = None,
        *,
        name: str | None = None,
        max_units: int = 16,
        max_features: int = 30,
        cmap: Any = "RdBu_r",
        colorbar: bool = True,
        **kwargs: Any,
    ) -> Self:
        """Plot the weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Title; None uses ``estimator_name``.
        max_units : int, default=16
            Number of units at most: those with the largest norms.
        max_features : int, default=30
            Number of features in a heat map at most: those with the largest norms over the units shown, in
            their order in X.
        cmap : str or matplotlib Colormap, default="RdBu_r"
            Colours from negative weights to positive ones; not used for images in colour.
        colorbar : bool, default=True
            Whether to add a scale of the weights.
        **kwargs
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        display : WeightsDisplay
            This object, with ``ax_``, ``figure_``, ``im_``, ``colorbar_``, ``texts_``, ``units_`` and
            ``features_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError
            If ``max_units`` or ``max_features`` is not an integer.
        ValueError
            If the weights are not a finite matrix, do not fit ``image_shape`` or ``feature_names``, or an
            argument has an invalid value.
        """
        check_count("max_units", max_units)
        check_count("max_features", max_features)
        weights = _checked_weights(self.weights)
        n_features, n_units = weights.shape
        shape = _checked_shape(self.image_shape, n_features)
        names = _checked_names(self.feature_names, n_features, shape)

        self.units_ = _largest(weights.T, max_units)
        self.features_ = np.arange(n_features)
        shown = weights[:, self.units_]
        if shape is None:
            self.features_ = np.sort(_largest(shown, max_features))
            shown = shown[self.features_]
        limit = np.abs(shown).max() or 1.0
        style = {"cmap": cmap, "vmin": -limit, "vmax": limit, "interpolation": "nearest"}

        ax = axes_for(self, ax)
        self.texts_ = []
        if shape is None:
            self.im_ = ax.imshow(shown, **{**style, "aspect": "auto", **kwargs})
            _label(ax.xaxis, self.units_)
            _label(ax.yaxis, names[self.features_])
            if len(self.features_) < n_features:
                ax.set_ylabel(f"Feature ({len(self.features_)} of {n_features}, those of largest norm)")
        else:
            self._plot_images(shown.T.reshape(-1, *shape), limit, ax, {**style, **kwargs})
        of_all = f" ({len(self.units_)} of {n_units})" if len(self.units_) < n_units else ""
        ax.set_xlabel(f"First-layer unit, by norm{of_all}")
        set_title(self, name)
        self.colorbar_ = None
        if colorbar and (shape is None or len(shape) == 2):
            self.colorbar_ = ax.figure.colorbar(self.im_, ax=ax, label="Weight")
        return self

    def _plot_images(self, images: Any, limit: float, ax: Any, style: dict[str, Any]) -> None:
        """Plot the images side by side, as one, on a ground that sets them off from a weight of zero."""
        count, height, width = images.shape[:3]
        columns = min(count, max(1, round(float(np.sqrt(count * height / width)))))
        rows = -(-count // columns)
        above = max(1, round(_LABEL_ROOM * height)) if count <= _LABELLED_IMAGES else max(1, height // 10)
        beside = max(1, width // 10)
        size = rows * (height + above) + beside, columns * (width + beside) + beside
        if images.ndim == 3:
            whole = np.full(size, np.nan)
        else:
            whole = np.zeros((*size, 4))
            images = np.concatenate([0.5 + images / (2 * limit), np.ones((*images.shape[:3], 1))], axis=3)
        box = _points(ax)
        font = min(7, 0.9 * above * min(box[0] / size[0], box[1] / size[1]))
        for i, (unit, image) in enumerate(zip(self.units_, images, strict=True)):
            top, left = above + i // columns * (height + above), beside + i % columns * (width + beside)
            whole[top : top + height, left : left + width] = image
            if count <= _LABELLED_IMAGES:
                place = left + width / 2 - 0.5, top - 0.5
                self.texts_.append(ax.text(*place, unit, fontsize=font, ha="center", va="bottom"))
        self.im_ = ax.imshow(whole, **style)
        ax.set(facecolor="0.9", xticks=[], yticks=[])
        ax.spines[:].set_visible(False)


def _label(axis: Any, names: Any) -> None:
    """Label rows or columns, in letters that are as small as their number makes necessary."""
    axis.set_ticks(range(len(names)), names)
    is_x = axis.axis_name == "x"
    points = _points(axis.axes)[is_x] / len(names)
    for text in axis.get_ticklabels():
        text.set_fontsize(min(text.get_fontsize(), 0.9 * points))
    if is_x and len(names) > _UPRIGHT_NUMBERS:
        axis.set_tick_params(rotation=90)


def _points(ax: Any) -> tuple[float, float]:
    """Height and width of the axes, in the unit of font sizes."""
    box = ax.get_window_extent()
    return box.height * 72 / ax.figure.dpi, box.width * 72 / ax.figure.dpi


def _largest(rows: Any, count: int) -> Any:
    """The indices of the rows with the largest norms, largest first."""
    return np.argsort(-np.linalg.norm(rows, axis=1), kind="stable")[:count]


def _checked_weights(weights: Any) -> Any:
    array = np.asarray(weights)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "iuf":
        raise ValueError(
            f"weights must be numbers of the shape (n_features, n_units), got {array.dtype} of {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError("weights must be finite.")
    return array.astype(np.float64)


def _checked_shape(image_shape: Any, n_features: int) -> tuple[int, ...] | None:
    if image_shape is None:
        return None
    given = np.asarray(image_shape)
    shape = tuple(given.ravel().tolist()) if given.dtype.kind in "iu" else ()
    is_image = len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)
    if not is_image or min(shape) < 1 or np.prod(shape) != n_features:
        raise ValueError(
            f"image_shape must be (height, width) or (height, width, 3) of {n_features} numbers in all, as "
            f"there are features; got {image_shape!r}."
        )
    return shape


def _checked_names(names: Any, n_features: int, shape: tuple[int, ...] | None) -> Any:
    if names is None:
        return np.array([f"x{i}" for i in range(n_features)])
    if shape is not None:
        raise ValueError("feature_names are for a heat map, not for images: leave out one of the two.")
    names = np.array([str(name) for name in names])
    if names.shape != (n_features,):
        raise ValueError(f"feature_names has {len(names)} names for {n_features} features.")
    return names
