"""gdfast beside others: forked children, prefork servers, pools, threads, torch, limits on threads.

What could hang runs in a process of its own with a time limit.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import gdfast
import numpy as np
import pytest
from builds import needs_threads
from fits import assert_same_bits, make, parameters
from gdfast import _core
from processes import in_process

# Seconds after which a process hangs. All take a few; a busy machine may need many times as long.
LIMIT = 400

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")

# Two threads have had a part in this process's work, and the answers of one process alone.
PARENT = """
import os, pickle, sys, traceback, warnings
import numpy as np
import gdfast
warnings.filterwarnings("ignore", category=DeprecationWarning)  # of a fork beside threads
warnings.filterwarnings("ignore", "Stochastic Optimizer")
rng = np.random.RandomState(0)
X = rng.normal(size=(3000, 60)).astype(np.float32)
y = (X[:, 0] > 0).astype(int)
sequences = rng.normal(size=(200, 8, 6)).astype(np.float32)
ARGUMENTS = dict(hidden_layer_sizes=(128, 64), max_iter=2, random_state=0)

def models():
    return {
        "MLPClassifier": (gdfast.MLPClassifier(**ARGUMENTS), X, y),
        "MLPRegressor": (gdfast.MLPRegressor(solver="lbfgs", **ARGUMENTS), X, X[:, 1]),
        "RNNClassifier": (gdfast.RNNClassifier(hidden_layer_sizes=(48,), max_iter=2, random_state=0),
                          sequences, y[:200]),
        "TabularClassifier": (gdfast.TabularClassifier(n_members=2, max_iter=2, random_state=0),
                                 X[:300, :5], y[:300]),
    }

def work(fitted):
    # The parent's models predict and go on, and new ones are fitted: all of it as bytes.
    answers = []
    for name, (model, X, y) in models().items():
        answers.append(fitted[name].predict(X).tobytes())
        answers.append(model.fit(X, y).predict(X).tobytes())
        if name == "MLPClassifier":
            answers.append(fitted[name].partial_fit(X, y).predict_proba(X).tobytes())
    return b"".join(answers)

def fit_all():
    return {name: model.fit(X, y) for name, (model, X, y) in models().items()}
"""

FORKS = {
    "os.fork": """
def in_child(fitted):
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with os.fdopen(writes, "wb") as pipe:
                pipe.write(work(fitted))
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        answers = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return answers
""",
    "multiprocessing": """
def in_child(fitted):
    import multiprocessing
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(work, (fitted,))
""",
    "concurrent.futures": """
def in_child(fitted):
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(work, fitted).result()
""",
    "joblib, multiprocessing": """
def in_child(fitted):
    import joblib
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        return joblib.Parallel()(joblib.delayed(work)(fitted) for _ in range(2))[0]
""",
    "joblib, loky": """
def in_child(fitted):
    import joblib
    with joblib.parallel_config("loky", n_jobs=2):
        return joblib.Parallel()(joblib.delayed(work)(fitted) for _ in range(2))[0]
""",
}

COMPARED = """
fitted = fit_all()
copies = pickle.loads(pickle.dumps(fitted))
answers = in_child(fitted)
assert answers == work(copies), "the child's bits differ"
print("same bits")
"""


@needs_fork
@pytest.mark.parametrize(
    "way", ["os.fork", *(pytest.param(way, marks=pytest.mark.slow) for way in FORKS if way != "os.fork")]
)
def test_a_child_fits_and_predicts_after_a_parallel_fit_of_its_parent(way: str) -> None:
    """A child that waited for threads of its parent would run into the time limit."""
    out = in_process(PARENT + FORKS[way] + COMPARED, timeout=LIMIT, GDFAST_FORCE_THREADS="2")
    assert out == "same bits"


# A server that fits its model, forks its workers and goes on itself; workers serve from several threads, and
# fork again.
PREFORK = (
    PARENT
    + """
from concurrent.futures import ThreadPoolExecutor

model = gdfast.MLPClassifier(**ARGUMENTS).fit(X, y)
expected = model.predict_proba(X)

def serve():
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: model.predict_proba(X), range(6)))
    return all(np.array_equal(answer, expected) for answer in answers)

def fork(body):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if body() else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child

def wait(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def worker():
    return serve() and wait(fork(serve)) == 0 and serve()

children = [fork(worker) for _ in range(3)]
good = serve()
model.partial_fit(X, y)  # the parent's copy: the workers serve what they were forked with
print(good, [wait(child) for child in children])
"""
)


@needs_fork
def test_a_prefork_server() -> None:
    assert in_process(PREFORK, timeout=LIMIT, GDFAST_FORCE_THREADS="2") == "True [0, 0, 0]"


# Forked while other threads of the parent fit and predict.
FORK_IN_PASSING = (
    PARENT
    + FORKS["os.fork"]
    + """
import threading
fitted = fit_all()
copies = pickle.loads(pickle.dumps(fitted))
ends = threading.Event()

def keep_busy(name):
    model, X, y = models()[name]
    while not ends.is_set():
        model.fit(X, y).predict(X)

threads = [threading.Thread(target=keep_busy, args=(name,)) for name in ("MLPClassifier", "RNNClassifier")]
for thread in threads:
    thread.start()
answers = [in_child(fitted) for _ in range(3)]
ends.set()
for thread in threads:
    thread.join()
assert set(answers) == {work(copies)}
print("same bits")
"""
)


@needs_fork
def test_a_child_forked_while_other_threads_fit() -> None:
    assert in_process(FORK_IN_PASSING, timeout=LIMIT, GDFAST_FORCE_THREADS="2") == "same bits"


# Threads.


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_threads_predict_on_one_model_while_others_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDFAST_FORCE_THREADS", "2")
    X, y = make(np.float32, n=500)

    def new(seed: int) -> Any:
        return gdfast.MLPClassifier(hidden_layer_sizes=(30, 20), max_iter=4, random_state=seed)

    shared = new(0).fit(X, y)
    expected = shared.predict_proba(X)
    alone = {seed: parameters(new(seed).fit(X, y)) for seed in (1, 2, 3)}
    ends = threading.Event()

    def predict() -> int:
        n = 0
        while not ends.is_set() or n == 0:
            np.testing.assert_array_equal(shared.predict_proba(X), expected)
            np.testing.assert_array_equal(shared.predict_proba(X[7:8]), expected[7:8])
            n += 1
        return n

    def fit(seed: int) -> list[np.ndarray]:
        return parameters(new(seed).fit(X, y))

    with ThreadPoolExecutor(7) as pool:
        predictions = [pool.submit(predict) for _ in range(4)]
        fits = {seed: pool.submit(fit, seed) for seed in alone}
        try:
            for seed, future in fits.items():
                assert_same_bits(future.result(60), alone[seed])
        finally:
            ends.set()
        assert all(future.result(60) for future in predictions)


def _rows(n: int = 40_000) -> np.ndarray:
    return np.random.default_rng(0).random((n, 100), np.float32)


def _arrays() -> tuple[list[Any], list[Any]]:
    return (
        [np.full((100, 300), 0.01, np.float32), np.ones((300, 1), np.float32)],
        [np.zeros(300, np.float32), np.zeros(1, np.float32)],
    )


def _forward(name: str) -> tuple[Callable[[], Any], list[list[Any]]]:
    X, (coefs, intercepts) = _rows(), _arrays()
    return lambda: getattr(_core, name)(X, coefs, intercepts, ["tanh"], "identity"), [coefs, intercepts]


def _loss_and_grad() -> tuple[Callable[[], Any], list[list[Any]]]:
    X, (coefs, intercepts), sums = _rows(), _arrays(), _arrays()
    y = np.zeros((len(X), 1), np.float32)
    lists = [coefs, intercepts, *sums]
    return (
        lambda: _core.loss_and_grad(X, y, coefs, intercepts, ["tanh"], "squared_error", 0.0, None, *sums),
        lists,
    )


def _sequence_forward() -> tuple[Callable[[], Any], list[list[Any]]]:
    X = _rows()
    starts = np.arange(0, len(X) + 1, 100)
    coefs: list[Any] = [
        np.full((100, 120), 0.01, np.float32),
        np.full((120, 120), 0.01, np.float32),
        np.ones((120, 1), np.float32),
    ]
    intercepts: list[Any] = [np.zeros(120, np.float32), np.zeros(120, np.float32), np.zeros(1, np.float32)]
    states: list[Any] = [np.zeros((len(starts) - 1, 120), np.float32)]
    return (
        lambda: _core.sequence_forward(X, starts, coefs, intercepts, "elman_tanh", "identity", states=states),
        [coefs, intercepts, states],
    )


HOLDERS = {
    "forward": lambda: _forward("forward"),
    "forward_if_finite": lambda: _forward("forward_if_finite"),
    "loss_and_grad": _loss_and_grad,
    "sequence_forward": _sequence_forward,
}


@pytest.mark.parametrize("name", HOLDERS)
def test_arrays_that_another_thread_takes_out_of_a_list_live_until_the_call_ends(name: str) -> None:
    call, lists = HOLDERS[name]()
    begun = threading.Event()

    def run() -> None:
        begun.set()
        call()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    time.sleep(0.02)  # for the call to have read its arguments; it goes on for a tenth of a second and more
    kept = [weakref.ref(items[0]) for items in lists]
    for items in lists:
        items[0] = None
    alive = [reference() is not None for reference in kept]
    runs = thread.is_alive()
    thread.join()
    if not runs:
        pytest.skip("the call had ended before this thread was given a core")
    assert all(alive)
    assert not any(reference() is not None for reference in kept)


def test_an_optimizer_is_asked_while_it_steps() -> None:
    optimizer = gdfast.optim.NAdam(0.001)
    params, grads = [np.ones(200_000)], [np.full(200_000, 0.1)]
    thread = threading.Thread(target=lambda: [optimizer.step(params, grads) for _ in range(50)])
    thread.start()
    while thread.is_alive():
        repr(optimizer)
        time.sleep(0.001)
    thread.join()
    again, expected = gdfast.optim.NAdam(0.001), [np.ones(200_000)]
    for _ in range(50):
        again.step(expected, grads)
    assert_same_bits(params, expected)


# Others in the same process.

BESIDE_TORCH = """
def fit():
    import numpy as np
    import gdfast
    X = np.random.RandomState(0).normal(size=(2000, 50)).astype(np.float32)
    net = gdfast.MLPRegressor(hidden_layer_sizes=(128, 64), max_iter=3, random_state=0)
    import warnings
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return net.fit(X, X[:, 0]).predict(X)

def use_torch():
    import torch
    torch.manual_seed(0)
    a = torch.randn(600, 600, requires_grad=True)
    (a @ a).relu().sum().backward()
    return a.grad.numpy().copy()
"""
ORDERS = {
    "gdfast first": "mine = fit(); theirs = use_torch()",
    "torch first": "theirs = use_torch(); mine = fit()",
    "imported first, used last": "import gdfast, torch; theirs = use_torch(); mine = fit()",
    "in turns": "fit(); use_torch(); fit(); theirs = use_torch(); mine = fit()",
}


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
@pytest.mark.parametrize("order", ORDERS)
def test_beside_torch(order: str) -> None:
    """Both bring an OpenMP runtime, or share one: each computes what it computes alone."""
    code = f"{BESIDE_TORCH}\n{ORDERS[order]}\nimport hashlib\n"
    mine = "print(hashlib.sha256(mine.tobytes()).hexdigest())"
    alone = in_process(f"{BESIDE_TORCH}\nimport hashlib; mine = fit()\n{mine}", timeout=LIMIT)
    assert in_process(f"{code}\nassert abs(theirs).sum() > 0\n{mine}", timeout=LIMIT) == alone


@needs_threads
def test_threadpoolctl_is_obeyed_from_one_epoch_to_the_next() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    if _core.max_threads() == 1:
        pytest.skip("one thread only")
    openmp = {entry["prefix"] for entry in threadpoolctl.threadpool_info() if entry["user_api"] == "openmp"}
    assert openmp, "threadpoolctl finds the runtime that gdfast runs on"
    before = _core.max_threads()
    with threadpoolctl.threadpool_limits(1, user_api="openmp"):
        assert _core.max_threads() == 1
    assert _core.max_threads() == before


# Modules of the user's with the names of optional packages.


@pytest.mark.parametrize("name", ["distributed", "dask", "mpi4py"])
def test_a_module_with_the_name_of_an_optional_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in [each for each in sys.modules if each.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    X, y = make(np.float32, n=50)
    est = gdfast.MLPClassifier(hidden_layer_sizes=(4,), max_iter=2, tol=0.0, random_state=0)
    with ThreadPoolExecutor(1) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert pool.submit(est.fit, X, y).result().n_iter_ == 2
