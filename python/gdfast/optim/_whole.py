"""Rules that see whole gradients: Python over plain arrays, with NumPy's BLAS for products of matrices."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gdfast._checks import check_count, check_not_negative
from gdfast.optim._base import FloatArray, Optimizer, State

Array: TypeAlias = NDArray[Any]
Slots: TypeAlias = dict[str, list[Array]]
Factors: TypeAlias = Sequence[tuple[Array, Array]]


@dataclass(frozen=True)
class Layout:
    """What a rule is told of the arrays of a step; each list has an item for each array.

    Attributes
    ----------
    rates : list of float
        Factors of the learning rate.
    decays : list of bool
        Whether weight decay applies.
    hidden : list of bool
        Whether it is the matrix of a hidden layer.
    trained : list of bool
        The others keep their values and their state.
    inputs_first : bool
        Whether matrices have the shape (inputs, outputs), or (outputs, inputs) as in PyTorch.
    factors : callable or None
        For KFAC, ``factors(sampled)`` computes the Kronecker factors of the batch.
    """

    rates: Sequence[float]
    decays: Sequence[bool]
    hidden: Sequence[bool]
    trained: Sequence[bool]
    inputs_first: bool = False
    factors: Callable[..., Factors] | None = None

    @classmethod
    def of(cls, params: Sequence[Array], factors: Callable[..., Factors] | None = None) -> Layout:
        """The layout of a list of arrays of which nothing is known but their shapes."""
        n = len(params)
        matrices = [param.ndim == 2 for param in params]
        return cls([1.0] * n, [True] * n, matrices, [True] * n, factors=factors)


class WholeRule(Optimizer):
    """Base class of rules that see whole gradients; not used by itself.

    A rule is a function of parameters, gradients and state. It returns new ones, and changes nothing itself,
    so that a step that does not end leaves everything as it was.
    """

    # The rules by their names.
    kinds: ClassVar[dict[str, type[WholeRule]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.kinds[cls._rule_name] = cls

    @classmethod
    @abstractmethod
    def _slot_names(cls, p: SimpleNamespace) -> tuple[str, ...]:
        """The names of the state's lists of arrays; the first has arrays of the shapes of the parameters."""

    @classmethod
    @abstractmethod
    def _begin_slots(cls, p: SimpleNamespace, params: Sequence[Array]) -> Slots:
        """The state before the first step."""

    @classmethod
    @abstractmethod
    def _advance(
        cls,
        p: SimpleNamespace,
        step: int,
        params: Sequence[Array],
        grads: Sequence[Array],
        slots: Slots,
        layout: Layout,
    ) -> tuple[list[Array], Slots]:
        """New parameters and state; ``p`` has the hyper-parameters, ``step`` is 1 in the first step."""

    @classmethod
    def _check_ready(cls, slots: Slots) -> None:
        """ValueError if the parameters are not those of the next step."""

    # With _has_modes.

    @classmethod
    def _to_points(
        cls, params: Mapping[str, Any], averages: Sequence[Array], slots: Slots, steps: int
    ) -> tuple[Slots, list[Array]]:
        """The state with these averages, and the points of the next gradients."""
        raise NotImplementedError

    @classmethod
    def _averages(cls, slots: Slots) -> list[Array]:
        """The weights to use."""
        raise NotImplementedError

    def _initial_state(self, param: FloatArray) -> State:
        return {name: arrays[0] for name, arrays in self._core.begin([param]).items()}

    def _make_core(self, params: dict[str, Any]) -> Any:
        return Whole(type(self), params)


class Whole:
    """The hyper-parameters and the state of a rule, with the methods of ``_core.Optimizer``."""

    def __init__(self, kind: type[WholeRule], params: Mapping[str, Any]) -> None:
        self.kind = kind
        self.params = dict(params)
        self.steps = 0
        self.slots_now: Slots = {}

    def next(
        self,
        params: Sequence[Array],
        grads: Sequence[Array],
        lr: float,
        layout: Layout,
        weight_decay: float | None = None,
    ) -> tuple[list[Array], Slots]:
        """Parameters and state after one more step; nothing is changed."""
        p = SimpleNamespace(**self.params, lr=float(lr))
        if weight_decay is not None:
            p.weight_decay = weight_decay
        slots = self.slots_now if self.steps else self.kind._begin_slots(p, params)
        # What NumPy makes of an array without dimensions is no array.
        given = {name: _with_dimensions(arrays) for name, arrays in slots.items()}
        with np.errstate(
            all="ignore"
        ):  # what is not finite shows in the parameters, as with the core's rules
            new, after = self.kind._advance(
                p, self.steps + 1, _with_dimensions(params), _with_dimensions(grads), given, layout
            )
        return _shaped(new, params), {name: _shaped(after[name], slots[name]) for name in slots}

    def commit(self, slots: Slots) -> None:
        """Take over the state of a step."""
        self.slots_now, self.steps = slots, self.steps + 1

    def step(self, params: Any, grads: Any, lr: float, factors: Any = None) -> None:
        check_not_negative("lr", lr)
        params, grads = checked_lists(params, grads)
        self.check_bound(params)
        self.kind._check_ready(self.slots_now)
        new, slots = self.next(params, grads, lr, Layout.of(params, factors))
        for param, values in zip(params, new, strict=True):
            param[...] = values
        self.commit(slots)

    def check_bound(self, params: Sequence[Array]) -> None:
        """TypeError or ValueError if these are not arrays like those of the first step."""
        if not self.slots_now:
            return
        bound = next(iter(self.slots_now.values()))
        if len(params) != len(bound):
            raise ValueError(f"params must hold {len(bound)} arrays as in the first step, got {len(params)}")
        for i, (param, before) in enumerate(zip(params, bound, strict=True)):
            if param.dtype != before.dtype:
                raise TypeError(f"params must have dtype {before.dtype} as in the first step")
            if param.shape != before.shape:
                raise ValueError(
                    f"params[{i}] must have shape {before.shape} as in the first step, got {param.shape}"
                )

    def begin(self, params: Sequence[Array]) -> Slots:
        """The state of parameters before the first step."""
        return self.kind._begin_slots(SimpleNamespace(**self.params, lr=0.0), params)

    def update(self, param: Any, grad: Any, state: dict[str, Array], step: int, lr: float) -> None:
        [param], [grad] = checked_lists([param], [grad], ("param", "grad"))
        expected = {name: arrays[0] for name, arrays in self.begin([param]).items()}
        for name, like in expected.items():
            if name not in state:
                raise ValueError(f"state must have {name!r} for this rule")
            _check_array(state[name], name, like.dtype, like.shape, writes=True)
        if len(state) > len(expected):
            raise ValueError("state holds more than this rule keeps: it is another rule's")
        _check_apart([("param", param), *state.items()], [("grad", grad)])
        alone = Whole(self.kind, self.params)
        alone.steps, alone.slots_now = step - 1, {name: [array] for name, array in state.items()}
        [new], slots = alone.next([param], [grad], lr, Layout.of([param]))
        param[...] = new
        for name, [array] in slots.items():
            state[name][...] = array

    def set_rule(self, name: str, params: Mapping[str, Any]) -> None:
        if self.slots_now and self._shapes(self.params) != self._shapes(params):
            raise ValueError(
                "this hyper-parameter decides which state the rule keeps: it cannot change after the first "
                "step; make a new optimizer"
            )
        self.params = dict(params)

    def _shapes(self, params: Mapping[str, Any]) -> dict[str, list[tuple[int, ...]]]:
        """The shapes of the state that a rule with these hyper-parameters keeps."""
        p = SimpleNamespace(**params, lr=0.0)
        first = next(iter(self.slots_now.values()))
        slots = self.kind._begin_slots(p, first)
        return {name: [array.shape for array in arrays] for name, arrays in slots.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.steps, "slots": copied(self.slots_now)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        step, slots = state["step"], state["slots"]
        check_count("state['step']", step, 0)
        self.check_slots(slots, int(step))
        self.steps, self.slots_now = int(step), copied(slots)

    def check_slots(self, slots: Any, step: int) -> None:
        """TypeError or ValueError if this is not a state of the rule."""
        if not isinstance(slots, dict):
            raise TypeError("state['slots'] must be a dict")
        if not slots and step == 0:
            return
        names = self.kind._slot_names(SimpleNamespace(**self.params))
        for name in names:
            label = f"state['slots'][{name!r}]"
            if name not in slots:
                raise ValueError(f"state['slots'] must have {name!r} for this rule")
            if not isinstance(slots[name], list):
                raise TypeError(f"{label} must be a list of arrays")
            for i, array in enumerate(slots[name]):
                if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
                    raise TypeError(f"{label}[{i}] must be an array of float32 or float64")
        if len(slots) > len(names):
            raise ValueError("state['slots'] holds more than this rule keeps: it is another rule's")
        if not slots[names[0]]:
            raise ValueError(f"state['slots'][{names[0]!r}] must hold at least one array")
        expected = self.begin(slots[names[0]])
        for name in names:
            shapes, wanted = ([a.shape for a in arrays[name]] for arrays in (slots, expected))
            if shapes != wanted:
                raise ValueError(
                    f"state['slots'][{name!r}] must have arrays of shapes {wanted}, got {shapes}"
                )
            kinds, wanted_kinds = ([a.dtype for a in arrays[name]] for arrays in (slots, expected))
            if kinds != wanted_kinds:
                raise TypeError(f"state['slots'][{name!r}] must have dtypes {wanted_kinds}, got {kinds}")


def copied(slots: Slots) -> Slots:
    return {name: [array.copy() for array in arrays] for name, arrays in slots.items()}


def _with_dimensions(arrays: Sequence[Array]) -> list[Array]:
    return [np.atleast_1d(array) for array in arrays]


def _shaped(arrays: Sequence[Array], like: Sequence[Array]) -> list[Array]:
    return [array.reshape(other.shape) for array, other in zip(arrays, like, strict=True)]


def checked_lists(
    params: Any, grads: Any, names: tuple[str, str] = ("params", "grads"), *, reads: bool = True
) -> tuple[list[Array], list[Array]]:
    """The arrays of both arguments, with the checks and errors of the core's rules."""
    if isinstance(params, np.ndarray):
        params, names = [params], (names[0], names[1])
        grads = [grads] if isinstance(grads, np.ndarray) else grads
    for name, arrays in zip(names, (params, grads), strict=True):
        if not isinstance(arrays, list | tuple):
            kind = type(arrays).__name__
            raise TypeError(f"{name} must be a NumPy array or a list of them, got {kind}")
    if not params:
        raise ValueError(f"{names[0]} must hold at least one array")
    if len(grads) != len(params):
        raise ValueError(
            f"{names[1]} must hold as many arrays as {names[0]} ({len(params)}), got {len(grads)}"
        )
    alone = names[0] == "param"
    labelled: list[list[tuple[str, Array]]] = [[], []]
    dtype = None
    for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
        labels = names if alone else (f"{names[0]}[{i}]", f"{names[1]}[{i}]")
        _check_array(param, labels[0], dtype, None, writes=True)
        dtype = param.dtype
        _check_array(grad, labels[1], dtype, param.shape, writes=False)
        labelled[0].append((labels[0], param))
        labelled[1].append((labels[1], grad))
    _check_apart(labelled[0], labelled[1] if reads else ())
    return list(params), list(grads)


def _check_array(array: Any, name: str, dtype: Any, shape: Any, *, writes: bool) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, got {type(array).__name__}")
    if dtype is None and array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must have dtype float32 or float64, got {array.dtype}")
    if dtype is not None and array.dtype != dtype:
        raise TypeError(f"{name} must have dtype {dtype}, got {array.dtype}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous")
    if writes and not array.flags.writeable:
        raise ValueError(f"{name} is read-only")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")


def _check_apart(written: Sequence[tuple[str, Array]], read: Sequence[tuple[str, Array]]) -> None:
    """ValueError if an array to be written shares memory with another one; all are contiguous."""
    extents = sorted(
        (array.__array_interface__["data"][0], array.nbytes, writes, name)
        for arrays, writes in ((written, True), (read, False))
        for name, array in arrays
        if array.size
    )
    ends: dict[bool, tuple[int, str]] = {}  # how far arrays that are only read, or written, reach
    for start, n, writes, name in extents:
        for others in (True, False) if writes else (True,):
            if others in ends and ends[others][0] > start:
                raise ValueError(f"{name} must not share memory with {ends[others][1]}")
        ends[writes] = max(ends.get(writes, (0, "")), (start + n, name))


def adamw(
    param: Array,
    grad: Array,
    m: Array,
    v: Array,
    step: int,
    *,
    lr: float,
    betas: Any,
    eps: float,
    decay: float,
) -> tuple[Array, Array, Array]:
    """A step of AdamW: the new parameter and moments."""
    m = average(m, grad, betas[0])
    v = average(v, grad * grad, betas[1])
    root = np.sqrt(v / (1 - betas[1] ** step))
    root += eps
    np.divide(m, root, out=root)
    root *= -lr / (1 - betas[0] ** step)
    root += param if decay == 0 else (1 - lr * decay) * param
    return root, m, v


def average(mean: Array, value: Array, beta: float) -> Array:
    """The moving average after one more value."""
    new = beta * mean
    new += (1 - beta) * value
    return new
