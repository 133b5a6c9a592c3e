"""The loss over the epochs."""

from __future__ import annotations

from typing import Any, Self

from gdfast._displays.shared import axes_for, check_network, epochs_of, label_epochs, name_of, visible


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
    TrainingTimeDisplay : Plot of the loss against the seconds of the fit.
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
        estimator : MLPClassifier, MLPRegressor, RNNClassifier or RNNRegressor
            A fitted estimator; scikit-learn's are also accepted, and ``members_`` of estimators for tables.
            lbfgs records the loss on a validation set
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
        check_network(cls, estimator)
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
            estimator_name=name_of(estimator, name),
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
        ax = axes_for(self, ax)
        name = self.estimator_name if name is None else name
        prefix = f"{name}, " if name else ""
        self.line_ = self.validation_line_ = None
        color = kwargs.get("color")
        if self.loss_curve is not None:
            (self.line_,) = ax.plot(
                epochs_of(self.loss_curve),
                self.loss_curve,
                **{"label": f"{prefix}training", **visible(self.loss_curve), **kwargs},
            )
            color = self.line_.get_color()
        if self.validation_loss_curve is not None:
            # The same colour, so that several estimators in one plot can be distinguished.
            style = {"label": f"{prefix}validation", "color": color, "linestyle": "--"}
            style |= {"markerfacecolor": "none", **visible(self.validation_loss_curve)}
            (self.validation_line_,) = ax.plot(
                epochs_of(self.validation_loss_curve),
                self.validation_loss_curve,
                **{**style, **(validation_kwargs or {})},
            )
        label_epochs(ax)
        ax.set_ylabel("Loss")
        ax.legend()
        return self
