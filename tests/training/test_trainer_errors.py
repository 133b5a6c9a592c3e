"""Wrong arguments to the trainer: an error that names the argument, nothing written, never a crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from bad_arrays import Arguments, cases, check_refused, check_refused_array, read_only
from gdfast import _core, optim
from gdfast.optim._whole import WholeRule
from ids import text_of
from problems import problem, same_bits
from sequences import sequence_problem

WRONG = (TypeError, ValueError)
ADAM = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-8}
SGD = {"momentum": 0.9, "nesterov": 1}


def trainer_arguments(loss: str = "squared_error") -> Arguments:
    p = problem(loss, [5, 9, 6, 3], 8)
    return {
        "coefs": p.coefs, "intercepts": p.intercepts, "activations": p.activations, "loss": loss,
        "batch_size": 3, "rule": "adam", "rule_params": dict(ADAM),
    }  # fmt: skip


def epoch_arguments(loss: str = "squared_error") -> Arguments:
    p = problem(loss, [5, 9, 6, 3], 8, weighted=True)
    return {
        "X": p.X, "y": p.y, "order": np.arange(8, dtype=np.int64), "sample_weight": p.sample_weight,
        "learning_rate": 0.1,
    }  # fmt: skip


def csr_arguments() -> Arguments:
    dense = epoch_arguments()
    X = dense["X"]
    indptr = np.arange(0, X.size + 1, 5, dtype=np.int32)
    return {**dense, "X": [X.ravel(), np.tile(np.arange(5, dtype=np.int32), 8), indptr]}


def run_epoch(**arguments: Any) -> Any:
    """One epoch of a new trainer, which must survive wrong arguments with its weights as they were."""
    made = trainer_arguments()
    trainer = _core.Trainer(**made)
    before = [a.copy() for a in (*made["coefs"], *made["intercepts"])]
    if isinstance(arguments["X"], list) and len(arguments["X"]) == 3:  # CSR
        arguments["X"] = tuple(arguments["X"])
    try:
        return trainer.run_epoch(**arguments)
    except Exception:
        assert same_bits([*made["coefs"], *made["intercepts"]], before)
        assert trainer.state_dict()["step"] == 0
        assert trainer.run_epoch(**epoch_arguments())[1]
        raise


# ---------------------------------------------------------------------------------------- construction

TRAINER_CASES = cases(
    ["coefs[0]", "coefs[2]", "intercepts[0]", "intercepts[1]"],
    vectors=("intercepts",),
    any_rows=("coefs[0]",),
)
EPOCH_CASES = cases(["X", "y", "sample_weight"], vectors=("sample_weight",), optional=("sample_weight",))


@pytest.mark.parametrize(("name", "fault"), TRAINER_CASES)
def test_trainer_refuses_the_array(name: str, fault: str) -> None:
    check_refused_array(_core.Trainer, trainer_arguments(), name, fault)


@pytest.mark.parametrize("name", ["coefs", "intercepts"])
def test_plain_arrays_must_be_writable(name: str) -> None:
    arguments = trainer_arguments()
    arguments[name][1] = read_only(arguments[name][1])
    check_refused(_core.Trainer, arguments, ValueError, f"{name}[1]")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("coefs", []),
        ("intercepts", []),
        ("activations", ["relu"]),
        ("activations", ["relu", "softmax"]),
        ("activations", ["relu", ""]),
        ("loss", "hinge"),
        ("loss", ""),
        ("rule", "adagrade"),
        ("rule", ""),
        ("rule_params", {}),
        ("rule_params", SGD),
        ("rule_params", {**ADAM, "momentum": 0.9}),
        ("rule_params", {**ADAM, "eps_mode": "beside"}),
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", -(2**62)),
    ],
    ids=text_of,
)
def test_trainer_refuses(name: str, value: Any) -> None:
    check_refused(_core.Trainer, {**trainer_arguments(), name: value}, ValueError, name.removesuffix("s"))


# What every trainer takes, beside its network: a wrong value of each, and whether its type is what is wrong.
STEP_FAULTS: list[tuple[str, Any, type[Exception]]] = [
    ("alpha", -1.0, ValueError),
    ("alpha", "much", TypeError),
    ("alpha", np.nan, ValueError),
    ("l1_ratio", 1.5, ValueError),
    ("weight_decay", -0.1, ValueError),
    ("weight_decay", np.inf, ValueError),
    ("learning_rate_factors", {"bn_mean": [1.0]}, ValueError),
    ("learning_rate_factors", {"coefs": [-1.0]}, ValueError),
    ("learning_rate_factors", {"coefs": [1.0]}, ValueError),
    ("learning_rate_factors", 0.5, TypeError),
    ("learning_rate_factors", {0: [1.0]}, TypeError),
    ("clip_value", 0.0, ValueError),
    ("clip_value", "auto", TypeError),
    ("clip_norm", -1.0, ValueError),
    ("clip_norm", "automatic", ValueError),
    ("clip_layer_norm", 0, ValueError),
    ("gradient_noise", -1.0, ValueError),
    ("gradient_noise", None, TypeError),
    ("seed", -1, TypeError),
    ("seed", 2**64, TypeError),
    ("seed", 0.5, TypeError),
    ("records", "yes", TypeError),
    ("batch_size", 0, ValueError),
    ("batch_size", 1.5, TypeError),
    ("n_threads", -1, ValueError),
    ("n_threads", "all", TypeError),
    ("rule", 3, TypeError),
    ("rule", "adagrade", ValueError),
    ("rule_params", [], TypeError),
    ("coefs", None, TypeError),
    ("intercepts", "weights", TypeError),
]


def sequence_trainer_arguments() -> Arguments:
    p = sequence_problem("gru", features=3, hidden=[4], outputs=2, lengths=[3, 2])
    return {
        "coefs": p.coefs, "intercepts": p.intercepts, "cell": p.cell, "loss": p.loss,
        "batch_size": 2, "rule": "adam", "rule_params": dict(ADAM),
    }  # fmt: skip


BOTH = [(_core.Trainer, trainer_arguments), (_core.SequenceTrainer, sequence_trainer_arguments)]


@pytest.mark.parametrize(("make", "arguments"), BOTH, ids=["rows", "sequences"])
@pytest.mark.parametrize(("name", "value", "error"), STEP_FAULTS)
def test_every_trainer_refuses(make: Any, arguments: Any, name: str, value: Any, error: type) -> None:
    check_refused(make, {**arguments(), name: value}, error, name)


@pytest.mark.parametrize(("make", "arguments"), BOTH, ids=["rows", "sequences"])
def test_arguments_that_are_too_many_or_too_few(make: Any, arguments: Any) -> None:
    given = arguments()
    name = "Trainer" if make is _core.Trainer else "SequenceTrainer"
    with pytest.raises(TypeError, match=rf"^{name}\(\) has no argument 'momentum'$"):
        make(**given, momentum=0.9)
    for missing in given:
        with pytest.raises(TypeError, match=rf"^{name}\(\) must have the argument '{missing}'$"):
            make(**{key: value for key, value in given.items() if key != missing})
    first, *others = given.values()
    with pytest.raises(TypeError, match=rf"^{name}\(\) has got 'coefs' twice$"):
        make(first, **given)
    with pytest.raises(TypeError, match=rf"^{name}\(\) takes at most 4 positional arguments, got 7$"):
        make(first, *others)
    assert isinstance(make(*list(given.values())[:4], **dict(list(given.items())[4:])), _core.Trainer)


def test_an_epoch_has_no_arguments_of_the_other_kind() -> None:
    trainer = _core.Trainer(**trainer_arguments())
    with pytest.raises(TypeError, match=r"^run_epoch\(\) has no argument 'states'$"):
        trainer.run_epoch(**epoch_arguments(), states=[])
    p = sequence_problem("gru", features=3, hidden=[4], outputs=2, lengths=[3, 2])
    sequences = _core.SequenceTrainer(**sequence_trainer_arguments())
    with pytest.raises(TypeError, match=r"^run_epoch\(\) has no argument 'backprop_depth'$"):
        sequences.run_epoch(p.X, p.starts, p.y, learning_rate=0.1, backprop_depth=1)
    with pytest.raises(TypeError, match=r"^run_epoch\(\) must have the argument 'learning_rate'$"):
        sequences.run_epoch(p.X, p.starts, p.y)
    assert sequences.step == 0


# (Rules that see whole gradients are none of the core.)
RULES = [n for n in optim.__all__ if n != "Optimizer" and not issubclass(getattr(optim, n), WholeRule)]


@pytest.mark.parametrize("name", RULES)
def test_every_rule_asks_for_its_parameters_and_no_others(name: str) -> None:
    rule, params = getattr(optim, name)()._rule()
    arguments = {**trainer_arguments(), "rule": rule}
    _core.Trainer(**{**arguments, "rule_params": params})
    check_refused(
        _core.Trainer, {**arguments, "rule_params": {**params, "rate": 1}}, ValueError, "cannot have 'rate'"
    )
    for key in params.keys() & {"momentum", "eps", "betas", "alpha", "rho", "etas", "lr_decay", "centered"}:
        rest = {k: v for k, v in params.items() if k != key}
        check_refused(_core.Trainer, {**arguments, "rule_params": rest}, ValueError, "must have")
        wrong = {**params, key: "much"}
        check_refused(_core.Trainer, {**arguments, "rule_params": wrong}, TypeError, f"rule_params['{key}']")


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    made, as_large = {**trainer_arguments(), "batch_size": 9}, {**trainer_arguments(), "batch_size": 8}
    losses = [_core.Trainer(**arguments).run_epoch(**epoch_arguments()) for arguments in (made, as_large)]
    assert losses[0] == losses[1]
    assert same_bits(made["coefs"], as_large["coefs"])


@pytest.mark.parametrize("batch_size", [2**40, 2**60, 2**62, 2**63 - 1])
def test_a_workspace_beyond_the_address_space_is_refused(batch_size: int) -> None:
    """The trainer makes room for a batch when it is built: it does not know yet how many rows will come."""
    with pytest.raises((MemoryError, ValueError)):
        _core.Trainer(**{**trainer_arguments(), "batch_size": batch_size})


# ---------------------------------------------------------------------------------------- an epoch


@pytest.mark.parametrize(("name", "fault"), EPOCH_CASES)
def test_epoch_refuses_the_array(name: str, fault: str) -> None:
    check_refused_array(run_epoch, epoch_arguments(), name, fault)


@pytest.mark.parametrize("bad", [-1, 8, 2**31, 2**62, -(2**63)])
def test_row_numbers_out_of_range(bad: int) -> None:
    arguments = epoch_arguments()
    arguments["order"][7] = bad
    check_refused(run_epoch, arguments, ValueError, "order")
    p = problem("squared_error", [5, 9, 6, 3], 8)
    call = {"X": p.X, "coefs": p.coefs, "intercepts": p.intercepts, "activations": p.activations}
    check_refused(
        _core.forward, {**call, "output": "identity", "rows": arguments["order"]}, ValueError, "rows"
    )


@pytest.mark.parametrize("kind", [np.int32, np.uint64, np.float64, bool])
def test_row_numbers_must_be_int64(kind: type) -> None:
    arguments = epoch_arguments()
    check_refused(run_epoch, {**arguments, "order": arguments["order"].astype(kind)}, TypeError, "order")


def test_an_epoch_over_nothing_does_nothing() -> None:
    made = trainer_arguments()
    before = [a.copy() for a in made["coefs"]]
    trainer = _core.Trainer(**made)
    loss, finite = trainer.run_epoch(**{**epoch_arguments(), "order": np.empty(0, np.int64)})
    assert np.isnan(loss)
    assert finite
    assert same_bits(made["coefs"], before)
    assert trainer.state_dict()["step"] == 0


@pytest.mark.parametrize("value", [-1, 3, 2**31 - 1, -(2**31)])
def test_class_index_out_of_range(value: int) -> None:
    made, arguments = trainer_arguments("cross_entropy"), epoch_arguments("cross_entropy")
    arguments["y"][7] = value
    check_refused(_core.Trainer(**made).run_epoch, arguments, ValueError, "y")


# ---------------------------------------------------------------------------------------- sparse rows


@pytest.mark.parametrize("column", [-1, 5, 2**31 - 1, -(2**31)])
def test_column_out_of_range(column: int) -> None:
    arguments = csr_arguments()
    arguments["X"][1][17] = column
    check_refused(run_epoch, arguments, ValueError, "index")


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.__setitem__(0, -1),
        lambda p: p.__setitem__(8, 41),
        lambda p: p.__setitem__(8, 2**31 - 1),
        lambda p: p.__setitem__(4, 39),
        lambda p: p.__setitem__(4, -5),
    ],
)
def test_row_bounds_that_are_no_bounds(damage: Any) -> None:
    arguments = csr_arguments()
    damage(arguments["X"][2])
    check_refused(run_epoch, arguments, ValueError, "indptr")


@pytest.mark.parametrize(
    ("part", "make"),
    [
        (0, lambda a: a.astype(np.float32)),
        (0, lambda a: a[:-1]),
        (0, lambda a: a[::-1]),
        (0, lambda a: a.tolist()),
        (1, lambda a: a.astype(np.int16)),
        (1, lambda a: a[:-1]),
        (1, lambda a: a[:, None]),
        (2, lambda a: a.astype(np.float64)),
        (2, lambda a: a[:0]),
        (2, lambda a: None),
    ],
)
def test_damaged_csr_parts(part: int, make: Any) -> None:
    arguments = csr_arguments()
    arguments["X"][part] = make(arguments["X"][part])
    check_refused(run_epoch, arguments, WRONG, "data", "indices", "indptr", "coefs")


@pytest.mark.parametrize("X", [(), (np.ones(3),), (None, None, None), "abc", 3, object()], ids=text_of)
def test_what_is_no_matrix(X: Any) -> None:
    check_refused(run_epoch, {**epoch_arguments(), "X": X}, WRONG, "X", "data")


# ---------------------------------------------------------------------------------------- state


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s.clear(),
        lambda s: s.pop("step"),
        lambda s: s.pop("slots"),
        lambda s: s.update(step=-1),
        lambda s: s.update(step="1"),
        lambda s: s["slots"].pop("v"),
        lambda s: s["slots"].update(m=[]),
        lambda s: s["slots"].update(m=None),
        lambda s: s["slots"]["m"].pop(),
        lambda s: s["slots"]["v"].reverse(),
        lambda s: s["slots"]["m"].__setitem__(0, np.ones((5, 8))),
        lambda s: s["slots"]["m"].__setitem__(0, np.ones((5, 9), np.float32)),
        lambda s: s["slots"]["m"].__setitem__(0, np.asfortranarray(np.ones((5, 9)))),
        lambda s: s["slots"]["m"].__setitem__(0, None),
    ],
)
def test_state_that_does_not_fit(damage: Any) -> None:
    trainer = _core.Trainer(**trainer_arguments())
    trainer.run_epoch(**epoch_arguments())
    damaged = trainer.state_dict()
    damage(damaged)
    kept = trainer.state_dict()
    with pytest.raises(WRONG):
        trainer.load_state_dict(damaged)
    assert trainer.state_dict()["step"] == kept["step"], "half of a state was taken"
    for name, slots in kept["slots"].items():
        assert same_bits(trainer.state_dict()["slots"][name], slots), "half of a state was taken"


def test_state_of_another_rule() -> None:
    other = _core.Trainer(**{**trainer_arguments(), "rule": "sgd", "rule_params": SGD})
    with pytest.raises(ValueError):
        _core.Trainer(**trainer_arguments()).load_state_dict(other.state_dict())
