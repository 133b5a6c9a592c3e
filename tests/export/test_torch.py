"""PyTorch modules from estimators and back: the same predictions, and training that goes on."""

from __future__ import annotations

import pickle
from typing import Any

import gdfast
import numpy as np
import pytest
from exports import CELLS, LABELS, OUTPUTS, N, classifier, close, recurrent, regressor, rows, sequences
from gdfast.export import from_torch, to_torch
from gdfast.training.activations import NAMES
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning, NotFittedError

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.ConvergenceWarning")

# Other sums, and other approximations of exp, tanh and erf: some units in the last place.
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}


def outputs_of(module: Any, X: Any) -> Any:
    with torch.no_grad():
        return module(torch.from_numpy(X)).numpy()


def check_classifier(est: Any, X: Any) -> None:
    found = outputs_of(to_torch(est), X)
    assert found.dtype == X.dtype
    expected = est.predict_proba(X)
    close(found, expected if found.shape[-1] > 1 else expected[..., 1:], TOLERANCE[X.dtype.type])


def weights(est: Any) -> list[np.ndarray]:
    names = ("coefs_", "intercepts_", "bn_gamma_", "bn_beta_", "bn_mean_", "bn_var_")
    return [array for name in names for array in getattr(est, name, [])]


def assert_same_weights(a: Any, b: Any) -> None:
    for mine, its in zip(weights(a), weights(b), strict=True):
        assert mine.dtype == its.dtype
        np.testing.assert_array_equal(mine, its)


# To PyTorch.


@pytest.mark.parametrize("batch_norm", [False, True], ids=["plain", "batch_norm"])
@pytest.mark.parametrize("activation", sorted(NAMES))
def test_activations(activation: str, batch_norm: bool, dtype: Any) -> None:
    check_classifier(
        classifier("str", dtype, activation=activation, batch_norm=batch_norm, dropout=0.4), rows(dtype)
    )


@pytest.mark.parametrize("kind", [*LABELS, "multilabel"])
def test_labels(kind: str) -> None:
    check_classifier(classifier(kind), rows())


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_regression(outputs: str, dtype: Any) -> None:
    est = regressor(outputs, dtype, activation="tanh")
    close(outputs_of(to_torch(est), rows(dtype)), est.predict(rows(dtype)).reshape(N, -1), TOLERANCE[dtype])


def test_the_modules_are_those_of_pytorch() -> None:
    est = classifier(activation=("tanh", "gelu"), batch_norm=True, dropout=(0.1, 0.2, 0.3), bn_momentum=0.3)
    module = to_torch(est)
    kinds = [nn.Dropout, nn.Linear, nn.BatchNorm1d, nn.Tanh, nn.Dropout, nn.Linear, nn.BatchNorm1d, nn.GELU]
    assert [type(part) for part in module] == [*kinds, nn.Dropout, nn.Linear, nn.Softmax]
    assert not module.training
    assert [part.p for part in module if isinstance(part, nn.Dropout)] == [0.1, 0.2, 0.3]
    assert (module[2].momentum, module[2].eps) == (0.3, est.bn_epsilon)
    assert len(to_torch(est, logits=True)) == len(module) - 1
    logits = torch.from_numpy(outputs_of(to_torch(est, logits=True), rows()))
    close(torch.softmax(logits, -1), est.predict_proba(rows()), 1e-14)
    with torch.no_grad():
        module[1].weight.zero_()
    assert est.coefs_[0].any()


def test_a_step_of_training_in_pytorch_is_one_of_gdfast() -> None:
    """Of SGD, with the moments of batch normalisation: the modules' arguments are those of the estimator."""
    X, y = rows(), np.arange(N) % 3
    arguments = {"momentum": 0.0, "alpha": 0.0, "learning_rate_init": 0.1, "batch_size": N, "shuffle": False}
    est = classifier("int", activation="tanh", batch_norm=True, bn_momentum=0.2, **arguments)
    module = to_torch(est, logits=True).train()
    nn.functional.cross_entropy(module(torch.from_numpy(X)), torch.from_numpy(y)).backward()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.1 * parameter.grad
    est.partial_fit(X, est.classes_[y])
    for mine, its in zip(weights(from_torch(module, classes=est.classes_)), weights(est), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("per_step", [False, True], ids=["last", "each"])
@pytest.mark.parametrize(("cell", "activation"), CELLS)
@pytest.mark.parametrize("sizes", [(5,), (5, 5), (5, 4)])
def test_cells(cell: str, activation: str, sizes: Any, per_step: bool, dtype: Any) -> None:
    est = recurrent(cell, activation, per_step=per_step, dtype=dtype, hidden_layer_sizes=sizes)
    check_classifier(est, sequences(dtype))
    module = to_torch(est)
    kind = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
    assert [type(layer) for layer in module.layers] == [kind] * (2 if sizes == (5, 4) else 1)
    back = from_torch(module, classes=est.classes_)
    assert_same_weights(back, est)
    assert (back.predict_proba(sequences(dtype)) == est.predict_proba(sequences(dtype))).all()


@pytest.mark.parametrize("per_step", [False, True], ids=["last", "each"])
def test_packed_sequences(per_step: bool) -> None:
    est = recurrent("lstm", per_step=per_step)
    X = [x[:n] for x, n in zip(sequences(), (5, 1, 2, 5, 3, 4, 1), strict=True)]
    packed = nn.utils.rnn.pack_sequence([torch.from_numpy(x) for x in X], enforce_sorted=False)
    with torch.no_grad():
        found = to_torch(est)(packed)
    expected = est.predict_proba(X)
    if not per_step:
        close(found, expected, 1e-14)
        return
    for mine, its in zip(nn.utils.rnn.unpack_sequence(found), expected, strict=True):
        close(mine, its, 1e-14)


def test_modules_are_pickled_and_traced() -> None:
    for est in (regressor("quantiles"), regressor("poisson")):
        module = pickle.loads(pickle.dumps(to_torch(est)))
        close(outputs_of(module, rows()), est.predict(rows()).reshape(N, -1), 1e-14)


def test_numbers_of_pytorchs_generator_are_not_used_up() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    to_torch(classifier())
    to_torch(recurrent())
    assert torch.equal(torch.rand(3), expected)


# From PyTorch.


PARTS = {
    "relu": nn.ReLU,
    "gelu_tanh": lambda: nn.GELU("tanh"),
    "leaky": lambda: nn.LeakyReLU(0.2),
    "elu": lambda: nn.ELU(0.7),
    "sigmoid": nn.Sigmoid,
    "nothing": nn.Identity,
    "hardtanh": nn.Hardtanh,
    "softplus": nn.Softplus,
}


def stirred(module: Any) -> Any:
    """The module in evaluation mode, with moments that are not those of the start."""
    module.train()
    with torch.no_grad():
        module(torch.from_numpy(rows(np.float32)))
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d) and part.affine:
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    return module.eval()


@settings(max_examples=25)
@given(
    sizes=st.lists(st.integers(1, 9), max_size=3),
    chosen=st.data(),
    norm=st.sampled_from([None, {}, {"affine": False}, {"momentum": 0.3, "eps": 1e-3}]),
    bias=st.booleans(),
    dropout=st.sampled_from([0.0, 0.3]),
    n_outputs=st.integers(1, 4),
    ending=st.sampled_from([None, "activation", "LogSoftmax"]),
)
def test_sequential(
    sizes: list[int],
    chosen: Any,
    norm: dict[str, Any] | None,
    bias: bool,
    dropout: float,
    n_outputs: int,
    ending: Any,
) -> None:
    torch.manual_seed(sum(sizes))
    modules: list[Any] = [nn.Dropout(dropout)] if dropout else []
    for n_in, n_out in zip([4, *sizes], sizes, strict=False):
        modules.append(nn.Linear(n_in, n_out, bias=bias))
        modules += [] if norm is None else [nn.BatchNorm1d(n_out, **norm)]
        modules.append(PARTS[chosen.draw(st.sampled_from(sorted(PARTS)))]())
        modules += [nn.Dropout(dropout)] if dropout else []
    modules.append(nn.Linear(sizes[-1] if sizes else 4, n_outputs))
    module = stirred(nn.Sequential(*modules))
    X = rows(np.float32)
    logits = torch.from_numpy(outputs_of(module, X))

    est = from_torch(module)
    # PyTorch's softplus is the identity from 20 on, within float32's precision.
    close(est.predict(X).reshape(N, -1), logits, 2e-6)
    assert_same_weights(from_torch(to_torch(est)), est)

    labels = np.array(["b", "d", "a", "c"])[: max(2, n_outputs)]
    if ending is not None and not (ending == "LogSoftmax" and n_outputs == 1):
        last = nn.Sigmoid() if n_outputs == 1 else getattr(nn, ending.replace("activation", "Softmax"))(-1)
        module = nn.Sequential(*modules, last).eval()
    est = from_torch(module, classes=labels)
    expected = torch.sigmoid(logits) if n_outputs == 1 else torch.softmax(logits, -1)
    if n_outputs == 1:
        expected = torch.cat([1 - expected, expected], -1)
    order = np.argsort(labels)
    close(est.predict_proba(X), expected.numpy()[:, order], 2e-6)
    sure = np.sort(expected.numpy(), axis=1)
    sure = sure[:, -1] - sure[:, -2] > 1e-5
    assert (est.predict(X) == labels[expected.argmax(-1).numpy()])[sure].all()


def test_several_labels() -> None:
    module = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.Sigmoid())
    X = rows(np.float32)
    est = from_torch(module, multilabel=True)
    close(est.predict_proba(X), outputs_of(module, X), 1e-6)
    assert (est.predict(X) == (outputs_of(module, X) > 0.5)).all()
    assert_same_weights(from_torch(module[:-1], multilabel=True), est)


def test_losses_of_regressors() -> None:
    X = rows(np.float32)
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2))
    close(from_torch(module, loss="poisson").predict(X), np.exp(outputs_of(module, X)), 1e-6)
    est = regressor("quantiles", np.float32)
    back = from_torch(to_torch(est), quantiles=est.quantiles)
    assert (back.predict(X) == est.predict(X)).all()
    assert back.loss == "quantile"
    assert from_torch(to_torch(regressor("poisson"))).loss == "poisson"


def test_an_identity_is_none() -> None:
    """It often holds the place of a normalisation or an activation."""
    module = nn.Sequential(
        *(nn.Linear(4, 5), nn.Identity(), nn.BatchNorm1d(5), nn.Identity(), nn.ReLU(), nn.Dropout(0.1)),
        *(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Identity(), nn.Dropout(0.2), nn.Linear(6, 2), nn.Identity()),
    )
    est = from_torch(stirred(module))
    assert (est.activation, est.dropout) == (("relu", "identity"), (0.0, 0.1, 0.2))
    close(est.predict(rows(np.float32)), outputs_of(module, rows(np.float32)), 2e-6)


def test_the_axis_of_outputs_per_step() -> None:
    parts = nn.ModuleList([nn.GRU(3, 4, batch_first=True), nn.Linear(4, 3), nn.Softmax(2)])
    est = from_torch(parts, classes=A, per_step=True)
    X = sequences(np.float32)
    with torch.no_grad():
        close(est.predict_proba(X), parts[2](parts[1](parts[0](torch.from_numpy(X))[0])), 1e-6)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_a_parametrised_module(name: str) -> None:
    """In training mode spectral_norm changes when its weight is read."""
    module = nn.Sequential(
        getattr(nn.utils.parametrizations, name)(nn.Linear(4, 5)), nn.Tanh(), nn.Linear(5, 2)
    )
    before = {key: value.clone() for key, value in module.state_dict().items()}
    est = from_torch(module)
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    close(est.predict(rows(np.float32)), outputs_of(module.eval(), rows(np.float32)), 1e-6)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float8_e4m3fn"])
def test_half_precision_becomes_float32(dtype: str) -> None:
    module = nn.Sequential(nn.Linear(4, 2)).to(getattr(torch, dtype))
    est = from_torch(module)
    assert est.coefs_[0].dtype == np.float32
    close(est.coefs_[0].T, module[0].weight.detach().float(), 0)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_recurrent_layers_and_a_linear(kind: str) -> None:
    """The parts of a module of one's own, whose ``forward`` picks the last step."""
    torch.manual_seed(0)
    layers = getattr(nn, kind)(3, 6, 2, batch_first=True, bias=kind != "GRU", dtype=torch.float64)
    head = nn.Linear(6, 2, dtype=torch.float64)
    X = sequences()
    with torch.no_grad():
        steps = head(layers(torch.from_numpy(X))[0])
    parts = nn.ModuleList([layers, head])
    close(from_torch(parts).predict(X), steps[:, -1], 1e-14)
    est = from_torch(parts, per_step=True)
    close(est.predict(X), steps, 1e-14)
    assert (est.cell, est.hidden_layer_sizes) == ("elman" if kind == "RNN" else kind.lower(), (6, 6))
    est = from_torch(parts, classes=["x", "y"])
    close(est.predict_proba(X), torch.softmax(steps[:, -1], -1), 1e-14)


def test_training_goes_on() -> None:
    torch.manual_seed(0)
    X, y = rows(), np.array(["a", "b", "c"])[np.arange(N) % 3]
    module = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()
    est = from_torch(module, classes=["a", "b", "c"], learning_rate_init=0.01, random_state=0)
    before = est.coefs_[0].copy()
    assert est.partial_fit(X, y).n_iter_ == 1
    assert not (est.coefs_[0] == before).all()
    warm = from_torch(module, classes=["a", "b", "c"], warm_start=True, max_iter=1, random_state=0).fit(X, y)
    first = from_torch(module, classes=["a", "b", "c"], random_state=0).partial_fit(X, y)
    np.testing.assert_array_equal(warm.coefs_[0], first.coefs_[0])
    assert (before == module[0].weight.detach().numpy().T).all()
    for name in ("lbfgs", "adam"):
        net = from_torch(nn.Sequential(nn.Linear(4, 1)), solver=name, warm_start=True, max_iter=2)
        net.fit(rows(np.float32), np.arange(N))
    net = from_torch(nn.ModuleList([nn.GRU(3, 4), nn.Linear(4, 1)]), warm_start=True, max_iter=1)
    net.fit(sequences(np.float32), np.arange(7.0)).partial_fit(sequences(np.float32), np.arange(7.0))


def test_what_came_from_pytorch_is_saved_and_exported(tmp_path: Any) -> None:
    est = from_torch(nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 3)), classes=[2, 0, 1])
    est.save(tmp_path / "net.safetensors")
    X = rows(np.float32)
    assert (gdfast.load(tmp_path / "net.safetensors").predict_proba(X) == est.predict_proba(X)).all()
    gdfast.export.to_c(est, tmp_path / "net.c")
    assert repr(est) == "MLPClassifier(activation='gelu', hidden_layer_sizes=(8,))"


@given(
    sizes=st.lists(st.integers(1, 9), max_size=3),
    names=st.data(),
    batch_norm=st.booleans(),
    kind=st.sampled_from(["int", "str", "object", "float", "bool", "binary", "multilabel", *OUTPUTS]),
    double=st.booleans(),
)
def test_round_trips(sizes: list[int], names: Any, batch_norm: bool, kind: str, double: bool) -> None:
    dtype = np.float64 if double else np.float32
    arguments: dict[str, Any] = {
        "hidden_layer_sizes": sizes,
        "activation": [names.draw(st.sampled_from(sorted(NAMES))) for _ in sizes],
        "activation_params": {"elu": 0.6, "leaky_relu": 0.1},
        "batch_norm": batch_norm and bool(sizes),
    }
    if not {"elu", "leaky_relu"} & {*arguments["activation"]}:
        del arguments["activation_params"]
    if kind in OUTPUTS:
        est = regressor(kind, dtype, **arguments)
        options = {"loss": est.loss, "quantiles": est.quantiles} if est.loss == "quantile" else {}
        back = from_torch(to_torch(est), **options)
        np.testing.assert_array_equal(back.predict(rows(dtype)), est.predict(rows(dtype)))
    else:
        est = classifier(kind, dtype, **arguments)
        options = {"multilabel": True} if kind == "multilabel" else {"classes": est.classes_}
        back = from_torch(to_torch(est), **options)
        np.testing.assert_array_equal(back.predict_proba(rows(dtype)), est.predict_proba(rows(dtype)))
        np.testing.assert_array_equal(back.predict(rows(dtype)), est.predict(rows(dtype)))
    assert_same_weights(back, est)


# What is refused.


def test_what_pytorch_has_not() -> None:
    tabular = gdfast.TabularRegressor(n_members=1, max_iter=1).fit(rows(), np.arange(N))
    with pytest.raises(ValueError, match=r"A TabularRegressor cannot be said in PyTorch.*Use to_onnx"):
        to_torch(tabular)
    with pytest.raises(NotFittedError):
        to_torch(gdfast.MLPClassifier())
    with pytest.raises(TypeError, match="est must be a fitted estimator"):
        to_torch(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="logits must be True or False"):
        to_torch(classifier(), logits="no")


L = nn.Linear
A = ["a", "b", "c"]


@pytest.mark.parametrize(
    ("module", "arguments", "error", "message"),
    [
        ([L(4, 5), nn.PReLU(), L(5, 3)], {}, TypeError, r"module\[1\] is PReLU.*, which gdfast has not"),
        ([L(4, 5), nn.LayerNorm(5), L(5, 3)], {}, TypeError, r"module\[1\] is LayerNorm"),
        ([nn.Conv1d(1, 2, 3), L(5, 3)], {}, TypeError, r"module\[0\] is Conv1d"),
        ([L(4, 5), nn.Softplus(2.0), L(5, 3)], {}, TypeError, "Softplus"),
        ([L(4, 5), nn.Softplus(threshold=1), L(5, 3)], {}, TypeError, "Softplus"),
        ([L(4, 5), nn.Hardtanh(0, 1), L(5, 3)], {}, TypeError, "Hardtanh"),
        ([L(4, 5), nn.ReLU(), L(6, 3)], {}, ValueError, r"module\[2\] takes 6 inputs, .* before it has 5"),
        ([L(4, 5), nn.ReLU()], {}, ValueError, "module ends with relu"),
        ([nn.ReLU()], {}, ValueError, "an activation comes behind a Linear"),
        ([], {}, ValueError, "module has no Linear"),
        ([L(4, 5), nn.ReLU(), nn.Tanh(), L(5, 3)], {}, ValueError, r"module\[2\] is Tanh.*behind a Linear"),
        ([nn.BatchNorm1d(4), L(4, 3)], {}, ValueError, "between a Linear and its activation"),
        ([L(4, 5), nn.ReLU(), nn.BatchNorm1d(5), L(5, 3)], {}, ValueError, "between a Linear and its act"),
        (
            [L(4, 5), nn.BatchNorm1d(5), nn.ReLU(), L(5, 5), nn.ReLU(), L(5, 3)],
            {},
            ValueError,
            "1 BatchNorm1d for 2 hidden layers",
        ),
        (
            [L(4, 5), nn.ReLU(), L(5, 5), nn.BatchNorm1d(5), nn.ReLU(), L(5, 3)],
            {},
            ValueError,
            "earlier layers have none",
        ),
        (
            [L(4, 5), nn.BatchNorm1d(6), nn.ReLU(), L(5, 3)],
            {},
            ValueError,
            r"module\[1\] takes 6 inputs, but the layer before it has 5",
        ),
        ([L(4, 3), nn.BatchNorm1d(3)], {}, ValueError, "1 BatchNorm1d for 0 hidden layers"),
        (
            [L(4, 5), nn.BatchNorm1d(5, track_running_stats=False), nn.ReLU(), L(5, 3)],
            {},
            ValueError,
            "track_running_stats=False",
        ),
        ([L(4, 5), nn.BatchNorm1d(5, momentum=None), nn.ReLU(), L(5, 3)], {}, ValueError, "momentum=None"),
        (
            [L(4, 5), nn.BatchNorm1d(5, eps=0.1), nn.ReLU(), L(5, 5), nn.BatchNorm1d(5), nn.ReLU(), L(5, 3)],
            {},
            ValueError,
            "with the eps",
        ),
        (
            [L(4, 5), nn.ELU(0.5), L(5, 5), nn.ELU(0.7), L(5, 3)],
            {},
            ValueError,
            "elu with the parameters 0.5 and 0.7",
        ),
        ([L(4, 5), nn.Dropout(0.1), nn.ReLU(), L(5, 3)], {}, ValueError, "dropout comes before"),
        (
            [L(4, 3), nn.Softmax(-1)],
            {},
            ValueError,
            "Softmax, which is of classifiers: give classes",
        ),
        ([L(4, 3), nn.Sigmoid()], {}, ValueError, "ends with Sigmoid, which is of classifiers"),
        ([L(4, 3), nn.Sigmoid()], {"classes": A}, ValueError, "give multilabel=True in place of classes"),
        ([L(4, 1), nn.Softmax(-1)], {"classes": A[:2]}, ValueError, "Softmax over one output"),
        ([L(4, 3), nn.Softmax(0)], {"classes": A}, ValueError, "dim=0"),
        ([L(4, 3), nn.Softmax(-1), nn.ReLU()], {"classes": A}, ValueError, r"module\[2\] is ReLU.*behind"),
        ([L(4, 3), nn.Softmax(-1)], {"multilabel": True}, ValueError, "a row has one class"),
        ([L(4, 1)], {"multilabel": True}, ValueError, "needs two outputs or more"),
        ([L(4, 3)], {"classes": A, "multilabel": True}, ValueError, "leave them out with multilabel=True"),
        ([L(4, 3)], {"classes": A[:2]}, ValueError, "classes must have 3 labels for the 3 output"),
        ([L(4, 1)], {"classes": A}, ValueError, "classes must have 2 labels for the 1 output"),
        ([L(4, 3)], {"classes": ["a", "b", "a"]}, ValueError, "each of them once"),
        ([L(4, 3)], {"per_step": True}, ValueError, "per_step=True is for recurrent networks"),
        ([L(4, 3)], {"hidden_layer_sizes": 3}, TypeError, "takes no hidden_layer_sizes: the module decides"),
        ([L(4, 3)], {"loss": "quantile"}, ValueError, r"quantiles=\[0.5\] do not suit module"),
        ([L(4, 2)], {"loss": "quantile", "quantiles": (0.1, 0.9)}, ValueError, "that may cross"),
        ([nn.GRU(3, 4, bidirectional=True), L(8, 2)], {}, ValueError, "bidirectional=True"),
        ([nn.LSTM(3, 4, proj_size=2), L(2, 2)], {}, ValueError, "proj_size=2"),
        ([nn.GRU(3, 4, 2, dropout=0.1), L(4, 2)], {}, ValueError, "dropout=0.1.*set it to 0"),
        ([nn.GRU(3, 4), nn.LSTM(4, 4), L(4, 2)], {}, ValueError, "one kind of cell"),
        ([nn.GRU(3, 4), nn.GRU(5, 4), L(4, 2)], {}, ValueError, r"module\[1\] takes 5 inputs"),
        ([L(3, 3), nn.GRU(3, 4), L(4, 2)], {}, ValueError, "recurrent layers come before all others"),
        ([nn.Dropout(0.5), nn.GRU(3, 4), L(4, 2)], {}, ValueError, "recurrent layers come before all others"),
        ([nn.Flatten(), nn.GRU(3, 4), L(4, 2)], {}, ValueError, "recurrent layers come before all others"),
        ([nn.GRU(3, 4), nn.Flatten(), L(4, 2)], {}, TypeError, r"module\[1\] is Flatten"),
        ([nn.GRU(3, 4), L(4, 3), nn.Softmax(1)], {"classes": A, "per_step": True}, ValueError, "dim=1"),
        ([nn.GRU(3, 4), L(4, 3), nn.Softmax()], {"classes": A, "per_step": True}, ValueError, "dim=None"),
        ([L(4, 3), nn.Softmax(2)], {"classes": A}, ValueError, "dim=2"),
        ([L(4, 5), nn.Identity(), nn.Dropout(0.1), nn.ReLU(), L(5, 3)], {}, ValueError, "comes behind a L"),
        ([L(4, 5, device="meta"), nn.ReLU(), L(5, 3)], {}, ValueError, r"module\[0\] has no weights.*meta"),
        ([L(4, 5), nn.ReLU(), nn.LazyLinear(3)], {}, ValueError, r"module\[2\] is lazy and has no weights"),
        ([L(4, 5), nn.LazyBatchNorm1d(), nn.ReLU(), L(5, 3)], {}, ValueError, r"module\[1\] is lazy"),
        ([L(4, 3, dtype=torch.complex64)], {}, ValueError, r"module\[0\] has complex weights"),
        ([L(4, 5), nn.BatchNorm1d(5), nn.ReLU(), L(5, 3)], {"bn_momentum": 0.5}, TypeError, "no bn_momentum"),
        ([L(4, 3)], {"multilabel": "yes"}, TypeError, "multilabel must be True or False"),
        ([nn.GRU(3, 4), L(4, 2)], {"per_step": "no"}, TypeError, "per_step must be True or False"),
        *(
            ([L(4, 2)], {"classes": classes}, ValueError, "classes must be labels of one dimension")
            for classes in (
                [None, "a"],
                [1, "a"],
                [0.5, 1.5],
                [float("nan"), 1.0],
                (2**70, 1),
                [[0], [1]],
                "ab",
            )
        ),
        ([nn.GRU(3, 4), L(4, 4), nn.ReLU(), L(4, 2)], {}, ValueError, "several layers behind the recurrent"),
    ],
)
def test_modules_that_gdfast_has_not(
    module: list[Any], arguments: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        from_torch(nn.Sequential(*module), **arguments)


def test_modules_with_a_forward_of_their_own() -> None:
    class Shortcut(nn.Sequential):
        def forward(self, X: Any) -> Any:
            return super().forward(X) + X

    class Named(nn.Sequential):
        pass

    class Scaled(nn.Linear):
        def forward(self, X: Any) -> Any:
            return super().forward(X) * 2

    class Net(nn.Module):
        def forward(self, X: Any) -> Any:
            return X

    for module in (Shortcut(L(4, 4)), nn.Sequential(Scaled(4, 3)), Net()):
        with pytest.raises(TypeError, match="whose forward is its own"):
            from_torch(module)
    assert from_torch(Named(L(4, 3))).n_outputs_ == 3


def test_parts_that_do_something_else_than_their_class() -> None:
    hooked, patched = (nn.Sequential(L(4, 5), nn.ReLU(), L(5, 3)) for _ in range(2))
    hooked[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    patched[2].forward = torch.exp
    before = nn.Sequential(L(4, 3))
    before.register_forward_pre_hook(lambda module, inputs: 2 * inputs[0])
    for module, where in ((hooked, r"module\[0\]"), (before, "module")):
        with pytest.raises(ValueError, match=f"^{where} has a forward hook, which may change what it does"):
            from_torch(module)
    with pytest.raises(TypeError, match=r"module\[2\] is a Linear, whose forward is its own"):
        from_torch(patched)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("size", [(4, 0), (0, 4)])
def test_an_empty_layer(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="in gdfast a layer has at least one input and one output"):
        from_torch(nn.Linear(*size))


def test_what_is_no_module() -> None:
    with pytest.raises(TypeError, match=r"module must be a torch\.nn\.Module, got MLPClassifier"):
        from_torch(classifier())
    with pytest.raises(TypeError, match="unexpected keyword argument 'alhpa'"):
        from_torch(nn.Sequential(L(4, 3)), alhpa=1.0)
    broken = nn.Sequential(L(4, 3))
    with torch.no_grad():
        broken[0].weight[0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"coefs_ .* finite"):
        from_torch(broken)
