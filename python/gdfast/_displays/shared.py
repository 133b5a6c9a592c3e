"""What the displays share: the check of an estimator, its name, the axes, and the axis of epochs."""

from __future__ import annotations

from typing import Any

from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted


def check_network(display: type[Any], estimator: Any) -> None:
    """Check, for ``from_estimator`` of a display, that there is matplotlib and one fitted network.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    NotFittedError
        If the estimator is not fitted.
    ValueError
        If it is not a network, but holds one, as a pipeline does, or several.
    """
    check_matplotlib_support(f"{display.__name__}.from_estimator")
    check_is_fitted(estimator)
    kind = type(estimator).__name__
    if hasattr(estimator, "members_"):
        raise ValueError(
            f"A {kind} has several networks. Give one of them: "
            f"{display.__name__}.from_estimator(est.members_[0])."
        )
    if not hasattr(estimator, "n_iter_"):
        raise ValueError(
            f"A {kind} is not a network. Give the fitted network in it: a pipeline's last step is "
            "pipeline[-1], a search has best_estimator_."
        )


def name_of(estimator: Any, name: str | None) -> str:
    return type(estimator).__name__ if name is None else name


def axes_for(display: Any, ax: Any) -> Any:
    """The axes on which a display is plotted, new ones if `ax` is None.

    ImportError without matplotlib, TypeError if `ax` is something else.
    """
    check_matplotlib_support(f"{type(display).__name__}.plot")
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is None:
        _, ax = plt.subplots(layout="tight")  # long names of features are not cut off
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}.")
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def set_title(display: Any, name: str | None) -> None:
    """Title the axes by ``name``, else by the estimator, unless they have a title."""
    if name is None and not display.ax_.get_title():
        name = display.estimator_name
    if name:
        display.ax_.set_title(name)


def epochs_of(curve: Any) -> range:
    return range(1, len(curve) + 1)


def label_epochs(ax: Any) -> None:
    """Label the x-axis, with ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("Epoch")
    if ax.get_xscale() == "linear":
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))


def visible(curve: Any) -> dict[str, Any]:
    """The style by which a curve of one point, of which there is no line, is visible."""
    return {"marker": "o"} if len(curve) == 1 else {}
