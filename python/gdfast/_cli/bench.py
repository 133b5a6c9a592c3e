"""``gdfast bench``: the speed of this machine."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import gdfast
from gdfast import _core
from gdfast._cli.output import show, show_line

_FEATURES = 64
_CLASSES = 10
_STEPS = 32  # of a sequence
_NETS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "MLP (100,)": (gdfast.MLPClassifier, {"hidden_layer_sizes": (100,)}),
    "MLP (256, 256)": (gdfast.MLPClassifier, {"hidden_layer_sizes": (256, 256)}),
    "MLP (1024, 1024)": (gdfast.MLPClassifier, {"hidden_layer_sizes": (1024, 1024)}),
    "MLP 16 x (64,), tanh": (
        gdfast.MLPClassifier,
        {"hidden_layer_sizes": (64,) * 16, "activation": "tanh"},
    ),
    "GRU (64,)": (gdfast.RNNClassifier, {"hidden_layer_sizes": (64,), "cell": "gru"}),
    "LSTM (64,)": (gdfast.RNNClassifier, {"hidden_layer_sizes": (64,), "cell": "lstm"}),
}


def run(n_rows: int) -> None:
    n_threads = _core.max_threads()
    show(
        [
            ("gdfast", f"{_core.__version__}, {_core.active_isa()}, {n_threads} threads"),
            ("peak, 1 thread", _gigaflops(_core.fma_peak(1, 0.2))),
            (f"peak, {n_threads} threads", _gigaflops(_core.fma_peak(n_threads, 0.2))),
        ]
    )
    show_line(
        f"\nSeconds of an epoch of {n_rows:,} rows, {_FEATURES} features, {_CLASSES} classes, in float32"
    )
    width = max(map(len, _NETS))
    for name, (kind, arguments) in _NETS.items():
        show_line(f"{name:<{width}}  {_seconds(kind, arguments, n_rows):.4f}")


def _seconds(kind: type[Any], arguments: dict[str, Any], n_rows: int) -> float:
    """Of an epoch: the least of three."""
    random = np.random.default_rng(0)
    is_recurrent = kind is gdfast.RNNClassifier
    n_sequences = max(_CLASSES, n_rows // _STEPS) if is_recurrent else max(_CLASSES, n_rows)
    shape = (n_sequences, _STEPS, _FEATURES) if is_recurrent else (n_sequences, _FEATURES)
    X = random.standard_normal(shape, dtype=np.float32)
    y = np.arange(n_sequences) % _CLASSES
    est = kind(**arguments, random_state=0)
    classes = np.arange(_CLASSES)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        est.partial_fit(X, y, classes=classes)
        times.append(time.perf_counter() - begin)
    return min(times)


def _gigaflops(peak: float) -> str:
    return f"{peak / 1e9:.1f} Gflop/s (fused multiply-adds in float32)"
