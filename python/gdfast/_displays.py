"""Plots of a fit, in the style of scikit-learn's Display classes."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted


class LossCurveDisplay:
    """Plot of the loss of every epoch, and of the validation loss if there is a validation set.

    Use :meth:`from_estimator` to create it from a fitted estimator.

    Parameters
    ----------
    loss_curve : list of float or None
        Loss of each epoch; None if only the validation loss is known.
    validation_loss_curve : list of float, default=None
        Loss on the validation set after each epoch.
    estimator_name : str, default=None
        Name in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure of the plot.
    line_ : matplotlib Line2D or None
        Curve of the loss.
    validation_line_ : matplotlib Line2D or None
        Curve of the validation loss.

    See Also
    --------
    MLPClassifier, MLPRegressor : Estimators with ``loss_curve_`` and ``validation_loss_curve_``.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import LossCurveDisplay, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier(early_stopping=True, random_state=0).fit(X, y)
    >>> LossCurveDisplay.from_estimator(clf).line_.get_label()
    'MLPClassifier, training'
    >>> plt.show()
    """

    ax_: Any
    figure_: Any
    line_: Any
    validation_line_: Any

    def __init__(
        self,
        loss_curve: Any,
        *,
        validation_loss_curve: Any = None,
        estimator_name: str | None = None,
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        ax: Any = None,
        name: str | None = None,
        validation_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            A fitted estimator; scikit-learn's are also accepted. lbfgs records the loss on a validation set
            (``X_val``) only.
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Name in the legend; None uses the name of the estimator's class.
        validation_kwargs : dict, default=None
            Passed to matplotlib's ``plot`` for the validation curve.
        **kwargs
            Passed to matplotlib's ``plot`` for the loss curve.

        Returns
        -------
        display : LossCurveDisplay
            The plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it has no loss curve, as after lbfgs without ``X_val``, or is not a network, but for instance a
            pipeline.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        _check_network(estimator)
        loss_curve = getattr(estimator, "loss_curve_", None)
        validation_loss_curve = getattr(estimator, "validation_loss_curve_", None)
        if loss_curve is None and validation_loss_curve is None:
            raise ValueError(
                f"This {type(estimator).__name__} has no loss_curve_: solver='lbfgs' records none. "
                "Use 'adam' or 'sgd', or fit it with X_val and y_val for the loss on these."
            )
        display = cls(
            None if loss_curve is None else list(loss_curve),
            validation_loss_curve=None if validation_loss_curve is None else list(validation_loss_curve),
            estimator_name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax=ax, validation_kwargs=validation_kwargs, **kwargs)

    def plot(
        self,
        ax: Any = None,
        *,
        name: str | None = None,
        validation_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Name in the legend; None uses ``estimator_name``.
        validation_kwargs : dict, default=None
            Passed to matplotlib's ``plot`` for the validation curve.
        **kwargs
            Passed to matplotlib's ``plot`` for the loss curve.

        Returns
        -------
        display : LossCurveDisplay
            This object, with ``ax_``, ``figure_``, ``line_`` and ``validation_line_``.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        name = self.estimator_name if name is None else name
        prefix = f"{name}, " if name else ""
        self.line_ = self.validation_line_ = None
        color = kwargs.get("color")
        if self.loss_curve is not None:
            (self.line_,) = ax.plot(
                _epochs(self.loss_curve), self.loss_curve, **{"label": f"{prefix}training", **kwargs}
            )
            color = self.line_.get_color()
        if self.validation_loss_curve is not None:
            # The same colour, so that several estimators in one plot can be distinguished.
            style = {"label": f"{prefix}validation", "color": color, "linestyle": "--"}
            (self.validation_line_,) = ax.plot(
                _epochs(self.validation_loss_curve),
                self.validation_loss_curve,
                **{**style, **(validation_kwargs or {})},
            )
        ax.set(xlabel="Epoch", ylabel="Loss")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _check_network(estimator: Any) -> None:
    if not hasattr(estimator, "n_iter_"):
        raise ValueError(
            f"A {type(estimator).__name__} has no curves of its own. Give the fitted network in it: a "
            "pipeline's last step is pipeline[-1], a search has best_estimator_."
        )


def _epochs(curve: Any) -> range:
    return range(1, len(curve) + 1)


# The recorded quantities, and their axis labels.
_QUANTITIES = {
    "gradient_norm": "Norm of the gradient",
    "weight_norm": "Norm of the weights",
    "update_ratio": "Norm of a step / norm of the weights",
}


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
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        _check_quantity(quantity)
        _check_network(estimator)
        if not hasattr(estimator, "gradient_records_"):
            raise ValueError(
                f"This {type(estimator).__name__} has no gradient_records_: fit it with "
                "record_gradients=True (and a stochastic solver, such as 'adam')."
            )
        display = cls(
            np.array(estimator.gradient_records_[quantity]),
            quantity=quantity,
            estimator_name=type(estimator).__name__ if name is None else name,
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
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        _check_quantity(self.quantity)
        records = np.asarray(self.records, dtype=np.float64)
        if records.ndim != 2 or not records.size:
            raise ValueError(f"records must have the shape (n_epochs, n_layers), got {records.shape}.")
        if ax is None:
            _, ax = plt.subplots()
        n_layers = records.shape[1]
        colors = _layer_colors(n_layers)
        # A line of one point is invisible.
        style = {"marker": "o"} if len(records) == 1 else {}
        # The axis is logarithmic: values that are not positive become gaps.
        drawn = np.where(records > 0, records, np.nan)
        self.lines_ = []
        for i, (curve, color) in enumerate(zip(drawn.T, colors, strict=True)):
            label = f"layer {i + 1}" if i + 1 < n_layers else "output layer"
            self.lines_ += ax.plot(
                _epochs(curve), curve, **{"label": label, "color": color, **style, **kwargs}
            )
        ax.set(xlabel="Epoch", ylabel=_QUANTITIES[self.quantity], yscale="log")
        name = self.estimator_name if name is None else name
        if name:
            ax.set_title(name)
        self.colorbar_ = None
        if n_layers <= _LEGEND_LAYERS:
            ax.legend()
        else:
            self.colorbar_ = _layer_colorbar(ax, n_layers)
        self.ax_, self.figure_ = ax, ax.figure
        return self


class LearningRateRangeDisplay:
    """Plot of the test by which ``learning_rate_init="auto"`` has found the learning rate.

    Use :meth:`from_estimator` to create it from a fitted estimator.

    Parameters
    ----------
    rates : list of float
        Learning rates in the order of the test.
    losses : list of float
        Smoothed loss at each rate.
    found : float
        Learning rate that was found.
    estimator_name : str, default=None
        Title of the plot.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure of the plot.
    line_ : matplotlib Line2D
        Curve of the loss.
    found_line_ : matplotlib Line2D
        Vertical line at the rate found.

    See Also
    --------
    MLPClassifier, MLPRegressor : Estimators with ``learning_rate_range_``.

    References
    ----------
    Smith, "Cyclical learning rates for training neural networks", WACV 2017.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import LearningRateRangeDisplay, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier(learning_rate_init="auto", max_iter=500, random_state=0).fit(X, y)
    >>> display = LearningRateRangeDisplay.from_estimator(clf)
    >>> display.found == clf.learning_rate_range_["found"]
    True
    >>> plt.show()
    """

    ax_: Any
    figure_: Any
    line_: Any
    found_line_: Any

    def __init__(self, rates: Any, losses: Any, *, found: float, estimator_name: str | None = None) -> None:
        self.rates = rates
        self.losses = losses
        self.found = found
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, name: str | None = None, **kwargs: Any
    ) -> Self:
        """Plot the range test of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor, RNNClassifier or RNNRegressor
            An estimator fitted with ``learning_rate_init="auto"``.
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Title of the plot; None uses the name of the estimator's class.
        **kwargs
            Passed to matplotlib's ``plot`` for the curve.

        Returns
        -------
        display : LearningRateRangeDisplay
            The plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it was fitted with another ``learning_rate_init``, or is not a network.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        _check_network(estimator)
        test = getattr(estimator, "learning_rate_range_", None)
        if test is None:
            raise ValueError(
                f"This {type(estimator).__name__} has no learning_rate_range_: fit it with "
                'learning_rate_init="auto" and a stochastic solver.'
            )
        display = cls(
            list(test["rates"]),
            list(test["losses"]),
            found=test["found"],
            estimator_name=type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Plot the loss at each learning rate.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Title of the plot; None uses ``estimator_name``.
        **kwargs
            Passed to matplotlib's ``plot`` for the curve.

        Returns
        -------
        display : LearningRateRangeDisplay
            This object, with ``ax_``, ``figure_``, ``line_`` and ``found_line_``.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        (self.line_,) = ax.plot(self.rates, self.losses, **kwargs)
        self.found_line_ = ax.axvline(
            self.found, color="0.4", linestyle="--", label=f"found: {self.found:.2g}"
        )
        ax.set(xlabel="Learning rate", ylabel="Loss, smoothed", xscale="log")
        name = self.estimator_name if name is None else name
        if name:
            ax.set_title(name)
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


_LEGEND_LAYERS = 6  # a longer legend hides the curves


def _check_quantity(quantity: str) -> None:
    if quantity not in _QUANTITIES:
        raise ValueError(f"quantity must be one of {sorted(_QUANTITIES)}, got {quantity!r}.")


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


_MATRICES = {"hessian": "Hessian", "gauss_newton": "Gauss-Newton matrix"}


class CurvatureDisplay:
    """Plot of the spectral density of the curvature at a fitted estimator's weights.

    The axis of the density is logarithmic. Values below a tenth of what one eigenvalue adds leave a gap, and
    marks below the curve show the largest eigenvalues and the smallest.

    Use :meth:`from_estimator` to create it from a fitted estimator.

    Parameters
    ----------
    curvature : Curvature
        What :func:`gdfast.inspect.curvature` returns, with probes.
    estimator_name : str, default=None
        Name in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure of the plot.
    line_ : matplotlib Line2D
        The density.
    eigenvalues_ : matplotlib Line2D
        Marks at the largest eigenvalues and, last, the smallest.

    See Also
    --------
    gdfast.inspect.curvature : Eigenvalues, trace and density as numbers.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import CurvatureDisplay, MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MLPClassifier((5,), activation="tanh", solver="lbfgs", random_state=0).fit(X, y)
    >>> CurvatureDisplay.from_estimator(clf, X, y, random_state=0).ax_.get_xlabel()
    'Eigenvalue of the Hessian'
    >>> plt.show()
    """

    ax_: Any
    figure_: Any
    line_: Any
    eigenvalues_: Any

    def __init__(self, curvature: Any, *, estimator_name: str | None = None) -> None:
        self.curvature = curvature
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        matrix: str = "hessian",
        n_eigenvalues: int = 1,
        n_probes: int = 10,
        n_lanczos: int = 50,
        random_state: Any = None,
        ax: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot the spectral density at a fitted estimator's weights.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            A fitted estimator.
        X, y, sample_weight, matrix, n_eigenvalues, n_probes, n_lanczos, random_state
            Passed to :func:`gdfast.inspect.curvature`.
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Name in the legend; None uses the name of the estimator's class.
        **kwargs
            Passed to matplotlib's ``plot`` for the density.

        Returns
        -------
        display : CurvatureDisplay
            The plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError, NotFittedError, ValueError
            See :func:`gdfast.inspect.curvature`; ValueError also if ``n_probes`` is 0.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        from gdfast.inspect import curvature

        if n_probes == 0:
            raise ValueError("n_probes must be at least 1 for a density.")
        found = curvature(
            estimator,
            X,
            y,
            sample_weight=sample_weight,
            matrix=matrix,
            n_eigenvalues=n_eigenvalues,
            n_probes=n_probes,
            n_lanczos=n_lanczos,
            random_state=random_state,
        )
        display = cls(found, estimator_name=type(estimator).__name__ if name is None else name)
        return display.plot(ax=ax, **kwargs)

    def plot(
        self, ax: Any = None, *, name: str | None = None, width: float | None = None, **kwargs: Any
    ) -> Self:
        """Plot the density.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Name in the legend; None uses ``estimator_name``.
        width : float, default=None
            Standard deviation by which eigenvalues are spread; None takes a hundredth of the spectrum's
            range.
        **kwargs
            Passed to matplotlib's ``plot`` for the density.

        Returns
        -------
        display : CurvatureDisplay
            This object, with ``ax_``, ``figure_``, ``line_`` and ``eigenvalues_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no density, or ``width`` is not positive.
        """
        check_matplotlib_support(f"{type(self).__name__}.plot")
        found = self.curvature
        width = found.default_width if width is None else width
        grid, density = found.density(width=width)
        import matplotlib.pyplot as plt

        if ax is None:
            _, ax = plt.subplots()
        name = self.estimator_name if name is None else name
        # Far below what one eigenvalue adds there is nothing but the tails of normal densities.
        floor = 0.1 / (found.n_parameters * width * np.sqrt(2 * np.pi))
        drawn = np.where(density >= floor, density, np.nan)
        (self.line_,) = ax.plot(grid, drawn, **{"label": name, **kwargs})
        ends = np.append(found.eigenvalues, found.smallest_eigenvalue)
        color = self.line_.get_color()
        (self.eigenvalues_,) = ax.plot(ends, np.full(len(ends), floor), marker="|", linestyle="", color=color)
        ax.set(xlabel=f"Eigenvalue of the {_MATRICES[found.matrix]}", ylabel="Density", yscale="log")
        if name:
            ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self
