"""Fitted estimators in other forms, and back."""

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
