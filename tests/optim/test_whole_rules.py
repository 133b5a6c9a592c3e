"""Rules that see whole gradients, by trajectory: against their reference, and against peers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import reference_whole
from gdfast import optim
from numpy.typing import NDArray
from problems import norm_error
from whole_variants import WHOLE

Array = NDArray[Any]

STEPS = 60


def arrays(dtype: Any, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    shapes = [(7, 5), (5,), (4, 9), (9, 1), (1, 1), (3,), (), (0,), (2, 3, 2)]
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def gradients(params: list[Array], rng: np.random.Generator) -> list[Array]:
    """Those of a convex function with noise."""
    return [np.asarray(p - 1 + 0.3 * rng.standard_normal(p.shape), p.dtype) for p in params]


def reference_of(rule: optim.Optimizer) -> Any:
    return getattr(reference_whole, type(rule).__name__)(**rule.get_params())


@pytest.mark.parametrize("name", WHOLE)
def test_trajectory_is_the_references(name: str, dtype: type) -> None:
    ours, theirs = arrays(dtype), [a.astype(np.float64) for a in arrays(dtype)]
    rule, expected = copy.deepcopy(WHOLE[name]), reference_of(WHOLE[name])
    rng = np.random.default_rng(1)
    # float32 rounds each of the steps, and the polynomials of Newton-Schulz amplify what is small. Prodigy's
    # d grows from 1e-6 to 1 by what its rounded sums say, and later steps by d.
    tolerance = 1e-12 if dtype is np.float64 else 1e-4
    if isinstance(rule, optim.Prodigy):
        tolerance *= 100
    for _ in range(STEPS):
        grads = gradients(ours, rng)
        rule.step(ours, grads)
        expected.step(theirs, [g.astype(np.float64) for g in grads])
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == dtype
            assert norm_error(a, b, scale=np.ones_like(b)) <= tolerance
    assert rule.steps == STEPS


# ---------------------------------------------------------------------------------------------- against peers


def peers_steps(theirs: Any, torch: Any, begin: list[Array], rule: optim.Optimizer, tolerance: float) -> None:
    """Both take the same steps from the same gradients, at the peer's parameters."""
    tensors = [torch.nn.Parameter(torch.from_numpy(p.copy())) for p in begin]
    ours, peer = [p.copy() for p in begin], theirs(tensors)
    if hasattr(peer, "train"):
        peer.train()
    rng = np.random.default_rng(2)
    for _ in range(STEPS):
        grads = gradients(ours, rng)
        for tensor, grad in zip(tensors, grads, strict=True):
            tensor.grad = torch.from_numpy(grad.copy())
        peer.step()
        rule.step(ours, grads)
        for a, b in zip(ours, tensors, strict=True):
            assert norm_error(a, b.detach().numpy(), scale=np.ones_like(a)) <= tolerance
    if hasattr(peer, "eval"):
        peer.eval()
        rule.eval(ours)  # type: ignore[attr-defined]
        for a, b in zip(ours, tensors, strict=True):
            assert norm_error(a, b.detach().numpy(), scale=np.ones_like(a)) <= tolerance


@pytest.mark.parametrize(
    "params",
    [{}, {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw", "weight_decay": 0.0}, {"ns_steps": 3}],
    ids=str,
)
def test_muon_is_torchs(params: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", minversion="2.9")
    matrices = [p for p in arrays(np.float32) if p.ndim == 2]
    # torch rounds to bfloat16 within Newton-Schulz.
    peers_steps(lambda t: torch.optim.Muon(t, lr=3e-3, **params), torch, matrices,
                optim.Muon(lr=3e-3, **params), 1e-2)  # fmt: skip


@pytest.mark.parametrize(
    "params", [{}, {"weight_decay": 0.1, "warmup_steps": 10}, {"r": 1.0, "weight_lr_power": 1.0}], ids=str
)
@pytest.mark.parametrize("base", ["adamw", "sgd"])
def test_schedule_free_is_the_authors(base: str, params: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("schedulefree")
    ours = optim.ScheduleFree(0.1, betas=(0.8, 0.99), base=base, **params)

    def theirs(tensors: Any) -> Any:
        if base == "adamw":
            return peer.AdamWScheduleFree(tensors, 0.1, betas=(0.8, 0.99), **params)
        return peer.SGDScheduleFree(tensors, 0.1, momentum=0.8, **params)

    # It goes from x to y and back by rounded products.
    peers_steps(theirs, torch, arrays(np.float64), ours, 1e-12)


@pytest.mark.parametrize(
    "params",
    [
        {}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decouple": False, "use_bias_correction": True},
        {"safeguard_warmup": True, "growth_rate": 1.05, "d0": 1e-2}, {"beta3": 0.9, "d_coef": 2.0},
    ],
    ids=str,
)  # fmt: skip
def test_prodigy_is_the_authors(params: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("prodigyopt")
    # Its sums are taken in another order, and its d decides about every later step.
    peers_steps(
        lambda t: peer.Prodigy(t, **params), torch, arrays(np.float64), optim.Prodigy(**params), 1e-10
    )
