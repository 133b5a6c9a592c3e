"""The specification of recurrent networks against finite differences and, where it is installed, torch."""

from __future__ import annotations

import numpy as np
import pytest
import reference_recurrent as ref
from sequences import CELLS, sequence_problem


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_against_finite_differences(cell: str, per_step: bool) -> None:
    p = sequence_problem(cell, features=3, hidden=[4, 2], outputs=2, lengths=[5, 3, 4], per_step=per_step)
    before = [a.copy() for a in p.parameters]
    # A step of plain gradient descent at a rate of 1 shows the gradient.
    trainer = p.trainer(ref.Trainer, batch_size=3, learning_rate=1.0)
    trainer.epoch()
    gradients = [a - b for a, b in zip(before, trainer.parameters, strict=True)]

    def loss() -> float:
        outputs, _ = ref.forward(p.sequences, cell, p.coefs, p.intercepts, "identity", per_step=per_step)
        return float(0.5 * ((outputs - p.y) ** 2).sum() / len(p.y))

    h = 1e-6
    for array, gradient in zip(p.parameters, gradients, strict=True):
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + h
            above = loss()
            array[index] = kept - h
            below = loss()
            array[index] = kept
            # The central difference is off by h^2 and, from rounding, by 1e-16 / h.
            assert (above - below) / (2 * h) == pytest.approx(gradient[index], rel=1e-6, abs=2e-9)
