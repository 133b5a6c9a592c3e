"""The same bits for any number of threads, and for any chunks of rows.

Every number is summed by one thread in one documented order, so the number of threads, which rows share a
call and where a block of rows begins must not change a single bit. GDFAST_FORCE_THREADS sets the number of
threads exactly, however small the work, and more than the machine has cores; ``n_threads=`` alone is only an
upper limit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builds import needs_threads
from gdfast import _core
from gdfast.kernels import mlp_forward, mlp_loss_and_grad
from numpy.typing import NDArray
from problems import LOSSES, MORE_ACTIVATIONS, MORE_LOSSES, problem, same_bits
from rule_variants import VARIANTS

Array = NDArray[Any]

pytestmark = needs_threads

THREADS = (1, 2, 3, 4, 8)
STEPS = 50

RULES: dict[str, tuple[str, dict[str, Any], float]] = {
    "sgd": ("sgd", {"momentum": 0.0, "nesterov": 0}, 0.005),
    "momentum": ("sgd", {"momentum": 0.9, "nesterov": 0}, 0.005),
    "nesterov": ("sgd", {"momentum": 0.9, "nesterov": 1}, 0.005),
    "adam": ("adam", {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}, 0.01),
}
MORE_RULES = {f"optim {name}": (*rule._rule(), rule.lr / 4) for name, rule in VARIANTS.items()}

# (sizes, batch): tiles of one panel and of several, odd and even; fewer rows than threads; one wide layer.
NETWORKS = {
    "small odd": ([11, 23, 3], 13),
    "several panels": ([37, 61, 70, 7], 50),
    "one output": ([50, 100, 1], 33),
    "batch of 1": ([9, 40, 2], 1),
    "batch of 3, wide": ([17, 300, 129, 2], 3),
    "several blocks of rows": ([20, 33, 3], 300),
}


def train(
    monkeypatch: pytest.MonkeyPatch, threads: int, p: Any, rule: str, batch: int, **options: Any
) -> list[Array]:
    """All that training leaves behind after at least STEPS steps: weights, the rule's state, losses."""
    monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
    name, params, learning_rate = {**RULES, **MORE_RULES}[rule]
    coefs, intercepts = [c.copy() for c in p.coefs], [b.copy() for b in p.intercepts]
    trainer = _core.Trainer(
        coefs, intercepts, p.activations, p.loss,
        alpha=0.01, batch_size=batch, rule=name, rule_params=params, n_threads=threads, **options,
    )  # fmt: skip
    assert trainer.n_threads == threads, "GDFAST_FORCE_THREADS was not obeyed: this test would prove nothing"
    rng = np.random.default_rng(0)
    losses = []
    while trainer.state_dict()["step"] < STEPS:
        order = rng.permutation(len(p.X)).astype(np.int64)
        loss, finite = trainer.run_epoch(p.X, p.y, order, p.sample_weight, learning_rate=learning_rate)
        assert finite
        losses.append(loss)
    slots = [a for arrays in trainer.state_dict()["slots"].values() for a in arrays]
    return [*coefs, *intercepts, *slots, np.array(losses)]


def check_training(monkeypatch: pytest.MonkeyPatch, p: Any, rule: str, batch: int, **options: Any) -> None:
    assert batch == 1 or len(p.X) % batch, "the last batch must be short"
    expected = train(monkeypatch, 1, p, rule, batch, **options)
    for threads in THREADS[1:]:
        assert same_bits(train(monkeypatch, threads, p, rule, batch, **options), expected), (
            f"{threads} threads"
        )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("network", NETWORKS)
def test_training(network: str, rule: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, batch = NETWORKS[network]
    p = problem("squared_error", sizes, 4 * batch + batch // 2 + 1, dtype, activation="relu")
    check_training(monkeypatch, p, rule, batch)


@pytest.mark.parametrize("rule", MORE_RULES)
def test_training_by_the_rules_of_optim(rule: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem("squared_error", [37, 61, 70, 7], 120, dtype, activation="relu")
    check_training(monkeypatch, p, rule, 50)


@pytest.mark.parametrize("loss", LOSSES)
def test_training_with_every_loss_and_weights(
    loss: str, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    p = problem(loss, [11, 33, 5], 100, dtype, weighted=True)
    check_training(monkeypatch, p, "adam", 17)


@pytest.mark.parametrize(
    "options",
    [
        {"l1_ratio": 0.5, "weight_decay": 0.1, "clip_value": 0.1},
        {"clip_norm": 0.1, "clip_layer_norm": 0.1},
        {"clip_norm": "auto", "gradient_noise": 0.1, "seed": 7},
        {"records": True},
    ],
    ids=str,
)
def test_training_with_limits_and_noise(
    options: dict[str, Any], dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sizes in ([37, 61, 70, 7], [50, 100, 1]):
        p = problem("squared_error", sizes, 100, dtype)
        check_training(monkeypatch, p, "adam", 33, **options)


@pytest.mark.parametrize("loss", MORE_LOSSES, ids=str)
def test_training_with_more_losses_and_activations(
    loss: Any, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [11, *(20 + i for i in range(len(MORE_ACTIVATIONS))), 5]
    p = problem(loss, sizes, 40, dtype, activation=list(MORE_ACTIVATIONS))
    check_training(monkeypatch, p, "adam", 17)


def test_training_on_csr_rows(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem("cross_entropy", [40, 33, 3], 100, dtype)
    p.X[np.random.default_rng(0).random(p.X.shape) < 0.8] = 0
    filled = p.X != 0
    indptr = np.concatenate([[0], filled.sum(axis=1).cumsum()])

    def train_sparse(threads: int) -> list[Array]:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        coefs, intercepts = [c.copy() for c in p.coefs], [b.copy() for b in p.intercepts]
        trainer = _core.Trainer(
            coefs, intercepts, p.activations, p.loss,
            batch_size=17, rule="adam", rule_params=RULES["adam"][1], n_threads=threads,
        )  # fmt: skip
        X = (p.X[filled], np.nonzero(filled)[1].astype(np.int32), indptr.astype(np.int32))
        for _ in range(9):
            trainer.run_epoch(X, p.y, learning_rate=0.01)
        return [*coefs, *intercepts]

    expected = train_sparse(1)
    for threads in THREADS[1:]:
        assert same_bits(train_sparse(threads), expected), f"{threads} threads"


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradient(loss: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    p = problem(loss, [37, 61, 70, 5], 301, dtype, weighted=True)

    def everything(threads: int) -> list[Array]:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        value, (weight_grads, bias_grads) = mlp_loss_and_grad(
            p.X, p.y, p.coefs, p.intercepts,
            activation="tanh", loss=loss, alpha=0.1, sample_weight=p.sample_weight, n_threads=threads,
        )  # fmt: skip
        return [np.array(value), *weight_grads, *bias_grads]

    expected = everything(1)
    for threads in THREADS[1:]:
        assert same_bits(everything(threads), expected), f"{threads} threads"


# Narrow and wide, shallow and deep: the one-row path and the narrow-output path sum in the same order as all
# others.
SHAPES = (
    [20, 64, 64, 2],
    [1, 1],
    [3, 1],
    [7, 33, 5, 1],
    [65, 17],
    [5, 100, 3],
    [300, 9, 300],
    [4, *[12] * 8, 6],
)


@pytest.mark.parametrize("output", ["identity", "softmax", "logistic", "exp"])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
def test_forward(sizes: list[int], output: str, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    activation = "tanh" if len(sizes) % 2 else "relu"
    # Enough rows for several blocks: with fewer there is nothing to share among threads.
    p = problem("squared_error", sizes, 1030, dtype, activation=activation)

    def run(chunk: int) -> Array:
        starts = range(0, len(p.X), chunk)
        parts = [
            mlp_forward(p.X[i : i + chunk], p.coefs, p.intercepts, activation=activation, output=output)
            for i in starts
        ]
        return np.concatenate(parts)

    monkeypatch.setenv("GDFAST_FORCE_THREADS", "1")
    expected = run(len(p.X))
    for chunk in (1, 7, 300):
        assert same_bits([run(chunk)], [expected]), f"chunks of {chunk}"
    for threads in THREADS[1:]:
        monkeypatch.setenv("GDFAST_FORCE_THREADS", str(threads))
        assert same_bits([run(len(p.X))], [expected]), f"{threads} threads"
        assert same_bits([run(300)], [expected]), f"{threads} threads, chunks of 300"


def test_forward_does_not_depend_on_where_arrays_begin(dtype: type) -> None:
    p = problem("squared_error", [13, 37, 3], 29, dtype)
    expected = mlp_forward(p.X, p.coefs, p.intercepts, activation="tanh")

    def shifted(array: Array, by: int) -> Array:
        arena = np.empty(array.size + 16, array.dtype)
        view = arena[by : by + array.size].reshape(array.shape)
        view[...] = array
        return view

    for by in (1, 2, 3, 5):
        X, *weights = (shifted(a, by) for a in (p.X, *p.coefs))
        biases = [shifted(b, by) for b in p.intercepts]
        assert same_bits([mlp_forward(X, weights, biases, activation="tanh")], [expected])
