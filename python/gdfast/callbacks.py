"""What an estimator calls in the course of a fit.

A callback is any object with one or more of these methods; an estimator takes a list of them as
``callbacks``.

=========================================  ==================================================================
``on_train_begin(est)``                    The weights are there, the first epoch is about to begin.
``on_epoch_begin(est, epoch, logs)``       Returns True to stop before this epoch.
``on_epoch_end(est, epoch, logs)``         Returns True to stop after this epoch.
``on_gradient(est, gradients)``            Before every step of a stochastic solver, with its gradient, which
                                           may be changed in place.
``on_train_end(est)``                      The weights are those that stay. Called however a fit ends, for all
                                           callbacks whose ``on_train_begin`` has been reached, last one
                                           first.
=========================================  ==================================================================

``epoch`` counts from 0 in each fit. ``logs`` is a dict of what is known: "learning_rate" (not with lbfgs or
annealing) and, at an epoch's end, "loss", "time" (seconds since the fit began) and, with a validation set,
"val_loss" and "val_score". With lbfgs and annealing an iteration is an epoch. ``partial_fit`` calls nothing:
there the loop is yours.

``gradients`` has the gradient of the batch's mean loss and its penalty, by the names of the weights: lists of
arrays ``"coefs_"`` and ``"intercepts_"`` and, with batch normalisation, ``"bn_gamma_"`` and ``"bn_beta_"``.
Limits (``clip_norm`` and its kin), noise and the rule act on what callbacks leave there. The arrays are valid
during the call only; ``est`` has the weights with which the epoch began.

Whenever another method of a callback is called, ``est.coefs_`` and ``est.intercepts_`` hold the weights of
that moment: it may predict with ``est``, save it, or edit the weights, and training goes on from what it
leaves. (lbfgs and annealing keep to their own path.) An exception in a callback ends the fit; the weights are
those of the last whole epoch or, with a validation set, the best. Before the first step the estimator is as
it was before the fit.

Examples
--------
>>> from sklearn.datasets import load_iris
>>> from gdfast import MLPClassifier
>>> X, y = load_iris(return_X_y=True)
>>> class Stop:
...     def on_epoch_end(self, est, epoch, logs):
...         return logs["loss"] < 0.5
>>> clf = MLPClassifier(random_state=0, callbacks=[Stop()]).fit(X, y)
>>> clf.loss_curve_[-2] > 0.5 > clf.loss_curve_[-1]
True
"""

from __future__ import annotations

import copy
import io
import os
import string
import sys
from numbers import Real
from pathlib import Path
from typing import Any

from gdfast._files import written_whole

__all__ = ["EarlyStopping", "ModelCheckpoint", "ProgressBar"]

# What belongs to a fit under way, not to the model.
_OF_THE_FIT = ("_callback_fit_ctx", "_skl_callbacks", "_skl_callbacks_to_teardown", "_parent_callback_ctx")


class ProgressBar:
    """A bar that shows the epochs of a fit, with loss and score, by tqdm.

    Parameters
    ----------
    **tqdm_options
        Passed on to :class:`tqdm.tqdm`, for instance ``leave=False`` or ``file=sys.stdout``. A copy, such as
        scikit-learn's ``clone``, writes to the same file. In another process ``sys.stdout`` and
        ``sys.stderr`` are those of that process, and in place of any other open file there is tqdm's default.

    Raises
    ------
    ImportError
        If tqdm is not installed.

    Examples
    --------
    >>> import io
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import MLPClassifier
    >>> from gdfast.callbacks import ProgressBar
    >>> X, y = load_iris(return_X_y=True)
    >>> shown = io.StringIO()
    >>> clf = MLPClassifier(tol=0.1, callbacks=[ProgressBar(file=shown)]).fit(X, y)
    >>> "MLPClassifier" in shown.getvalue()
    True
    """

    def __init__(self, **tqdm_options: Any) -> None:
        _tqdm()
        self.tqdm_options = tqdm_options
        self._bar: Any = None

    def on_train_begin(self, est: Any) -> None:
        options = {"desc": type(est).__name__, "unit": "epoch", **self.tqdm_options}
        self._bar = _tqdm()(total=est.max_iter, **options)

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        shown = {name: logs[name] for name in ("loss", "val_loss", "val_score") if name in logs}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def on_train_end(self, est: Any) -> None:
        self._bar.close()
        self._bar = None

    def __deepcopy__(self, memo: dict[int, Any]) -> ProgressBar:
        return type(self)(**self.tqdm_options)  # open files cannot be copied

    def __getstate__(self) -> dict[str, Any]:
        options = dict(self.tqdm_options)
        file = options.pop("file", None)
        stream = next((name for name in ("stdout", "stderr") if file is getattr(sys, name)), None)
        if stream is None and file is not None and not isinstance(file, io.TextIOWrapper):
            options["file"] = file
        return {"tqdm_options": options, "stream": stream}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.tqdm_options = dict(state["tqdm_options"])
        if state["stream"] is not None:
            self.tqdm_options["file"] = getattr(sys, state["stream"])
        self._bar = None  # a bar belongs to one terminal


class EarlyStopping:
    """Stop when what is logged no longer improves.

    Unlike the estimators' ``early_stopping`` it can watch anything that is logged, and puts no weights back;
    with a validation set the estimator does that in any case. It begins anew in each fit.

    Parameters
    ----------
    monitor : str, default="val_loss"
        The name in ``logs`` to watch.
    patience : int, default=10
        Epochs without improvement after which to stop: 2 stops at the end of the second in a row. 0 is of the
        same effect as 1.
    min_delta : float, default=0.0
        What counts as an improvement: to be better than the best by more than this.
    mode : {"auto", "min", "max"}, default="auto"
        Whether less or more is better; "auto" takes more for names with "score" in them, else less.

    Attributes
    ----------
    best_ : float or None
        The best value of the last fit.
    best_epoch_ : int or None
        Its epoch.
    stopped_epoch_ : int or None
        The epoch after which it stopped the fit; None if it did not.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind; in a fit, if ``monitor`` is not logged.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import MLPClassifier
    >>> from gdfast.callbacks import EarlyStopping
    >>> X, y = load_iris(return_X_y=True)
    >>> stop = EarlyStopping("loss", patience=5, min_delta=0.01)
    >>> clf = MLPClassifier(max_iter=1000, callbacks=[stop], random_state=0).fit(X, y)
    >>> clf.n_iter_ == stop.stopped_epoch_ + 1
    True
    """

    def __init__(
        self, monitor: str = "val_loss", patience: int = 10, min_delta: float = 0.0, mode: str = "auto"
    ) -> None:
        for name, number in (("patience", patience), ("min_delta", min_delta)):
            if not isinstance(number, Real):
                raise TypeError(f"{name} must be a number, got {number!r}.")
        if not (patience >= 0 and min_delta >= 0):
            raise ValueError(
                f"patience and min_delta must be at least 0, got {patience!r} and {min_delta!r}."
            )
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.mode = mode
        _sign(mode, monitor)
        self._forget()

    def _forget(self) -> None:
        self.best_: float | None = None
        self.best_epoch_: int | None = None
        self.stopped_epoch_: int | None = None
        self._waited = 0

    def on_train_begin(self, est: Any) -> None:
        self._forget()

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> bool:
        value, sign = _monitored(self.monitor, logs), _sign(self.mode, self.monitor)
        # Written so that a NaN is no improvement.
        if value == value and (self.best_ is None or sign * value > sign * self.best_ + self.min_delta):
            self.best_, self.best_epoch_, self._waited = value, epoch, 0
            return False
        self._waited += 1
        if self._waited < self.patience:
            return False
        self.stopped_epoch_ = epoch
        return True


class ModelCheckpoint:
    """Write the estimator to a file after each epoch, or after each that is the best so far.

    The file is joblib's: ``joblib.load(path)`` gives an estimator that predicts and, fitted with
    ``warm_start`` and ``keep_optimizer_state``, goes on where it was. It is written beside its place and then
    put there, so that there is a whole one at any time; what a killed process has left beside it is cleared
    away by the next checkpoint to the same path. As with every pickle, load only files that you trust.

    With ``save_best_only`` the best is the best of all fits with this object, however they begin: a later one
    writes when it does better. The best goes along in copies and pickles. It is forgotten when its file is
    gone, or when ``path``, ``monitor``, ``mode`` or, for "val_score", the estimator's ``scoring`` is another
    one. A new object knows nothing of a file that is there, and writes over it, unless ``best_`` is set.

    Parameters
    ----------
    path : str or path-like
        Where to write. ``{epoch}`` and any name in ``logs``, as in ``"{epoch:03d}-{val_loss:.3f}.joblib"``,
        are filled in; a path without them is written over.
    monitor : str, default="val_loss"
        The name in ``logs`` that says which epoch is the best; used with ``save_best_only``.
    save_best_only : bool, default=False
        Whether to write only when ``monitor`` is better than ``best_``.
    mode : {"auto", "min", "max"}, default="auto"
        Whether less or more is better; "auto" takes more for names with "score" in them, else less.

    Attributes
    ----------
    best_ : float or None
        The best value so far, over all fits; None without ``save_best_only``. May be set before a fit.
    last_path_ : path or None
        What was written last, over all fits.

    Raises
    ------
    TypeError, ValueError
        If an argument is not of its kind; in a fit, if ``path`` or ``monitor`` names what is not logged.
    FileNotFoundError, IsADirectoryError
        When a fit begins, if there is no folder to write to, or the path is one; at the end of an epoch, if
        the folder's name is to be filled in.

    Notes
    -----
    ``callbacks`` are not written with the estimator: set them again to go on.

    Examples
    --------
    >>> import tempfile
    >>> import joblib
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import MLPClassifier
    >>> from gdfast.callbacks import ModelCheckpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = ModelCheckpoint(f"{folder}/iris.joblib", monitor="loss", save_best_only=True)
    ...     clf = MLPClassifier(max_iter=500, callbacks=[keep], random_state=0).fit(X, y)
    ...     joblib.load(keep.last_path_).score(X, y)
    0.98
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
    ) -> None:
        self.path = os.fsdecode(path)
        self.monitor = monitor
        self.save_best_only = save_best_only
        self.mode = mode
        self.best_: float | None = None
        self.last_path_: Path | None = None
        self._measured: tuple[Any, ...] | None = None  # where and how the best was measured
        _sign(mode, monitor)
        self._fields()

    def _fields(self) -> list[str]:
        """What is to be filled into the path; ValueError where it is not by name."""
        try:
            names = [field for _, field, _, _ in string.Formatter().parse(self.path) if field is not None]
        except ValueError as error:
            raise ValueError(f"path {self.path!r} cannot be filled in: {error}.") from None
        for name in names:
            if not name.isidentifier():
                raise ValueError(f"path {self.path!r} must name what to fill in, such as {{epoch}}.")
        return names

    def on_train_begin(self, est: Any) -> None:
        scoring = repr(getattr(est, "scoring", None)) if self.monitor == "val_score" else None
        measured = self.path, self.monitor, self.mode, scoring
        is_gone = self.last_path_ is not None and not self.last_path_.exists()
        if is_gone or self._measured not in (None, measured):
            self.best_ = None
        self._measured = measured
        fields = self._fields()
        if {"val_loss", "val_score"} & set(fields) and getattr(est, "validation_scores_", None) is None:
            raise ValueError(f"path {self.path!r} names what {_TAKES_A_SET}")
        if not fields:
            _check_place(Path(self.path.format()))
        elif "{" not in os.path.dirname(self.path):
            _check_place(Path(self.path).parent / "any name")

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        best = None
        if self.save_best_only:
            best, sign = _monitored(self.monitor, logs), _sign(self.mode, self.monitor)
            # Written so that a NaN is no improvement.
            if not (best == best and (self.best_ is None or sign * best > sign * self.best_)):
                return
        path = self._filled_in(epoch, logs)
        _check_place(path)
        _save(est, path)
        self.best_, self.last_path_ = best, path

    def _filled_in(self, epoch: int, logs: dict[str, float]) -> Path:
        values = {"epoch": epoch, **logs}
        for name in self._fields():
            if name not in values:
                raise ValueError(
                    f"path {self.path!r}: there is no {name!r} to fill in, only {sorted(values)}."
                )
        try:
            return Path(self.path.format(**values))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"path {self.path!r} cannot be filled in: {error}.") from None


_TAKES_A_SET = "takes a validation set: fit with early_stopping=True, or give X_val and y_val."


def _check_place(path: Path) -> None:
    """OSError where no file can be written there."""
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {str(path.parent)!r} to write checkpoints to: make it first."
        )
    if path.is_dir():
        raise IsADirectoryError(
            f"The path of a checkpoint must be that of a file, but {str(path)!r} is a folder."
        )


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            "ProgressBar needs tqdm. Install it by `pip install tqdm` or `pip install gdfast[progress]`."
        ) from error
    return tqdm


def _sign(mode: str, monitor: str) -> int:
    """1 where more is better, else -1."""
    if not isinstance(monitor, str):
        raise TypeError(f"monitor must be the name of something logged, got {monitor!r}.")
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"mode must be 'auto', 'min' or 'max', got {mode!r}.")
    return 1 if mode == "max" or (mode == "auto" and "score" in monitor) else -1


def _monitored(monitor: str, logs: dict[str, float]) -> float:
    if monitor not in logs:
        raise ValueError(
            f"There is no {monitor!r} to monitor, only {sorted(logs)}. val_loss and val_score take a "
            "validation set: fit with early_stopping=True, or give X_val and y_val."
        )
    return float(logs[monitor])


def _save(est: Any, path: Path) -> None:
    """Write a copy without callbacks to ``path``."""
    import joblib

    model = copy.copy(est)
    model.callbacks = None
    for name in _OF_THE_FIT:
        model.__dict__.pop(name, None)
    with written_whole(path) as file:
        joblib.dump(model, file)
