"""Loss, score or error over the seconds of a fit."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from gdfast._checks import check_choice
from gdfast._displays.shared import axes_for, check_network, name_of, visible

# The quantities, and their axis labels.
_QUANTITIES = {
    "loss": "Training loss",
    "val_error": "Validation error (1 - score)",
    "val_loss": "Validation loss",
    "val_score": "Validation score",
}


class TrainingTimeDisplay:
    """Plot of the loss, score or error against the seconds of the fit, to compare fits by their time.

    Use :meth:`from_estimator` to create it from an estimator that has been fitted with a
    :class:`gdfast.callbacks.History`. Several fits go into one plot by ``ax``, and those of other libraries
    by the constructor, which takes plain numbers.

    Parameters
    ----------
    seconds : array-like of shape (n_epochs,)
        Seconds from the start of the fit to the end of each epoch.
    values : array-like of shape (n_epochs,)
        The quantity after each epoch.
    quantity : {"loss", "val_error", "val_loss", "val_score"}, default="loss"
        Name of the quantity.
    estimator_name : str, default=None
        Name in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes of the plot.
    figure_ : matplotlib Figure
        Figure of the plot.
    line_ : matplotlib Line2D
        The curve.

    See Also
    --------
    gdfast.callbacks.History : Callback that records the seconds.
    LossCurveDisplay : Plot of the loss of every epoch.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_digits
    >>> from gdfast import MLPClassifier, TrainingTimeDisplay
    >>> from gdfast.callbacks import History
    >>> X, y = load_digits(return_X_y=True)
    >>> ax = None
    >>> for solver in ("adam", "sgd"):
    ...     clf = MLPClassifier(
    ...         solver=solver, learning_rate_init=0.02, early_stopping=True, callbacks=[History()]
    ...     ).fit(X / 16, y)
    ...     display = TrainingTimeDisplay.from_estimator(clf, quantity="val_error", name=solver, ax=ax)
    ...     ax = display.ax_
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['adam', 'sgd']
    >>> plt.show()
    """

    ax_: Any
    figure_: Any
    line_: Any

    def __init__(
        self, seconds: Any, values: Any, *, quantity: str = "loss", estimator_name: str | None = None
    ) -> None:
        self.seconds = seconds
        self.values = values
        self.quantity = quantity
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        quantity: str = "loss",
        ax: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> Self:
        """Plot a quantity against the seconds of a fit.

        Parameters
        ----------
        estimator : MLPClassifier, MLPRegressor, RNNClassifier or RNNRegressor
            An estimator fitted with a :class:`gdfast.callbacks.History` in ``callbacks``.
        quantity : {"loss", "val_error", "val_loss", "val_score"}, default="loss"
            The training loss; or, with a validation set, the error, which is 1 - accuracy or 1 - R2, the loss
            or the score.
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Name in the legend; None uses the name of the estimator's class.
        **kwargs
            Passed to matplotlib's ``plot``.

        Returns
        -------
        display : TrainingTimeDisplay
            The plot.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it has not been fitted with a History, if that is of another training, or if the estimator is
            not a network; if the quantity is unknown or has not been recorded; for "val_error", if
            ``scoring`` is neither accuracy nor R2.
        """
        if hasattr(estimator, "members_"):
            raise ValueError(
                f"A {type(estimator).__name__} trains several networks side by side: there is no one curve. "
                "The values and seconds of each are in history_ of a gdfast.callbacks.History."
            )
        check_network(cls, estimator)
        check_choice("quantity", quantity, _QUANTITIES)
        history = _history_of(estimator)
        recorded = "val_score" if quantity == "val_error" else quantity
        if recorded not in history:
            raise ValueError(
                f"{quantity!r} takes a validation set: fit with early_stopping=True, or give X_val and y_val."
            )
        values = np.array(history[recorded])
        if quantity == "val_error":
            if estimator.scoring not in (None, "accuracy", "r2"):
                raise ValueError(
                    f"'val_error' is 1 - accuracy or 1 - R2, but the score is scoring={estimator.scoring!r}. "
                    "Plot 'val_score'."
                )
            values = 1 - values
        display = cls(
            np.array(history["time"]),
            values,
            quantity=quantity,
            estimator_name=name_of(estimator, name),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Plot the curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None creates a new figure.
        name : str, default=None
            Name in the legend; None uses ``estimator_name``.
        **kwargs
            Passed to matplotlib's ``plot``.

        Returns
        -------
        display : TrainingTimeDisplay
            This object, with ``ax_``, ``figure_`` and ``line_``.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the quantity is unknown, or ``seconds`` and ``values`` have not the same length.
        """
        check_choice("quantity", self.quantity, _QUANTITIES)
        if np.ndim(self.seconds) != 1 or np.shape(self.seconds) != np.shape(self.values):
            raise ValueError(
                "seconds and values must have the same shape (n_epochs,), got "
                f"{np.shape(self.seconds)} and {np.shape(self.values)}."
            )
        ax = axes_for(self, ax)
        name = self.estimator_name if name is None else name
        (self.line_,) = ax.plot(
            self.seconds, self.values, **{"label": name, **visible(self.values), **kwargs}
        )
        ax.set(xlabel="Time (s)", ylabel=_QUANTITIES[self.quantity])
        if name:
            ax.legend()
        return self


def _history_of(estimator: Any) -> dict[str, list[float]]:
    from gdfast.callbacks import History

    for callback in getattr(estimator, "callbacks", None) or ():
        if isinstance(callback, History) and callback.history_:
            losses, curve = callback.history_["loss"], getattr(estimator, "loss_curve_", None)
            if curve is not None and not np.array_equal(losses, curve[-len(losses) :], equal_nan=True):
                raise ValueError(
                    f"The History of this {type(estimator).__name__} is of another training: of another "
                    "estimator that has it in callbacks, or from before partial_fit, which calls none."
                )
            return callback.history_
    raise ValueError(
        f"This {type(estimator).__name__} has no record of time: fit it with callbacks=[History()], from "
        "gdfast.callbacks."
    )
