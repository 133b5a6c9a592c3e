"""Networks by gdfast.h: the bits of gdfast.kernels."""

from __future__ import annotations

import copy
import ctypes
import threading

import numpy as np
import pytest
from capi import (
    ACTIVATIONS,
    IN_USE,
    INVALID_ARGUMENT,
    LOSSES,
    MLP,
    OUT_OF_MEMORY,
    OUTPUTS,
    CallError,
    Options,
    check,
    function,
    last_error,
    pointer,
    pointers,
    rule_of,
    states_of,
)  # fmt: skip
from gdfast import optim
from gdfast.kernels import mlp_forward, mlp_loss_and_grad
from problems import MORE_ACTIVATIONS, network, targets
from rule_variants import VARIANTS

OF_LOSS = {"cross_entropy": "softmax", "binary_cross_entropy": "logistic", "poisson": "exp"}
EVERY_LOSS = [
    "squared_error", "binary_cross_entropy", "poisson", "absolute_error", "cross_entropy",
    ("cross_entropy", [0.2]), ("huber", [0.7]), ("quantile", [0.2, 0.5, 0.9]),
]  # fmt: skip


def options_of(activations, loss="squared_error"):
    """Names and parameters as numbers."""
    pairs = [a if isinstance(a, tuple) else (a, np.nan) for a in activations]
    name, parameters = loss if isinstance(loss, tuple) else (loss, [])
    return {
        "activations": [ACTIVATIONS.index(name) for name, _ in pairs],
        "activation_parameters": [parameter for _, parameter in pairs],
        "loss": LOSSES.index(name),
        "n_loss_parameters": len(parameters),
        "loss_parameters": parameters,
    }


def like(arrays):
    return [np.full_like(a, np.nan) for a in arrays]


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *MORE_ACTIVATIONS], ids=str)
def test_forward_has_the_bits_of_the_kernel_for_every_activation(activation, dtype):
    sizes = [5, 33, 3]
    rng = np.random.default_rng(0)
    weights, biases = network(rng, sizes, dtype)
    mlp = MLP(sizes, dtype, **options_of([activation]))
    for n in (1, 3, 15, 16, 300):
        X = rng.normal(size=(n, 5)).astype(dtype)
        out = np.empty((n, 3), dtype)
        mlp.forward(weights, biases, X, out)
        np.testing.assert_array_equal(out, mlp_forward(X, weights, biases, activation=activation))


@pytest.mark.parametrize("sizes", [[1, 1], [3, 2], [100, 1], [4, 300, 2, 7], [40, 3, 64, 1]], ids=str)
@pytest.mark.parametrize("output", OUTPUTS)
def test_forward_has_the_bits_of_the_kernel_for_every_output_and_shape(sizes, output, dtype):
    rng = np.random.default_rng(1)
    mlp = MLP(sizes, dtype, output=OUTPUTS.index(output), loss=-1)
    # The same handle with other weights, and fewer rows after more.
    for n in (400, 1, 20, 2):
        weights, biases = network(rng, sizes, dtype)
        X = rng.normal(size=(n, sizes[0])).astype(dtype)
        out = np.empty((n, sizes[-1]), dtype)
        mlp.forward(weights, biases, X, out)
        np.testing.assert_array_equal(out, mlp_forward(X, weights, biases, output=output))


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradient_have_the_bits_of_the_kernel_for_every_loss(loss, weighted, dtype):
    sizes, hidden, alpha = [6, 20, 9, 3], ["tanh", "gelu"], 0.3
    rng = np.random.default_rng(2)
    weights, biases = network(rng, sizes, dtype)
    mlp = MLP(sizes, dtype, alpha=alpha, **options_of(hidden, loss))
    name = loss if isinstance(loss, str) else loss[0]
    for n in (1, 50, 2500, 7):
        X, y = rng.normal(size=(n, 6)).astype(dtype), targets(rng, name, n, 3, dtype)
        sample_weight = rng.uniform(0.5, 2, n).astype(dtype) if weighted else None
        out = like(weights), like(biases)
        value = mlp.loss_and_grad(weights, biases, X, y, out, sample_weight)
        expected, gradients = mlp_loss_and_grad(
            X,
            y,
            weights,
            biases,
            activation=["tanh", "gelu"],
            loss=loss,
            alpha=alpha,
            sample_weight=sample_weight,
        )
        assert value == expected
        for mine, theirs in zip(out, gradients, strict=True):
            for a, b in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(a, b)
        # The output of the loss, where none is asked for.
        outputs = np.empty((n, 3), dtype)
        mlp.forward(weights, biases, X, outputs)
        output = OF_LOSS.get(name, "quantiles" if name == "quantile" else "identity")
        np.testing.assert_array_equal(
            outputs, mlp_forward(X, weights, biases, activation=hidden, output=output)
        )


@pytest.mark.parametrize("activation", [*ACTIVATIONS, *MORE_ACTIVATIONS], ids=str)
def test_gradients_have_the_bits_of_the_kernel_for_every_activation(activation, dtype):
    sizes = [4, 40, 2]
    rng = np.random.default_rng(3)
    weights, biases = network(rng, sizes, dtype)
    X, y = rng.normal(size=(30, 4)).astype(dtype), rng.normal(size=(30, 2)).astype(dtype)
    out = like(weights), like(biases)
    MLP(sizes, dtype, **options_of([activation])).loss_and_grad(weights, biases, X, y, out)
    _, gradients = mlp_loss_and_grad(X, y, weights, biases, activation=activation)
    for mine, theirs in zip(out, gradients, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_threads_change_no_bit(dtype):
    sizes, n = [64, 256, 128, 10], 3000
    rng = np.random.default_rng(4)
    weights, biases = network(rng, sizes, dtype)
    X, y = rng.normal(size=(n, 64)).astype(dtype), rng.normal(size=(n, 10)).astype(dtype)
    results = []
    for n_threads in (1, 2):
        mlp = MLP(sizes, dtype, n_threads=n_threads)
        out, outputs = (like(weights), like(biases)), np.empty((n, 10), dtype)
        mlp.forward(weights, biases, X, outputs)
        results.append([np.array(mlp.loss_and_grad(weights, biases, X, y, out)), outputs, *out[0], *out[1]])
    for one, two in zip(*results, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_handle_runs_on_no_more_threads_than_it_was_made_for(dtype, monkeypatch):
    sizes, n = [64, 64, 8], 3000
    rng = np.random.default_rng(4)
    weights, biases = network(rng, sizes, dtype)
    X, y = rng.normal(size=(n, 64)).astype(dtype), rng.normal(size=(n, 8)).astype(dtype)
    mlp = MLP(sizes, dtype, n_threads=2)
    monkeypatch.setenv("GDFAST_FORCE_THREADS", "7")
    out, outputs = (like(weights), like(biases)), np.empty((n, 8), dtype)
    mlp.forward(weights, biases, X, outputs)
    value = mlp.loss_and_grad(weights, biases, X, y, out)
    np.testing.assert_array_equal(outputs, mlp_forward(X, weights, biases))
    expected, gradients = mlp_loss_and_grad(X, y, weights, biases)
    assert value == expected
    for mine, theirs in zip(out, gradients, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_is_the_gradient_and_the_rule(variant, dtype):
    optimizer = VARIANTS[variant]
    sizes, alpha = [3, 17, 2], 0.1
    rng = np.random.default_rng(5)
    weights, biases = network(rng, sizes, dtype)
    expected = [weights[0].copy(), biases[0].copy(), weights[1].copy(), biases[1].copy()]
    expected_states = [optimizer.init(a) for a in expected]
    rule = rule_of(optimizer)
    states = [np.full_like(a, initial) for a in expected for initial in states_of(rule).values()]
    mlp = MLP(sizes, dtype, alpha=alpha)
    for step in range(1, 5):
        X, y = rng.normal(size=(9, 3)).astype(dtype), rng.normal(size=(9, 2)).astype(dtype)
        loss = mlp.step(weights, biases, states, X, y, rule, step)
        value, (coefs, intercepts) = mlp_loss_and_grad(X, y, expected[::2], expected[1::2], alpha=alpha)
        assert loss == value
        gradients = [coefs[0], intercepts[0], coefs[1], intercepts[1]]
        for param, grad, state in zip(expected, gradients, expected_states, strict=True):
            optimizer.update(param, grad, state, step)
    for mine, theirs in zip([weights[0], biases[0], weights[1], biases[1]], expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(states, [a for s in expected_states for a in s.values()], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_loop_of_steps_learns():
    rng = np.random.default_rng(6)
    sizes = [2, 32, 1]
    weights, biases = network(rng, sizes, np.float32)
    rule = rule_of(optim.Adam(0.01))
    states = [np.zeros_like(a) for pair in zip(weights, biases, strict=True) for a in pair for _ in "mv"]
    mlp = MLP(sizes, activations=[ACTIVATIONS.index("tanh")], max_rows=16)
    losses = []
    for step in range(1, 1001):
        X = rng.uniform(-1, 1, (16, 2)).astype(np.float32)
        y = np.sin(2 * X[:, :1]) * X[:, 1:]
        losses.append(mlp.step(weights, biases, states, X, y, rule, step))
    assert np.mean(losses[-100:]) < 0.02 * np.mean(losses[:10])


def test_handles_are_independent_on_threads():
    """As many handles as threads, at once: what each computes alone."""
    sizes, count = [8, 64, 1], 4
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(64, 8)), rng.normal(size=(64, 1))

    def train(results, i):
        weights, biases = network(np.random.default_rng(i), sizes, np.float64)
        mlp, rule = MLP(sizes, np.float64), rule_of(optim.SGD(0.01))
        for step in range(1, 201):
            loss = mlp.step(weights, biases, [], X, y, rule, step)
        results[i] = [loss, *weights, *biases]

    alone, together = {}, {}
    for i in range(count):
        train(alone, i)
    threads = [threading.Thread(target=train, args=(together, i)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(count):
        for mine, theirs in zip(together[i], alone[i], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_errors_are_those_of_their_thread():
    here = function("rule_init")(None, 0, 0)
    assert here == INVALID_ARGUMENT
    there = []

    def fail():
        function("mlp_options_init")(None, 0)
        there.append(last_error())

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert there == ["options must not be NULL"]
    assert last_error() == "rule must not be NULL"


def test_one_handle_on_two_threads_is_refused():
    sizes, n = [256, 512, 256], 20_000
    rng = np.random.default_rng(8)
    weights, biases = network(rng, sizes, np.float32)
    X = np.ones((n, 256), np.float32)
    mlp = MLP(sizes)
    statuses = []

    def run(rows):
        try:
            mlp.forward(weights, biases, rows, np.empty((len(rows), 256), np.float32))
        except CallError as error:
            statuses.append((error.status, "make one for each thread" in str(error)))
            return False
        return True

    def work():
        while not run(X):  # the other thread may be the first
            pass

    thread = threading.Thread(target=work)
    thread.start()
    few = X[:1]
    while thread.is_alive() and not statuses:
        run(few)
    thread.join()
    assert set(statuses) == {(IN_USE, True)}
    assert run(few)  # free again


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"struct_size": 8}, "gdfast_mlp_options_init"),
        ({"type": 2}, "dtype must be one of GDFAST_FLOAT32 and GDFAST_FLOAT64, from 0 to 1, got 2"),
        ({"n_layers": 0}, "n_layers must be from 1 to 65536"),
        ({"n_layers": -3}, "n_layers must be from 1"),
        ({"n_layers": 2**31 - 1}, "n_layers must be from 1"),
        ({"sizes": None}, "layer_sizes must not be NULL"),
        ({"activations": [14]}, r"activations\[0\] must be one of GDFAST_ACTIVATION_.*got 14"),
        ({"activations": [-1]}, r"activations\[0\]"),
        ({"activations": [4], "activation_parameters": [-1]}, r"the parameter of activations\[0\]"),
        ({"output": 5}, "output must be one of GDFAST_OUTPUT_"),
        ({"output": -2}, "output"),
        ({"loss": 7}, "loss must be one of GDFAST_LOSS_"),
        ({"loss": -2}, "loss"),
        ({"loss": 5}, "the loss needs one parameter, delta"),
        ({"loss": 6, "n_loss_parameters": 1, "loss_parameters": [0.5]}, "1 quantiles, but the network has 2"),
        ({"loss": 2, "n_loss_parameters": 1, "loss_parameters": [0.5]}, "the loss has no parameters"),
        ({"n_loss_parameters": -1}, "n_loss_parameters must be at least 0"),
        ({"n_loss_parameters": 1}, "loss_parameters must not be NULL"),
        ({"alpha": -1}, "alpha must be finite and not negative"),
        ({"alpha": np.nan}, "alpha"),
        ({"n_threads": 0}, "n_threads must be at least 1, got 0"),
        ({"max_rows": -1}, "max_rows must be at least 0"),
    ],
    ids=str,
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(CallError, match=message) as error:
        MLP([3, 4, 2], **options)
    assert error.value.status == INVALID_ARGUMENT


@pytest.mark.parametrize("size", [0, -1, 2**62])
def test_bad_sizes_are_refused(size):
    with pytest.raises(CallError, match=r"layer_sizes\[1\] must be at least 1 and fit into memory, got"):
        MLP([3, size, 2])


def test_too_much_memory_is_a_status():
    with pytest.raises(CallError, match="memory") as error:
        MLP([3, 2**55, 2])
    assert error.value.status == OUT_OF_MEMORY


def test_a_failed_creation_leaves_null():
    handle = ctypes.c_void_p(1)
    assert function("mlp_create")(ctypes.byref(Options()), ctypes.byref(handle)) == INVALID_ARGUMENT
    assert handle.value is None
    assert function("mlp_create")(ctypes.byref(Options()), None) == INVALID_ARGUMENT


@pytest.fixture
def call(dtype):
    """A function that makes a step with some arguments changed, and says what has changed."""
    sizes, n = [3, 5, 2], 4
    weights, biases = network(np.random.default_rng(9), sizes, dtype)
    rule = rule_of(optim.SGD(0.1, momentum=0.9))
    arrays = {
        "weights": weights,
        "biases": biases,
        "states": [np.zeros_like(a) for pair in zip(weights, biases, strict=True) for a in pair],
        "X": np.ones((n, 3), dtype),
        "y": np.ones((n, 2), dtype),
        "sample_weight": np.ones(n, dtype),
        "weight_grads": like(weights),
        "bias_grads": like(biases),
        "out": np.full((n, 2), np.nan, dtype),
    }

    class Call:
        def __init__(self):
            self.arrays = arrays
            self.addresses = {
                name: pointers(a) if isinstance(a, list) else pointer(a) for name, a in arrays.items()
            }
            self.n_rows = n
            self.mlp = MLP(sizes, dtype)
            self.rule, self.step = rule, 1
            self.loss = None

        def run(self, name):
            a = self.addresses
            rows = a["X"], a["y"], a["sample_weight"], self.n_rows
            loss = ctypes.cast(self.loss, ctypes.POINTER(ctypes.c_double))
            if name == "forward":
                arguments = a["weights"], a["biases"], a["X"], self.n_rows, a["out"]
            elif name == "step":
                rule = None if self.rule is None else ctypes.byref(self.rule)
                arguments = a["weights"], a["biases"], a["states"], *rows, rule, self.step, loss
            else:
                arguments = a["weights"], a["biases"], *rows, loss, a["weight_grads"], a["bias_grads"]
            check(function(f"mlp_{name}", dtype)(self.mlp._handle, *arguments))

        def refuses(self, name, message):
            before = copy.deepcopy(arrays)
            with pytest.raises(CallError, match=message) as error:
                self.run(name)
            assert error.value.status == INVALID_ARGUMENT
            for k, v in arrays.items():
                for old, new in zip(before[k], v, strict=True):
                    np.testing.assert_array_equal(old, new)

    return Call()


USES = {
    "forward": ["weights", "biases", "X", "out"],
    "loss_and_grad": ["weights", "biases", "X", "y", "weight_grads", "bias_grads"],
    "step": ["weights", "biases", "X", "y", "states", "rule"],
}


@pytest.mark.parametrize(("name", "missing"), [(name, use) for name, uses in USES.items() for use in uses])
def test_null_is_refused(call, name, missing):
    call.run(name)
    if missing == "rule":
        call.rule = None
    else:
        lists = isinstance(call.arrays[missing], list)
        if lists:
            call.addresses[missing][1] = None
            call.refuses(name, rf"{missing}\[1\] must not be NULL")
        call.addresses[missing] = None
    call.refuses(name, f"{missing} must not be NULL")


@pytest.mark.parametrize("name", USES)
def test_a_missing_handle_is_refused(call, name):
    call.mlp = type("None", (), {"_handle": None})
    call.refuses(name, "mlp must not be NULL")


@pytest.mark.parametrize("name", USES)
def test_a_handle_of_the_other_type_is_refused(call, name, dtype):
    other = np.float64 if dtype == np.float32 else np.float32
    call.mlp = MLP([3, 5, 2], other)
    call.refuses(name, f"this gdfast_mlp is of {np.dtype(other)}: call the function of")


@pytest.mark.parametrize("name", ["loss_and_grad", "step"])
def test_a_handle_without_loss_is_refused(call, name, dtype):
    call.mlp = MLP([3, 5, 2], dtype, loss=-1)
    call.refuses(name, "this gdfast_mlp has no loss")


@pytest.mark.parametrize(("name", "use"), [(name, use) for name, uses in USES.items() for use in uses])
def test_unaligned_arrays_are_refused(call, name, use):
    if use == "rule":
        return
    if isinstance(call.arrays[use], list):
        call.addresses[use][0] += 1
        use += r"\[0\]"
    else:
        call.addresses[use] += 1
    call.refuses(name, f"{use} must be aligned to")


@pytest.mark.parametrize(
    ("name", "written", "other"),
    [
        ("forward", "out", "X"),
        ("forward", "out", "weights"),
        ("forward", "out", "biases"),
        ("loss_and_grad", "weight_grads", "weights"),
        ("loss_and_grad", "bias_grads", "biases"),
        ("loss_and_grad", "weight_grads", "bias_grads"),
        ("loss_and_grad", "weight_grads", "X"),
        ("loss_and_grad", "weight_grads", "y"),
        ("loss_and_grad", "bias_grads", "sample_weight"),
        ("step", "weights", "biases"),
        ("step", "weights", "states"),
        ("step", "weights", "X"),
        ("step", "biases", "y"),
        ("step", "states", "sample_weight"),
    ],
)
def test_shared_memory_is_refused(call, name, written, other):
    shared = call.addresses[other] if isinstance(call.addresses[other], int) else call.addresses[other][0]
    if isinstance(call.addresses[written], int):
        call.addresses[written] = shared
    else:
        call.addresses[written][1] = shared
    call.refuses(name, "must not share memory with")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        (name, other)
        for name in ("loss_and_grad", "step")
        for other in (*USES[name], "sample_weight")
        if other != "rule"
    ],
)
def test_the_loss_shares_no_memory(call, name, other):
    array = call.arrays[other]
    call.loss = pointer(array[0] if isinstance(array, list) else array)
    call.refuses(name, rf"must not share memory with (loss|{other})")
    call.loss += 1
    call.refuses(name, "loss must be aligned to 8 bytes")


@pytest.mark.parametrize(
    ("n_rows", "message"),
    [(-1, "n_rows must be at least"), (2**62, "n_rows must be at least . and fit into memory")],
)
@pytest.mark.parametrize("name", USES)
def test_bad_numbers_of_rows_are_refused(call, name, n_rows, message):
    call.n_rows = n_rows
    call.refuses(name, message)


def test_no_rows(call):
    call.n_rows = 0
    call.run("forward")
    assert np.isnan(call.arrays["out"]).all()
    for name in ("loss_and_grad", "step"):
        call.refuses(name, "n_rows must be at least 1")


def test_more_rows_than_memory_are_refused(call, dtype):
    call.mlp = MLP([3, 5, 2], dtype, max_rows=3)
    for name in USES:
        call.refuses(name, "n_rows must be at most max_rows, 3, got 4")
    call.n_rows = 3
    for name in USES:
        call.run(name)


def test_weights_that_sum_to_zero_are_refused(call):
    call.arrays["sample_weight"][:] = 0
    for name in ("loss_and_grad", "step"):
        call.refuses(name, "sample_weight sums to zero")


def test_a_bad_step_is_refused(call):
    call.step = 0
    call.refuses("step", "step must be at least 1")
    call.step, call.rule.lr = 1, -1
    call.refuses("step", "lr must be finite and not negative")


@pytest.mark.parametrize("label", [-1, 2])
def test_classes_out_of_range_are_refused(call, label, dtype):
    call.mlp = MLP([3, 5, 2], dtype, loss=LOSSES.index("cross_entropy"))
    labels = np.array([0, 1, label, 0], np.int32)
    call.addresses["y"] = pointer(labels)
    for name in ("loss_and_grad", "step"):
        call.refuses(name, f"y must hold classes from 0 to 1, got {label}")
