"""The limit on the threads of BLAS is undone by the last user, whatever the order."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from gdfast.training.blas import on_threads
from threadpoolctl import ThreadpoolController


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()]


@pytest.fixture(autouse=True)
def two_threads() -> object:
    import scipy.linalg  # noqa: F401

    with ThreadpoolController().limit(limits=2, user_api="blas"):
        yield


def test_users_that_overlap() -> None:
    before = blas_threads()
    first, second = on_threads(1), on_threads(1)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert set(blas_threads()) == {1}  # the second is still at work
    second.__exit__(None, None, None)
    assert blas_threads() == before


def test_an_error_puts_it_back() -> None:
    before = blas_threads()
    with pytest.raises(ZeroDivisionError), on_threads(1):
        raise ZeroDivisionError
    assert blas_threads() == before


def test_many_threads() -> None:
    before = blas_threads()

    def work() -> None:
        for _ in range(20):
            with on_threads(1):
                np.ones((20, 20)) @ np.ones((20, 20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blas_threads() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_can_use_it_while_its_parent_does() -> None:
    with on_threads(1):
        child = os.fork()
        if not child:
            with on_threads(1):
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
