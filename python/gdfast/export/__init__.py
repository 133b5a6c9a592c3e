"""Fitted estimators as models of other libraries, and back.

:func:`to_onnx` makes a model of ONNX, :func:`to_c` a file of C99, :func:`to_torch` a module of PyTorch and
:func:`to_sklearn` an estimator of scikit-learn; :func:`from_torch` and :func:`from_sklearn` take these back.
skl2onnx converts the estimators alone and in pipelines; for scikit-learn's ensembles of them
:func:`register_skl2onnx` is needed.

Predictions are the same but for rounding. What the other cannot say raises an error that names it, before
anything is written. The other libraries are imported when they are needed.
"""

from __future__ import annotations

from gdfast.export._c import to_c
from gdfast.export._from_torch import from_torch
from gdfast.export._onnx import to_onnx
from gdfast.export._skl2onnx import register_skl2onnx
from gdfast.export._sklearn import from_sklearn, to_sklearn
from gdfast.export._to_torch import to_torch

__all__ = [
    "from_sklearn",
    "from_torch",
    "register_skl2onnx",
    "to_c",
    "to_onnx",
    "to_sklearn",
    "to_torch",
]


def __dir__() -> list[str]:
    return list(__all__)
