"""Fitted estimators from weights that were trained elsewhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdfast.export._predictor import read
from gdfast.training.arrays import Array


def restore(
    est: Any,
    arrays: dict[str, list[Array]],
    *,
    n_features: int,
    output: str,
    classes: Array | None,
    is_multilabel: bool = False,
) -> Any:
    """Make an estimator one that is fitted, with these arrays and nothing known of their training.

    Parameters
    ----------
    est : estimator
        A new one, whose arguments suit the arrays; it is changed.
    arrays : dict of str to list of ndarray
        The attributes that hold the weights.
    n_features : int
    output : str
        The output layer's activation.
    classes : ndarray of shape (n_classes,) or None
        Those of a classifier, in sorted order.
    is_multilabel : bool
    """
    from sklearn.preprocessing import LabelBinarizer

    attributes = vars(est)
    attributes.update({name: [np.ascontiguousarray(a) for a in values] for name, values in arrays.items()})
    attributes.update(
        n_features_in_=n_features,
        n_outputs_=len(arrays["intercepts_"][-1]),
        n_layers_=len(arrays["coefs_"]) + 1,
        out_activation_=output,
        n_iter_=0,
        t_=0,
    )
    if classes is not None:
        target = np.eye(len(classes), dtype=int) if is_multilabel else classes
        est._label_binarizer = LabelBinarizer().fit(target)
        est.classes_ = est._label_binarizer.classes_
    read(est)
    return est
