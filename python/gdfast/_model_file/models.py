"""Saving and loading of models."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection
from typing import Any, Literal, overload

from gdfast._core import __version__
from gdfast._model_file import files, objects, predictors
from gdfast._model_file.attributes import ATTRIBUTES
from gdfast._model_file.errors import ModelFormatError
from gdfast._model_file.safetensors import shortened
from gdfast._model_file.tree import NotPlainError, Stored
from gdfast.prediction.predictors import Predictor


class InconsistentVersionWarning(UserWarning):
    """A pickle was written by another version of gdfast than the one that loads it.

    What it holds may not fit this version. Model files, see ``save`` of the estimators and
    :func:`gdfast.load`, can be read by all later versions.
    """


class Savable:
    """Mixin of estimators and encoders, for files and pickles; it comes before scikit-learn's base class."""

    def save(self, path: str | os.PathLike[str], *, drop: Collection[str] = ()) -> None:
        """Save to a file that :func:`gdfast.load` reads.

        The file has the safetensors layout: weights and other arrays, and everything else as JSON in its
        metadata. It holds no code, so that loading it runs none. It has the arguments, the fitted attributes,
        and the state of training from which ``partial_fit`` and ``warm_start`` go on.

        It is written beside ``path`` and then moved there. If the process is killed, or the machine fails,
        ``path`` is the old file or the new one.

        Parameters
        ----------
        path : str or path-like
            Path of the file, which may exist. ``.safetensors`` is the usual ending.
        drop : str or collection of str, default=()
            Names of arguments to leave out: the loaded estimator has their defaults. What a file cannot hold
            has to be left out: callbacks, scorers and schedules that are functions, optimizers and schedules
            of your own classes. "training" leaves out the state of training, two thirds of the file with
            Adam; attributes of your own are left out by their names.

        Raises
        ------
        TypeError
            If an argument or attribute cannot be saved; the message names it. If ``drop`` holds no names.
        ValueError
            If ``drop`` names what does not exist or what predictions need, or fitted attributes do not fit
            each other.
        OSError
            If the file cannot be written, for instance FileNotFoundError if the folder does not exist.

        Examples
        --------
        >>> import os, tempfile
        >>> import gdfast
        >>> from sklearn.datasets import load_iris
        >>> X, y = load_iris(return_X_y=True)
        >>> clf = gdfast.MLPClassifier(max_iter=500, random_state=0).fit(X, y)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "iris.safetensors")
        ...     clf.save(path)
        ...     loaded = gdfast.load(path)
        >>> bool((loaded.predict_proba(X) == clf.predict_proba(X)).all())
        True
        """
        save(self, path, drop)

    def __getstate__(self) -> Any:
        state: Any = super().__getstate__()
        return {**state, "_gdfast_version": __version__}

    def __setstate__(self, state: Any) -> None:
        state = dict(state)
        version = state.pop("_gdfast_version", "unknown")
        if version != __version__:
            warnings.warn(
                f"This pickle of {type(self).__name__} was written by gdfast {version}, and is loaded by "
                f"gdfast {__version__}: it may not work, or give other results. Fit it again, or save it by "
                f"`save` with gdfast {version}; files of `save` can be loaded by all later versions.",
                InconsistentVersionWarning,
                stacklevel=2,
            )
        super().__setstate__(state)  # type: ignore[misc]


def save(est: Any, path: str | os.PathLike[str], drop: Collection[str]) -> None:
    """Write an estimator to a file."""
    name = name_in_file(est)
    names = [drop] if isinstance(drop, str) else drop
    if not isinstance(names, Collection) or not all(isinstance(given, str) for given in names):
        raise TypeError(f"drop must be a name or a collection of names, got {shortened(drop)}.")
    drop = frozenset(names)
    _check_drop(est, name, drop)
    try:
        stored = objects.store(est, drop)
        encoded = files.encode_tree(stored, copies=True)
    except NotPlainError as error:
        raise _refusal(est, error) from None
    checked(stored)  # what could not be loaded is not written
    files.write(path, encoded)


def name_in_file(est: Any) -> str:
    """The name of an estimator's class; TypeError if a model file cannot hold it."""
    name = objects.name_of(est)
    if name is None or name not in objects.ESTIMATORS:
        raise TypeError(
            f"{type(est).__module__}.{type(est).__qualname__} cannot be saved: a model file holds no code, "
            "and names gdfast's own classes only. Save an object of the class that it derives from, or "
            "pickle it."
        )
    return name


def _check_drop(est: Any, name: str, drop: frozenset[str]) -> None:
    arguments = est.get_params(deep=False).keys()
    for given in sorted(drop):
        if given not in {*arguments, *vars(est), objects.TRAINING}:
            raise ValueError(f"drop names {given!r}, which {type(est).__name__} does not have.")
        attribute = ATTRIBUTES[name].get(given)
        of_fit = given in predictors.ARGUMENTS and hasattr(est, "n_features_in_")
        if of_fit or (attribute is not None and attribute.predicts):
            raise ValueError(f"drop names {given!r}, without which there is no prediction.")


def _refusal(est: Any, error: NotPlainError) -> TypeError:
    """The error of a value that cannot be saved."""
    arguments = est.get_params(deep=False)
    name = next((part for part in error.path if part in arguments), error.path[0] if error.path else "")
    value = f"{name}={shortened(arguments[name])}" if name in arguments else name
    return TypeError(
        f"{value} cannot be saved: {error.why}, and a model file holds no code. Leave it out by "
        f"drop=[{name!r}], and set it again after loading."
    )


def checked(stored: Any) -> tuple[Stored, Predictor | None]:
    """A checked object, and its predictor if it has one. ValueError says what is wrong."""
    if not isinstance(stored, Stored) or stored.name in objects.RULES | objects.SCHEDULES:
        raise ModelFormatError("it holds no model.")
    objects.check(stored)
    return stored, predictors.predictor_of(stored)


# The class of an estimator is the file's: as with pickle, a variable of that type may hold it.
@overload
def load(path: str | os.PathLike[str], *, training: Literal[True] = ...) -> Any: ...


@overload
def load(path: str | os.PathLike[str], *, training: Literal[False]) -> Predictor: ...


@overload
def load(path: str | os.PathLike[str], *, training: bool) -> Any: ...


def load(path: str | os.PathLike[str], *, training: bool = True) -> Any:
    """Load what ``save`` has written.

    No code of the file is run, for it holds none: the names of classes are looked up in a fixed list, and
    what is loaded is checked. A file takes no more memory than a small multiple of its size.

    Parameters
    ----------
    path : str or path-like
        Path of the file.
    training : bool, default=True
        Whether to return the estimator. If False, a light predictor is returned, which has the methods
        ``predict``, ``predict_proba`` and ``predict_log_proba`` that the estimator has, with the same results
        bit for bit. It takes less memory, and needs NumPy only: scikit-learn is not imported, and need not be
        installed.

    Returns
    -------
    model : estimator, encoder or predictor
        An estimator has the arguments, attributes and state of training of the one that was saved:
        ``partial_fit`` and ``warm_start`` go on bit for bit.

    Raises
    ------
    ModelFormatError
        If it is no model file, is damaged, or was written in a newer format. The message says what is wrong.
    ValueError
        If ``training`` is False, and it is an encoder, or an estimator that is not fitted.
    OSError
        If it cannot be opened: FileNotFoundError, PermissionError.

    Examples
    --------
    >>> import os, tempfile
    >>> import gdfast
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = gdfast.MLPClassifier(max_iter=500, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "iris.safetensors")
    ...     clf.save(path)
    ...     gdfast.load(path)
    ...     predictor = gdfast.load(path, training=False)
    MLPClassifier(max_iter=500, random_state=0)
    >>> predictor
    <predictor of MLPClassifier with 4 features>
    >>> predictor.predict(X[:3]).tolist()
    [0, 0, 0]
    """
    if training:
        return files.read(path, lambda tree: objects.build(checked(tree)[0]))
    stored, predictor = files.read(path, checked, leave_out=(objects.RUN, objects.TRAINING))
    if predictor is None:
        raise ValueError(
            f"{os.fsdecode(path)} holds {stored.name}, which is not fitted, or does not predict."
        )
    return predictor
