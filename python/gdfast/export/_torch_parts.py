"""The parts of a PyTorch module, as a network of gdfast has them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from gdfast.training.arrays import Array
from gdfast.training.weights import NORMS


class Parts:
    """The parts of a module, sorted.

    Attributes
    ----------
    output : {"softmax", "logistic", "exp", "quantiles", ""}
        The activation of the output layer, "" for none.
    recurrent : list of nn.RNN, nn.GRU or nn.LSTM
    per_step : bool
        Whether there is an output for each step: if it was given, or the module says so.
    """

    def __init__(self, module: Any, per_step: bool = False) -> None:
        self._linears: list[Any] = []
        self._norms: list[Any] = []
        self._activations: list[tuple[str, float | None]] = []
        self._dropout: list[float] = [0.0]
        self.recurrent: list[Any] = []
        self.output, self.per_step = "", per_step
        # Whether an Identity came behind the latest Linear, and whether a Flatten came.
        self._is_plain = self._is_flat = False
        self._add(module, "module")
        if not self._linears:
            raise ValueError("module has no Linear, but ends with one in gdfast, before its activation.")
        if not self.output and len(self._activations) == len(self._linears) and self._activations:
            # An activation behind the last Linear is the output layer's.
            name = self._activations.pop()[0]
            if name not in ("logistic", "identity"):
                raise ValueError(
                    f"module ends with {name}: in gdfast it ends with Linear, and Softmax or Sigmoid of "
                    "classifiers."
                )
            self.output = "logistic" if name == "logistic" else ""
            if self._dropout.pop():
                raise ValueError("module ends with Dropout.")

    def _add(self, part: Any, where: str) -> None:
        from torch import nn
        from torch.nn.utils.parametrize import is_parametrized

        from gdfast.export._torch_modules import Exp, Quantiles, Recurrent

        _check_weights(part, where)
        _check_forward(part, where)
        if is_parametrized(part):  # in training mode some change when they are read
            part = deepcopy(part).eval()
        if isinstance(part, Recurrent):
            self.per_step |= part.per_step
            for name in ("layers", "head", "output"):
                self._add(getattr(part, name), f"{where}.{name}")
        elif isinstance(part, nn.Sequential | nn.ModuleList):
            for i, inner in enumerate(part):
                self._add(inner, f"{where}[{i}]")
        elif self.output:
            raise ValueError(f"{where} is {part}, behind the output layer's activation.")
        elif isinstance(part, nn.Linear):
            self._add_linear(part, where)
        elif isinstance(part, nn.RNN | nn.GRU | nn.LSTM):
            self._add_recurrent(part, where)
        elif isinstance(part, nn.BatchNorm1d):
            self._add_norm(part, where)
        elif isinstance(part, nn.Dropout):
            self._add_dropout(part, where)
        elif (
            isinstance(part, nn.Flatten)
            and not (self._linears or self.recurrent)
            and (part.start_dim, part.end_dim) == (1, -1)
        ):
            self._is_flat = True  # X has rows of features
        elif isinstance(part, nn.Softmax | nn.LogSoftmax | Exp | Quantiles):
            self._end(part, where)
        else:
            self._add_activation(part, where)

    @property
    def _open(self) -> bool:
        """Whether the latest Linear waits for its activation."""
        return len(self._linears) > len(self._activations)

    def _add_linear(self, part: Any, where: str) -> None:
        if self._open:
            self._activations.append(("identity", None))
            self._dropout.append(0.0)
        if not (part.in_features and part.out_features):
            raise ValueError(f"{where} is {part}: in gdfast a layer has at least one input and one output.")
        self._check_width(part.in_features, where)
        self._linears.append(part)
        self._is_plain = False

    def _check_width(self, n_in: int, where: str) -> None:
        before: Any = None
        if self._linears:
            before = self._linears[-1].out_features
        elif self.recurrent:
            before = self.recurrent[-1].hidden_size
        if before is not None and n_in != before:
            raise ValueError(f"{where} takes {n_in} inputs, but the layer before it has {before} outputs.")

    def _add_recurrent(self, part: Any, where: str) -> None:
        for name in ("bidirectional", "proj_size"):
            if value := getattr(part, name, 0):
                raise ValueError(f"{where} has {name}={value}, which gdfast has not.")
        if part.dropout:
            raise ValueError(
                f"{where} has dropout={part.dropout}, which recurrent networks of gdfast have not. It has no "
                "influence on predictions: set it to 0."
            )
        if self._linears or self._activations or self._is_flat or any(self._dropout):
            raise ValueError(f"{where} is {part}: in gdfast recurrent layers come before all others.")
        if self.recurrent and self.recurrent[0].mode != part.mode:
            raise ValueError(f"{where} is {part}: in gdfast all recurrent layers have one kind of cell.")
        self._check_width(part.input_size, where)
        self.recurrent.append(part)

    def _add_norm(self, part: Any, where: str) -> None:
        if not self._open or len(self._norms) >= len(self._linears):
            raise ValueError(
                f"{where} is {part}: in gdfast batch normalisation comes between a Linear and its activation."
            )
        self._check_width(part.num_features, where)
        if part.running_mean is None:
            raise ValueError(f"{where} has track_running_stats=False: prediction needs the running moments.")
        if part.momentum is None:
            raise ValueError(f"{where} has momentum=None, a cumulative average, which gdfast has not.")
        if len(self._norms) < len(self._linears) - 1:
            raise ValueError(f"{where} is {part}, but earlier layers have none: in gdfast all have, or none.")
        self._norms.append(part)

    def _add_dropout(self, part: Any, where: str) -> None:
        if self._open and self._is_plain:
            self._activations.append(("identity", None))
            self._dropout.append(0.0)
        if self._open or self.recurrent:
            raise ValueError(
                f"{where} is {part}: in gdfast dropout comes before the first Linear or behind an activation."
            )
        before = self._dropout[-1]
        self._dropout[-1] = 1 - (1 - before) * (1 - part.p) if before else part.p

    def _end(self, part: Any, where: str) -> None:
        if not self._open:
            raise ValueError(f"{where} is {part}: in gdfast it comes behind the last Linear.")
        if hasattr(part, "dim") and part.dim not in ((-1, 2) if self.per_step else (None, -1, 1)):
            raise ValueError(f"{where} has dim={part.dim}: in gdfast it is over the outputs, dim=-1.")
        kinds = {"Softmax": "softmax", "LogSoftmax": "softmax", "Exp": "exp", "Quantiles": "quantiles"}
        self.output = kinds[type(part).__name__]

    def _add_activation(self, part: Any, where: str) -> None:
        name, parameter = _name_of(part, where)
        if name == "identity":
            self._is_plain = True
            return
        if not self._open:
            raise ValueError(f"{where} is {part}: in gdfast an activation comes behind a Linear.")
        self._activations.append((name, parameter))
        self._dropout.append(0.0)

    # What they make.

    def arrays(self) -> dict[str, list[Array]]:
        """The weights as an estimator's attributes."""
        coefs, intercepts = [], []
        for layer in self.recurrent:
            for i in range(layer.num_layers):
                for what in ("ih", "hh"):
                    weight = _array(getattr(layer, f"weight_{what}_l{i}")).T
                    bias = getattr(layer, f"bias_{what}_l{i}", None)
                    coefs.append(weight)
                    intercepts.append(
                        np.zeros(weight.shape[1], weight.dtype) if bias is None else _array(bias)
                    )
        for linear in self._linears:
            weight = _array(linear.weight).T
            coefs.append(weight)
            bias = linear.bias
            intercepts.append(np.zeros(weight.shape[1], weight.dtype) if bias is None else _array(bias))
        found = {"coefs_": coefs, "intercepts_": intercepts}
        if self._norms:
            names = ("weight", "bias", "running_mean", "running_var")
            for ours, theirs in zip(NORMS, names, strict=True):
                found[ours] = [_of_norm(norm, theirs) for norm in self._norms]
        return found

    def feed_forward(self) -> dict[str, Any]:
        """The arguments of a feed-forward network."""
        n_hidden = len(self._linears) - 1
        if self._norms and len(self._norms) != n_hidden:
            raise ValueError(
                f"module has {len(self._norms)} BatchNorm1d for {n_hidden} hidden layers: in gdfast all of "
                "them have one, and the output layer none."
            )
        sizes = tuple(linear.out_features for linear in self._linears[:-1])
        found: dict[str, Any] = {"hidden_layer_sizes": sizes}
        if names := tuple(name for name, _ in self._activations):
            found["activation"] = names[0] if len({*names}) == 1 else names
        parameters: dict[str, float] = {}
        for name, value in self._activations:
            if value is not None and parameters.setdefault(name, value) != value:
                raise ValueError(
                    f"module has {name} with the parameters {parameters[name]} and {value}: in gdfast it has "
                    "one in all layers."
                )
        if parameters:
            found["activation_params"] = parameters
        if any(self._dropout):
            first, *others = self._dropout
            found["dropout"] = tuple(self._dropout) if first or len({*others}) > 1 else others[0]
        if self._norms:
            for ours, theirs in (("bn_epsilon", "eps"), ("bn_momentum", "momentum")):
                values = {float(getattr(norm, theirs)) for norm in self._norms}
                if len(values) > 1:
                    raise ValueError(
                        f"module has BatchNorm1d with the {theirs} {sorted(values)}: in gdfast all have one."
                    )
                (found[ours],) = values
            found["batch_norm"] = True
        return found

    def cell(self) -> dict[str, Any]:
        """The arguments of a recurrent network."""
        if len(self._linears) > 1 or self._norms:
            raise ValueError("module has several layers behind the recurrent ones: gdfast has one Linear.")
        mode = self.recurrent[0].mode
        name = "elman" if mode.startswith("RNN") else mode.lower()
        sizes = [layer.hidden_size for layer in self.recurrent for _ in range(layer.num_layers)]
        found: dict[str, Any] = {"hidden_layer_sizes": tuple(sizes), "cell": name}
        if name == "elman":
            found["activation"] = mode.removeprefix("RNN_").lower()
        return found


def _check_forward(part: Any, where: str) -> None:
    """An error if a part may do something else than its class in PyTorch."""
    import torch

    kinds: list[Any] = [
        kind for kind in type(part).__mro__ if kind.__module__.startswith(("torch.", "gdfast."))
    ]
    is_compiled = isinstance(part, torch.jit.ScriptModule)
    if is_compiled or "forward" in vars(part) or type(part).forward is not kinds[0].forward:
        raise TypeError(f"{where} is a {type(part).__name__}, whose forward is its own: it may do anything.")
    if part._forward_hooks or part._forward_pre_hooks:
        raise ValueError(f"{where} has a forward hook, which may change what it does: remove it before.")


def _check_weights(part: Any, where: str) -> None:
    """ValueError if there are none yet, or none that are real."""
    from torch.nn.parameter import is_lazy

    for weight in (*part.parameters(recurse=False), *part.buffers(recurse=False)):
        if is_lazy(weight):
            raise ValueError(f"{where} is lazy and has no weights yet: call module once before.")
        if weight.is_meta:
            raise ValueError(f"{where} has no weights: it is on the device 'meta'.")
        if weight.is_complex():
            raise ValueError(f"{where} has complex weights: those of gdfast are real.")


def _array(tensor: Any) -> Array:
    import torch

    wide = tensor.detach().cpu().to(torch.float64 if tensor.dtype == torch.float64 else torch.float32)
    found: Array = np.array(wide.numpy())
    return found


def _of_norm(norm: Any, name: str) -> Array:
    value = getattr(norm, name)
    if value is None:  # affine=False
        return np.full(norm.num_features, name == "weight", _array(norm.running_mean).dtype)
    return _array(value)


def _name_of(part: Any, where: str) -> tuple[str, float | None]:
    """The name of an activation, and its parameter; TypeError if gdfast has none."""
    from torch import nn

    plain: dict[type, str] = {
        nn.Identity: "identity",
        nn.Sigmoid: "logistic",
        nn.Tanh: "tanh",
        nn.ReLU: "relu",
        nn.SELU: "selu",
        nn.SiLU: "silu",
        nn.Mish: "mish",
        nn.Softsign: "softsign",
    }
    kind = type(part)
    if kind in plain:
        return plain[kind], None
    if kind is nn.LeakyReLU:
        return "leaky_relu", float(part.negative_slope)
    if kind is nn.ELU:
        return "elu", float(part.alpha)
    if kind is nn.GELU:
        return ("gelu" if part.approximate == "none" else "gelu_tanh"), None
    # Above its threshold torch's is linear: from 20 on, that is the same number.
    if kind is nn.Softplus and part.beta == 1 and part.threshold >= 20:
        return "softplus", None
    if kind is nn.Hardtanh and (part.min_val, part.max_val) == (-1, 1):
        return "hard_tanh", None
    raise TypeError(
        f"{where} is {part}, which gdfast has not: it has Linear, BatchNorm1d, Dropout, the activations of "
        "its estimators, RNN, GRU and LSTM."
    )
