"""Rules that see whole gradients, by trajectory: against their reference, and against peers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import reference_whole
from gdfast import optim
from numpy.typing import NDArray
from problems import norm_error, same_bits
from whole_variants import WHOLE

Array = NDArray[Any]

STEPS = 60


SHAPES = [(7, 5), (5,), (4, 9), (9, 1), (1, 1), (3,), (), (0,), (2, 3, 2)]
# A matrix of full rank on both sides has one eigenbasis; that of any other depends on rounding.
SQUARE = [(6, 6), (5,), (2, 2), (1, 1), (), (0,), (2, 3, 2)]


def arrays(dtype: Any, seed: int = 0, shapes: Any = SHAPES) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in shapes]


def gradients(params: list[Array], rng: np.random.Generator) -> list[Array]:
    """Those of a convex function with noise."""
    return [np.asarray(p - 1 + 0.3 * rng.standard_normal(p.shape), p.dtype) for p in params]


def reference_of(rule: optim.Optimizer) -> Any:
    return getattr(reference_whole, type(rule).__name__)(**rule.get_params())


@pytest.mark.parametrize("name", WHOLE)
def test_trajectory_is_the_references(name: str, dtype: type) -> None:
    rule, expected = copy.deepcopy(WHOLE[name]), reference_of(WHOLE[name])
    ours = arrays(dtype, shapes=SQUARE if isinstance(rule, optim.SOAP) else SHAPES)
    theirs = [a.astype(np.float64) for a in ours]
    rng = np.random.default_rng(1)
    # float32 rounds each of the steps, and the polynomials of Newton-Schulz amplify what is small. Prodigy's
    # d grows from 1e-6 to 1 by what its rounded sums say, and later steps by d.
    tolerance = 1e-12 if dtype is np.float64 else 1e-4
    if isinstance(rule, optim.Prodigy):
        tolerance *= 100
    if isinstance(rule, optim.SOAP):  # eigenvectors amplify rounding by the gaps between eigenvalues
        tolerance *= 1000
    for _ in range(STEPS):
        grads = gradients(ours, rng)
        rule.step(ours, grads)
        expected.step(theirs, [g.astype(np.float64) for g in grads])
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == dtype
            assert norm_error(a, b, scale=np.ones_like(b)) <= tolerance
    assert rule.steps == STEPS


@pytest.mark.parametrize("shape", [(4, 4), (3,), ()], ids=str)
@pytest.mark.parametrize("name", [name for name in WHOLE if name != "muon hidden"])
def test_init_and_update_are_the_same_rule(name: str, shape: tuple[int, ...], dtype: type) -> None:
    ours = arrays(dtype, shapes=[shape])[0]
    theirs = ours.copy()
    rule, bare = copy.deepcopy(WHOLE[name]), copy.deepcopy(WHOLE[name])
    state = bare.init(theirs)
    rng = np.random.default_rng(2)
    for t in range(1, 6):
        [grad] = gradients([ours], rng)
        rule.step(ours, grad)
        bare.update(theirs, grad, state, t)
    assert same_bits([ours], [theirs])
    assert bare.steps == 0
    for slot, values in rule.state_dict()["slots"].items():
        assert same_bits(values, [state[slot]])
    with pytest.raises(ValueError, match="this rule"):
        bare.update(theirs, grad, {}, 1)


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


# ------------------------------------------------------------------------------------------------- K-FAC


def layers(dtype: Any) -> list[Array]:
    return arrays(dtype, shapes=[(4, 3), (3, 5), (5, 2), (3,), (5,), (2,)])


def factors_of(rng: np.random.Generator, params: list[Array]) -> list[tuple[Array, Array]]:
    pairs = []
    for coef in params[: len(params) // 2]:
        a = np.hstack([rng.standard_normal((30, len(coef))), np.ones((30, 1))])
        g = 0.3 * rng.standard_normal((30, coef.shape[1]))
        pairs.append(((a.T @ a / 30).astype(coef.dtype), (g.T @ g / 30).astype(coef.dtype)))
    return pairs


KFAC = {
    "kfac": optim.KFAC(),
    "kfac plain": optim.KFAC(0.05, momentum=0.0, damping=1e-3, decay=0.5, factor_steps=1, inverse_steps=1,
                             kl_clip=None, weight_decay=0.1),
    "kfac clipped": optim.KFAC(1.0, kl_clip=1e-4, factor_steps=2, inverse_steps=6),
}  # fmt: skip


@pytest.mark.parametrize("name", KFAC)
def test_kfac_is_its_reference(name: str, dtype: type) -> None:
    rule, expected = copy.deepcopy(KFAC[name]), reference_of(KFAC[name])
    ours = layers(dtype)
    theirs = [a.astype(np.float64) for a in ours]
    rng = np.random.default_rng(1)
    # float32 is amplified by the inverses: a damping of 1e-3 makes a condition of 1e3.
    tolerance = 1e-10 if dtype is np.float64 else 1e-2
    for _ in range(25):
        grads, factors = gradients(ours, rng), factors_of(rng, ours)
        rule.step(ours, grads, factors)  # type: ignore[call-arg]
        expected.step(theirs, [g.astype(np.float64) for g in grads], [
            tuple(f.astype(np.float64) for f in pair) for pair in factors])  # fmt: skip
        for a, b in zip(ours, theirs, strict=True):
            assert a.dtype == dtype
            assert norm_error(a, b, scale=np.ones_like(b)) <= tolerance


def test_kfac_that_makes_no_sense() -> None:
    rng = np.random.default_rng(0)
    params = layers(np.float64)
    grads, factors = gradients(params, rng), factors_of(rng, params)
    rule: Any = optim.KFAC()
    with pytest.raises(ValueError, match="factors must be given in the first step"):
        rule.step(params, grads)
    with pytest.raises(ValueError, match="params must hold the weights of all layers"):
        rule.step(params[:5], grads[:5], factors)
    with pytest.raises(ValueError, match="factors must have the shapes"):
        rule.step(params, grads, factors[:2])
    with pytest.raises(TypeError, match="factors must be a list of pairs of arrays, got int"):
        rule.step(params, grads, 3)
    with pytest.raises(ValueError, match="params must hold the weights of all layers"):
        rule.init(params[0])
    with pytest.raises(ValueError, match="params must hold the weights of all layers"):
        rule.update(params[0], grads[0], {}, 1)
    assert rule.steps == 0
    rule.step(params, grads, factors)
    again = copy.deepcopy(rule)
    rule.step(params, grads)  # by the factors so far
    copies = [p.copy() for p in layers(np.float64)]
    again.step(copies, grads)
    assert rule.steps == again.steps == 2


def test_a_factor_without_signal_is_no_division_by_zero() -> None:
    params = layers(np.float64)
    factors = [(np.zeros((len(c) + 1,) * 2), np.zeros((c.shape[1],) * 2)) for c in params[:3]]
    optim.KFAC().step(params, [np.zeros_like(p) for p in params], factors)
    assert all(np.isfinite(p).all() for p in params)


def test_a_change_of_the_state_is_refused() -> None:
    rule = optim.SOAP()
    rule.step([np.ones((6, 4))], [np.ones((6, 4))])
    with pytest.raises(ValueError, match="cannot change after the first step"):
        rule.set_params(max_precond_dim=4)
    copied = pickle.loads(pickle.dumps(rule))
    assert copied.steps == 1


@pytest.mark.parametrize("bad", [[3], [(np.eye(3, dtype=complex), np.eye(2))], [("a", "b")]], ids=str)
def test_bad_factors_are_named(bad: Any) -> None:
    params = [np.ones((2, 2)), np.ones(2)]
    with pytest.raises(TypeError, match=r"factors\[0\]"):
        optim.KFAC().step(params, [np.ones((2, 2)), np.ones(2)], bad)
