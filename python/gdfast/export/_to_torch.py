"""`to_torch`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gdfast._checks import check_flag
from gdfast.export._networks import layers_of, parameter_of
from gdfast.export._predictor import check_no_embeddings, kind_of, needs, read
from gdfast.prediction.predictors import _RNN, _Tabular
from gdfast.training.activations import Activation
from gdfast.training.arrays import Array

_CELLS = {"elman": "RNN", "gru": "GRU", "lstm": "LSTM"}


def to_torch(est: Any, *, logits: bool = False) -> Any:
    """A PyTorch module with the weights of a fitted network.

    Of feed-forward networks it is an ``nn.Sequential`` of ``Linear``, ``BatchNorm1d``, activations and
    ``Dropout``; of recurrent networks a module whose ``layers`` are ``nn.RNN``, ``nn.GRU`` or ``nn.LSTM``
    (one for all layers, if they have one size), with a ``Linear`` as its ``head``. It is in evaluation mode,
    in the dtype of the weights.

    Parameters
    ----------
    est : estimator or predictor
        A fitted MLPClassifier, MLPRegressor, RNNClassifier or RNNRegressor, or its predictor, which has no
        dropout.
    logits : bool, default=False
        Whether to leave out the output layer's activation, as PyTorch's losses want it: ``CrossEntropyLoss``,
        ``BCEWithLogitsLoss``, ``PoissonNLLLoss``.

    Returns
    -------
    module : torch.nn.Module
        Its outputs have the shape (n_rows, n_outputs). Of classifiers they are probabilities: for two classes
        one, that of the second. Recurrent networks take tensors of shape (n_sequences, n_steps, n_features)
        and packed sequences.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If ``est`` is no estimator of gdfast, or an argument has another type.
    ValueError
        If PyTorch has no layers for it.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from gdfast import MLPRegressor
    >>> from gdfast.export import to_torch
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> reg = MLPRegressor(hidden_layer_sizes=5, solver="lbfgs", random_state=0).fit(X, X.ravel())
    >>> to_torch(reg)  # doctest: +SKIP
    Sequential(
      (0): Linear(in_features=1, out_features=5, bias=True)
      (1): ReLU()
      (2): Linear(in_features=5, out_features=1, bias=True)
    )
    """
    needs("torch", "to_torch", "pip install torch")
    check_flag("logits", logits)
    predictor = read(est)
    if isinstance(predictor, _Tabular):
        raise ValueError(
            f"A {kind_of(predictor)} cannot be said in PyTorch, which has no columns of categories, strings "
            "and missing values. Use to_onnx, or fit an MLPClassifier or MLPRegressor to numbers."
        )
    check_no_embeddings(predictor)
    if isinstance(predictor, _RNN):
        return _recurrent(predictor, logits).eval()
    return _sequential(predictor, est, logits).eval()


def _sequential(predictor: Any, est: Any, logits: bool) -> Any:
    from torch import nn

    from gdfast.estimators import _dropout

    network, weights = predictor._network, predictor._weights
    n_hidden = len(weights.coefs) - 1
    rates = [0.0] * (n_hidden + 1) if est is predictor else _dropout.rates(est.dropout, n_hidden)
    norms = weights.norms()
    modules: list[Any] = []
    for i in range(n_hidden):
        modules += [nn.Dropout(rates[i])] if rates[i] else []
        modules.append(_linear(weights.coefs[i], weights.intercepts[i]))
        if norms is not None:
            modules.append(_norm(norms[i], network.bn_epsilon, getattr(est, "bn_momentum", 0.1)))
        modules.append(_activation(network.activations[i]))
    modules += [nn.Dropout(rates[-1])] if rates[-1] else []
    modules.append(_linear(weights.coefs[-1], weights.intercepts[-1]))
    output = None if logits else _output(network.output)
    return nn.Sequential(*modules, *([] if output is None else [output]))


def _tensor(array: Array) -> Any:
    import torch

    return torch.from_numpy(np.array(array, order="C"))


def _linear(coef: Array, intercept: Array) -> Any:
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):  # torch draws weights, which are replaced
        linear = nn.Linear(*coef.shape, dtype=_tensor(coef).dtype)
    linear.load_state_dict({"weight": _tensor(coef.T), "bias": _tensor(intercept)})
    return linear


def _norm(norm: tuple[Array, ...], epsilon: float, momentum: float) -> Any:
    import torch
    from torch import nn

    tensors = [_tensor(array) for array in norm]
    names = ("weight", "bias", "running_mean", "running_var")
    module = nn.BatchNorm1d(len(norm[0]), eps=epsilon, momentum=float(momentum), dtype=tensors[0].dtype)
    state = dict(zip(names, tensors, strict=True))
    module.load_state_dict({**state, "num_batches_tracked": torch.tensor(0)})
    return module


def _activation(activation: Activation) -> Any:
    from torch import nn

    name, parameter = parameter_of(activation)
    modules: dict[str, Callable[[], Any]] = {
        "identity": nn.Identity,
        "logistic": nn.Sigmoid,
        "tanh": nn.Tanh,
        "relu": nn.ReLU,
        "leaky_relu": lambda: nn.LeakyReLU(parameter),
        "elu": lambda: nn.ELU(parameter),
        "selu": nn.SELU,
        "gelu": nn.GELU,
        "gelu_tanh": lambda: nn.GELU("tanh"),
        "silu": nn.SiLU,
        "mish": nn.Mish,
        # Beyond the threshold it is the identity: at 40 that is exact in float64, at PyTorch's 20 it is not.
        "softplus": lambda: nn.Softplus(threshold=40),
        "softsign": nn.Softsign,
        "hard_tanh": nn.Hardtanh,
    }
    return modules[name]()


def _output(name: str) -> Any:
    """The module of the output layer's activation; None for none."""
    from torch import nn

    from gdfast.export._torch_modules import Exp, Quantiles

    match name:
        case "softmax":
            return nn.Softmax(-1)
        case "logistic":
            return nn.Sigmoid()
        case "exp":
            return Exp()
        case "quantiles":
            return Quantiles()
    return None


def _recurrent(predictor: Any, logits: bool) -> Any:
    import torch
    from torch import nn

    from gdfast.export._torch_modules import Recurrent

    network, weights = predictor._network, predictor._weights
    layers = layers_of(weights)
    one_size = len({layer.units for layer in layers}) == 1
    groups = [layers] if one_size else [[layer] for layer in layers]
    modules = []
    for group in groups:
        options = {"nonlinearity": network.activation} if network.cell == "elman" else {}
        dtype = _tensor(weights.coefs[0]).dtype
        with torch.random.fork_rng(devices=[]):
            module = getattr(nn, _CELLS[network.cell])(
                len(group[0].w_in), group[0].units, len(group), batch_first=True, dtype=dtype, **options
            )
        state = {}
        for i, layer in enumerate(group):
            state[f"weight_ih_l{i}"], state[f"weight_hh_l{i}"] = (
                _tensor(layer.w_in.T),
                _tensor(layer.w_state.T),
            )
            state[f"bias_ih_l{i}"], state[f"bias_hh_l{i}"] = _tensor(layer.b_in), _tensor(layer.b_state)
        module.load_state_dict(state)
        modules.append(module)
    head = _linear(weights.coefs[-1], weights.intercepts[-1])
    output = None if logits else _output(network.output)
    return Recurrent(modules, head, nn.Identity() if output is None else output, network.per_step)
