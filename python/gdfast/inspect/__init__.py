"""The curvature of the loss at the weights of a fitted estimator.

:func:`hessian_vector_product` and :func:`gauss_newton_vector_product` multiply a vector by the Hessian and by
the Gauss-Newton matrix of the loss, exactly and without forming the matrix; :func:`curvature` estimates
eigenvalues, trace and spectral density from such products. :class:`gdfast.CurvatureDisplay` plots them. For
plain arrays in place of an estimator, see :mod:`gdfast.kernels`.

The loss is that of training, over the given rows: the weighted mean of their losses, with ``class_weight``
and ``label_smoothing``, plus ``alpha * (1 - l1_ratio) / (2 * sum of weights)`` times the sum of the squared
weights. It is the function whose gradient a step of ``solver="sgd"`` takes, if its batch is these rows: for
several outputs the sum of their squared errors, half of each. Dropout is off, as in prediction. The L1
penalty has no curvature, and decoupled ``weight_decay`` is not part of the loss.

All is computed in float64, whatever the dtype of the estimator. Vectors have the parameters in the order of
``coefs_`` and then ``intercepts_``, each array raveled.

Examples
--------
>>> import numpy as np
>>> from gdfast import MLPRegressor
>>> from gdfast.inspect import curvature
>>> X = np.array([[-1.0], [0.0], [1.0]])
>>> est = MLPRegressor(hidden_layer_sizes=(), alpha=0.0, solver="lbfgs").fit(X, 2 * X.ravel())

The Hessian is that of a straight line, ``[[2 / 3, 0], [0, 1]]``.

>>> curvature(est, X, 2 * X.ravel(), n_eigenvalues=2, random_state=0).eigenvalues.round(4)
array([1.    , 0.6667])
"""

from __future__ import annotations

from gdfast.inspect._curvature import Curvature, curvature
from gdfast.inspect._products import gauss_newton_vector_product, hessian_vector_product

__all__ = ["Curvature", "curvature", "gauss_newton_vector_product", "hessian_vector_product"]


def __dir__() -> list[str]:
    return list(__all__)
