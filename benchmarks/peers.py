"""How each library trains and predicts, written as someone who knows it well would.

All start from the same weights, see the same rows in batches of the same size, shuffled anew for every
epoch, and take the same steps: Adam, learning rate 0.001, no L2. `trainer` and `predictor` answer with a
function, so that everything done once (copies, compilation) stays outside of what is timed. Libraries are
imported inside functions: a worker process loads its own alone.
"""

from __future__ import annotations

import importlib
import os
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from typing import Any

import numpy as np
from _common import Net, initial_weights, make_data, note
from _workers import UnavailableError, Worker

Array = np.ndarray[Any, Any]
Train = Callable[[int], float]
"""Train from the initial weights for this many epochs; return the mean loss of the last."""
Predict = Callable[[Array], Any]
"""Rows to outputs: NumPy in, NumPy out."""

LEARNING_RATE, BETA_1, BETA_2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


def trainer(peer: str, net: Net, X: Array, y: Array) -> Train:
    """`peer`'s training of `net` on `X` (n, features) float32 and `y` (n,); n a multiple of the batch."""
    return TRAINERS[peer](net, X, y)


def predictor(peer: str, net: Net) -> Predict:
    """`peer`'s prediction: probabilities for a classifier, values for a regressor."""
    return PREDICTORS[peer](net)


class Bench:
    """One library at work; lives in a worker process."""

    def __init__(self, peer: str) -> None:
        importlib.import_module(MODULES[peer])
        self._peer = peer

    def prepare_training(self, net: Net, n_samples: int) -> None:
        self._train = trainer(self._peer, net, *make_data(net, n_samples))

    def train(self, epochs: int) -> tuple[float, float]:
        """Seconds that so many epochs took, and the mean loss of the last."""
        start = time.perf_counter()
        loss = self._train(epochs)
        return time.perf_counter() - start, loss

    def prepare_prediction(self, net: Net, n_samples: int) -> None:
        self._X = make_data(net, n_samples)[0]
        self._predict = predictor(self._peer, net)
        self._predict(self._X)

    def predict(self, seconds: float) -> float:
        """Median seconds of one call, over blocks of calls of at least a millisecond."""
        start = time.perf_counter()
        self._predict(self._X)
        calls = max(1, int(1e-3 / (time.perf_counter() - start)))
        blocks: list[float] = []
        end = time.perf_counter() + seconds
        while not blocks or time.perf_counter() < end:
            start = time.perf_counter()
            for _ in range(calls):
                self._predict(self._X)
            blocks.append((time.perf_counter() - start) / calls)
        return float(np.median(blocks))


CHECK_EPOCHS = 3


def open_workers(peers: Iterable[str], threads: int, stack: ExitStack) -> dict[str, Worker]:
    """A process for each peer that is installed; the others are named and left out."""
    workers = {}
    for peer in peers:
        try:
            workers[peer] = stack.enter_context(Worker(Bench, peer, threads=threads))
        except UnavailableError as reason:
            note(f"{peer} is left out: {reason}")
    if not workers:
        raise SystemExit("none of the libraries asked for is installed")
    return workers


def training_job(
    worker: Worker, net: Net, n_samples: int, seconds: float
) -> tuple[Callable[[], float], float]:
    """A measurement of samples a second that takes about `seconds`, and the loss after `CHECK_EPOCHS`.

    Compilation and the first epoch are over when this returns.
    """
    worker.call("prepare_training", net, n_samples)
    worker.call("train", 1)
    check_seconds, loss = worker.call("train", CHECK_EPOCHS)
    epochs = max(1, round(seconds * CHECK_EPOCHS / check_seconds))
    return partial(_samples_per_second, worker, epochs, n_samples), loss


def _samples_per_second(worker: Worker, epochs: int, n_samples: int) -> float:
    seconds, _ = worker.call("train", epochs)
    return float(epochs * n_samples / seconds)


# gdfast and scikit-learn: the same lines for both.


def fitted(module: str, net: Net, X: Array, y: Array, epochs: int, **extra: Any) -> Any:
    """The estimator of `net` after so many epochs through its public `fit`."""
    neural_network = importlib.import_module(module)
    cls = neural_network.MLPRegressor if net.task == "regression" else neural_network.MLPClassifier
    estimator = cls(
        hidden_layer_sizes=net.layers[1:-1],
        alpha=0.0,
        batch_size=net.batch,
        max_iter=epochs,
        random_state=0,
        tol=0.0,
        n_iter_no_change=np.inf,
        **extra,
    )
    with warnings.catch_warnings():
        # Stopping at max_iter is what was asked for.
        warnings.filterwarnings("ignore", message=".*Maximum iterations")
        return estimator.fit(X, y)


def _train_estimator(module: str) -> Callable[[Net, Array, Array], Train]:
    return lambda net, X, y: lambda epochs: float(fitted(module, net, X, y, epochs).loss_)


def _predict_estimator(module: str) -> Callable[[Net], Predict]:
    def prepare(net: Net) -> Predict:
        estimator = fitted(module, net, *make_data(net, 64 * net.layers[-1]), epochs=1)
        predict: Predict = estimator.predict if net.task == "regression" else estimator.predict_proba
        return predict

    return prepare


def _predict_kernels(net: Net) -> Predict:
    from gdfast import kernels

    weights, biases = (list(arrays) for arrays in zip(*initial_weights(net), strict=True))
    output = {"regression": "identity", "binary": "logistic", "multiclass": "softmax"}[net.task]
    return lambda X: kernels.mlp_forward(X, weights, biases, activation="relu", output=output)


# torch


def _torch_setup() -> Any:
    import torch

    torch.set_num_threads(_threads())
    torch.set_flush_denormal(True)  # before its threads start, which inherit it
    torch.manual_seed(0)
    return torch


def _torch_model(torch: Any, net: Net) -> Any:
    layers: list[Any] = []
    for W, b in initial_weights(net):
        linear = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def _torch_loss(torch: Any, net: Net, y: Array) -> tuple[Callable[[Any, Any], Any], Any]:
    """The loss and its targets, resident as tensors."""
    F = torch.nn.functional
    if net.task == "multiclass":
        return F.cross_entropy, torch.from_numpy(y)
    targets = torch.from_numpy(y.astype(np.float32)[:, None])
    if net.task == "binary":
        return F.binary_cross_entropy_with_logits, targets
    return lambda output, target: 0.5 * F.mse_loss(output, target), targets


def _train_torch(net: Net, X: Array, y: Array) -> Train:
    torch = _torch_setup()
    rows, (loss_of, targets) = torch.from_numpy(X), _torch_loss(torch, net, y)

    def train(epochs: int) -> float:
        model = _torch_model(torch, net)
        optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, (BETA_1, BETA_2), EPSILON, fused=True)
        for _ in range(epochs):
            losses = []
            for batch in torch.randperm(len(rows)).split(net.batch):
                # index_select is markedly faster than rows[batch].
                loss = loss_of(model(rows.index_select(0, batch)), targets.index_select(0, batch))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.detach())
        return float(torch.stack(losses).mean())

    return train


def _train_torch_compile(net: Net, X: Array, y: Array) -> Train:
    """The whole step, Adam included, as one compiled graph behind the C++ wrapper.

    Up to twice as fast on small nets as a compiled forward and backward with an eager fused Adam, and as fast
    on large ones.
    """
    torch = _torch_setup()
    rows, (loss_of, targets) = torch.from_numpy(X), _torch_loss(torch, net, y)
    model = _torch_model(torch, net)
    names = [name for name, _ in model.named_parameters()]

    def loss_at(parameters: list[Any], x: Any, target: Any) -> Any:
        named = dict(zip(names, parameters, strict=True))
        return loss_of(torch.func.functional_call(model, named, (x,)), target)

    def step(parameters: list[Any], means: list[Any], squares: list[Any], t: Any, x: Any, target: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_at)(parameters, x, target)
        t.add_(1)
        rate, root = LEARNING_RATE / (1 - BETA_1**t), (1 - BETA_2**t).sqrt()
        for p, g, m, v in zip(parameters, gradients, means, squares, strict=True):
            m.lerp_(g, 1 - BETA_1)
            v.mul_(BETA_2).addcmul_(g, g, value=1 - BETA_2)
            p.sub_(rate * m / (v.sqrt() / root + EPSILON))
        return loss

    compiled = torch.compile(step, fullgraph=True, dynamic=False, options={"cpp_wrapper": True})

    def train(epochs: int) -> float:
        parameters = [p.detach().clone() for p in model.parameters()]
        means, squares = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        t = torch.zeros(())
        with torch.no_grad():
            for _ in range(epochs):
                losses = []
                for batch in torch.randperm(len(rows)).split(net.batch):
                    x, target = rows.index_select(0, batch), targets.index_select(0, batch)
                    losses.append(compiled(parameters, means, squares, t, x, target))
        return float(torch.stack(losses).mean())

    return train


def _predict_torch(net: Net) -> Predict:
    torch = _torch_setup()
    return _torch_predictor(torch, _torch_probabilities(torch, net))


def _predict_torch_blocks(net: Net) -> Predict:
    """In blocks of rows whose activations stay in cache, which is often faster than all rows in one call."""
    torch = _torch_setup()
    model = _torch_probabilities(torch, net)
    return _torch_predictor(torch, lambda X: torch.cat([model(block) for block in X.split(4096)]))


def _predict_torch_compile(net: Net) -> Predict:
    torch = _torch_setup()
    options = {"cpp_wrapper": True, "freezing": True}
    return _torch_predictor(torch, torch.compile(_torch_probabilities(torch, net), options=options))


def _torch_probabilities(torch: Any, net: Net) -> Any:
    output = {"binary": [torch.nn.Sigmoid()], "multiclass": [torch.nn.Softmax(1)]}.get(net.task, [])
    return torch.nn.Sequential(*_torch_model(torch, net), *output).eval()


def _torch_predictor(torch: Any, model: Callable[[Any], Any]) -> Predict:
    def predict(X: Array) -> Any:
        with torch.inference_mode():
            return model(torch.from_numpy(X)).numpy()

    return predict


# JAX


def _jax_logits(parameters: list[Any], x: Any) -> Any:
    import jax

    *hidden, (W, b) = parameters
    for V, c in hidden:
        x = jax.nn.relu(x @ V + c)
    return x @ W + b


def _train_jax(net: Net, X: Array, y: Array) -> Train:
    """A whole epoch is one compiled scan that reuses the memory of its state.

    The order is drawn by NumPy: JAX sorts random keys for it, which costs more than the training of a
    small net. A hand-written Adam is as fast as optax's, or faster.
    """
    import jax
    import jax.numpy as jnp

    def loss_at(parameters: list[Any], x: Any, target: Any) -> Any:
        z = _jax_logits(parameters, x)
        if net.task == "multiclass":
            return -jnp.take_along_axis(jax.nn.log_softmax(z), target[:, None], axis=1).mean()
        if net.task == "binary":
            return (jax.nn.softplus(z[:, 0]) - target * z[:, 0]).mean()
        return 0.5 * ((z[:, 0] - target) ** 2).mean()

    def step(state: tuple[Any, Any, Any, Any], batch: tuple[Any, Any]) -> tuple[Any, Any]:
        p, m, v, t = state
        loss, g = jax.value_and_grad(loss_at)(p, *batch)
        t = t + 1
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, g)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, g)
        rate, root = LEARNING_RATE / (1 - BETA_1**t), jnp.sqrt(1 - BETA_2**t)
        p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) / root + EPSILON), p, m, v)
        return (p, m, v, t), loss

    def epoch(state: Any, rows: Any, targets: Any, order: Any) -> tuple[Any, Any]:
        batches = (rows[order].reshape(-1, net.batch, X.shape[1]), targets[order].reshape(-1, net.batch))
        state, losses = jax.lax.scan(step, state, batches)
        return state, losses.mean()

    compiled = jax.jit(epoch, donate_argnums=0)
    rows, targets = jnp.asarray(X), jnp.asarray(y, jnp.int32 if net.task == "multiclass" else jnp.float32)

    def train(epochs: int) -> float:
        rng = np.random.default_rng(0)
        parameters = jax.tree.map(jnp.array, initial_weights(net))
        zeros = [jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)]
        state = (parameters, *zeros, jnp.float32(0))
        for _ in range(epochs):
            state, loss = compiled(state, rows, targets, rng.permutation(len(X)).astype(np.int32))
        return float(loss)

    return train


def _predict_jax(net: Net) -> Predict:
    import jax

    parameters = jax.device_put(initial_weights(net))
    output = {"binary": jax.nn.sigmoid, "multiclass": jax.nn.softmax}.get(net.task, lambda z: z)
    forward = jax.jit(lambda parameters, X: output(_jax_logits(parameters, X)))
    return lambda X: np.asarray(forward(parameters, X))


def _threads() -> int:
    """The worker's share, as its parent set it for every library."""
    return int(os.environ["OMP_NUM_THREADS"])


TRAINERS: dict[str, Callable[[Net, Array, Array], Train]] = {
    "gdfast": _train_estimator("gdfast"),
    "scikit-learn": _train_estimator("sklearn.neural_network"),
    "torch": _train_torch,
    "torch.compile": _train_torch_compile,
    "jax": _train_jax,
}
PREDICTORS: dict[str, Callable[[Net], Predict]] = {
    "gdfast": _predict_estimator("gdfast"),
    "gdfast.kernels": _predict_kernels,
    "scikit-learn": _predict_estimator("sklearn.neural_network"),
    "torch": _predict_torch,
    "torch-blocks": _predict_torch_blocks,
    "torch.compile": _predict_torch_compile,
    "jax": _predict_jax,
}
MODULES = {
    "gdfast": "gdfast",
    "gdfast.kernels": "gdfast",
    "scikit-learn": "sklearn",
    "torch": "torch",
    "torch-blocks": "torch",
    "torch.compile": "torch",
    "jax": "jax",
}
