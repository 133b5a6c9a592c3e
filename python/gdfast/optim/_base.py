"""Base class of the optimizers: hyper-parameters, steps, and the state as a dict."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gdfast import _core
from gdfast._checks import check_count, check_not_negative, one_rate
from gdfast._record import Record
from gdfast.optim._parameters import Check, checks_of

FloatArray: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
State: TypeAlias = dict[str, NDArray[Any]]


class Optimizer(Record):
    """Base class of the optimizers; not used by itself.

    An optimizer holds hyper-parameters, which can be read and set as attributes, and a state: moments,
    velocities, the number of steps. The first step creates the state; from then on the shapes and the dtype
    of the parameters are fixed.

    ``lr`` may be a number or an array of one element, as returned by a schedule's ``rates`` for an epoch of
    one step.
    """

    lr: float

    _rule_name: ClassVar[str]
    # Whether gradients are taken at other points than the weights to use, as `ScheduleFree` does, and whether
    # a step needs the Kronecker factors of a network.
    _has_modes: ClassVar[bool] = False
    _needs_factors: ClassVar[bool] = False
    _checks: ClassVar[dict[str, Check]]
    _core: Any

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "__init__" in cls.__dict__:
            cls._checks = checks_of(cls.__init__)

    @classmethod
    def _check(cls, params: dict[str, Any]) -> None:
        """Check every hyper-parameter by itself; rules extend this by checks of combinations."""
        for name, check in cls._checks.items():
            check(name, params[name])

    def _begin(self, params: dict[str, Any]) -> None:
        """Check and store the arguments of a constructor; an array ``lr`` becomes a number."""
        params = {name: params[name] for name in self._names}
        params["lr"] = one_rate(params["lr"])
        self._check(params)
        self.__dict__.update(params)
        self.__dict__["_core"] = self._make_core(_without_lr(params))

    def _make_core(self, params: dict[str, Any]) -> Any:
        """What keeps the rule and its state, for hyper-parameters without lr."""
        return _core.Optimizer(self._rule_name, params)

    def step(
        self, params: FloatArray | Sequence[FloatArray], grads: FloatArray | Sequence[FloatArray]
    ) -> None:
        """Update the parameters in place by one step.

        Parameters
        ----------
        params : array of any shape or list of such arrays, float32 or float64
            Changed in place. The arrays have one dtype, are C-contiguous (a transposed or strided view is
            refused: make it contiguous with ``np.ascontiguousarray``, or pass its base array), and do not
            overlap. Every step takes the same number of arrays of the same shapes; they need not be the same
            objects.
        grads : array or list of arrays like params
            Read only.

        Raises
        ------
        TypeError
            If something is not an array or a list of arrays, or has another dtype.
        ValueError
            If numbers of arrays or shapes differ from each other or from the first step's, an array is not
            C-contiguous, a parameter is read-only or shares memory with another array, or lr is negative or
            not finite. In that case nothing has been written.
        """
        self._core.step(params, grads, self.lr)

    def init(self, param: FloatArray) -> State:
        """Return the initial state of an array, for `update`.

        Parameters
        ----------
        param : array of any shape, float32 or float64
            Read for its shape and dtype only.

        Returns
        -------
        dict of arrays, the shape and dtype of param
            The state arrays by name, such as "m" and "v". The names depend on the rule and its
            hyper-parameters. Rules that see whole gradients have arrays of other shapes as well.

        Raises
        ------
        TypeError
            If param is not an array of float32 or float64.

        Examples
        --------
        >>> import numpy as np
        >>> from gdfast.optim import Adagrad
        >>> Adagrad(initial_accumulator_value=0.5).init(np.ones(2))
        {'sum': array([0.5, 0.5])}
        """
        if not isinstance(param, np.ndarray):
            raise TypeError(f"param must be a NumPy array, got {type(param).__name__}")
        if param.dtype not in (np.float32, np.float64):
            raise TypeError(f"param must have dtype float32 or float64, got {param.dtype}")
        return self._initial_state(param)

    def _initial_state(self, param: FloatArray) -> State:
        return {name: np.full(param.shape, value, param.dtype) for name, value in self._core.slots().items()}

    def update(
        self,
        param: FloatArray,
        grad: FloatArray,
        state: State,
        step: int,
        *,
        lr: float | None = None,
    ) -> None:
        """Update an array and its state in place by one step, without changing the optimizer.

        Parameters
        ----------
        param : array of any shape, float32 or float64
            Changed in place.
        grad : array, the shape and dtype of param
            Read only.
        state : dict of arrays, the shape and dtype of param
            The state that `init` returned, as updated by earlier calls. Changed in place.
        step : int
            The number of this step; the first is 1.
        lr : float, default=None
            Learning rate of this step, not negative. None uses the optimizer's.

        Raises
        ------
        TypeError
            If an argument is not an array, or an array has another dtype.
        ValueError
            If shapes differ, an array is not C-contiguous, one to be written is read-only, arrays overlap,
            the state is not one of this rule, or a number is out of its range. In that case nothing has been
            written.

        Examples
        --------
        >>> import numpy as np
        >>> from gdfast.optim import Lion
        >>> rule, param = Lion(lr=0.125), np.array([1.0, 2.0])
        >>> state = rule.init(param)
        >>> rule.update(param, np.array([50.0, -0.25]), state, 1)
        >>> param
        array([0.875, 2.125])
        """
        lr = self.lr if lr is None else one_rate(lr)
        check_not_negative("lr", lr)
        check_count("step", step)
        if not isinstance(state, dict):
            raise TypeError(f"state must be a dict, as init() returns it, got {type(state).__name__}")
        self._core.update(param, grad, state, step, lr)

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return int(self._core.steps)

    def set_params(self, **params: Any) -> Self:
        """Change hyper-parameters, with effect from the next step.

        Parameters
        ----------
        **params
            New values of arguments of the constructor, by name.

        Returns
        -------
        self : Optimizer
            The optimizer.

        Raises
        ------
        TypeError, ValueError
            If a value is invalid, or would change which state arrays exist after the first step (momentum of
            SGD from or to 0, for instance). In that case nothing is changed.
        """
        self._check_has(params)
        if "lr" in params:
            params["lr"] = one_rate(params["lr"])
        new = {**self.get_params(), **params}
        self._check(new)
        if params.keys() - {"lr"}:
            self._core.set_rule(self._rule_name, _without_lr(new))
        self.__dict__.update(params)
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._names:
            raise AttributeError(
                f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(self._names)}"
            )
        self.set_params(**{name: value})

    def state_dict(self) -> dict[str, Any]:
        """Return hyper-parameters and state as a dict of numbers, strings and copies of NumPy arrays.

        Returns
        -------
        dict
            ``rule``, ``params`` (the hyper-parameters), ``step`` (the number of steps taken) and ``slots``:
            for each state array's name a list with one array for each parameter; empty before the first step.
        """
        state = self._core.state_dict()
        return {"rule": self._rule_name, "params": copy.deepcopy(self.get_params()), **state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load hyper-parameters, number of steps and copies of the state arrays from a `state_dict`.

        Parameters
        ----------
        state : dict
            A dict returned by :meth:`state_dict` of an optimizer of the same class.

        Raises
        ------
        TypeError, ValueError
            If it belongs to another rule, or arrays are missing or do not match. In that case nothing is
            changed.
        """
        if not isinstance(state, dict):
            raise TypeError(f"state must be a dict, as state_dict() returns it, got {type(state).__name__}")
        missing = {"rule", "params", "step", "slots"} - state.keys()
        if missing:
            raise ValueError(f"state must have {', '.join(sorted(missing))}, as state_dict() returns it")
        if state["rule"] != self._rule_name:
            raise ValueError(f"state must be one of rule {self._rule_name!r}, got {state['rule']!r}")
        loaded = type(self)(**copy.deepcopy(state["params"]))
        loaded._core.load_state_dict({"step": state["step"], "slots": state["slots"]})
        self.__dict__.update(loaded.__dict__)

    def _rule(self) -> tuple[str, dict[str, Any]]:
        """The core's name of the rule and its parameters, as `_core.Trainer` takes them; without lr."""
        return self._rule_name, _without_lr(self.get_params())

    def __getstate__(self) -> dict[str, Any]:
        return self.state_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._begin(state["params"])
        self.load_state_dict(state)


def _without_lr(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "lr"}
