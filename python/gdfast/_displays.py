"""Pictures of a fit, as scikit-learn's Display classes draw them."""

from __future__ import annotations

from typing import Any, Self

from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted


class LossCurveDisplay:
    """The loss of every epoch, and on the validation set where there is one.

    :meth:`from_estimator` makes one of a fitted estimator.

    Parameters
    ----------
    loss_curve : list of float
        Loss of each epoch.
    validation_loss_curve : list of float, default=None
        Loss on the validation set after each epoch.
    estimator_name : str, default=None
        Name for the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What it is drawn on.
    figure_ : matplotlib Figure
        The figure that has it.
    line_ : matplotlib Line2D
        The curve of the loss.
    validation_line_ : matplotlib Line2D or None
        The curve of the loss on the validation set.

    See Also
    --------
    MLPClassifier, MLPRegressor : They have ``loss_curve_`` and ``validation_loss_curve_``.

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
        """Draw the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : MLPClassifier or MLPRegressor
            Fitted by "sgd" or "adam"; scikit-learn's will do, too.
        ax : matplotlib Axes, default=None
            What to draw on; None makes a new figure.
        name : str, default=None
            Name for the legend; None takes the estimator's class.
        validation_kwargs : dict, default=None
            Passed on to matplotlib's ``plot`` for the validation curve.
        **kwargs
            Passed on to matplotlib's ``plot`` for the loss curve.

        Returns
        -------
        display : LossCurveDisplay
            What was drawn.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If it has no loss curve, as lbfgs leaves none.
        """
        check_matplotlib_support(f"{cls.__name__}.from_estimator")
        check_is_fitted(estimator)
        if not hasattr(estimator, "loss_curve_"):
            raise ValueError(
                f"This {type(estimator).__name__} has no loss_curve_: solver='lbfgs' records none. "
                "Use 'adam' or 'sgd'."
            )
        display = cls(
            list(estimator.loss_curve_),
            validation_loss_curve=getattr(estimator, "validation_loss_curve_", None),
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
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; None makes a new figure.
        name : str, default=None
            Name for the legend; None takes ``estimator_name``.
        validation_kwargs : dict, default=None
            Passed on to matplotlib's ``plot`` for the validation curve.
        **kwargs
            Passed on to matplotlib's ``plot`` for the loss curve.

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
        (self.line_,) = ax.plot(
            _epochs(self.loss_curve), self.loss_curve, **{"label": f"{prefix}training", **kwargs}
        )
        self.validation_line_ = None
        if self.validation_loss_curve is not None:
            # The same colour, so that several estimators on one picture can be told apart.
            style = {"label": f"{prefix}validation", "color": self.line_.get_color(), "linestyle": "--"}
            (self.validation_line_,) = ax.plot(
                _epochs(self.validation_loss_curve),
                self.validation_loss_curve,
                **{**style, **(validation_kwargs or {})},
            )
        ax.set(xlabel="Epoch", ylabel="Loss")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _epochs(curve: Any) -> range:
    return range(1, len(curve) + 1)
