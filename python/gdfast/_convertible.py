"""The methods that skl2onnx looks for on an estimator."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _skl2onnx() -> Any:
    # By name, because exports stand on the estimators; only skl2onnx calls these methods.
    return import_module("gdfast.export._skl2onnx")


class Convertible:
    """Mixin of estimators that skl2onnx converts, alone and in pipelines, see :mod:`gdfast.export`."""

    def onnx_parser(self) -> Any:
        """What skl2onnx parses the estimator by.

        Returns
        -------
        parser : callable or None
        """
        return _skl2onnx().parser_of(self)

    def onnx_shape_calculator(self) -> Any:
        """What skl2onnx finds the types of the outputs by.

        Returns
        -------
        calculator : callable
        """
        return _skl2onnx().calculate_shapes

    def onnx_converter(self) -> Any:
        """What skl2onnx converts the estimator by.

        Returns
        -------
        converter : callable
        """
        return _skl2onnx().convert
