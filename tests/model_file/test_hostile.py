"""Files that nobody's `save` has written: each is refused by ModelFormatError, or does no harm."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from gdfast import ModelFormatError
from gdfast.callbacks import ModelCheckpoint
from hostile import Parts, mutate, with_header, with_tree
from hypothesis import given
from hypothesis import strategies as st
from models import CASES, assert_alike, fitted, rows
from processes import in_process

METADATA = {"format": "gdfast", "format_version": "1", "gdfast_version": "0.1.0"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def saved(case: str, path: Path) -> bytes:
    fitted(case).save(path)
    return path.read_bytes()


def refused(whole: bytes, path: Path, match: str) -> None:
    """Refused in both ways of loading, by a message that names the file, quickly."""
    path.write_bytes(whole)
    for training in (True, False):
        began = time.perf_counter()
        with pytest.raises(ModelFormatError, match=match) as caught:
            gdfast.load(path, training=training)
        assert str(caught.value).startswith(f"{path} cannot be loaded: ")
        assert len(str(caught.value)) < 1000
        assert time.perf_counter() - began < 10


# Places.


def test_places_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        gdfast.load(tmp_path / "missing")
    with pytest.raises(ModelFormatError, match="is no regular file"):
        gdfast.load(tmp_path)
    with pytest.raises(TypeError):
        gdfast.load(None)  # type: ignore[arg-type]


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices of POSIX")
def test_pipes_and_devices(tmp_path: Path) -> None:
    """Nothing waits for a writer, and nothing reads a device that never ends."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for place in (tmp_path / "pipe", tmp_path / "link", "/dev/null", "/dev/zero"):
        with pytest.raises(ModelFormatError, match="is no regular file"):
            gdfast.load(place)


# The layout.

F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEADERS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "has 0 bytes, too few"),
    "seven bytes": (b"1234567", "has 7 bytes, too few"),
    "no header": (bytes(8), "does not begin with '{'"),
    "a pickle": (b"\x80\x04\x95" + bytes(100), "but only 95 bytes follow"),
    "text": (b"hello, world, this is a text", "but 100000000 are the most"),
    "header beyond the file": ((100).to_bytes(8, "little") + b"{}", "only 2 bytes follow"),
    "huge header": ((10**8 + 1).to_bytes(8, "little"), "but 100000000 are the most"),
    "largest header": ((2**64 - 1).to_bytes(8, "little"), "but 100000000 are the most"),
    "no UTF-8": (with_header(b"{\xff}"), "no UTF-8"),
    "no JSON": (with_header("{1"), "no valid JSON"),
    "two values": (with_header("{}{}"), "no valid JSON"),
    "a list": (with_header("[]"), "does not begin with '{'"),
    "NaN": (with_header('{"__metadata__":{"a":NaN}}'), "NaN is not a number in JSON"),
    "deep": (with_header('{"a":' * 100_000), "nested too deeply"),
    "deep lists": (with_header('{"a":' + "[" * 100_000), "nested too deeply"),
    "a long number": (with_header('{"a":' + "9" * 10_000 + "}"), "no valid JSON"),
    "many values": (with_header('{"a":[' + "0," * 1_000_001 + "0]}"), "more than 1000000 values"),
    "duplicate keys": (with_header('{"a":{},"a":{}}'), "a key occurs twice"),
    "duplicate metadata": (with_header('{"__metadata__":{"a":"","a":""}}'), "a key occurs twice"),
    "metadata of numbers": (with_header({"__metadata__": {"a": 1}}), "not a dict of strings"),
    "metadata no dict": (with_header({"__metadata__": []}), "not a dict of strings"),
    "an array that is no dict": (with_header({"a": 1}), "must have a dtype, a shape"),
    "an unknown key": (with_header({"a": {**F32, "more": 1}}, bytes(8)), "must have a dtype, a shape"),
    "an unknown dtype": (with_header({"a": {**F32, "dtype": "O"}}, bytes(8)), "has the dtype 'O'"),
    "a dtype that is no string": (with_header({"a": {**F32, "dtype": ["F32"]}}, bytes(8)), "has the dtype"),
    "a dtype of half a byte": (with_header({"a": {**F32, "dtype": "F4"}}, bytes(8)), "has the dtype 'F4'"),
    "another dtype": (with_header({"a": {**F32, "dtype": "F64"}}, bytes(8)), "takes 16 bytes"),
    "a shape too large": (with_header({"a": {**F32, "shape": [3]}}, bytes(8)), "takes 12 bytes"),
    "a negative shape": (with_header({"a": {**F32, "shape": [-2]}}, bytes(8)), "list of integers"),
    "a shape of floats": (with_header({"a": {**F32, "shape": [2.0]}}, bytes(8)), "list of integers"),
    "a shape of booleans": (with_header({"a": {**F32, "shape": [True, 2]}}, bytes(8)), "list of integers"),
    "a product that overflows": (
        with_header({"a": {**F32, "shape": [2**32, 2**32, 2**1], "data_offsets": [0, 0]}}), "takes 14757395"),
    "a product that overflows to 8": (
        with_header({"a": {**F32, "shape": [2**61, 8, 2**61 + 1]}}, bytes(8)), "but its offsets are"),
    "a product of zero": (
        with_header({"a": {**F32, "shape": [0, 2**61, 2**61], "data_offsets": [0, 0]}}), "takes 0 bytes"),
    "many dimensions": (
        with_header({"a": {**F32, "shape": [1] * 33 + [2]}}, bytes(8)), "34 dimensions"),
    "offsets backwards": (with_header({"a": {**F32, "data_offsets": [8, 0]}}, bytes(8)), "its offsets are"),
    "negative offsets": (with_header({"a": {**F32, "data_offsets": [-8, 0]}}, bytes(8)), "list of integers"),
    "one offset": (with_header({"a": {**F32, "data_offsets": [8]}}, bytes(8)), "1 offsets"),
    "offsets beyond the file": (
        with_header({"a": {**F32, "data_offsets": [2**60, 2**60 + 8]}}, bytes(8)), "has a gap before it"),
    "offsets that overflow": (
        with_header({"a": {**F32, "data_offsets": [2**64 - 8, 2**64]}}, bytes(8)), "list of integers"),
    "overlapping arrays": (
        with_header({"a": F32, "b": {**F32, "data_offsets": [4, 12]}}, bytes(12)), "overlaps another"),
    "one array in another's place": (with_header({"a": F32, "b": F32}, bytes(8)), "overlaps another"),
    "a gap": (with_header({"a": F32, "b": {**F32, "data_offsets": [9, 17]}}, bytes(17)), "has a gap before"),
    "bytes behind": (with_header({"a": F32}, bytes(9)), "something follows them"),
    "bytes missing": (with_header({"a": F32}, bytes(7)), "cut off"),
    "nothing in it": (with_header({}), "is not of gdfast"),
    "somebody else's": (
        with_header({"a": F32, "__metadata__": {"format": "pt"}}, bytes(8)), "is not of gdfast"),
    "no version": (with_header({"__metadata__": {"format": "gdfast"}}), "no version of the format"),
    "no tree": (with_header({"__metadata__": METADATA}), "its metadata must have"),
}  # fmt: skip


@pytest.mark.parametrize("case", HEADERS)
def test_layouts(case: str, path: Path) -> None:
    whole, match = HEADERS[case]
    refused(whole, path, match)


@pytest.mark.parametrize("version", ["0", "-1", "1.0", "٣", "", "9" * 5000, "one"])
def test_versions_that_are_none(version: str, path: Path) -> None:
    refused(with_tree("{}", {}, {**METADATA, "format_version": version}), path, "version")


def test_a_newer_format_says_which_gdfast_reads_it(path: Path) -> None:
    parts = Parts(saved("classes of strings", path))
    parts.metadata |= {"format_version": "2", "gdfast_version": "7.5.0"}
    refused(
        parts.whole(), path, r"version 2 of the format.*up to version 1\. Install gdfast 7\.5\.0 or newer"
    )


def test_errors_of_another_versions_file_name_it(path: Path) -> None:
    parts = Parts(saved("classes of strings", path))
    parts.metadata["gdfast_version"] = "7.5.0"
    parts.tree["attributes"]["new_"] = 1
    refused(parts.whole(), path, r"no attribute 'new_'.*written by gdfast 7\.5\.0, and this is gdfast")


# The tree.


def tree_of(text: str) -> bytes:
    return with_tree(text, {}, METADATA)


TREES: dict[str, tuple[bytes, str]] = {
    "no model": (tree_of("1"), "it holds no model"),
    "a list": (tree_of("[]"), "it holds no model"),
    "deep": (tree_of("[" * 100_000), "nested too deeply"),
    "65 deep": (tree_of("[" * 66 + "]" * 66), "nested more than 64 deep"),
    "many values": (tree_of("[" + "0," * 1_000_001 + "0]"), "more than 1000000 values"),
    "duplicate keys": (tree_of('{"a":1,"a":2}'), "a key occurs twice"),
    "infinity": (tree_of("[Infinity]"), "not a number in JSON"),
    "a tag of no kind": (tree_of('{"$pickle":"gASV"}'), "is not a value"),
    "two tags": (tree_of('{"$tuple":[],"$dict":[]}'), "is not a value"),
    "a tag and a key": (tree_of('{"$tuple":[],"a":[]}'), "is not a value"),
    "a dict that is none": (tree_of('{"$dict":[[1]]}'), "is not a dict"),
    "a key that is a list": (tree_of('{"$dict":[[[],1]]}'), "is not a key of a dict"),
    "a key twice": (tree_of('{"$dict":[[1,1],[1.0,2]]}'), "is not a key of a dict"),
    "an array that is missing": (tree_of('{"$array":{"name":"a","crc32":0}}'), "'a' is missing"),
    "an array that is not named": (tree_of('{"$array":"a"}'), "is not an array"),
    "an integer": (tree_of('{"$int":"__import__"}'), "is not an integer"),
    "a scalar of objects": (tree_of('{"$scalar":["O",1]}'), "is not a NumPy scalar"),
    "a scalar that overflows": (tree_of('{"$scalar":["i1",300]}'), "is not a NumPy scalar|no model"),
    "objects of a huge shape": (
        tree_of('{"$objects":{"shape":[99999999,99999999],"values":[]}}'), "is not an array"),
    "objects of a product of zero": (
        tree_of('{"$objects":{"shape":[0,2000000000,2000000000,2000000000],"values":[]}}'), "not an array"),
    "os.system": (
        tree_of('{"$object":"os.system","arguments":{"command":"id"},"state":{}}'), "no class that"),
    "builtins": (tree_of('{"$object":"builtins.eval","arguments":{},"state":{}}'), "no class that"),
    "gdfast's own function": (
        tree_of('{"$object":"gdfast.load","arguments":{},"state":{}}'), "no class that"),
    "an optimizer": (
        tree_of('{"$object":"gdfast.optim.Optimizer","arguments":{},"state":{}}'), "no class that"),
    "a long name": (tree_of('{"$object":"' + "a" * 10**6 + '","arguments":{},"state":{}}'), "no class that"),
    "no parts": (tree_of('{"$object":"gdfast.MLPClassifier"}'), "must have the parts"),
    "other parts": (
        tree_of('{"$object":"gdfast.MLPClassifier","arguments":{},"attributes":{},"code":"1"}'), "the parts"),
    "parts that are none": (
        tree_of('{"$object":"gdfast.MLPClassifier","arguments":[],"attributes":{}}'), "must have the parts"),
}  # fmt: skip


@pytest.mark.parametrize("case", TREES)
def test_trees(case: str, path: Path) -> None:
    whole, match = TREES[case]
    refused(whole, path, match)


def test_a_rule_or_schedule_is_no_model(path: Path) -> None:
    path.write_bytes(tree_of('{"$object":"gdfast.schedules.Constant","arguments":{},"state":{}}'))
    with pytest.raises(ModelFormatError, match="it holds no model"):
        gdfast.load(path)


# A model's values. Each is a function that changes the parts of a file.

Change = Callable[[Parts], Any]


def attribute(name: str, value: Any) -> Change:
    return lambda parts: parts.tree["attributes"].update({name: value})


def argument(name: str, value: Any) -> Change:
    return lambda parts: parts.tree["arguments"].update({name: value})


def array(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda parts: parts.arrays.update({name: np.ascontiguousarray(change(parts.arrays[name]))})


def put(value: Any) -> Callable[[np.ndarray], np.ndarray]:
    def change(values: np.ndarray) -> np.ndarray:
        values.flat[0] = value
        return values

    return change


OBJECT = {"$object": "gdfast.schedules.Constant", "arguments": {}, "state": {}}
VALUES: dict[str, tuple[str, Change, str]] = {
    "NaN as a weight": ("classes of strings", array("coefs_.0", put(np.nan)), "coefs_ .*finite numbers"),
    "infinity as a bias": ("gru", array("intercepts_.1", put(-np.inf)), "intercepts_ .*finite numbers"),
    "weights of integers beyond float": (
        "classes of strings", array("coefs_.0", lambda a: a.astype(np.bool_)), "coefs_ .*finite numbers"),
    "layers that do not fit": (
        "classes of strings", array("coefs_.1", lambda a: a[:-1]), "current weights do not fit"),
    "weights transposed": ("classes of strings", array("coefs_.0", lambda a: a.T), "current weights do not"),
    "weights of one dimension": (
        "classes of strings", array("coefs_.0", np.ravel), "current weights do not fit"),
    "weights without dimension": (
        "classes of strings", array("coefs_.1", lambda a: a[0, 0]), "current weights do not fit"),
    "too few biases": ("gru", array("intercepts_.0", lambda a: a[:-1]), "current weights do not fit"),
    "no weights": ("classes of strings", attribute("coefs_", []), "current weights do not fit"),
    "other features": ("classes of strings", attribute("n_features_in_", 5), "current weights do not fit"),
    "no features": ("classes of strings", attribute("n_features_in_", 0), "must be at least 1"),
    "negative features": ("classes of strings", attribute("n_features_in_", -4), "integer of at least 0"),
    "huge features": ("classes of strings", attribute("n_features_in_", 2**62), "current weights do not fit"),
    "features of float": ("classes of strings", attribute("n_features_in_", 4.0), "integer of at least 0"),
    "outputs": ("classes of strings", attribute("n_outputs_", 2), "current weights|does not predict"),
    "too few classes": ("classes of strings", array("classes_", lambda a: a[:2]), "classes_ are not those"),
    "code points beyond Unicode": ("classes of strings", array("classes_", put(0x110000)), "no code points"),
    "classes of floats": (
        "classes of strings", array("classes_", lambda a: a.astype(float)), "is not an array of strings"),
    "an activation of numbers": (
        "classes of strings", attribute("out_activation_", "exp"), "must be one of softmax, logistic"),
    "logistic": ("classes of strings", attribute("out_activation_", "logistic"), "does not predict"),
    "an unknown activation": ("classes of strings", argument("activation", "gelo"), "no valid argument"),
    "an activation too many": (
        "classes of strings", argument("activation", ["relu", "relu"]), "for each of the 1 hidden layers"),
    "a cell": ("gru", argument("cell", "lstm"), "current weights do not fit"),
    "another cell": ("gru", argument("cell", "transformer"), "no valid argument"),
    "no argument": ("gru", lambda parts: parts.tree["arguments"].pop("cell"), "argument cell is missing"),
    "no biases": (
        "gru", lambda parts: parts.tree["attributes"].pop("intercepts_"), "has no intercepts_"),
    "a method": ("classes of strings", attribute("predict", 1), "no attribute 'predict'"),
    "a dunder": ("classes of strings", attribute("__class__", "a"), "no attribute '__class__'"),
    "an object for a number": ("classes of strings", attribute("loss_", OBJECT), "loss_ .* must be a number"),
    "callbacks": ("classes of strings", argument("callbacks", [OBJECT]), "holds no callbacks"),
    "batch normalisation in part": (
        "everything", lambda parts: parts.tree["attributes"].pop("bn_mean_"), "bn_mean_"),
    "a variance of another size": ("everything", array("bn_var_.0", lambda a: a[:-1]), "bn_var_"),
    "an array twice": (
        "classes of strings",
        lambda parts: parts.tree["attributes"].update(intercepts_=parts.tree["attributes"]["coefs_"]),
        "is used twice"),
    "a member too few inputs": (
        "table of numbers",
        lambda parts: parts.tree["attributes"]["members_"][0]["attributes"].update(n_features_in_=3),
        "current weights"),
    "no members": ("table of numbers", attribute("members_", []), "list of MLPRegressors"),
    "a table in a table": (
        "table of numbers",
        lambda parts: parts.tree["attributes"].update(members_=[copy.deepcopy(parts.tree)]),
        "used twice"),
    "edges backwards": (
        "table of classes",
        array("encoder_.encoding_.0.edges", lambda a: a[::-1]), "increasing|ascending|edges"),
    "NaN as an edge": (
        "table of classes", array("encoder_.encoding_.0.edges", put(np.nan)), "increasing|finite|edges"),
    "the target's range": (
        "table of numbers",
        lambda parts: parts.tree["attributes"]["_target"].update(scale={"$float": "nan"}), "finite number"),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_values(case: str, path: Path) -> None:
    model, change, match = VALUES[case]
    parts = Parts(saved(model, path))
    change(parts)
    refused(parts.whole(), path, match)


def of_training(change: Callable[[Any], Any]) -> Change:
    return lambda parts: change(parts.tree["training"])


OF_TRAINING: dict[str, tuple[str, Change, str]] = {
    "no state": ("everything", lambda parts: parts.tree.update(training={}), "state of training is not one"),
    "a position beyond the key": (
        "classes of strings",
        of_training(lambda t: t["random_state"]["$random"]["state"]["state"].update(pos=10**9)),
        r"pos of a random state of MT19937 must lie in \[0, 625\)"),
    "a key too short": (
        "classes of strings",
        array("random_state.state.key", lambda a: a[:5]), "key of a random state of MT19937 must have 624"),
    "a generator": (
        "classes of strings",
        of_training(lambda t: t["random_state"]["$random"]["state"].update(bit_generator="os")),
        "one of MT19937"),
    "rows beyond the data": ("everything", array("order.rows", put(10**9)), "order of training rows"),
    "rows below zero": ("everything", array("order.rows", put(-1)), "order of training rows"),
    "moments of integers": (
        "classes of strings",
        array("optimizer.state.slots.m.0", lambda a: a.astype(np.int64)), "optimizer of training"),
    "a negative step": (
        "classes of strings", of_training(lambda t: t["optimizer"]["state"].update(step=-1)), "optimizer of"),
    "a schedule that is a rule": (
        "everything",
        of_training(lambda t: t["optimizer"].update(
            schedule={"$object": "gdfast.optim.SGD", "arguments": {}, "state": {"step": 0, "slots": {}}})),
        "optimizer of training"),
    "a schedule's state": (
        "everything",
        of_training(lambda t: t["optimizer"]["schedule"]["arguments"]["schedule"]["state"].update(rates=1)),
        "state of Plateau is not one"),
    "a schedule's argument": (
        "everything",
        of_training(lambda t: t["optimizer"]["schedule"]["arguments"].update(total_iters="many")),
        "total_iters must be an integer"),
    "a random state before it is there": (
        "classes of strings",
        of_training(lambda t: t.update(random_state={"$random": {"number": 3}})), "is not a random state"),
    "a rule's step": (
        "a rule", lambda parts: parts.tree["arguments"]["solver"]["state"].update(step=5), "slots|state"),
    "a rule's argument": (
        "a rule", lambda parts: parts.tree["arguments"]["solver"]["arguments"].update(lr=-1), "lr must be"),
    "an unknown argument": ("gru", argument("solver_", 1), "has no argument 'solver_'"),
}  # fmt: skip


@pytest.mark.parametrize("case", OF_TRAINING)
def test_states_of_training(case: str, path: Path) -> None:
    model, change, match = OF_TRAINING[case]
    parts = Parts(saved(model, path))
    change(parts)
    path.write_bytes(parts.whole())
    with pytest.raises(ModelFormatError, match=match):
        gdfast.load(path)


def infinite(part: str) -> Change:
    return array(f"{part}.coefs_.0", put(np.inf))


def without(name: str) -> Change:
    return lambda parts: parts.tree["attributes"].pop(name)


OF_RUNS: dict[str, tuple[Change, str]] = {
    "best weights that are infinite": (infinite("best_weights"), "run of the checkpoint is not one"),
    "averages that are infinite": (infinite("average"), "run of the checkpoint is not one"),
    **{
        f"no {name}": (without(name), f"run of the checkpoint lacks {name}")
        for name in ("t_", "validation_scores_", "best_validation_score_", "validation_loss_curve_")
    },
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("case", OF_RUNS)
def test_runs(case: str, path: Path) -> None:
    change, match = OF_RUNS[case]
    X, y = rows(), np.arange(len(rows())) % 2
    arguments: dict[str, Any] = {"max_iter": 3, "early_stopping": True, "ema_decay": 0.5, "random_state": 0}
    gdfast.MLPClassifier(callbacks=[ModelCheckpoint(path)], **arguments).fit(X, y)
    parts = Parts(path.read_bytes())
    change(parts)
    path.write_bytes(parts.whole())
    est = gdfast.MLPClassifier(resume=path, **arguments)
    with pytest.raises(ModelFormatError, match=match):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "kfac"])
def test_moments_of_a_run_are_finite(solver: str, path: Path) -> None:
    X, y = rows(), np.arange(len(rows())) % 2
    arguments: dict[str, Any] = {"solver": solver, "random_state": 0}
    gdfast.MLPClassifier(max_iter=3, callbacks=[ModelCheckpoint(path)], **arguments).fit(X, y)
    parts = Parts(path.read_bytes())
    array("optimizer.state.slots." + {"adam": "m.0", "kfac": "numbers.0"}[solver], put(np.inf))(parts)
    parts.tree["run"]["ended_by"] = None
    path.write_bytes(parts.whole())
    est = gdfast.MLPClassifier(max_iter=5, resume=path, **arguments)
    with pytest.raises(ValueError, match="the moments of its optimizer are not finite"):
        est.fit(X, y)
    assert not hasattr(est, "coefs_")


@pytest.mark.parametrize("case", ["classes of strings", "table of numbers"])
def test_moments_of_other_shapes_are_left_alone(case: str, path: Path) -> None:
    """They are what `partial_fit` of a changed network leaves behind, too: training begins with new ones."""
    parts = Parts(saved("classes of strings", path))
    parts.arrays["optimizer.state.slots.m.0"] = np.zeros((2, 2))
    path.write_bytes(parts.whole())
    loaded = gdfast.load(path)
    loaded.partial_fit(rows(), fitted("classes of strings").predict(rows()))


# Changes that nobody meant.


@pytest.mark.parametrize("case", ["classes of strings", "elman, per step"])
def test_every_cut_is_found(case: str, path: Path) -> None:
    whole = saved(case, path)
    for length in {*range(0, len(whole), 97), *range(len(whole) - 9, len(whole))}:
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFormatError):
            gdfast.load(path)


def flips(whole: bytes, path: Path, places: Any) -> int:
    """Flip single bits; the number of those after which the file loads."""
    est, harmless = gdfast.load(path), 0
    for place, bit in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << bit
        path.write_bytes(changed)
        try:
            loaded = gdfast.load(path)
        except ModelFormatError:
            continue
        assert_alike(est, loaded)
        harmless += 1
    return harmless


def test_flipped_bits_are_found(path: Path) -> None:
    """Or they change nothing: those of the version of gdfast that wrote the file."""
    whole = saved("two classes", path)
    rng = random.Random(0)
    flips(whole, path, [(rng.randrange(len(whole)), rng.randrange(8)) for _ in range(1000)])


@pytest.mark.slow
def test_every_flipped_bit_is_found(path: Path) -> None:
    whole = saved("two classes", path)
    places = [(place, bit) for place in range(len(whole)) for bit in range(8)]
    harmless = flips(whole, path, places)
    print(f"{len(places)} flipped bits: {len(places) - harmless} refused, {harmless} without an effect")
    # Of the digits of the version's string, which may also become another string.
    assert harmless <= 8 * len(gdfast.__version__)


EXPECTED = (ValueError, TypeError, AttributeError)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated")


@given(st.sampled_from(["everything", "gru", "table of classes", "table of numbers", "a rule"]), st.randoms())
def test_mutations(folder: Path, case: str, rng: Any) -> None:
    """Values and arrays changed at random, with checksums that fit: a model that predicts, or an error."""
    path = folder / "model"
    whole = saved(case, path)
    parts = Parts(whole)
    for _ in range(rng.randint(1, 3)):
        mutate(parts, rng)
    path.write_bytes(parts.whole())
    X = CASES[case]()[1]
    for training in (True, False):
        tracemalloc.start()
        try:
            loaded = gdfast.load(path, training=training)
        except ModelFormatError:
            continue
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 60 * len(whole) + 2**20
        with contextlib.suppress(*EXPECTED):
            loaded.predict(X)


# Memory.


def peak_of(path: Path) -> int:
    tracemalloc.start()
    try:
        gdfast.load(path, training=False)
    except ModelFormatError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


BOMBS = {
    "empty lists": "[" + "[]," * 60_000 + "0]",
    "empty objects": "[" + "{}," * 60_000 + "0]",
    "objects": "[" + '{"a":0},' * 50_000 + "0]",
    "floats": "[" + "0.5," * 100_000 + "0]",
    "tuples": "[" + '{"$tuple":[]},' * 40_000 + "0]",
    "deep": "[" * 10**6,
    "one string": '"' + "a" * 10**7 + '"',
    "escapes": '"' + "\\u1234" * 10**6 + '"',
    "unknown keys": "{" + ",".join(f'"{i}":0' for i in range(40_000)) + "}",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_memory_is_a_multiple_of_the_file(kind: str, path: Path) -> None:
    path.write_bytes(tree_of(BOMBS[kind]))
    ratio = peak_of(path) / path.stat().st_size
    print(f"{kind}: {ratio:.1f} times the file's {path.stat().st_size} bytes")
    assert ratio < 60


def test_arrays_are_read_once(path: Path) -> None:
    """A large model takes its own size, and a predictor reads no moments."""
    est = gdfast.MLPRegressor("squared_error", (2000,), max_iter=1, random_state=0)
    X = np.tile(rows(), 100)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        est.fit(X, rows()[:, 0])
    est.save(path)
    size = path.stat().st_size
    assert peak_of(path) < 0.5 * size
    tracemalloc.start()
    gdfast.load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.2 * size


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_sparse_file_of_a_terabyte(path: Path) -> None:
    """Its size is no reason to take memory: its header says what it is."""
    with path.open("wb") as file:
        file.write(with_header({"__metadata__": {"format": "pt"}}))
        file.truncate(2**40)
    refused_at_once = f"""
import resource, gdfast
gdfast.load, gdfast.MLPClassifier
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
try:
    gdfast.load({str(path)!r})
except gdfast.ModelFormatError as error:
    print("something follows" in str(error))
"""
    assert in_process(refused_at_once) == "True"


def test_messages_are_short(path: Path) -> None:
    name = "a" * 10**6
    refused(with_header({name: 1}), path, "must have a dtype")
    refused(tree_of(json.dumps({"$array": {"name": name, "crc32": 0}})), path, "is missing")
    refused(tree_of(json.dumps({"$int": name})), path, "is not an integer")
