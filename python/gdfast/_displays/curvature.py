"""The spectrum of the curvature."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from gdfast._displays.shared import axes_for, name_of

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
        width: float | None = None,
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
        width : float, default=None
            Standard deviation by which eigenvalues are spread; None takes a hundredth of the spectrum's
            range.
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
        display = cls(found, estimator_name=name_of(estimator, name))
        return display.plot(ax=ax, width=width, **kwargs)

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
        found = self.curvature
        width = found.default_width if width is None else width
        grid, density = found.density(width=width)
        ax = axes_for(self, ax)
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
        return self
