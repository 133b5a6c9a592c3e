"""`to_c`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from numpy.typing import DTypeLike

from gdfast._checks import check_count
from gdfast._files import check_place, name_of, written_whole
from gdfast.export._c_writer import Writer
from gdfast.export._networks import checked_dtype
from gdfast.export._predictor import check_no_embeddings, kind_of, read
from gdfast.prediction.predictors import _Tabular

# fmt: off
_KEYWORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum",
    "extern", "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return",
    "short", "signed", "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void",
    "volatile", "while", "main",
))
# fmt: on


def to_c(
    est: Any,
    path: str | os.PathLike[str],
    *,
    name: str = "model",
    dtype: DTypeLike = "float32",
    max_bytes: int | None = None,
) -> None:
    """Write the prediction of a fitted network as one file of C99.

    The code needs nothing but math.h and stddef.h (and stdint.h, where labels are integers). It allocates no
    memory and has no state of its own: weights are constants, written so that they are exact, and
    intermediate values are on the stack; a comment at the top says how much that is. The functions:

    - ``model_predict(x, out)`` takes the features of a row. A regressor writes its outputs. A classifier
      writes the probabilities, in the order of ``model_labels``, and returns the number of the class; of
      several labels for a row, ``out[i] > 0.5`` are those that are predicted.
    - Of recurrent networks, ``model_reset(state)`` sets a state, which the caller owns, to zeros, and
      ``model_step(state, x, out)`` takes a step. Its two halves are ``model_update(state, x)`` and
      ``model_output(state, out)``. With one target for each sequence ``model_predict(x, n_steps, out)`` takes
      a whole one.

    Other files of C or C++ get the declarations by including the same file with ``MODEL_DECLARATIONS``
    defined.

    Parameters
    ----------
    est : estimator or predictor
        A fitted MLPClassifier, MLPRegressor, RNNClassifier or RNNRegressor, or its predictor.
    path : str or path-like
        Path of the file, which may exist. It is written beside ``path`` and then moved there.
    name : str, default="model"
        What the names of functions and constants begin with.
    dtype : dtype, default="float32"
        float32 for ``float``, float64 for ``double``. Weights of float64 are rounded to float32.
    max_bytes : int, default=None
        Limit on the bytes of the weights, which take most of the read-only memory. None sets no limit.

    Raises
    ------
    TypeError
        If ``est`` is no estimator of gdfast, or an argument has another type.
    ValueError
        If the network has more bytes than ``max_bytes``, the estimator cannot be said in C, or an argument is
        invalid. Nothing is written then.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from gdfast import MLPRegressor
    >>> from gdfast.export import to_c
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> reg = MLPRegressor(hidden_layer_sizes=8, solver="lbfgs", random_state=0).fit(X, X.ravel() ** 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "parabola.c")
    ...     to_c(reg, path, name="parabola", max_bytes=1024)
    ...     with open(path) as file:
    ...         print([line for line in file if line.startswith("void parabola_predict")][0].strip())
    void parabola_predict(const float *x, float *out);
    """
    target = Path(name_of(path))
    check_place(target)
    _check_name(name)
    if max_bytes is not None:
        check_count("max_bytes", max_bytes)
    kind = checked_dtype(dtype)
    predictor = read(est)
    if isinstance(predictor, _Tabular):
        raise ValueError(
            f"A {kind_of(predictor)} cannot be said in C, which has no columns of categories, strings and "
            "missing values. Use to_onnx, or fit an MLPClassifier or MLPRegressor to numbers."
        )
    check_no_embeddings(predictor)
    size = sum(array.size for array in predictor._weights) * kind.itemsize  # type: ignore[attr-defined]
    if max_bytes is not None and size > max_bytes:
        raise ValueError(
            f"The weights of the {kind_of(predictor)} have {size} bytes as {kind}, more than "
            f"max_bytes={max_bytes}. Use smaller hidden_layer_sizes."
        )
    text = Writer(predictor, name, kind, size).text()
    with written_whole(target) as file:
        file.write(text.encode("ascii"))


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}.")
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,30}", name) or name in _KEYWORDS:
        raise ValueError(
            "name must be an identifier of C that begins with a letter, of up to 31 characters, "
            f"got {name!r}."
        )
