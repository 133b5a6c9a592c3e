"""Training without a gradient: simulated annealing of the weights over the compiled forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import _safe_indexing

from gdfast import _core
from gdfast._annealing import COOLINGS, anneal
from gdfast.estimators import _divergence
from gdfast.estimators._holdout import Holdout, check_scores, scorer_of
from gdfast.estimators._losses import mean_loss
from gdfast.estimators._progress import Progress
from gdfast.estimators._validation import NORMS, Array, Samples
from gdfast.estimators._warnings import warn

if TYPE_CHECKING:
    from gdfast.estimators._base import BaseMLP

# Evaluations that make one iteration, between which everybody who watches is asked.
EVALUATIONS = 100
_PARAMETERS = ("cooling", "initial_temp", "final_temp", "step_size")


def check(params: Mapping[Any, Any] | None) -> None:
    """ValueError where annealing_params are not `anneal`'s."""
    for name, value in (params or {}).items():
        if name not in _PARAMETERS:
            raise ValueError(f"annealing_params may have {', '.join(_PARAMETERS)}, got {name!r}.")
        if name == "cooling":
            if value not in COOLINGS:
                raise ValueError(f"annealing_params['cooling'] must be one of {COOLINGS}, got {value!r}.")
        elif not isinstance(value, Real) or not 0 < float(value) < np.inf:
            raise ValueError(f"annealing_params[{name!r}] must be a positive number, got {value!r}.")


def fit_annealing(
    est: BaseMLP,
    samples: Samples,
    as_checked: tuple[Any, Any],
    rows: Array | None,
    holdout: Holdout | None,
    progress: Progress,
    random_state: np.random.RandomState,
) -> None:
    """Train ``est`` in place: its weights are the best seen, whoever looks at them.

    Parameters
    ----------
    samples : Samples
        As the core takes them.
    as_checked : tuple
        X and y of the same samples as scorers take them.
    rows : ndarray or None
        The rows of both to train on, None for all.
    """
    est._take_edited_weights(samples.dtype)
    # Views of our own: a callback may give an array another shape, or make it read-only.
    lists = {
        name: [array.view() for array in est.__dict__[name]]
        for name in ("coefs_", "intercepts_", *NORMS)
        if name in est.__dict__
    }
    arrays = [array for own in lists.values() for array in own]
    energy = _energy(est, samples, as_checked, rows, told=holdout is not None and holdout.is_weighted)
    shapes = [array.shape for array in arrays]
    bounds = np.cumsum([array.size for array in arrays])[:-1]

    def put(x: Array) -> None:
        for name, own in lists.items():
            setattr(est, name, [array.view() for array in own])  # whatever a callback has put in their place
        for array, part, shape in zip(arrays, np.split(x, bounds), shapes, strict=True):
            np.copyto(array, part.reshape(shape))

    def energy_at(x: Array) -> float:
        put(x)
        return energy()

    start = np.concatenate([array.ravel() for array in arrays])
    best = [start]
    est.n_iter_ = 0
    est._no_improvement_count = 0
    est.loss_ = np.nan  # not known yet

    def iterate(step: int, x: Array, value: float) -> bool:
        progress.attempt.keep()
        best[0], est.loss_ = x, value
        if (step + 1) % EVALUATIONS:
            return False
        put(x)
        est.n_iter_ += 1
        est.t_ += EVALUATIONS * len(samples.y if rows is None else rows)
        est.loss_curve_.append(value)
        if est.verbose:
            print(f"Iteration {est.n_iter_}, loss = {value:.8f}")
        improved = holdout.evaluate(est) if holdout is not None else False
        if not est.early_stopping:
            improved = value <= est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, value)
        est._no_improvement_count = 0 if improved else est._no_improvement_count + 1
        # A walk that is still hot stands still for long, so only a validation set says when it is enough.
        stops = est.early_stopping and est._no_improvement_count > est.n_iter_no_change
        if stops:
            _divergence.warn_unless_finite(est)
        if progress.is_watched:
            stops |= progress.epoch_ends(
                est.n_iter_ - 1, {"loss": value, **(holdout.logs if holdout else {})}
            )
            if not stops and est.n_iter_ < est.max_iter:
                stops = progress.epoch_begins(est.n_iter_, {})
        if not stops and progress.is_out_of_time():
            progress.warn_out_of_time()
            stops = True
        return bool(stops)

    try:
        if progress.is_watched and progress.epoch_begins(0, {}):
            est.loss_ = energy_at(start)
            return
        found = anneal(
            energy_at,
            start,
            rng=np.random.default_rng(random_state.randint(2**31)),
            max_evaluations=est.max_iter * EVALUATIONS + _probes(est.max_iter * EVALUATIONS) + 1,
            **{"step_size": 0.1, **_as_floats(est.annealing_params or {})},
            callback=iterate,
        )
        best[0], est.loss_ = found.x, found.energy
    except KeyboardInterrupt:
        if not progress.attempt.is_kept:  # nothing has been tried
            raise
        warn("Training interrupted by user.")
        return
    finally:
        put(best[0])
    if not np.isfinite(est.loss_):
        warn(
            "Annealing has found no weights with a finite loss: the input data may contain large values and "
            "need to be preprocessed.",
            ConvergenceWarning,
        )


def _as_floats(params: Mapping[str, Any]) -> dict[str, Any]:
    """The walk is one of float64, whatever its numbers came in."""
    return {name: value if name == "cooling" else float(value) for name, value in params.items()}


def _probes(evaluations: int) -> int:
    """What finding the first temperature takes, see `anneal`."""
    return min(max(1, evaluations // 100), 200)


def _energy(
    est: BaseMLP, samples: Samples, as_checked: tuple[Any, Any], rows: Array | None, *, told: bool
) -> Callable[[], float]:
    """What is to be made small: the training loss with its penalty, or minus the score of ``scoring``.

    For ``told`` see `scorer_of`.
    """
    y, weight = samples.y, samples.weight
    if rows is not None:
        y, weight = y[rows], None if weight is None else weight[rows]
    outputs = np.empty((len(y), est.n_outputs_), est.coefs_[0].dtype)
    loss = est._training_loss()
    half_decay = 0.5 * float(est.alpha) / (len(y) if weight is None else float(weight.sum(dtype=np.float64)))
    forward = dict(rows=rows, out=outputs, **est._core_outputs())

    def compute_outputs() -> None:
        _core.forward(samples.X, est.coefs_, est.intercepts_, **forward)

    def training_loss() -> float:
        compute_outputs()
        total = mean_loss(loss, y, outputs, weight)
        if half_decay:  # or squares beyond all numbers would count, times zero
            total += half_decay * sum(float(np.vdot(coef, coef)) for coef in est.coefs_)
        return total

    if est.scoring is None or est.scoring == "loss":
        return training_loss
    X, labels = as_checked
    if rows is not None:
        X, labels = _safe_indexing(X, rows), labels[rows]
    score_of = scorer_of(est, X, labels, weight, told=told)

    def minus_score() -> float:
        compute_outputs()
        # Long jumps lead out of a metric's domain, to infinite predictions or, for a deviance, to zero.
        try:
            score = score_of(est, outputs)
        except ValueError:
            return np.inf
        return np.inf if np.isnan(score) and not np.isfinite(outputs).all() else -score

    compute_outputs()
    check_scores(est, lambda: score_of(est, outputs))
    return minus_score
