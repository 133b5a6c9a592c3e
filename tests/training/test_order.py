"""The order of an epoch's rows is NumPy's own, drawn faster."""

from __future__ import annotations

import numpy as np
import pytest
from gdfast import _core
from gdfast.training.order import RowOrder


@pytest.mark.parametrize("kind", ["MT19937", "PCG64", "Philox"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 63, 64, 65, 66, 127, 128, 129, 130, 1000, 4096, 100_003])
def test_shuffle_is_numpys(n: int, kind: str) -> None:
    generators = [np.random.RandomState(getattr(np.random, kind)(7)) for _ in range(2)]
    ours, theirs = np.arange(n), np.arange(n)
    for _ in range(3):
        _core.shuffle(generators[0]._bit_generator.capsule, ours)
        generators[1].shuffle(theirs)
        np.testing.assert_array_equal(ours, theirs)
        # Both have drawn as much.
        assert generators[0].randint(2**31) == generators[1].randint(2**31)


def test_rows_continue_from_their_last_order() -> None:
    ours, theirs = np.random.RandomState(3), np.random.RandomState(3)
    order, expected = RowOrder(1000, ours), np.arange(1000)
    for _ in range(3):
        theirs.shuffle(expected)
        np.testing.assert_array_equal(order.of_next_epoch(True), expected)


def test_what_is_no_generator_or_no_order() -> None:
    capsule = np.random.MT19937(0).capsule
    with pytest.raises(TypeError, match="rows must have dtype int64"):
        _core.shuffle(capsule, np.arange(5, dtype=np.int32))
    with pytest.raises(TypeError):
        _core.shuffle(object(), np.arange(5))
    with pytest.raises(ValueError, match="rows"):
        _core.shuffle(capsule, np.arange(10)[::2])
