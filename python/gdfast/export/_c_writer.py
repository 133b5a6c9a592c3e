"""The text of a C file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gdfast._core import __version__
from gdfast.export._networks import (
    SELU_ALPHA,
    SELU_SCALE,
    Layer,
    layers_of,
    normalisation,
    parameter_of,
    rounded,
)
from gdfast.export._predictor import kind_of
from gdfast.prediction.labels import MULTILABEL
from gdfast.prediction.predictors import _RNN
from gdfast.training.activations import Activation
from gdfast.training.arrays import Array
from gdfast.training.network import GATES

# What compilers of C99 have to take in a string literal.
_LONGEST_LABEL = 4095


class Writer:
    """Writes the file of a predictor."""

    def __init__(self, predictor: Any, name: str, dtype: np.dtype[Any], size: int) -> None:
        self._predictor, self._name, self._size = predictor, name, size
        self._dtype = dtype
        self._is_single = dtype == np.float32
        self._type = "float" if self._is_single else "double"
        self._classes: Any = getattr(predictor, "_classes", None)
        # Whether a row has one class, whose number is returned.
        self._has_number = self._classes is not None and self._classes.y_type != MULTILABEL
        self._returned, self._return = ("int", "return ") if self._has_number else ("void", "")
        self._constants: list[str] = []
        self._used: dict[str, str] = {}  # functions, by their names
        self._stack = 0  # in numbers, of the largest function

    def text(self) -> str:
        is_sequence = isinstance(self._predictor, _RNN)
        functions, declarations = self._of_sequences() if is_sequence else self._of_rows()
        labels, label_type = self._labels()
        upper = self._name.upper()
        n_features, n_outputs = self._predictor.n_features_in_, self._n_columns
        lines = [
            "/*",
            *(f" * {line}".rstrip() for line in self._comment()),
            " */",
            f"#ifndef GDFAST_{upper}_H",
            f"#define GDFAST_{upper}_H",
            "#include <stddef.h>",
            *(["#include <stdint.h>"] if label_type == "int64_t" else []),
            "",
            f"#define {upper}_N_FEATURES {n_features}",
            f"#define {upper}_N_OUTPUTS {n_outputs}",
            "",
            "#ifdef __cplusplus",
            'extern "C" {',
            "#endif",
            "",
            *declarations,
            *(self._declared_labels(label_type, len(labels)) if labels else []),
            "",
            "#ifdef __cplusplus",
            "}",
            "#endif",
            "#endif",
            "",
            f"#ifndef {upper}_DECLARATIONS",
            "#include <math.h>",
            "",
            *self._constants,
            *(self._defined_labels(label_type, labels) if labels else []),
            "",
            *self._used.values(),
            *functions,
            "#endif",
        ]
        return "\n".join(lines) + "\n"

    @property
    def _n_columns(self) -> int:
        n: int = self._predictor.n_outputs_
        return n if self._classes is None else max(2, n)

    def _comment(self) -> list[str]:
        name, upper, kind = self._name, self._name.upper(), kind_of(self._predictor)
        stack = self._stack * self._dtype.itemsize
        about = [
            f"The prediction of a {kind}, by gdfast {__version__}.",
            "",
            "C99, with math.h only; no allocation, no static state.",
            f"Weights: {self._size} bytes of constants. Stack: about {stack} bytes of numbers.",
            f"x holds {upper}_N_FEATURES numbers, out has room for {upper}_N_OUTPUTS.",
        ]
        if self._has_number:
            about.append(f"out are probabilities; the number of the class is returned, see {name}_labels.")
        elif self._classes is not None:
            about.append("out are probabilities of labels; those above 0.5 are predicted.")
        about += ["", f"Other files include this one with {upper}_DECLARATIONS defined."]
        return about

    # Constants.

    def _number(self, value: float) -> str:
        """A literal of a number that is rounded to the dtype."""
        return self._literal(rounded(value, self._dtype).item())

    def _literal(self, value: float) -> str:
        """A literal that is exact."""
        mantissa, _, exponent = value.hex().partition("p")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").removesuffix(".")
        return f"{mantissa}p{exponent}{'f' if self._is_single else ''}"

    def _array(self, name: str, values: Array) -> str:
        """Add a constant array, and return its name."""
        numbers = [self._literal(value) for value in rounded(values, self._dtype).ravel().tolist()]
        rows = [", ".join(numbers[i : i + 6]) for i in range(0, len(numbers), 6)]
        body = ",\n".join(f"    {row}" for row in rows)
        self._constants += [
            f"static const {self._type} {self._name}_{name}[{values.size}] = {{\n{body}}};",
            "",
        ]
        return f"{self._name}_{name}"

    def _labels(self) -> tuple[list[str], str]:
        """The literals of the labels, and their type."""
        if not self._has_number:
            return [], ""
        classes = self._classes.values
        kind = classes.dtype.kind
        if kind == "b":
            return [str(int(value)) for value in classes], "int"
        if kind in "iu":
            if classes.max() > np.iinfo(np.int64).max:
                raise ValueError(f"classes_ has {classes.max()}, which is no int64_t.")
            return [_whole_number(int(value)) for value in classes], "int64_t"
        if kind == "f":
            return [f"{float(value)!r}" for value in classes], "double"
        return [_string(value) for value in classes.tolist()], "char *"

    def _declared_labels(self, kind: str, count: int) -> list[str]:
        return ["", f"extern {self._label_array(kind, count)};"]

    def _label_array(self, kind: str, count: int) -> str:
        pointer = "const char *const" if kind == "char *" else f"const {kind}"
        return f"{pointer} {self._name}_labels[{count}]"

    def _defined_labels(self, kind: str, labels: list[str]) -> list[str]:
        return [f"{self._label_array(kind, len(labels))} = {{", *(f"    {label}," for label in labels), "};"]

    # Functions.

    def _f(self, name: str) -> str:
        """The function of math.h for the dtype."""
        return f"{name}f" if self._is_single else name

    def _static(self, name: str, text: str) -> str:
        """Add a function of this file unless it is there, and return its name."""
        self._used.setdefault(name, text)
        return name

    def _dense(self) -> str:
        name = f"{self._name}_dense"
        return self._static(
            name,
            f"""/* out = bias + x w, with the weights of an output side by side */
static void {name}(const {self._type} *x, size_t n_in, const {self._type} *w, const {self._type} *bias,
    size_t n_out, {self._type} *out)
{{
    size_t i, j;
    for (j = 0; j < n_out; j++) {{
        {self._type} sum = bias[j];
        for (i = 0; i < n_in; i++)
            sum += x[i] * w[j * n_in + i];
        out[j] = sum;
    }}
}}
""",
        )

    def _scalar(self, name: str, body: str) -> str:
        full = f"{self._name}_{name}"
        text = f"static {self._type} {full}({self._type} z)\n{{\n    {body}\n}}\n"
        return self._static(full, text)

    def _logistic(self) -> str:
        n = self._number
        return self._scalar("logistic", f"return {n(1)} / ({n(1)} + {self._f('exp')}(-z));")

    def _softplus(self) -> str:
        f = self._f
        tail = f"{f('log1p')}({f('exp')}(-{f('fabs')}(z)))"
        return self._scalar("softplus", f"return (z > 0 ? z : 0) + {tail};")

    def _activated(self, activation: Activation, value: str) -> str:
        """An expression for an activation of a value."""
        activation, parameter = parameter_of(activation)
        n, f = self._number, self._f
        match activation:
            case "identity":
                return value
            case "tanh":
                return f"{f('tanh')}({value})"
            case "logistic":
                return f"{self._logistic()}({value})"
            case "softplus":
                return f"{self._softplus()}({value})"
        bodies: dict[str, Callable[[], str]] = {
            "relu": lambda: "z > 0 ? z : 0",
            "leaky_relu": lambda: f"z > 0 ? z : {n(parameter)} * z",
            "elu": lambda: f"z > 0 ? z : {n(parameter)} * {f('expm1')}(z)",
            "selu": lambda: f"z > 0 ? {n(SELU_SCALE)} * z : {n(SELU_SCALE * SELU_ALPHA)} * {f('expm1')}(z)",
            "gelu": lambda: f"{n(0.5)} * z * {f('erfc')}({n(-(0.5**0.5))} * z)",
            "gelu_tanh": lambda: (
                f"z * {self._logistic()}({n(2 * (2 / np.pi) ** 0.5)} * (z + {n(0.044715)} * z * z * z))"
            ),
            "silu": lambda: f"z * {self._logistic()}(z)",
            "mish": lambda: f"z * {f('tanh')}({self._softplus()}(z))",
            "softsign": lambda: f"z / ({n(1)} + {f('fabs')}(z))",
            "hard_tanh": lambda: "z > 1 ? 1 : (z < -1 ? -1 : z)",
        }
        return f"{self._scalar(activation, f'return {bodies[activation]()};')}({value})"

    def _loop(self, count: int, statement: str, first: int = 0) -> str:
        return f"    for (i = {first}; i < {count}; i++)\n        {statement}"

    def _output(self, activation: str, n: int) -> list[str]:
        """The statements that turn out, with n pre-activations, into what is predicted."""
        match activation:
            case "softmax":
                return [
                    f"    {self._type} most = out[0], total = 0;",
                    self._loop(n, "most = out[i] > most ? out[i] : most;", 1),
                    f"    for (i = 0; i < {n}; i++) {{",
                    f"        out[i] = {self._f('exp')}(out[i] - most);",
                    "        total += out[i];",
                    "    }",
                    self._loop(n, "out[i] /= total;"),
                ]
            case "logistic":
                return [self._loop(n, f"out[i] = {self._logistic()}(out[i]);")]
            case "exp":
                return [self._loop(n, f"out[i] = {self._f('exp')}(out[i]);")]
            case "quantiles":
                return [self._loop(n, f"out[i] = out[i - 1] + {self._softplus()}(out[i]);", 1)]
        return []

    def _finish(self, n: int) -> str:
        """The statement that turns n pre-activations into what is predicted, and returns it."""
        body = self._output(self._predictor._network.output, n)
        if self._classes is not None and n == 1:
            body += ["    out[1] = out[0];", f"    out[0] = {self._number(1)} - out[1];"]
        counts = any("i = " in line for line in body)
        if self._has_number and len(self._classes.values) == 1:
            body.append("    return 0;")
        elif self._has_number:
            counts = True
            body = ["    size_t best = 0;", *body]
            body.append(self._loop(self._n_columns, "best = out[i] > out[best] ? i : best;", 1))
            body.append("    return (int)best;")
        name = f"{self._name}_finish"
        lines = [
            f"static {self._returned} {name}({self._type} *out)",
            "{",
            *(["    size_t i;"] if counts else []),
            *(body or ["    (void)out;"]),
            "}",
            "",
        ]
        self._static(name, "\n".join(lines))
        return f"    {self._return}{name}(out);"

    # Rows.

    def _of_rows(self) -> tuple[list[str], list[str]]:
        network, weights = self._predictor._network, self._predictor._weights
        head = f"{self._returned} {self._name}_predict(const {self._type} *x, {self._type} *out)"
        hidden = [coef.shape[1] for coef in weights.coefs[:-1]]
        width = max(hidden, default=0)
        buffers = ["a", "b"][: min(2, len(hidden))]
        self._stack = width * len(buffers)
        lines = [head, "{"]
        if hidden:
            lines += [f"    {self._type} {', '.join(f'{buffer}[{width}]' for buffer in buffers)};"]
            lines += ["    size_t i;"]
        value = "x"
        norms = weights.norms()
        for i, (coef, intercept) in enumerate(zip(weights.coefs, weights.intercepts, strict=True)):
            n_in, n_out = coef.shape
            to = buffers[i % 2] if i < len(hidden) else "out"
            w, bias = self._array(f"w{i}", coef.T), self._array(f"b{i}", intercept)
            lines.append(f"    {self._dense()}({value}, {n_in}, {w}, {bias}, {n_out}, {to});")
            if i < len(hidden):
                lines += self._hidden(i, to, n_out, network, norms)
            value = to
        if hidden and not any("i <" in line for line in lines):
            lines.remove("    size_t i;")
        lines += [self._finish(self._predictor.n_outputs_), "}"]
        return lines, [f"{head};"]

    def _hidden(self, i: int, buffer: str, n: int, network: Any, norms: Any) -> list[str]:
        """The statements that normalise and activate a layer's pre-activations."""
        value = f"{buffer}[i]"
        lines = []
        if norms is not None:
            parts = normalisation(norms[i], network.bn_epsilon, self._dtype)
            arrays = [
                self._array(f"{what}{i}", values)
                for what, values in zip(("mean", "scale", "shift"), parts, strict=True)
            ]
            center, factor, shift = (f"{array}[i]" for array in arrays)
            lines.append(self._loop(n, f"{value} = ({value} - {center}) * {factor} + {shift};"))
        if network.activations[i] != "identity":
            lines.append(self._loop(n, f"{value} = {self._activated(network.activations[i], value)};"))
        return lines

    # Sequences.

    def _of_sequences(self) -> tuple[list[str], list[str]]:
        network, weights = self._predictor._network, self._predictor._weights
        name, number = self._name, self._type
        layers = layers_of(weights)
        parts = [f"h{i}" for i in range(len(layers))]
        if network.cell == "lstm":
            parts += [f"c{i}" for i in range(len(layers))]
        fields = [f"    {number} {part}[{layers[int(part[1:])].units}];" for part in parts]
        heads = {
            "reset": f"void {name}_reset({name}_state *state)",
            "update": f"void {name}_update({name}_state *state, const {number} *x)",
            "output": f"{self._returned} {name}_output(const {name}_state *state, {number} *out)",
            "step": f"{self._returned} {name}_step({name}_state *state, const {number} *x, {number} *out)",
        }
        if not network.per_step:
            heads["predict"] = (
                f"{self._returned} {name}_predict(const {number} *x, size_t n_steps, {number} *out)"
            )
        width = GATES[network.cell] * max(layer.units for layer in layers)
        self._stack = 2 * width + sum(layer.units for layer in layers) * len(parts) // len(layers)
        update = [
            heads["update"],
            "{",
            f"    {number} of_input[{width}], of_state[{width}];",
            "    size_t i;",
        ]
        value = "x"
        for i, layer in enumerate(layers):
            value = self._cell(update, i, value, layer, network)
        coef, intercept = weights.coefs[-1], weights.intercepts[-1]
        w, bias = self._array("w_out", coef.T), self._array("b_out", intercept)
        n_out = self._predictor.n_outputs_
        reset = [self._loop(layers[int(p[1:])].units, f"state->{p}[i] = 0;") for p in parts]
        functions = [
            *(heads["reset"], "{", "    size_t i;", *reset, "}", ""),
            *(*update, "}", ""),
            *(heads["output"], "{"),
            f"    {self._dense()}(state->h{len(layers) - 1}, {layers[-1].units}, {w}, {bias}, {n_out}, out);",
            *(self._finish(n_out), "}", ""),
            *(heads["step"], "{", f"    {name}_update(state, x);"),
            *(f"    {self._return}{name}_output(state, out);", "}"),
        ]
        if not network.per_step:
            functions += [
                *("", heads["predict"], "{", f"    {name}_state state;", "    size_t step;"),
                f"    {name}_reset(&state);",
                "    for (step = 0; step < n_steps; step++)",
                f"        {name}_update(&state, x + step * {self._predictor.n_features_in_});",
                *(f"    {self._return}{name}_output(&state, out);", "}"),
            ]
        state = ["typedef struct {", *fields, f"}} {name}_state;", ""]
        return functions, [*state, *(f"{head};" for head in heads.values())]

    def _cell(self, lines: list[str], i: int, value: str, layer: Layer, network: Any) -> str:
        """Add the statements of a layer's step, and return what holds its output."""
        n, n_in = layer.units, len(layer.w_in)
        h, c = f"state->h{i}", f"state->c{i}"
        total = GATES[network.cell] * n
        for what, source, size, w, b in (
            ("of_input", value, n_in, layer.w_in, layer.b_in),
            ("of_state", h, n, layer.w_state, layer.b_state),
        ):
            short = "x" if what == "of_input" else "h"
            names = self._array(f"w{short}{i}", w.T), self._array(f"b{short}{i}", b)
            lines.append(f"    {self._dense()}({source}, {size}, {names[0]}, {names[1]}, {total}, {what});")

        def gate(number: int) -> str:
            return f"of_input[{number * n} + i] + of_state[{number * n} + i]"

        logistic, tanh = self._logistic, self._f("tanh")
        if network.cell == "elman":
            lines.append(self._loop(n, f"{h}[i] = {self._activated(network.activation, gate(0))};"))
            return h
        body: list[str]
        if network.cell == "gru":
            body = [
                f"const {self._type} reset = {logistic()}({gate(0)});",
                f"const {self._type} update = {logistic()}({gate(1)});",
                f"const {self._type} fresh = {tanh}(of_input[{2 * n} + i] + reset * of_state[{2 * n} + i]);",
                f"{h}[i] = fresh + update * ({h}[i] - fresh);",
            ]
        else:
            body = [
                f"const {self._type} take = {logistic()}({gate(0)});",
                f"const {self._type} keep = {logistic()}({gate(1)});",
                f"const {self._type} fresh = {tanh}({gate(2)});",
                f"const {self._type} show = {logistic()}({gate(3)});",
                f"{c}[i] = keep * {c}[i] + take * fresh;",
                f"{h}[i] = show * {tanh}({c}[i]);",
            ]
        lines += [f"    for (i = 0; i < {n}; i++) {{", *(f"        {line}" for line in body), "    }"]
        return h


def _whole_number(value: int) -> str:
    """A literal of int64_t; the least of all has none of its own."""
    return "INT64_MIN" if value == -(2**63) else f"INT64_C({value})"


def _string(label: Any) -> str:
    """A string literal of ASCII characters, in UTF-8."""
    if not isinstance(label, str):
        raise ValueError(
            f"classes_ has {label!r}, a {type(label).__name__}: C has labels of strings, numbers and "
            "booleans."
        )
    encoded = label.encode("utf-8")
    if b"\0" in encoded or len(encoded) > _LONGEST_LABEL:
        raise ValueError(
            f"classes_ has the label {label[:40]!r}, which no string of C holds: it has a null character, or "
            f"more than {_LONGEST_LABEL} bytes."
        )
    return '"' + "".join(_character(byte) for byte in encoded) + '"'


def _character(byte: int) -> str:
    plain = 32 <= byte < 127 and chr(byte) not in '"\\?'  # (two question marks begin a trigraph)
    return chr(byte) if plain else f"\\{byte:03o}"
