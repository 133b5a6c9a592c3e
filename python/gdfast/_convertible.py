"""The methods that skl2onnx looks for on an estimator."""

from __future__ import annotations

from typing import Any


class Convertible:
    """Mixin of estimators that skl2onnx converts, alone and in pipelines, see :mod:`gdfast.export`."""

    def onnx_parser(self) -> Any:
        """What skl2onnx parses the estimator by.

        Returns
        -------
        parser : callable or None
        """
        from gdfast.export import _skl2onnx

        return _skl2onnx.parser_of(self)

    def onnx_shape_calculator(self) -> Any:
        """What skl2onnx finds the types of the outputs by.

        Returns
        -------
        calculator : callable
        """
        from gdfast.export import _skl2onnx

        return _skl2onnx.calculate_shapes

    def onnx_converter(self) -> Any:
        """What skl2onnx converts the estimator by.

        Returns
        -------
        converter : callable
        """
        from gdfast.export import _skl2onnx

        return _skl2onnx.convert
