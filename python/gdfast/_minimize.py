"""Minimize a function like scipy.optimize.minimize, by the rules of gdfast.optim or simulated annealing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import Bounds, OptimizeResult

from gdfast import optim
from gdfast._annealing import COOLINGS, anneal
from gdfast._checks import check_count, check_not_negative, check_positive
from gdfast._objective import Function, Reporter, Vector, as_array
from gdfast.optim._whole import WholeRule
from gdfast.schedules import Progress, Schedule, resolve

# A rule that needs a network has no place here.
_METHODS: dict[str, type[optim.Optimizer]] = {
    name.lower(): kind
    for name in optim.__all__
    if name != "Optimizer" and not (kind := getattr(optim, name))._needs_factors
}
_DESCENT_OPTIONS = ("maxiter", "gtol", "schedule", "clip_norm", "clip_value", "finite_diff_step")
_ANNEALING_OPTIONS = ("maxfev", "cooling", "initial_temp", "final_temp", "step_size", "seed")


class _Result(OptimizeResult):  # type: ignore[misc]
    """That of scipy, whose attributes have types; annealing has no jac and njev."""

    x: Vector
    fun: float
    jac: Vector
    nit: int
    nfev: int
    njev: int
    success: bool
    status: int
    message: str


def minimize(
    fun: Callable[..., Any],
    x0: ArrayLike,
    args: tuple[Any, ...] = (),
    method: str | optim.Optimizer = "adam",
    jac: Callable[..., Any] | bool | None = None,
    bounds: Bounds | Sequence[tuple[float | None, float | None]] | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
) -> _Result:
    """Minimize a function of one or more variables.

    The arguments are those of ``scipy.optimize.minimize``.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args) -> float``, or, with ``jac=True``, ``-> (float, gradient)``. x is a float64 array of
        shape (n,), a new array in each call of ``fun``, ``jac`` and ``callback``, which may be kept or
        changed.
    x0 : array-like of shape (n,)
        Initial point; not changed.
    args : tuple, default=()
        Passed on to ``fun`` and ``jac``.
    method : str or gdfast.optim.Optimizer, default="adam"
        "sgd", "adagrad", "rmsprop", "adadelta", "adam", "adamw", "nadam", "adamax", "lion", "rprop",
        "prodigy", "schedulefree" (x is its average; it takes no bounds), "muon" (AdamW for a vector); an
        optimizer object, which is copied; or "annealing", which needs no gradient and can leave local minima.
    jac : callable, bool or None, default=None
        ``jac(x, *args) -> array of shape (n,)``. True: ``fun`` also returns the gradient. None: the gradient
        is estimated by central differences with 2 n calls of ``fun``, and ``message`` of the result says so.
    bounds : scipy.optimize.Bounds or sequence of (min, max), default=None
        None in a pair means no bound. x is projected onto the bounds at the beginning and after every step.
    callback : callable, default=None
        Called after every iteration, as ``callback(xk)``, or as ``callback(intermediate_result=...)`` if its
        only argument has this name: an OptimizeResult with ``x`` and ``fun`` (for annealing, the best so
        far). Raising StopIteration ends the iterations.
    options : dict, default=None
        For all methods but annealing:

        maxiter : int, default=10000
            Maximum number of iterations.
        gtol : float, default=1e-5
            Stop when the largest absolute element of the gradient (with bounds, of the projected gradient) is
            at most this. 0: do all iterations.
        schedule : optional
            Learning-rate schedule, as for `gdfast.schedules.resolve`. Each iteration is an epoch of one step.
        clip_norm, clip_value : float, optional
            Maximum norm of the gradient, and maximum absolute value of its elements.
        finite_diff_step : float, default=6.06e-6
            Relative step of central differences; the default is the cube root of float64's machine epsilon.
        lr, ... :
            Hyper-parameters of the method, if it is given by name.

        For annealing:

        maxfev : int, default=50000
            Number of evaluations.
        cooling : {"geometric", "linear", "logarithmic"}, default="geometric"
            How the temperature decreases.
        initial_temp, final_temp : float, optional
            By default, estimated from the first proposals, and a millionth of the initial temperature.
        step_size : float or array-like of shape (n,), default=1.0
            Scale of the first proposals, positive; it adapts.
        seed : int, numpy.random.Generator or None
            Seed of the random walk.

    Returns
    -------
    scipy.optimize.OptimizeResult
        ``x``, ``fun``, ``jac`` (not for annealing), ``nit``, ``nfev``, ``njev``, ``success``, ``status``,
        ``message``. ``success`` means status 0. x is the last point, for annealing the best.

        ===  =====================================================================================
        0    gtol was reached, or annealing is complete.
        1    maxiter was reached.
        2    fun or its gradient is not finite. x is the last point at which the evaluated values
             were finite: with a separate ``jac``, fun is evaluated at the last point only, unless the
             schedule or the callback needs its value.
        3    The schedule ended it, as "adaptive" does when the learning rate is too small.
        99   The callback stopped it.
        ===  =====================================================================================

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value, or an option is unknown or contradicts an optimizer
        object.

    See Also
    --------
    gdfast.optim : the rules and their hyper-parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import gdfast
    >>> def rosenbrock(x):
    ...     return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> result = gdfast.minimize(rosenbrock, [-1.0, 2.0], method="adam", options={"lr": 0.05})
    >>> result.x.round(3)
    array([1., 1.])
    >>> result.message
    'The gradient is as small as gtol asks. It was estimated by central differences.'

    The classic call, ``n_iters`` plain steps of gradient descent, is

    >>> def gradient_descent(loss, grad, params, learning_rate, n_iters):
    ...     options = {"lr": learning_rate, "maxiter": n_iters, "gtol": 0}
    ...     return gdfast.minimize(loss, params, jac=grad, method="sgd", options=options).x
    >>> gradient_descent(lambda t: (t[0] - 3) ** 2, lambda t: 2 * (t - 3), [0.0], 0.1, 100)
    array([3.])
    """
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"options must be a dict, got {options!r}")
    options = dict(options or {})
    x = np.atleast_1d(as_array(x0, "x0 must be an array of numbers"))
    if x.ndim > 1:
        raise ValueError(f"x0 must have one dimension, got shape {x.shape}")
    if not isinstance(args, tuple):
        args = (args,)  # as in scipy
    project = _projection(bounds, x.size)
    if project is not None:
        x = project(x)
    report = Reporter(callback)
    if isinstance(method, str) and method.lower() == "annealing":
        if jac is not None and not isinstance(jac, bool):
            raise ValueError("method='annealing' takes no gradient: leave jac out")
        function = Function(fun, args, jac=jac is True, step=None, project=None)
        return _anneal(function, x, project, report, options)
    step = options.pop("finite_diff_step", np.finfo(np.float64).eps ** (1 / 3))
    check_positive("options['finite_diff_step']", step)
    function = Function(fun, args, jac=jac, step=step, project=project)
    optimizer = _optimizer(method, options)
    if project is not None and optimizer._has_modes:
        raise ValueError(f"bounds are not supported with method={method!r}, whose points are averages")
    return _descend(function, x, optimizer, project, report, options)


def _descend(
    function: Function,
    x: Vector,
    optimizer: optim.Optimizer,
    project: Callable[[Vector], Vector] | None,
    report: Reporter,
    options: dict[str, Any],
) -> _Result:
    maxiter = options.get("maxiter", 10_000)
    check_count("options['maxiter']", maxiter)
    gtol = options.get("gtol", 1e-5)
    check_not_negative("options['gtol']", gtol)
    for name in ("clip_norm", "clip_value"):
        if options.get(name) is not None:
            check_positive(f"options['{name}']", options[name])
    schedule = resolve(options.get("schedule"))
    monitors = type(schedule).epoch_ends is not Schedule.epoch_ends
    base_lr = optimizer.lr
    value, gradient = function.value_and_gradient(x, monitors)
    status, nit = 1, 0

    def is_small_at_result() -> bool:
        if not isinstance(optimizer, WholeRule) or not optimizer._has_modes or nit == 0:
            return True
        # The gradient was that of a point beside the average, which is the result.
        average = optimizer._averages(optimizer._core.slots_now)[0]
        return bool(_largest(function.value_and_gradient(average, False)[1], average, project) <= gtol)

    while status == 1:
        if not _is_finite(x, value, gradient):
            status = 2
        elif 0 < gtol >= _largest(gradient, x, project) and is_small_at_result():
            status = 0
        elif nit == maxiter:
            break
        else:
            kept = x.copy(), value, gradient
            optimizer.set_params(lr=schedule.rates(base_lr, Progress(nit, nit, nit, 1, maxiter)))
            optimizer.step(x, _clipped(gradient, options))
            if project is not None:
                x = project(x)
            nit += 1
            value, gradient = function.value_and_gradient(x, monitors or report.wants_value)
            if not _is_finite(x, value, gradient):
                (x, value, gradient), status = kept, 2
            elif report(x, value):
                status = 99
            elif monitors and value is not None and schedule.epoch_ends(value):
                status = 3
    if isinstance(optimizer, optim.ScheduleFree) and nit > 0:
        optimizer.eval(x)
        value, gradient = function.value_and_gradient(x, True)
    if value is None:
        value = function.value(x)
    if not np.isfinite(value):
        status = 2
    message = {
        0: "The gradient is as small as gtol asks.",
        1: "The maximum number of iterations has been reached.",
        2: "The function or its gradient is not finite: a smaller lr may help.",
        3: "The schedule has ended the iterations.",
        99: "The callback raised StopIteration.",
    }[status]
    if function.estimated:
        message += " It was" if status == 0 else " The gradient was"
        message += " estimated by central differences."
    return _Result(
        x=x, fun=value, jac=gradient, nit=nit, nfev=function.nfev, njev=function.njev,
        success=status == 0, status=status, message=message,
    )  # fmt: skip


def _anneal(
    function: Function,
    x: Vector,
    project: Callable[[Vector], Vector] | None,
    report: Reporter,
    options: dict[str, Any],
) -> _Result:
    _check_known(options, _ANNEALING_OPTIONS)
    maxfev = options.get("maxfev", 50_000)
    check_count("options['maxfev']", maxfev)
    cooling = options.get("cooling", "geometric")
    if cooling not in COOLINGS:
        raise ValueError(
            f"options['cooling'] must be one of {', '.join(map(repr, sorted(COOLINGS)))}; got {cooling!r}"
        )
    for name in ("initial_temp", "final_temp"):
        if options.get(name) is not None:
            check_positive(f"options['{name}']", options[name])
    step_size = _step_size(options.get("step_size", 1.0), x.size)
    try:
        rng = np.random.default_rng(options.get("seed"))
    except (TypeError, ValueError) as error:
        raise type(error)(f"options['seed'] must be an integer or a numpy Generator: {error}") from None
    found = anneal(
        function.value,
        x,
        rng=rng,
        max_evaluations=maxfev,
        cooling=cooling,
        initial_temp=options.get("initial_temp"),
        final_temp=options.get("final_temp"),
        step_size=step_size,
        project=project,
        callback=(lambda walk: report(walk.best, walk.best_energy)) if report.callback is not None else None,
    )
    status = 99 if found.stopped else 0 if np.isfinite(found.energy) else 2
    message = {
        0: "The walk is over: the best point of it is returned.",
        2: "The function is finite nowhere on the walk.",
        99: "The callback raised StopIteration.",
    }[status]
    return _Result(
        x=found.x, fun=found.energy, nit=found.steps, nfev=function.nfev, njev=0,
        success=status == 0, status=status, message=message,
    )  # fmt: skip


def _optimizer(method: str | optim.Optimizer, options: dict[str, Any]) -> optim.Optimizer:
    """A new optimizer; its hyper-parameters are taken from the options."""
    if isinstance(method, optim.Optimizer):
        if method._needs_factors:
            raise ValueError(f"method={method!r} needs the layers of a network: it is for estimators")
        params = method.get_params()
        for name in options.keys() & params.keys():
            raise ValueError(f"options['{name}'] contradicts method={method!r}: an optimizer has its own")
        _check_known(options, _DESCENT_OPTIONS)
        return type(method)(**params)
    if not isinstance(method, str) or method.lower() not in _METHODS:
        names = ", ".join(map(repr, sorted([*_METHODS, "annealing"])))
        raise ValueError(f"method must be one of {names}, or an optimizer of gdfast.optim; got {method!r}")
    kind = _METHODS[method.lower()]
    _check_known(options, (*_DESCENT_OPTIONS, *kind._names))
    return kind(**{name: options[name] for name in options.keys() & set(kind._names)})


def _check_known(options: dict[str, Any], names: Sequence[str]) -> None:
    for name in options:
        if name not in names:
            raise ValueError(f"unknown option {name!r}; this method has {', '.join(sorted(names))}")


def _projection(bounds: Any, n: int) -> Callable[[Vector], Vector] | None:
    if bounds is None:
        return None
    try:
        if isinstance(bounds, Bounds):
            low, high = bounds.lb, bounds.ub
        else:
            pairs = [(-np.inf if a is None else a, np.inf if b is None else b) for a, b in bounds]
            low, high = np.array(pairs, np.float64).reshape(n, 2).T
        low, high = (np.broadcast_to(np.array(bound, np.float64), (n,)) for bound in (low, high))
    except (TypeError, ValueError):
        raise ValueError(
            "bounds must be a pair (min, max), with None for no bound, for each of the elements of x0 "
            f"({n}), or scipy's Bounds of that shape; got {bounds!r}"
        ) from None
    if not (low <= high).all():
        raise ValueError("bounds must have each minimum at or below its maximum")
    return lambda x: np.clip(x, low, high)


def _step_size(step_size: Any, n: int) -> float | Vector:
    name = "options['step_size']"
    sizes = as_array(step_size, f"{name} must be a number or an array of shape ({n},)")
    if sizes.shape not in ((), (n,)):
        raise ValueError(f"{name} must be a number or an array of shape ({n},), got shape {sizes.shape}")
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise ValueError(f"{name} must be finite and positive, got {step_size!r}")
    return sizes if sizes.ndim else float(sizes)


def _is_finite(x: Vector, value: float | None, gradient: Vector) -> bool:
    """Whether all known values are finite."""
    return bool(
        np.isfinite(x).all() and np.isfinite(gradient).all() and (value is None or np.isfinite(value))
    )


def _largest(gradient: Vector, x: Vector, project: Callable[[Vector], Vector] | None) -> float:
    if project is not None:
        gradient = project(x - gradient) - x
    return float(np.abs(gradient).max(initial=0.0))


def _clipped(gradient: Vector, options: dict[str, Any]) -> Vector:
    value, norm = options.get("clip_value"), options.get("clip_norm")
    if value is not None:
        gradient = np.clip(gradient, -value, value)
    if norm is not None:
        size = float(np.linalg.norm(gradient))
        if size > norm:
            gradient = gradient * (norm / size)
    return gradient
