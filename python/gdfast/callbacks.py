"""Callbacks: objects that an estimator calls during a fit.

A callback is any object with one or more of these methods; an estimator takes a list of them as
``callbacks``.

=========================================  ==================================================================
``on_train_begin(est)``                    Called before the first epoch; the weights are initialised.
``on_epoch_begin(est, epoch, logs)``       Called before each epoch; returns True to stop before it.
``on_epoch_end(est, epoch, logs)``         Called after each epoch; returns True to stop after it.
``on_gradient(est, gradients)``            Called before each step of a stochastic solver, with its gradient,
                                           which may be changed in place.
``on_train_end(est)``                      Called however the fit ends, with the final weights, for all
                                           callbacks whose ``on_train_begin`` has been called, in reverse
                                           order.
=========================================  ==================================================================

``epoch`` counts from 0 in each fit. ``logs`` is a dict with "learning_rate" (of stochastic solvers)
and, at the end of an epoch, "loss", "time" (seconds since the start of the fit) and, with a validation set,
"val_loss" and "val_score". With other solvers an iteration is an epoch. ``partial_fit`` calls no
callbacks.

A callback may have ``state_dict()`` and ``load_state_dict(state)`` as well, of plain values. The state is a
part of checkpoints, see :class:`ModelCheckpoint`: when a fit continues from one, ``load_state_dict`` is
called after ``on_train_begin``.

``gradients`` has the gradient of the mean loss of the batch and of the penalty, as lists of arrays with the
names of the weights: ``"coefs_"`` and ``"intercepts_"`` and, with batch normalisation, ``"bn_gamma_"`` and
``"bn_beta_"``. Clipping (``clip_norm`` and the like), gradient noise and the update use the gradient as the
callbacks leave it. The arrays are valid during the call only; the weights of ``est`` are those at the start
of the epoch. A network with embeddings of a table's columns takes no callback with ``on_gradient``.

In all other methods ``est.coefs_`` and ``est.intercepts_`` hold the current weights: a callback may predict
with ``est``, save it, or edit the weights, and stochastic training continues from the edited weights (other
solvers ignore edits). An exception in a callback ends the fit; the weights are those of the last
complete epoch or, with a validation set, the best ones. Before the first step the estimator is left
unchanged.

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

import io
import os
import signal
import string
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from numbers import Real
from pathlib import Path
from typing import Any

from gdfast._checks import check_choice, check_count
from gdfast._files import check_place, name_of
from gdfast._writer import BackgroundWriter
from gdfast.training.ranks import current

__all__ = ["EarlyStopping", "History", "ModelCheckpoint", "ProgressBar"]


def __dir__() -> list[str]:
    return list(__all__)


class ProgressBar:
    """Show the progress of a fit in epochs, with loss and score, by tqdm.

    Parameters
    ----------
    **tqdm_options
        Passed on to :class:`tqdm.tqdm`, for instance ``leave=False`` or ``file=sys.stdout``. A copy, such as
        scikit-learn's ``clone``, writes to the same file. In another process ``sys.stdout`` and
        ``sys.stderr`` are those of that process, and any other open file is replaced by tqdm's default.

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
    """Stop when a logged value no longer improves.

    Unlike the estimators' ``early_stopping`` it can monitor any logged value, and does not restore weights;
    with a validation set the estimator restores the best ones in any case. It is reset in each fit.

    Parameters
    ----------
    monitor : str, default="val_loss"
        The name in ``logs`` to monitor.
    patience : int, default=10
        Number of consecutive epochs without improvement after which to stop. 0 has the same effect as 1.
    min_delta : float, default=0.0
        A value counts as an improvement if it is better than the best by more than this.
    mode : {"auto", "min", "max"}, default="auto"
        Whether lower or higher values are better; "auto" means "max" for names that contain "score", else
        "min".

    Attributes
    ----------
    best_ : float or None
        The best value of the last fit.
    best_epoch_ : int or None
        The epoch of the best value.
    stopped_epoch_ : int or None
        The epoch after which the fit was stopped; None if it was not.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value; in a fit, if ``monitor`` is not logged.

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
        # This comparison makes a NaN no improvement.
        if value == value and (self.best_ is None or sign * value > sign * self.best_ + self.min_delta):
            self.best_, self.best_epoch_, self._waited = value, epoch, 0
            return False
        self._waited += 1
        if self._waited < self.patience:
            return False
        self.stopped_epoch_ = epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best value, and for how long there has been none that is better."""
        return {name: getattr(self, name) for name in _EARLY_STOPPING}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state.

        Parameters
        ----------
        state : dict
            What `state_dict` has returned.
        """
        for name in _EARLY_STOPPING:
            setattr(self, name, state[name])


_EARLY_STOPPING = ("best_", "best_epoch_", "stopped_epoch_", "_waited")


class History:
    """Record what is logged at the end of each epoch, with the seconds since the start of the fit.

    It is reset in each fit. An estimator needs an object of its own; scikit-learn's ``clone`` makes one.

    Attributes
    ----------
    history_ : dict of str to list of float
        The values of each epoch by their names in ``logs``: "loss", "time", with stochastic solvers
        "learning_rate", with a validation set "val_loss" and "val_score". In a fit that continues from a
        checkpoint, with the epochs before it, and "time" goes on from theirs. Estimators for tables add
        "member", the number of the network: its "time" begins with its own training.

    See Also
    --------
    gdfast.TrainingTimeDisplay : Plot of the loss, score or error against the seconds.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import MLPClassifier
    >>> from gdfast.callbacks import History
    >>> X, y = load_iris(return_X_y=True)
    >>> history = History()
    >>> clf = MLPClassifier(max_iter=500, random_state=0, callbacks=[history]).fit(X, y)
    >>> sorted(history.history_)
    ['learning_rate', 'loss', 'time']
    >>> history.history_["loss"] == clf.loss_curve_
    True
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.history_: dict[str, list[float]] = {}
        self._seconds_before = 0.0  # of a fit that has been interrupted

    def on_train_begin(self, est: Any) -> None:
        self._forget()

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        for name, value in {**logs, "time": self._seconds_before + logs["time"]}.items():
            self.history_.setdefault(name, []).append(value)

    def state_dict(self) -> dict[str, Any]:
        """The record."""
        return {"history_": {name: list(values) for name, values in self.history_.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state.

        Parameters
        ----------
        state : dict
            What `state_dict` has returned.
        """
        self.history_ = {name: list(values) for name, values in state["history_"].items()}
        self._seconds_before = self.history_["time"][-1] if self.history_ else 0.0


class ModelCheckpoint:
    """Save the estimator with the state of its training to a file after epochs.

    A checkpoint is a model file, see ``save`` of the estimators: :func:`gdfast.load` returns the estimator as
    it was after the epoch. It also holds what a fit needs to continue: an estimator with ``resume=path``
    goes on from it, and ends with the same bits as a fit that has never been interrupted.

    A checkpoint is taken when all callbacks have seen the end of the epoch. Files are written on a thread
    of their own; training waits for a copy of the state only. They are written to a temporary file beside
    ``path`` and then moved, so that ``path`` always holds a complete file; the next checkpoint to the
    same path deletes the temporary files of killed processes. At the end of the fit all are written, also
    after Ctrl-C and after SIGTERM, which ends training after a whole step: the last one is of the last
    whole epoch. SIGTERM then has the effect that it had before the fit.

    With ``save_best_only`` the best value is that of all fits with this object: a later fit writes only when
    it improves on it. Copies and pickles keep the best value. It is reset when its file has been deleted, or
    when ``path``, ``monitor``, ``mode`` or, for "val_score", the estimator's ``scoring`` has changed. A new
    object overwrites an existing file, unless ``best_`` is set or the fit resumes from a checkpoint.

    Parameters
    ----------
    path : str or path-like
        Path of the file. ``{epoch}`` and any name in ``logs`` are formatted, as in
        ``"{epoch:03d}-{val_loss:.3f}.safetensors"``; without them the same file is overwritten.
    monitor : str, default="val_loss"
        The name in ``logs`` that decides which epoch is the best; used with ``save_best_only``.
    save_best_only : bool, default=False
        Whether to save only when ``monitor`` is better than ``best_``.
    mode : {"auto", "min", "max"}, default="auto"
        Whether lower or higher values are better; "auto" means "max" for names that contain "score", else
        "min".
    every_n_epochs : int, default=1
        Number of epochs between two checkpoints. The last epoch of a fit is always saved, unless
        ``save_best_only`` is set.

    Attributes
    ----------
    best_ : float or None
        The best value so far, over all fits; None without ``save_best_only``. May be set before a fit.
    last_path_ : path or None
        Path of the last saved file, over all fits.

    Raises
    ------
    TypeError, ValueError
        If an argument has an invalid type or value; in a fit, if ``path`` or ``monitor`` names a value that
        is not logged, or the estimator is of a class of your own.
    FileNotFoundError, IsADirectoryError
        At the start of a fit, if the folder does not exist, or the path is a folder; at the end of an epoch,
        if the folder's name has fields to format.
    OSError
        If a file cannot be written; at the end of the next epoch or of the fit.

    Notes
    -----
    ``callbacks``, and other arguments that are functions or objects of your own, are not saved with the
    estimator. A fit that resumes has to have them again.

    Examples
    --------
    >>> import os, tempfile
    >>> import gdfast
    >>> from sklearn.datasets import load_iris
    >>> from gdfast import MLPClassifier
    >>> from gdfast.callbacks import ModelCheckpoint
    >>> X, y = load_iris(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "iris.safetensors")
    ...     arguments = {"callbacks": [ModelCheckpoint(path)], "resume": path, "random_state": 0}
    ...     clf = MLPClassifier(max_iter=500, **arguments).fit(X, y)  # if it is killed, it is run again
    ...     again = MLPClassifier(max_iter=500, **arguments).fit(X, y)  # this run had ended
    ...     gdfast.load(path).score(X, y)
    0.98
    >>> again.loss_curve_ == clf.loss_curve_
    True
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
        every_n_epochs: int = 1,
    ) -> None:
        check_count("every_n_epochs", every_n_epochs)
        self.path = name_of(path)
        self.monitor = monitor
        self.save_best_only = save_best_only
        self.mode = mode
        self.every_n_epochs = every_n_epochs
        self.best_: float | None = None
        self.last_path_: Path | None = None
        self._measured: tuple[Any, ...] | None = None  # what the best value belongs to
        self._saving: _Saving | None = None  # in a fit
        self._in_file: tuple[float | None, Path | None] = None, None  # best_ and last_path_, once written
        _sign(mode, monitor)
        self._fields()

    def _fields(self) -> list[str]:
        """The names of the fields in the path; ValueError if a field has no name."""
        try:
            names = [field for _, field, _, _ in string.Formatter().parse(self.path) if field is not None]
        except ValueError as error:
            raise ValueError(f"path {self.path!r} cannot be filled in: {error}.") from None
        for name in names:
            if not name.isidentifier():
                raise ValueError(f"path {self.path!r} must name what to fill in, such as {{epoch}}.")
        return names

    def on_train_begin(self, est: Any) -> None:
        if (ranks := current()) is not None and ranks.rank > 0:
            return  # the first one writes
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
            check_place(Path(self.path.format()))
        elif "{" not in os.path.dirname(self.path):
            check_place(Path(self.path).parent / "any name")
        self._in_file = self.best_, self.last_path_
        self._saving = _Saving(est, self._note)

    def on_epoch_end(self, est: Any, epoch: int, logs: dict[str, float]) -> None:
        if self._saving is None:
            return
        if self.save_best_only:
            best, sign = _monitored(self.monitor, logs), _sign(self.mode, self.monitor)
            # This comparison makes a NaN no improvement.
            if not (best == best and (self.best_ is None or sign * best > sign * self.best_)):
                return
            self.best_ = best
        path = self._filled_in(epoch, logs)
        check_place(path)
        self._saving.path = path

    def _after_epoch(self, est: Any, epoch: int) -> None:
        """Called when all callbacks have seen the end of an epoch, so that a checkpoint has their states."""
        if self._saving is not None and self._saving.path is not None:
            self._saving.take(est, self.best_)
            if self.save_best_only or (epoch + 1) % self.every_n_epochs == 0:
                self._saving.save()

    def on_train_end(self, est: Any) -> None:
        if self._saving is None:
            return
        saving, self._saving = self._saving, None
        try:
            saving.end(est, every_epoch=not self.save_best_only)
        finally:
            self.best_, self.last_path_ = self._in_file

    def _note(self, best: float | None, path: Path) -> None:
        """Called when a file has been written."""
        self._in_file = best, path
        self.last_path_ = path

    def state_dict(self) -> dict[str, Any]:
        """The best value."""
        return {"best_": self.best_}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load a state, unless there is a best value that is better.

        Parameters
        ----------
        state : dict
            What `state_dict` has returned.
        """
        best, sign = state["best_"], _sign(self.mode, self.monitor)
        if best is not None and (self.best_ is None or sign * best > sign * self.best_):
            self.best_ = best
            self._in_file = best, self.last_path_

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_saving": None}  # a thread belongs to one fit

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


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            "ProgressBar needs tqdm. Install it by `pip install tqdm` or `pip install gdfast[progress]`."
        ) from error
    return tqdm


def _sign(mode: str, monitor: str) -> int:
    """1 if higher values are better, else -1."""
    if not isinstance(monitor, str):
        raise TypeError(f"monitor must be the name of something logged, got {monitor!r}.")
    check_choice("mode", mode, ("auto", "min", "max"))
    return 1 if mode == "max" or (mode == "auto" and "score" in monitor) else -1


def _monitored(monitor: str, logs: dict[str, float]) -> float:
    if monitor not in logs:
        raise ValueError(
            f"There is no {monitor!r} to monitor, only {sorted(logs)}. val_loss and val_score take a "
            "validation set: fit with early_stopping=True, or give X_val and y_val."
        )
    return float(logs[monitor])


class _Saving:
    """The checkpoints of one fit."""

    def __init__(self, est: Any, note: Callable[[float | None, Path], None]) -> None:
        self._note = note
        self._files = import_module("gdfast._model_file.checkpoints")
        self._kind, self._snapshots = type(est), self._files.Snapshots(est)
        self._writer = BackgroundWriter(self._write)
        self.path: Path | None = None  # of the epoch that is over, if that is to be kept
        self._last: tuple[Path, Any] | None = None  # a path, the last copy of the state and the best value
        self._is_saved = False
        self._terminated = False
        self._handler: Any = None
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGTERM)
            if handler not in (None, signal.SIG_IGN):  # None: not installed from Python
                self._handler = signal.signal(signal.SIGTERM, self._terminate)

    def _terminate(self, number: int, frame: Any) -> None:
        self._terminated = True
        if (ranks := current()) is None:
            raise KeyboardInterrupt  # which ends training after a whole step
        ranks.interrupt()

    def _write(self, path: Path, value: Any) -> None:
        checkpoint, best = value
        self._files.write(path, checkpoint)
        self._note(best, path)

    def take(self, est: Any, best: float | None) -> None:
        """Copy the state, for the path."""
        if type(est) is not self._kind:  # a member of the estimator with which the fit has begun
            self._kind, self._snapshots = type(est), self._files.Snapshots(est)
        assert self.path is not None
        self._last = self.path, (self._snapshots.take(est), best)
        self.path, self._is_saved = None, False

    def save(self) -> None:
        """Save the last copy."""
        assert self._last is not None
        self._writer.put(*self._last)
        self._is_saved = True

    def end(self, est: Any, *, every_epoch: bool) -> None:
        """Save the last epoch with the reason why training has ended, and wait until all is written."""
        try:
            if self._last is not None and every_epoch:
                path, (checkpoint, best) = self._last
                state = vars(est).get("_training")
                if state is not None and state.ended_by and checkpoint.run["epoch"] == state.epoch:
                    self._last = path, (self._files.ended(checkpoint, state.ended_by), best)
                    self._is_saved = False
                if not self._is_saved:
                    self.save()
            self._writer.close()
        finally:
            if self._handler is not None:
                signal.signal(signal.SIGTERM, self._handler)
                if self._terminated:
                    os.kill(os.getpid(), signal.SIGTERM)
