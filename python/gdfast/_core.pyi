"""Types of the compiled core. The arrays of a call are C-contiguous and share a dtype, float32 or float64."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NotRequired, Required, TypeAlias, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

_Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]
_Indices: TypeAlias = NDArray[np.int32] | NDArray[np.int64]
_Rows: TypeAlias = NDArray[np.int64]
# Dense; CSR: data, indices, indptr; or a table and its encoding.
_Matrix: TypeAlias = _Floats | tuple[_Floats, _Indices, _Indices] | tuple[_Floats, "Encoding"]

_Activation: TypeAlias = str | tuple[str, float]
_Loss: TypeAlias = str | tuple[str, Sequence[float]]

# gamma, beta, mean, variance of one hidden layer; None instead if it is not normalised
_Norm: TypeAlias = tuple[_Floats, _Floats, _Floats, _Floats]

class _Records(TypedDict):  # one number per layer: the mean over the last epoch's steps
    gradient_norm: list[float]
    weight_norm: list[float]
    update_ratio: list[float]

class _OptimizerState(TypedDict):
    step: int
    slots: dict[str, list[NDArray[Any]]]  # by name, such as "m" and "v"

# coefs' arrays first, then intercepts', then each (gamma, beta), then embeddings
class _TrainerState(_OptimizerState):
    norms: NotRequired[list[float]]  # with clip_norm="auto": of the latest steps

# The arguments of a step, the same for rows and sequences.
class _StepArguments(TypedDict, total=False):
    alpha: float  # the penalty's factor; 0.0
    l1_ratio: float  # the l1 part of the penalty; 0.0
    weight_decay: float  # decoupled; 0.0
    # By "coefs", "intercepts", "bn_gamma" and "bn_beta": for each layer, or each hidden layer; None
    learning_rate_factors: dict[str, Sequence[float]] | None
    clip_value: float | None
    clip_norm: float | Literal["auto"] | None
    clip_layer_norm: float | None
    gradient_noise: float  # 0.0
    seed: int  # of gradient noise and dropout; 0
    records: bool  # False
    batch_size: Required[int]
    rule: Required[str]
    rule_params: Required[dict[str, Any]]
    n_threads: int  # 0: any number

# Called in every step with the gradient of the mean loss and its penalty, before clipping: coefs' arrays
# first, then intercepts', then each (gamma, beta). Changes in place affect the update. The arrays are the
# same in all steps of an epoch.
_OnGradient: TypeAlias = Callable[[list[NDArray[Any]]], object]
# Of weights, gradients, the learning rate, and the number of the step in the epoch.
_OnStep: TypeAlias = Callable[[list[NDArray[Any]], list[NDArray[Any]], float, int], object]
# For each step that several trainers take together: the sum of its batch's weights, its terms, and where the
# own rows begin among its rows; and a function that gets the own sums, to which it adds those of the others.
# Last among them are the own part of the mean loss, and a number that is 0.
_SharedSteps: TypeAlias = tuple[
    NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], Callable[[NDArray[Any]], object]
]

__version__: str

def active_isa() -> Literal["generic", "avx2", "avx512", "neon"]: ...
def available_isas() -> list[str]: ...
def max_threads() -> int: ...
def startable_threads(threads: int, /) -> int: ...
def prepare_thread() -> None: ...  # to be called by a new thread, while there is memory
def build_info() -> dict[str, str]: ...

# Once set, calls of the threads that have entered it raise KeyboardInterrupt, as after Ctrl-C.
class StopFlag:
    def set(self) -> None: ...
    def is_set(self) -> bool: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

class Encoding:
    n_inputs: int
    # For each column (clipped, flagged, edges), (n_categories, binary) or (n_categories, binary, embedding).
    def __init__(self, columns: Sequence[tuple[Any, ...]]) -> None: ...
    def encode(
        self,
        table: _Floats,
        out: _Floats,
        rows: _Rows | None = None,
        embeddings: Sequence[_Floats] | None = None,
    ) -> None: ...

def shuffle(bit_generator: Any, rows: _Rows) -> None: ...
def fma_peak(n_threads: int, seconds: float) -> float: ...

_C_API: Any  # a PyCapsule; see include/gdfast.h

def function_address(name: str) -> int: ...

class Trainer:
    def __init__(
        self,
        coefs: Sequence[_Floats],
        intercepts: Sequence[_Floats],
        activations: Sequence[_Activation],
        loss: _Loss,
        *,
        dropout: Sequence[float] | None = None,  # of the inputs, then of each hidden layer
        batch_norm: Sequence[_Norm | None] | None = None,
        bn_momentum: float = 0.1,
        bn_epsilon: float = 1e-5,
        embeddings: Sequence[_Floats] | None = None,  # of X's embedded columns
        **step: Unpack[_StepArguments],
    ) -> None: ...
    @overload
    def run_epoch(
        self,
        X: _Matrix,
        y: _Floats | NDArray[np.int32],
        order: _Rows | None = None,
        sample_weight: _Floats | None = None,
        *,
        learning_rate: float | NDArray[np.float64],  # one for every batch
        backprop_depth: int | None = None,
        on_gradient: _OnGradient | None = None,
        on_step: _OnStep | None = None,
        dropout: Sequence[float] | None = None,  # of this epoch; 0 where the trainer's is 0
        weight_decay: float | None = None,  # of this epoch
        shared: _SharedSteps | None = None,
    ) -> tuple[float, bool]: ...
    @overload  # of a SequenceTrainer
    def run_epoch(
        self,
        X: _Floats,  # the steps of all sequences
        starts: _Rows,  # of each sequence, and the end
        y: _Floats | NDArray[np.int32],  # for each step, or each sequence
        order: _Rows | None = None,
        sample_weight: _Floats | None = None,
        *,
        learning_rate: float | NDArray[np.float64],
        states: Sequence[_Floats] | None = None,  # read and written, by layer
        on_gradient: _OnGradient | None = None,
        on_step: _OnStep | None = None,
        weight_decay: float | None = None,
    ) -> tuple[float, bool]: ...
    def load(self) -> None: ...
    def state_dict(self) -> _TrainerState: ...
    def load_state_dict(self, state: _TrainerState) -> None: ...
    def count_sums(self, backprop_depth: int) -> int: ...
    @property
    def records(self) -> _Records | None: ...
    @property
    def step(self) -> int: ...
    @property
    def state_is_finite(self) -> bool: ...
    @property
    def not_finite(self) -> tuple[str, int] | None: ...
    @property
    def n_threads(self) -> int: ...

def SequenceTrainer(
    coefs: Sequence[_Floats],  # of each layer input-to-hidden and hidden-to-hidden, then the output layer's
    intercepts: Sequence[_Floats],
    cell: str,
    loss: _Loss,
    *,
    per_step: bool = False,
    tbptt: tuple[int, int] | None = None,
    **step: Unpack[_StepArguments],
) -> Trainer: ...
def sequence_forward(
    X: _Floats,
    starts: _Rows,
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    cell: str,
    output: str,
    *,
    per_step: bool = False,
    order: _Rows | None = None,
    states: Sequence[_Floats] | None = None,
    n_threads: int = 0,
) -> NDArray[Any]: ...
def forward(
    X: _Matrix,
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    output: str,
    rows: _Rows | None = None,
    out: _Floats | None = None,
    n_threads: int = 0,
    batch_norm: Sequence[_Norm | None] | None = None,
    bn_epsilon: float = 1e-5,
    embeddings: Sequence[_Floats] | None = None,
) -> NDArray[Any]: ...
def forward_if_finite(
    X: _Matrix,
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    output: str,
    rows: _Rows | None = None,
    out: _Floats | None = None,
    n_threads: int = 0,
    batch_norm: Sequence[_Norm | None] | None = None,
    bn_epsilon: float = 1e-5,
    embeddings: Sequence[_Floats] | None = None,
) -> NDArray[Any] | None: ...
def loss_and_grad(
    X: _Matrix,
    y: _Floats | NDArray[np.int32],
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    loss: _Loss,
    alpha: float,
    sample_weight: _Floats | None,
    coef_grads: Sequence[_Floats],
    intercept_grads: Sequence[_Floats],
    n_threads: int = 0,
) -> float: ...
def jacobian(
    X: _Matrix,
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    output: str,
    out: _Floats | None = None,
    n_threads: int = 0,
) -> NDArray[Any]: ...
def gauss_newton_matrix(
    X: _Matrix,
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    sample_weight: _Floats | None,
    out: NDArray[np.float64],
    n_threads: int = 0,
) -> None: ...
def hessian_vector_product(
    X: _Matrix,
    y: _Floats | NDArray[np.int32],
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    loss: _Loss,
    alpha: float,
    sample_weight: _Floats | None,
    coef_direction: Sequence[_Floats],
    intercept_direction: Sequence[_Floats],
    coef_products: Sequence[_Floats],
    intercept_products: Sequence[_Floats],
    n_threads: int = 0,
) -> None: ...
def gauss_newton_vector_product(
    X: _Matrix,
    y: _Floats | NDArray[np.int32],
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    loss: _Loss,
    alpha: float,
    sample_weight: _Floats | None,
    coef_direction: Sequence[_Floats],
    intercept_direction: Sequence[_Floats],
    coef_products: Sequence[_Floats],
    intercept_products: Sequence[_Floats],
    n_threads: int = 0,
) -> None: ...
def gauss_newton_diagonal(
    X: _Matrix,
    y: _Floats | NDArray[np.int32],
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    loss: _Loss,
    alpha: float,
    sample_weight: _Floats | None,
    coef_diagonals: Sequence[_Floats],
    intercept_diagonals: Sequence[_Floats],
    n_threads: int = 0,
) -> None: ...
def fisher_diagonal(
    X: _Matrix,
    y: _Floats | NDArray[np.int32],
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    loss: _Loss,
    alpha: float,
    sample_weight: _Floats | None,
    coef_diagonals: Sequence[_Floats],
    intercept_diagonals: Sequence[_Floats],
    n_threads: int = 0,
) -> None: ...
def kronecker_factors(
    X: _Matrix,
    y: _Floats | NDArray[np.int32],
    coefs: Sequence[_Floats],
    intercepts: Sequence[_Floats],
    activations: Sequence[_Activation],
    loss: _Loss,
    rows: _Rows | None = None,
    sample_weight: _Floats | None = None,
    n_threads: int = 0,
) -> list[tuple[NDArray[Any], NDArray[Any]]]: ...

class Optimizer:
    def __init__(self, rule: str, rule_params: dict[str, Any]) -> None: ...
    def step(
        self, params: _Floats | Sequence[_Floats], grads: _Floats | Sequence[_Floats], lr: float
    ) -> None: ...
    def slots(self) -> dict[str, float]: ...
    def update(
        self, param: _Floats, grad: _Floats, state: dict[str, _Floats], step: int, lr: float
    ) -> None: ...
    def set_rule(self, rule: str, rule_params: dict[str, Any]) -> None: ...
    def state_dict(self) -> _OptimizerState: ...
    def load_state_dict(self, state: _OptimizerState) -> None: ...
    @property
    def steps(self) -> int: ...
