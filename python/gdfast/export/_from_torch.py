"""`from_torch`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from gdfast._checks import check_flag
from gdfast.export._fitted import restore
from gdfast.export._predictor import needs
from gdfast.export._torch_parts import Parts
from gdfast.training.arrays import Array

# Arguments that the module decides.
_OF_THE_MODULE = frozenset(
    {"hidden_layer_sizes", "activation", "activation_params", "batch_norm", "dropout", "cell", "per_step"}
)


def from_torch(
    module: Any,
    *,
    classes: Any = None,
    multilabel: bool = False,
    per_step: bool = False,
    **arguments: Any,
) -> Any:
    """A fitted estimator with the weights of a PyTorch module.

    Parameters
    ----------
    module : torch.nn.Module
        An ``nn.Sequential`` of ``Linear``, ``BatchNorm1d`` (between a ``Linear`` and its activation),
        activations and ``Dropout``, or an ``nn.Linear``; what `to_torch` returns; or an ``nn.Sequential`` or
        ``nn.ModuleList`` of ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM`` and a ``Linear``, for a recurrent network.
        It may end with ``Softmax``, ``LogSoftmax`` or ``Sigmoid`` if it is a classifier. It is not changed,
        and its mode does not matter.
    classes : array-like of shape (n_classes,), default=None
        The class labels in the order of the outputs, for a classifier; two for one output, the probability of
        the second. None makes a regressor. With ``multilabel`` it is not needed.
    multilabel : bool, default=False
        Whether each output is the probability of a label of its own.
    per_step : bool, default=False
        For recurrent networks, whether there is an output for each step. What `to_torch` returns knows.
    **arguments
        Further arguments of the estimator, for further training. A regressor's ``loss`` is "poisson" if the
        module is trained with ``PoissonNLLLoss``: predictions are exp of its outputs.

    Returns
    -------
    est : MLPClassifier, MLPRegressor, RNNClassifier or RNNRegressor
        With the predictions of the module in evaluation mode, but for rounding. A ``Softmax`` over two
        classes becomes one logistic output.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If ``module`` has a part that gdfast has not (the message names it), an argument is one that the
        module decides, or has another type.
    ValueError
        If the parts do not make a network of gdfast, one has a forward hook or no weights yet, or ``classes``
        do not suit the outputs.

    Examples
    --------
    >>> from gdfast.export import from_torch
    >>> from torch import nn  # doctest: +SKIP
    >>> module = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3))  # doctest: +SKIP
    >>> from_torch(module, classes=["a", "b", "c"])  # doctest: +SKIP
    MLPClassifier(activation='gelu', hidden_layer_sizes=(8,))
    """
    needs("torch", "from_torch", "pip install torch")
    from torch import nn

    from gdfast import estimators

    _check_not_given(_OF_THE_MODULE & arguments.keys())
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}.")
    if classes is not None and multilabel:
        raise ValueError("classes are for one class of each row: leave them out with multilabel=True.")
    check_flag("multilabel", multilabel)
    check_flag("per_step", per_step)
    parts = Parts(module, bool(per_step))
    classifies = classes is not None or multilabel
    is_sequence = bool(parts.recurrent)
    name = f"{'RNN' if is_sequence else 'MLP'}{'Classifier' if classifies else 'Regressor'}"
    arrays = parts.arrays()
    output = parts.output
    if per_step and not is_sequence:
        raise ValueError("per_step=True is for recurrent networks, but the module has no recurrent layer.")
    found = parts.cell() | {"per_step": parts.per_step} if is_sequence else parts.feed_forward()
    _check_not_given(found.keys() & arguments.keys())
    arguments |= found
    found_classes = None
    if classifies:
        output, found_classes = _classes(arrays, output, classes, multilabel)
    else:
        output = _of_regressor(output, arguments, len(arrays["intercepts_"][-1]))
    return restore(
        getattr(estimators, name)(**arguments),
        arrays,
        n_features=len(arrays["coefs_"][0]),
        output=output,
        classes=found_classes,
        is_multilabel=multilabel,
    )


def _check_not_given(names: Collection[str]) -> None:
    if names:
        raise TypeError(f"from_torch takes no {min(names)}: the module decides it.")


def _classes(
    arrays: dict[str, list[Array]], ending: str, classes: Any, multilabel: bool
) -> tuple[str, Array]:
    """The output layer's activation and the sorted classes; the last layer is put in their order."""
    coefs, intercepts = arrays["coefs_"], arrays["intercepts_"]
    n_outputs = len(intercepts[-1])
    if ending not in ("", "softmax", "logistic"):
        raise ValueError(
            f"module ends with {ending}, which is of regressors: leave out classes and multilabel."
        )
    if multilabel:
        if ending == "softmax":
            raise ValueError("multilabel=True: module ends with Softmax, so that a row has one class.")
        if n_outputs == 1:
            raise ValueError("multilabel=True needs two outputs or more, one for each label; module has one.")
        return "logistic", np.arange(n_outputs)
    given = np.asarray(classes)
    if given.ndim != 1 or not _are_labels(given, classes) or len(np.unique(given)) < len(given):
        raise ValueError(
            "classes must be labels of one dimension, each of them once, all of them strings, booleans or "
            f"whole numbers, got {classes!r}."
        )
    expected = 2 if n_outputs == 1 else n_outputs
    if len(given) != expected or len(given) < 2:
        raise ValueError(
            f"classes must have {expected} labels for the {n_outputs} output(s) of module, got {len(given)}."
        )
    if ending == "softmax" and n_outputs == 1:
        raise ValueError("module ends with Softmax over one output, which is always 1.")
    if ending == "logistic" and n_outputs > 1:
        raise ValueError(
            "module ends with Sigmoid of several outputs, each of a label of its own: give multilabel=True "
            "in place of classes."
        )
    order = np.argsort(given, kind="stable")
    if len(given) == 2:
        coef, intercept = coefs[-1], intercepts[-1]
        if n_outputs == 2:  # softmax of two is the logistic function of their difference
            coef, intercept = coef[:, 1:] - coef[:, :1], intercept[1:] - intercept[:1]
        sign = 1 if order[0] == 0 else -1
        coefs[-1], intercepts[-1] = sign * coef, sign * intercept
        return "logistic", given[order]
    coefs[-1], intercepts[-1] = coefs[-1][:, order], intercepts[-1][order]
    return "softmax", given[order]


def _are_labels(array: Array, given: Any) -> bool:
    """Whether what was given is of one type that estimators have as labels."""
    match array.dtype.kind:
        case "U" | "O":  # NumPy makes strings of numbers beside strings
            return all(isinstance(label, str) for label in given)
        case "f":
            return bool((array == np.trunc(array)).all())
    return array.dtype.kind in "biu"


def _of_regressor(ending: str, arguments: dict[str, Any], n_outputs: int) -> str:
    """The output layer's activation; adds to the arguments what follows from it."""
    if ending in ("softmax", "logistic"):
        raise ValueError(
            f"module ends with {'Softmax' if ending == 'softmax' else 'Sigmoid'}, which is of classifiers: "
            "give classes, or multilabel=True."
        )
    losses = {"exp": "poisson", "quantiles": "quantile"}
    loss = arguments.setdefault("loss", losses.get(ending, "squared_error"))
    if ending and loss != losses[ending]:
        raise ValueError(
            f"loss={loss!r} does not suit a module that ends with {ending}: use {losses[ending]!r}."
        )
    if loss == "quantile":
        from gdfast.estimators._regression import quantiles_of

        quantiles = quantiles_of(arguments.get("quantiles", 0.5))
        if len(quantiles) != n_outputs or (n_outputs > 1) != (ending == "quantiles"):
            raise ValueError(
                f"quantiles={quantiles} do not suit module, which has {n_outputs} output(s)"
                f"{'' if ending else ' that may cross'}."
            )
        return "quantiles" if n_outputs > 1 else "identity"
    return "exp" if loss == "poisson" else "identity"
