"""Children under a limit of memory: MemoryError, the estimator as it was, and such threads as there are.

`pytest -m slow -s tests/estimators/test_memory_limit.py` prints what came of each limit.
"""

from __future__ import annotations

import sys

import pytest
from processes import in_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and /proc"),
]

HEAD = """
import copy, ctypes, gc, os, resource, warnings
import numpy as np
from scipy import sparse
from gdfast import *
warnings.simplefilter("ignore")
rng = np.random.default_rng(0)

def rows(*shape):
    return rng.random(shape, np.float32)

def memory_limit(extra):
    gc.collect()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)  # what earlier calls have freed must not be enough
    sizes = dict(line.split(":") for line in open("/proc/self/status"))
    now = int(sizes["VmSize"].split()[0]) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (now + int(extra * 2**20), resource.RLIM_INFINITY))

def lift():
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

def values(x):
    if isinstance(x, np.ndarray):
        return x.dtype.str, x.shape, x.tobytes()
    if isinstance(x, (list, tuple)):
        return [values(item) for item in x]
    if isinstance(x, dict):
        return {name: values(item) for name, item in x.items()}
    return repr(x) if isinstance(x, (int, float, str, type(None))) else type(x).__name__
"""
TAIL = """
call(copy.deepcopy(est))  # what is loaded and cached at the first call is not at stake
before, found = values(vars(est)), []
for extra in (0, 0.5, 1, 2, 3, 5, 8, 12, 20, 40, 80, 160, 320):
    memory_limit(extra)
    try:
        call(est)
        found.append("ok")
    except MemoryError:
        found.append("MemoryError")
    finally:
        lift()
    if found[-1] == "ok":
        break
    assert values(vars(est)) == before, extra
call(est)
print(extra, *sorted(set(found)))
"""

# What is called. None needs more than 320 MB.
CALLS = {
    "fit": (
        "X = rows(20_000, 50); y = X[:, 0]\n"
        "est = MLPRegressor(hidden_layer_sizes=(300, 300), max_iter=2, random_state=0, batch_size=5000)\n"
        "call = lambda est: est.fit(X, y)"
    ),
    "fit again": (
        "X = rows(20_000, 50); y = X[:, 0] > 0.5\n"
        "est = MLPClassifier(max_iter=1, random_state=0, keep_optimizer_state=True).fit(X[:1000], y[:1000])\n"
        "est.set_params(hidden_layer_sizes=(300, 300), batch_size=5000)\n"
        "call = lambda est: est.fit(X, y)"
    ),
    "fit with a validation set": (
        "X = rows(20_000, 50); y = X[:, 0]\n"
        "est = MLPRegressor(hidden_layer_sizes=(600, 600), max_iter=2, random_state=0, early_stopping=True,\n"
        "                   batch_norm=True, dropout=0.1, ema_decay=0.9, record_gradients=True)\n"
        "call = lambda est: est.fit(X, y)"
    ),
    "fit by lbfgs": (
        "X = rows(20_000, 50); y = X[:, 0]\n"
        "est = MLPRegressor(hidden_layer_sizes=(300, 300), max_iter=2, random_state=0, solver='lbfgs')\n"
        "call = lambda est: est.fit(X, y)"
    ),
    "fit by annealing": (
        "X = rows(20_000, 50); y = X[:, 0]\n"
        "est = MLPRegressor(hidden_layer_sizes=(1000, 1000), max_iter=1, solver='annealing')\n"
        "call = lambda est: est.fit(X[:50], y[:50])"
    ),
    "fit on sparse rows": (
        "X = sparse.random(20_000, 2000, 0.02, 'csr', np.float32, rng); y = rows(20_000)\n"
        "est = MLPRegressor(hidden_layer_sizes=(100,), max_iter=2, random_state=0, batch_size=5000)\n"
        "call = lambda est: est.fit(X, y)"
    ),
    "partial_fit": (
        "X = rows(20_000, 50); y = X[:, 0] > 0.5\n"
        "est = MLPClassifier(hidden_layer_sizes=(300, 300), batch_size=5000, random_state=0)\n"
        "est.partial_fit(X[:1000], y[:1000], classes=[False, True])\n"
        "call = lambda est: est.partial_fit(X, y)"
    ),
    "predict_proba": (
        "X = rows(100_000, 50); y = (X[:, 0] * 50).astype(int)\n"
        "est = MLPClassifier(hidden_layer_sizes=(600, 600), max_iter=1).fit(X[:2000], y[:2000])\n"
        "call = lambda est: est.predict_proba(X)"
    ),
    "recurrent fit": (
        "X = rows(100, 200, 8); y = X[..., 0]\n"
        "est = RNNRegressor(hidden_layer_sizes=(64,), cell='lstm', per_step=True, max_iter=2)\n"
        "call = lambda est: est.fit(X, y)"
    ),
    "recurrent partial_fit": (
        "X = rows(200, 400, 8); y = X[..., 0]\n"
        "est = RNNRegressor(hidden_layer_sizes=(128,), cell='gru', per_step=True, stateful=True)\n"
        "est = copy.deepcopy(est.partial_fit(X, y))  # without the memory that its trainer has\n"
        "call = lambda est: est.partial_fit(X, y)"
    ),
    "recurrent predict": (
        "X = rows(1000, 200, 8); y = X[..., 0]\n"
        "est = RNNRegressor(hidden_layer_sizes=(64,), cell='gru', per_step=True, max_iter=1)\n"
        "est.fit(X[:10], y[:10])\n"
        "call = lambda est: est.predict(X)"
    ),
    "fit of networks side by side": (
        "X = rows(4000, 20); y = X[:, 0]\n"
        "est = TabularRegressor(hidden_layer_sizes=(800, 800), max_iter=1, random_state=0)\n"
        "call = lambda est: est.fit(X, y)"
    ),
    "predict of networks side by side": (
        "X = rows(1_000_000, 4); y = X[:, 0]\n"
        "est = TabularRegressor(hidden_layer_sizes=(8,), max_iter=1, random_state=0)\n"
        "est.fit(X[:1000], y[:1000])\n"
        "call = lambda est: est.predict(X)"
    ),
}


# OpenBLAS has no way to say that memory runs out, and is kept from starting threads.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
}


@pytest.mark.parametrize("threads", ["1", "4"])
@pytest.mark.parametrize("call", CALLS)
def test_memory_error_leaves_the_estimator_as_it_was(call: str, threads: str) -> None:
    """The child fails where the process crashes, another error is raised, or an attribute has changed."""
    out = in_process(HEAD + CALLS[call] + TAIL, timeout=300, GDFAST_FORCE_THREADS=threads, **ENVIRONMENT)
    print(f"\n{call}, {threads} threads: MemoryError below {out.split()[0]} MB more")
    assert out.split()[1:] == ["MemoryError", "ok"]


def test_there_are_as_many_threads_as_are_to_be_had() -> None:
    """A thread takes 8 MB of address space. libgomp would end the process."""
    program = """
X = rows(2000, 20); y = X[:, 0]

def fit(threads):
    os.environ["GDFAST_FORCE_THREADS"] = str(threads)
    return MLPRegressor(hidden_layer_sizes=(32,), max_iter=3, random_state=0).fit(X, y)

expected = fit(1)
counts = []
for extra in (2, 6, 10, 20, 30, 100):
    memory_limit(extra)
    got = fit(6)
    lift()
    for a, b in zip(got.coefs_, expected.coefs_):
        np.testing.assert_array_equal(a, b)
    counts.append(len(os.listdir("/proc/self/task")))
    fit(2)  # libgomp lets the others go
print(*counts)
"""
    counts = [int(n) for n in in_process(HEAD + program, **ENVIRONMENT).split()]
    print(f"\nthreads of the process under rising limits: {counts}")
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_new_thread_that_is_out_of_memory_can_say_so() -> None:
    """glibc ends the process where there is no memory for a thread's first exception."""
    program = """
import threading
from gdfast import _core
from gdfast.estimators._members import side_by_side

malloc = ctypes.CDLL(None).malloc
malloc.argtypes, malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
turn = threading.Lock()

def job():
    with turn:
        memory_limit(0)
        try:
            for size in (2**20, 2**16, 2**12, 2**10, 2**8, 2**6, 2**4):
                while malloc(size):
                    pass
            _core.fma_peak(0, 0.0)
        except (MemoryError, ValueError):
            return True
        finally:
            lift()

print(side_by_side([job, job], 2))
"""
    assert in_process(HEAD + program, **ENVIRONMENT) == "[True, True]"


def test_after_a_step_a_new_fit_is_undone_and_a_continued_one_keeps_whole_steps() -> None:
    program = """
class RunsOut:
    def on_epoch_end(self, est, epoch, logs):
        if epoch == 1:
            raise MemoryError

X = rows(500, 5); y = X[:, 0]
est = MLPRegressor(max_iter=2, random_state=0).fit(X, y)
before = values(vars(est))
est.set_params(callbacks=[RunsOut()], max_iter=5)
for warm_start in (False, True):
    est.set_params(warm_start=warm_start)
    try:
        est.fit(X, y)
    except MemoryError:
        pass
    changed = [n for n, v in values(vars(est)).items() if n.endswith("_") and v != before[n]]
    print(bool(changed), end=" ")
reference = MLPRegressor(max_iter=2, random_state=0).fit(X, y)
reference.set_params(warm_start=True).fit(X, y)
print(all((a == b).all() for a, b in zip(est.coefs_, reference.coefs_)))
"""
    assert in_process(HEAD + program).split() == ["False", "True", "True"]
