"""Ctrl-C by real signals to a process of its own: long calls end within a tenth of a second.

`pytest -m slow -s tests/estimators/test_ctrl_c.py` prints the latencies.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="other signals there"),
]

HEAD = """
import signal, time, warnings
import numpy as np
import gdfast
from gdfast import MLPClassifier, MLPRegressor, RNNRegressor
signal.signal(signal.SIGINT, signal.default_int_handler)
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
def rows(n, k, dtype=np.float32):
    return rng.random((n, k), dtype)
endless = dict(max_iter=10**6, tol=0, n_iter_no_change=10**6, random_state=0)
"""
TAIL = """
print("begins", flush=True)
try:
    call()
    how = "returned"
except KeyboardInterrupt:
    how = "raised"
print("ended", time.monotonic(), how, flush=True)
"""

# What is called, and the seconds after which it is interrupted: each takes many times as long.
CALLS = {
    "fit, small batches": (
        "X = rows(2000, 20)\n"
        "net = MLPRegressor(hidden_layer_sizes=(64, 64), **endless)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (0.2, 1.0),
    ),
    "fit, one batch of all rows": (
        "X = rows(120_000, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(512, 512), batch_size=len(X), **endless)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (0.5, 3.0),
    ),
    "fit, one batch, batch normalisation": (
        "X = rows(120_000, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(512, 512), batch_size=len(X), batch_norm=True, **endless)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (0.5, 3.0),
    ),
    "fit, a wide net": (
        "X = rows(2000, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(5000, 5000), **endless)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (2.0, 5.0),
    ),
    "fit, a trainer being built": (
        "X = rows(200, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(14_000, 14_000), **endless)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (0.1, 4.0),
    ),
    "fit, lbfgs": (
        "X = rows(60_000, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(256, 256), solver='lbfgs', **endless)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (0.5, 3.0),
    ),
    "fit, newton-cg": (
        "X = rows(60_000, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(256, 256), solver='newton-cg', **endless)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (0.5, 3.0),
    ),
    "fit, lm": (
        "X = rows(60_000, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(20,), activation='tanh', solver='lm', **endless)\n"
        "call = lambda: net.fit(X, X[:, 0] * X[:, 1])",
        (0.5, 3.0),
    ),
    "fit, annealing": (
        "X = rows(60_000, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(256, 256), solver='annealing', **endless)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (0.5, 3.0),
    ),
    "fit, sparse rows in one batch": (
        "from scipy import sparse\n"
        "X = sparse.random(60_000, 2000, 0.02, 'csr', np.float32, rng); y = rows(60_000, 1)[:, 0]\n"
        "net = MLPRegressor(hidden_layer_sizes=(256, 256), batch_size=60_000, **endless)\n"
        "call = lambda: net.fit(X, y)",
        (0.5, 2.0),
    ),
    "fit, one long sequence": (
        "X = rows(200_000, 8)[np.newaxis]\n"
        "net = RNNRegressor(hidden_layer_sizes=(64,), cell='lstm', per_step=True, max_iter=1000)\n"
        "call = lambda: net.fit(X, X[..., 0])",
        (1.0, 3.0),
    ),
    "fit, networks side by side": (
        "from gdfast import TabularRegressor\n"
        "X = rows(200_000, 30)\n"
        "net = TabularRegressor(bins='values', random_state=0)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (4.0, 6.0),
    ),
    "fit_many, short epochs": (
        "X = rows(60, 4)\n"
        "nets = [MLPRegressor(hidden_layer_sizes=(5,), **{**endless, 'random_state': i}) for i in range(4)]\n"
        "call = lambda: gdfast.fit_many(nets, X, X[:, 0], n_jobs=2)",
        (0.5, 2.0),
    ),
    "predict, rows": (
        "X = rows(200_000, 256)\n"
        "net = MLPRegressor(hidden_layer_sizes=(1024, 1024), max_iter=1).fit(X[:200], X[:200, 0])\n"
        "call = lambda: [net.predict(X) for _ in range(100)]",
        (0.2, 2.0),
    ),
    "predict, one long sequence": (
        "X = rows(2_000_000, 8)[np.newaxis]\n"
        "net = RNNRegressor(hidden_layer_sizes=(128,), cell='lstm', per_step=True, max_iter=1)\n"
        "net.fit(X[:, :100], X[:, :100, 0]); call = lambda: net.predict(X)",
        (0.2, 2.0),
    ),
    "fit, many rows to be shuffled": (
        "X = rows(20_000_000, 2); y = X[:, 0]\n"
        "net = MLPRegressor(hidden_layer_sizes=(2,), batch_size=4000, **endless)\n"
        "call = lambda: net.fit(X, y)",
        (0.3, 3.0),
    ),
    "fit, embedded columns in one batch": (
        "from gdfast.preprocessing import TableEncoder\n"
        "X = np.floor(rows(300_000, 10) * 5000)\n"
        "encoder = TableEncoder(embed_from=16, categorical_features=list(range(10)), max_categories=4000)\n"
        "table = encoder.fit(X, X[:, 0]).encode(X)\n"
        "net = MLPRegressor(hidden_layer_sizes=(64,), batch_size=300_000, **endless)\n"
        "call = lambda: net.fit(table, X[:, 0])",
        (0.2, 3.0),
    ),
    "fit, truncated backpropagation": (
        "X = rows(64 * 5000, 8).reshape(64, 5000, 8)\n"
        "net = RNNRegressor(hidden_layer_sizes=(256,), per_step=True, tbptt=(100, 200), max_iter=1000)\n"
        "call = lambda: net.fit(X, X[..., 0])",
        (0.5, 3.0),
    ),
    "fit, a table's preparation": (
        "from gdfast import TabularRegressor\n"
        "X = rows(500_000, 60)\n"
        "net = TabularRegressor(random_state=0)\n"
        "call = lambda: net.fit(X, X[:, 0])",
        (0.3, 3.0),
    ),
    "partial_fit, a wide net": (
        "X = rows(2000, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(5000, 5000))\n"
        "call = lambda: [net.partial_fit(X, X[:, 0]) for _ in range(100)]",
        (2.0, 5.0),
    ),
    "predict, few rows of a wide net": (
        "X = rows(10, 100)\n"
        "net = MLPRegressor(hidden_layer_sizes=(10, 10), max_iter=1).fit(X, X[:, 0])\n"
        "net.coefs_ = [np.full(s, 1e-4, np.float32) for s in ((100, 14000), (14000, 14000), (14000, 1))]\n"
        "net.intercepts_ = [np.zeros(w.shape[1], np.float32) for w in net.coefs_]\n"
        "call = lambda: [net.predict(X) for _ in range(100)]",
        (0.2, 2.0),
    ),
    "predict, sparse rows": (
        "from scipy import sparse\n"
        "X = sparse.random(400_000, 2000, 0.05, 'csr', np.float32, rng)\n"
        "net = MLPRegressor(hidden_layer_sizes=(256, 256), max_iter=1).fit(X[:200], rows(200, 1)[:, 0])\n"
        "call = lambda: [net.predict(X) for _ in range(100)]",
        (0.2, 2.0),
    ),
    "predict, a table": (
        "from gdfast import TabularRegressor\n"
        "X = rows(300_000, 30)\n"
        "net = TabularRegressor(bins='values', random_state=0, max_iter=1).fit(X[:2000], X[:2000, 0])\n"
        "call = lambda: [net.predict(X) for _ in range(100)]",
        (0.2, 3.0),
    ),
    "predict, many sequences": (
        "X = rows(200_000 * 50, 8).reshape(-1, 50, 8)\n"
        "net = RNNRegressor(hidden_layer_sizes=(128,), cell='gru', max_iter=1).fit(X[:100], X[:100, 0, 0])\n"
        "call = lambda: [net.predict(X) for _ in range(100)]",
        (0.2, 3.0),
    ),
    "transform, a table": (
        "from gdfast.preprocessing import TableEncoder\n"
        "X = rows(300_000, 30)\n"
        "encoder = TableEncoder(bins='values').fit(X[:2000])\n"
        "call = lambda: [encoder.transform(X) for _ in range(100)]",
        (0.2, 3.0),
    ),
    "forward pass of kernels": (
        "from gdfast.kernels import mlp_forward\n"
        "X = rows(1_000_000, 100); W = [rows(100, 512), rows(512, 512), rows(512, 1)]\n"
        "b = [rows(1, w.shape[1])[0] for w in W]\n"
        "call = lambda: [mlp_forward(X, W, b) for _ in range(100)]",
        (0.2, 1.0),
    ),
    "first steps of optimizers": (
        "from gdfast import optim\n"
        "w = [np.ones(150_000_000, np.float32)]; g = [np.ones(150_000_000, np.float32)]\n"
        "call = lambda: [optim.Adam().step(w, g) for _ in range(100)]",
        (0.1, 2.0),
    ),
    "minimize, annealing": (
        "x = np.ones(3_000_000)\n"
        "call = lambda: gdfast.minimize(lambda x: float((x * x).sum()), x, method='annealing')",
        (0.2, 2.0),
    ),
    "minimize": (
        "x = np.ones(10_000)\n"
        "call = lambda: gdfast.minimize(lambda x: (x**2).sum(), x, options={'maxiter': 10**6, 'gtol': 0})",
        (0.2, 1.0),
    ),
    "loss and gradient": (
        "from gdfast.kernels import mlp_loss_and_grad\n"
        "X = rows(400_000, 100); W = [rows(100, 512), rows(512, 512), rows(512, 1)]\n"
        "b = [rows(1, w.shape[1])[0] for w in W]; y = rows(len(X), 1)\n"
        "call = lambda: mlp_loss_and_grad(X, y, W, b, loss='squared_error')",
        (0.2, 0.5),
    ),
    **{
        name: (
            f"from gdfast.kernels import {name}\n"
            "X = rows(400_000, 100); W = [rows(100, 512), rows(512, 512), rows(512, 3)]\n"
            "b = [rows(1, w.shape[1])[0] for w in W]; y = rows(len(X), 3)\n"
            f"call = lambda: {name}(X, y, W, b{more})",
            (0.2, 0.5),
        )
        for name, more in (
            ("mlp_hessian_vector_product", ", direction=(W, b)"),
            ("mlp_gauss_newton_vector_product", ", direction=(W, b)"),
            ("mlp_gauss_newton_diagonal", ""),
            ("mlp_fisher_diagonal", ""),
        )
    },
}


def latency(program: str, delay: float) -> tuple[float, str]:
    """Seconds from the signal to the end of the call, and how it ended."""
    child = subprocess.Popen([sys.executable, "-c", HEAD + program + TAIL], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    killer = threading.Timer(120, child.kill)  # it hangs
    killer.start()
    try:
        assert child.stdout.readline() == "begins\n"
        time.sleep(delay)
        pressed = time.monotonic()
        os.kill(child.pid, signal.SIGINT)
        word, ended, how = child.stdout.readline().split()
        assert word == "ended"
        return float(ended) - pressed, how
    finally:
        killer.cancel()
        child.kill()
        child.wait()
        child.stdout.close()


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_it_within_a_tenth_of_a_second(call: str) -> None:
    program, (earliest, latest) = CALLS[call]
    draw = random.Random(0)
    latencies, ways = [], set()
    for _ in range(3):
        seconds, how = latency(program, draw.uniform(earliest, latest))
        latencies.append(seconds)
        ways.add(how)
    if "partial_fit" in call:
        assert ways == {"raised"}
    print(f"\n{call}: {', '.join(f'{1000 * s:.0f}' for s in latencies)} ms, {', '.join(sorted(ways))}")
    # The calling thread asks every 20 ms, so that the median is below 0.1 s on a quiet machine. Where four
    # others want the same core, a thread waits up to four times as long for each of its turns.
    assert sorted(latencies)[1] < 0.4
