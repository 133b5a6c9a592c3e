"""What training does to the process around it: threads, forks, and the floating-point state."""

from __future__ import annotations

import os

import numpy as np
import pytest
from builds import needs_threads
from gdfast import _core
from problems import problem
from processes import in_process
from runs import LARGE, Run

THREADS = """
from runs import LARGE, Run
print(Run(LARGE, "adam", batch_size=512).trainer.n_threads)
"""


@needs_threads
def test_threads_follow_openmp_s_environment() -> None:
    assert in_process(THREADS, OMP_NUM_THREADS="1") == "1"
    assert in_process(THREADS, OMP_NUM_THREADS="3") == "3"


def test_a_set_flag_stops_work_however_short_it_is() -> None:
    run = Run(problem("squared_error", [2, 3, 1], 4), "adam", batch_size=4)
    flag = _core.StopFlag()
    with flag:
        run.epoch()
        flag.set()
        before, steps = [coef.copy() for coef in run.coefs], run.trainer.step
        with pytest.raises(KeyboardInterrupt):
            run.epoch()
    assert run.trainer.step == steps
    assert all(np.array_equal(a, b) for a, b in zip(run.coefs, before, strict=True))
    run.epoch()  # it is no longer current


def test_threads_follow_threadpoolctl() -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    with threadpoolctl.threadpool_limits(1):
        assert Run(LARGE, "adam", batch_size=512).trainer.n_threads == 1


def test_a_small_network_trains_on_one_thread() -> None:
    assert (
        in_process(
            "from problems import problem; from runs import Run;"
            "print(Run(problem('squared_error', [8, 16, 1], 32), 'adam', batch_size=32).trainer.n_threads)",
            OMP_NUM_THREADS="4",
        )
        == "1"
    )


FORK = """
import os, sys
from runs import LARGE, Run
run = Run(LARGE, "adam", batch_size=256)
run.epoch()  # opens a parallel region
child = os.fork()
if child == 0:
    run.epoch()  # a trainer of the parent's
    Run(LARGE, "adam", batch_size=256).epoch()  # and one of its own
    os._exit(0)
_, status = os.waitpid(child, 0)
run.epoch()
print(os.waitstatus_to_exitcode(status))
"""


@needs_threads
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_a_forked_child_trains() -> None:
    # A child that waited for its parent's threads would run into the time limit.
    assert in_process(FORK, OMP_NUM_THREADS="2") == "0"


def tiny_gradient() -> Run:
    """float32, and a first gradient of 1e-41 or so: denormal."""
    p = problem("squared_error", [3, 1], 4, np.float32)
    X = np.full_like(p.X, 1e-21)
    y = np.full_like(p.y, 1e-20)
    for array in (*p.coefs, *p.intercepts):
        array[...] = 0
    return Run(type(p)(X, y, p.coefs, p.intercepts, [], p.loss), "momentum", batch_size=4)


@pytest.mark.skipif(
    os.uname().machine not in ("x86_64", "aarch64"), reason="denormals are flushed on x86-64 and ARM64 only"
)
@pytest.mark.parametrize("threads", ["1", "2"])
def test_denormals_are_flushed_in_training_and_the_caller_s_state_is_restored(
    threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDFAST_FORCE_THREADS", threads)
    run = tiny_gradient()
    run.epoch()
    velocity = run.trainer.state_dict()["slots"]["velocity"]
    assert np.float32(1e-21) * np.float32(1e-20) != 0, "the caller's own denormals are kept"
    assert not velocity[0].any(), "a denormal gradient counts as zero"
    assert velocity[1].any(), "the bias's gradient of 1e-20 is no denormal"


def test_padding_of_a_narrow_layer_is_never_trained() -> None:
    # Padding of a logistic layer is 1/2: were it trained, the penalty and the next outputs would show it.
    p = problem("squared_error", [5, 37, 1], 23, activation="logistic")
    run, expected = Run(p, "adam", alpha=0.5), reference_run(p)
    for _ in range(20):
        assert run.epoch()[0] == pytest.approx(expected.epoch()[0], rel=1e-10)


def reference_run(p: object) -> Run:
    import reference

    return Run(p, "adam", kind=reference.Trainer, alpha=0.5)  # type: ignore[arg-type]


def test_overflow_in_padding_does_not_reach_a_narrow_output() -> None:
    # inf * 0 is NaN in the padding of the hidden layer; tanh of infinity is 1 in its 41 units.
    X = np.array([[np.inf]])
    coefs = [np.ones((1, 41)), np.ones((41, 1))]
    out = _core.forward(X, coefs, [np.zeros(41), np.zeros(1)], ["tanh"], "identity")
    assert out == 41
