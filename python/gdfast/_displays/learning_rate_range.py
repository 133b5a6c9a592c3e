"""The test that finds the learning rate."""

from __future__ import annotations

from typing import Any, Self

from gdfast._displays.shared import axes_for, check_network, name_of, set_title


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
        check_network(cls, estimator)
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
            estimator_name=name_of(estimator, name),
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
        ax = axes_for(self, ax)
        (self.line_,) = ax.plot(self.rates, self.losses, **kwargs)
        self.found_line_ = ax.axvline(
            self.found, color="0.4", linestyle="--", label=f"found: {self.found:.2g}"
        )
        ax.set(xlabel="Learning rate", ylabel="Loss, smoothed", xscale="log")
        set_title(self, name)
        ax.legend()
        return self
