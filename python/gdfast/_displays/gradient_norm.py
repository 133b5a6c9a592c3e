"""The gradient's norm, layer by layer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from gdfast._checks import check_choice
from gdfast._displays.shared import (
    axes_for,
    check_network,
    epochs_of,
    label_epochs,
    name_of,
    set_title,
    visible,
)

# The recorded quantities, and their axis labels.
_QUANTITIES = {
    "gradient_norm": "Norm of the gradient",
    "weight_norm": "Norm of the weights",
    "update_ratio": "Norm of a step / norm of the weights",
}
_LEGEND_LAYERS = 6  # a longer legend hides the curves


class GradientNormDisplay:
    """Plot of the gradient norm, or a related quantity, of every layer over the epochs.

    In a healthy network the curves lie together. If those of the first layers, which are dark, are orders of
    magnitude below those of the last layers, gradients vanish; if they are far above, gradients explode.

    Use :meth:`from_estimator` to create it from a fitted estimator.

    Parameters
    ----------
    records : array-like of shape (n_epochs, n_layers)
        The quantity for each epoch and layer, from the first hidden layer to the output layer. NaN, for a
        layer that ``backprop_depth`` left out, and values that are not positive leave a gap.
    quantity : {"gradient_norm", "weight_norm", "update_ratio"}, default="gradient_norm"
        Name of the quantity.
    estimator_name : str, default=None
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure of the plot.
    lines_ : list of matplotlib Line2D
        Curve of each layer.
    colorbar_ : matplotlib Colorbar or None
        Colours of the layers; None if there is a legend instead, for few layers.

    See Also
    --------
    MLPClassifier, MLPRegressor : Estimators with ``gradient_records_``, if ``record_gradients=True``.
    LossCurveDisplay : Plot of the loss of every epoch.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import GradientNormDisplay, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier((10,) * 9, activation="tanh", record_gradients=True, max_iter=500, random_state=0)
    >>> display = GradientNormDisplay.from_estimator(clf.fit(X, y))
    >>> len(display.lines_)
    10
    >>> plt.show()
    """

    ax_: Any
    figure_: Any
    lines_: list[Any]
    colorbar_: Any

    def __init__(
        self, records: Any, *, quantity: str = "gradient_norm", estimator_name: str | None = None
    ) -> None:
        self.records = records
        self.quantity = quantity
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        quantity: str = "gradient_norm",
        ax: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot a quantity that a fitted estimator has recorded for its layers.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            An estimator fitted with ``record_gradients=True``.
        quantity : {"gradient_norm", "weight_norm", "update_ratio"}, default="gradient_norm"
            The norm of each layer's gradient, before any clipping; the norm of its weights; or the ratio of
            the norm of a step to that of the weights, usually about 1e-3.
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Title; None uses the name of the estimator's class.
        **kwargs
            Passed to matplotlib's ``plot`` for every curve.

        Returns
        -------
        display : GradientNormDisplay
            The plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it has no records or is not a network, or the quantity is unknown.
        """
        check_network(cls, estimator)
        check_choice("quantity", quantity, _QUANTITIES)
        if not hasattr(estimator, "gradient_records_"):
            raise ValueError(
                f"This {type(estimator).__name__} has no gradient_records_: fit it with "
                "record_gradients=True (and a stochastic solver, such as 'adam')."
            )
        display = cls(
            np.array(estimator.gradient_records_[quantity]),
            quantity=quantity,
            estimator_name=name_of(estimator, name),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Plot a curve for each layer.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Title; None uses ``estimator_name``.
        **kwargs
            Passed to matplotlib's ``plot`` for every curve.

        Returns
        -------
        display : GradientNormDisplay
            This object, with ``ax_``, ``figure_``, ``lines_`` and ``colorbar_``.
        """
        check_choice("quantity", self.quantity, _QUANTITIES)
        records = np.asarray(self.records, dtype=np.float64)
        if records.ndim != 2 or not records.size:
            raise ValueError(f"records must have the shape (n_epochs, n_layers), got {records.shape}.")
        ax = axes_for(self, ax)
        n_layers = records.shape[1]
        colors = _layer_colors(n_layers)
        # The axis is logarithmic: values that are not positive become gaps.
        drawn = np.where(records > 0, records, np.nan)
        self.lines_ = []
        for i, (curve, color) in enumerate(zip(drawn.T, colors, strict=True)):
            label = f"layer {i + 1}" if i + 1 < n_layers else "output layer"
            self.lines_ += ax.plot(
                epochs_of(curve), curve, **{"label": label, "color": color, **visible(curve), **kwargs}
            )
        label_epochs(ax)
        ax.set(ylabel=_QUANTITIES[self.quantity], yscale="log")
        set_title(self, name)
        self.colorbar_ = None
        if n_layers <= _LEGEND_LAYERS:
            ax.legend()
        else:
            self.colorbar_ = _layer_colorbar(ax, n_layers)
        return self


def _layer_map(n_layers: int) -> Any:
    """Colours from the first layer (dark) to the last; the palest, which white hides, are left out."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["viridis"](np.linspace(0, 0.9, n_layers)))


def _layer_colors(n_layers: int) -> Any:
    return _layer_map(n_layers).colors


def _layer_colorbar(ax: Any, n_layers: int) -> Any:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    scale = ScalarMappable(Normalize(0.5, n_layers + 0.5), _layer_map(n_layers))
    ticks = [i for i in MaxNLocator(5, integer=True).tick_values(1, n_layers) if 1 < i < n_layers - 1]
    bar = ax.figure.colorbar(scale, ax=ax, ticks=[1, *ticks, n_layers])
    bar.set_label("Weight layer, from the input (1) to the output")
    return bar
