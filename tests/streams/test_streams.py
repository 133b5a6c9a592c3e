"""Fits from data that are read block by block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import assert_same_bits, fit_until_ctrl_c, trained_arrays
from gdfast import schedules
from gdfast.callbacks import ModelCheckpoint
from gdfast.data import Stream
from gdfast.data._reader import Block, Reader
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 430
X = RNG.normal(size=(N, 5))
NUMBERS = X[:, 0] * X[:, 1] + 0.1 * RNG.normal(size=N)
LABELS = np.array(["a", "b", "c"])[np.digitize(NUMBERS, [-0.4, 0.4])]
WEIGHTS = RNG.random(N)
ARGUMENTS: dict[str, Any] = {"hidden_layer_sizes": (8, 6), "batch_size": 32, "random_state": 3, "max_iter": 5}


def regressor(**arguments: Any) -> Any:
    return gdfast.MLPRegressor(**{**ARGUMENTS, **arguments})


def classifier(**arguments: Any) -> Any:
    return gdfast.MLPClassifier(**{**ARGUMENTS, **arguments})


def blocks(size: int, *arrays: Any) -> list[tuple[Any, ...]]:
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, arrays[0].shape[0], size)]


def assert_same_fit(left: Any, right: Any) -> None:
    assert_same_bits(trained_arrays(left), trained_arrays(right))
    names = ("loss_curve_", "learning_rate_curve_", "t_", "n_iter_", "validation_scores_", "best_loss_")
    for name in (*names, "gradient_records_", "learning_rate_range_"):
        assert getattr(left, name, None) == getattr(right, name, None), name


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gdfast-stream"]


# A stream of one block, and the array.

ONE_BLOCK: dict[str, dict[str, Any]] = {
    "defaults": {},
    "in order": {"shuffle": False},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.3},
    "a schedule of steps": {"schedule": schedules.OneCycle(max_lr=0.01)},
    "a rule of whole gradients": {"solver": "muon"},
    "Kronecker factors": {"solver": "kfac"},
    "an average that is trained beside": {"solver": "schedulefree"},
    "batch normalisation": {"batch_norm": True},
    "dropout and noise": {"dropout": 0.2, "gradient_noise": 0.1},
    "limits": {"clip_norm": "auto", "clip_value": 0.1},
    "records": {"record_gradients": True},
    "a rate that is found": {"learning_rate_init": "auto"},
    "backpropagation of one layer": {"backprop_depth": 1},
    "an average": {"ema_decay": 0.9},
    "more rows in a batch than there are": {"batch_size": 200},
}


@pytest.mark.parametrize("name", ONE_BLOCK)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_block_trains_as_an_array_does(name: str, dtype: Any) -> None:
    arguments, data = ONE_BLOCK[name], X.astype(dtype)
    weight = None if arguments.get("solver") == "kfac" else WEIGHTS
    expected = regressor(**arguments).fit(data, NUMBERS, weight)
    block = (data, NUMBERS) if weight is None else (data, NUMBERS, weight)
    assert_same_fit(regressor(**arguments).fit([block]), expected)
    small_buffer = Stream(data, NUMBERS, weight, block_size=N, buffer_size=1, prefetch=0)
    assert_same_fit(regressor(**arguments).fit(small_buffer), expected)


@pytest.mark.parametrize(
    "arguments",
    [{}, {"class_weight": "balanced"}, {"class_weight": {"a": 2.0}}, {"label_smoothing": 0.1}],
    ids=str,
)
def test_one_block_of_labels(arguments: dict[str, Any]) -> None:
    expected = classifier(**arguments).fit(X, LABELS, WEIGHTS)
    got = classifier(**arguments).fit([(X, LABELS, WEIGHTS)])
    assert_same_fit(got, expected)
    assert list(got.classes_) == list(expected.classes_)


@pytest.mark.parametrize("y", [LABELS == "a", (LABELS == "a").astype(int), NUMBERS > 0.1])
def test_two_classes(y: Any) -> None:
    assert_same_fit(classifier().fit([(X, y)]), classifier().fit(X, y))


def test_indicators_and_several_targets() -> None:
    indicators = np.stack([NUMBERS > 0, X[:, 2] > 0], axis=1).astype(int)
    assert_same_fit(classifier().fit([(X, indicators)]), classifier().fit(X, indicators))
    assert_same_fit(regressor().fit([(X, X[:, :2])]), regressor().fit(X, X[:, :2]))


def test_a_validation_set_is_given_as_for_an_array() -> None:
    validation = {"X_val": X[:50], "y_val": NUMBERS[:50]}
    arguments = {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 30}
    expected = regressor(**arguments).fit(X, NUMBERS, **validation)
    assert_same_fit(regressor(**arguments).fit([(X, NUMBERS)], **validation), expected)


def test_sparse_rows() -> None:
    rows = sparse.random(N, 40, 0.1, "csr", random_state=0)
    expected = regressor(shuffle=False).fit(rows, NUMBERS)
    got = regressor(shuffle=False).fit(Stream(blocks(100, rows, NUMBERS), buffer_size=150))
    assert_same_bits(trained_arrays(got), trained_arrays(expected))


# Several blocks.


@settings(max_examples=30, deadline=None)
@given(
    size=st.integers(1, N),
    buffer_size=st.integers(1, 2 * N),
    batch_size=st.integers(1, N),
    prefetch=st.integers(0, 3),
)
def test_without_shuffling_blocks_are_the_array(
    size: int, buffer_size: int, batch_size: int, prefetch: int
) -> None:
    arguments = {"shuffle": False, "batch_size": batch_size, "max_iter": 2, "record_gradients": True}
    expected = regressor(**arguments).fit(X, NUMBERS, WEIGHTS)
    stream = Stream(blocks(size, X, NUMBERS, WEIGHTS), buffer_size=buffer_size, prefetch=prefetch)
    got = regressor(**arguments).fit(stream)
    assert_same_bits(trained_arrays(got), trained_arrays(expected))
    assert got.t_ == expected.t_
    # The mean of means rounds otherwise.
    np.testing.assert_allclose(got.loss_curve_, expected.loss_curve_, rtol=1e-12)
    for name, curve in expected.gradient_records_.items():
        np.testing.assert_allclose(got.gradient_records_[name], curve, rtol=1e-12)


def test_rates_of_steps_are_those_of_the_whole_epoch() -> None:
    arguments = {"shuffle": False, "schedule": schedules.OneCycle(max_lr=0.01)}
    expected = regressor(**arguments).fit(X, NUMBERS)
    got = regressor(**arguments).fit(Stream(blocks(70, X, NUMBERS), buffer_size=100))
    assert_same_bits(trained_arrays(got), trained_arrays(expected))


def test_balanced_weights_are_those_of_all_blocks() -> None:
    arguments = {"shuffle": False, "class_weight": "balanced"}
    expected = classifier(**arguments).fit(X, LABELS, WEIGHTS)
    got = classifier(**arguments).fit(blocks(70, X, LABELS, WEIGHTS))
    # The weights of the classes are summed block by block.
    for a, b in zip(trained_arrays(got), trained_arrays(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_label_that_is_rare() -> None:
    y = np.where(np.arange(N) == N - 1, "rare", LABELS)
    assert list(classifier().fit(blocks(50, X, y)).classes_) == ["a", "b", "c", "rare"]


def test_the_order_is_drawn_from_the_random_state() -> None:
    data = blocks(50, X, NUMBERS)
    first = regressor().fit(Stream(data, buffer_size=100))
    assert_same_fit(regressor().fit(Stream(data, buffer_size=100)), first)
    other = regressor().fit(Stream(data, buffer_size=100, random_state=1))
    assert not np.array_equal(other.coefs_[0], first.coefs_[0])
    assert_same_fit(regressor().fit(Stream(data, buffer_size=100, random_state=1)), other)


def test_an_iterable_that_is_no_sequence() -> None:
    class Walk:
        walks = 0

        def __iter__(self) -> Iterator[tuple[Any, ...]]:
            self.walks += 1
            yield from blocks(50, X, NUMBERS)

    walk = Walk()
    expected = regressor(shuffle=False).fit(X, NUMBERS)
    assert_same_bits(trained_arrays(regressor(shuffle=False).fit(walk)), trained_arrays(expected))
    # The first block, the number of rows, and the epochs.
    assert walk.walks == 2 + ARGUMENTS["max_iter"]


def test_memory_maps(tmp_path: Path) -> None:
    mapped = np.memmap(tmp_path / "X", np.float32, "w+", shape=X.shape)
    mapped[...] = X
    expected = regressor(shuffle=False).fit(mapped, NUMBERS)
    got = regressor(shuffle=False).fit(Stream(mapped, NUMBERS, block_size=64, buffer_size=64))
    assert_same_bits(trained_arrays(got), trained_arrays(expected))


def test_frames_have_names() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("pqrst"))
    model = regressor(shuffle=False).fit([(frame[:200], NUMBERS[:200]), (frame[200:], NUMBERS[200:])])
    assert list(model.feature_names_in_) == list("pqrst")
    assert_same_bits(trained_arrays(model), trained_arrays(regressor(shuffle=False).fit(frame, NUMBERS)))
    with pytest.raises(ValueError, match=r"In block 1: X has the columns .*'u'"):
        regressor().fit([(frame, NUMBERS), (frame.rename(columns={"t": "u"}), NUMBERS)])


def test_training_goes_on_with_warm_start() -> None:
    arguments = {"warm_start": True, "keep_optimizer_state": True, "max_iter": 2}
    data = Stream(blocks(50, X, NUMBERS), buffer_size=100)
    got = regressor(**arguments).fit(data).fit(data)
    assert_same_bits(trained_arrays(got), trained_arrays(regressor(max_iter=4).fit(data)))


def test_blocks_without_rows_or_weight() -> None:
    empty = X[:0], NUMBERS[:0], WEIGHTS[:0]
    weightless = np.where(np.arange(N) // 50 == 3, 0.0, WEIGHTS)
    arguments = {"shuffle": False, "batch_size": 20}
    expected = regressor(**arguments).fit(X, NUMBERS, weightless)
    data = [empty, *blocks(50, X, NUMBERS, weightless), empty]
    assert_same_bits(trained_arrays(regressor(**arguments).fit(data)), trained_arrays(expected))
    with pytest.raises(ValueError, match="no rows"):
        regressor().fit([empty])


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_source_may_fill_the_same_array_again(early_stopping: bool) -> None:
    class Refills:
        def __iter__(self) -> Iterator[tuple[Any, ...]]:
            into = np.empty((20, 5)), np.empty(20), np.empty(20)
            for block in blocks(20, X[:400], NUMBERS[:400], WEIGHTS[:400]):
                for array, values in zip(into, block, strict=True):
                    array[...] = values
                yield into

    arguments = {"shuffle": False, "early_stopping": early_stopping, "learning_rate_init": "auto"}
    expected = regressor(**arguments).fit(Once(blocks(20, X[:400], NUMBERS[:400], WEIGHTS[:400])))
    assert_same_fit(regressor(**arguments).fit(Refills()), expected)


class Once:
    """Blocks that can only be walked."""

    def __init__(self, blocks: list[Any]) -> None:
        self._blocks = blocks

    def __iter__(self) -> Iterator[Any]:
        return iter(self._blocks)


def test_an_array_after_a_stream_has_all_its_rows() -> None:
    model = regressor(warm_start=True, keep_optimizer_state=True, max_iter=1)
    model.fit(Stream(blocks(50, X, NUMBERS), buffer_size=100))
    before = model._optimizer._trainer.step
    model.fit(X, NUMBERS)
    assert model._optimizer._trainer.step - before == -(-N // ARGUMENTS["batch_size"])


def test_one_warning_of_the_shape_of_y() -> None:
    with pytest.warns(UserWarning, match="column-vector") as found:
        regressor().fit(blocks(50, X, NUMBERS[:, None]))
    assert len([w for w in found if "column-vector" in str(w.message)]) == 1


def test_many_small_blocks() -> None:
    """Time grows with their number, not its square: 3000 took 9 s as long as each counted those before it."""
    n = 3000
    many = [(X[:1], NUMBERS[:1])] * n
    expected = regressor(max_iter=1, shuffle=False).fit(np.repeat(X[:1], n, 0), np.repeat(NUMBERS[:1], n))
    assert_same_bits(trained_arrays(regressor(max_iter=1, shuffle=False).fit(many)), trained_arrays(expected))


# Validation by blocks.


@pytest.mark.parametrize("size", [20, 200])
def test_blocks_are_set_aside(size: int) -> None:
    """Of 22 parts the 10th and 20th; of a stream that can only be walked, or has few parts, blocks."""

    class Walk:
        def __iter__(self) -> Iterator[tuple[Any, ...]]:
            return iter(blocks(20, X, NUMBERS))

    data = blocks(20, X, NUMBERS) if size == 20 else Walk()
    arguments = {"early_stopping": True, "n_iter_no_change": 3, "max_iter": 40, "ema_decay": 0.5}
    model = regressor(**arguments).fit(data)
    held_out = np.zeros(N, bool)
    for number in (9, 19):
        held_out[20 * number : 20 * (number + 1)] = True
    assert model.score(X[held_out], NUMBERS[held_out]) == pytest.approx(
        model.best_validation_score_, abs=1e-12
    )
    assert model.t_ == model.n_iter_ * (N - 40)
    # The same rows as a set that is given, in the same order.
    given = Stream([data for i, data in enumerate(blocks(20, X, NUMBERS)) if i not in (9, 19)])
    if size == 20:
        expected = regressor(**arguments).fit(given, X_val=X[held_out], y_val=NUMBERS[held_out])
        assert_same_fit(model, expected)


def test_blocks_of_few_parts_are_counted_through_all() -> None:
    """Of five parts with seven blocks each the 10th, 20th and 30th block."""

    class Parts(Stream):
        def open(self) -> Any:
            return FiveParts()

    model = regressor(early_stopping=True, max_iter=2).fit(Parts([(X, NUMBERS)]))
    assert model.t_ == 2 * 32 * 12


class FiveParts(Reader):
    n_parts = 5

    def blocks(self, part: int) -> Iterator[Block]:
        for number in range(7):
            rows = slice(12 * (7 * part + number), 12 * (7 * part + number + 1))
            yield Block(f"{part}, {number}", X[rows], NUMBERS[rows], None)


@pytest.mark.parametrize("scoring", ["loss", "f1_macro", None])
def test_scores_of_labels(scoring: Any) -> None:
    arguments = {"early_stopping": True, "validation_fraction": 0.25, "scoring": scoring}
    data = blocks(20, X, LABELS, WEIGHTS) if scoring != "f1_macro" else blocks(20, X, LABELS)
    model = classifier(**arguments).fit(data)
    assert len(model.validation_scores_) == model.n_iter_
    assert np.isfinite(model.best_validation_score_)


def test_a_callable_as_scoring_needs_all_rows() -> None:
    with pytest.raises(ValueError, match="A callable as scoring takes X"):
        regressor(early_stopping=True, scoring=lambda est, X, y: 0.0).fit(blocks(20, X, NUMBERS))


def test_too_few_blocks_for_validation() -> None:
    with pytest.raises(ValueError, match="too few blocks"):
        regressor(early_stopping=True).fit(blocks(100, X, NUMBERS))


# Continuing.


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_resumed_run_is_the_same(tmp_path: Path, early_stopping: bool) -> None:
    data = Stream(blocks(20, X, NUMBERS), buffer_size=90)
    arguments = {"max_iter": 6, "dropout": 0.1, "early_stopping": early_stopping}
    expected = regressor(**arguments).fit(data)
    path = tmp_path / "run"
    with pytest.raises(RuntimeError, match="stop"):
        regressor(callbacks=[ModelCheckpoint(path), Stops()], **arguments).fit(data)
    resumed = regressor(resume=path, **arguments).fit(data)
    assert_same_fit(resumed, expected)
    for other in (blocks(20, X[:-1], NUMBERS[:-1]), blocks(21, X, NUMBERS)):
        with pytest.raises(ValueError, match="X, y, sample_weight"):
            regressor(resume=path, **arguments).fit(Stream(other, buffer_size=90))
    with pytest.raises(ValueError, match="X, y, sample_weight"):
        regressor(resume=path, **arguments).fit(Stream(blocks(20, X, NUMBERS), buffer_size=100))


class Stops:
    def on_epoch_begin(self, est: Any, epoch: int, logs: Any) -> None:
        if epoch == 3:
            raise RuntimeError("stop")


def test_ctrl_c_ends_training_and_reading() -> None:
    big = np.tile(X, (100, 1)), np.tile(NUMBERS, 100)
    model = regressor(max_iter=10**6, tol=0, n_iter_no_change=10**6)
    fit_until_ctrl_c(lambda: model.fit(Stream(blocks(1000, *big), buffer_size=2000)))
    assert not reading_threads()
    assert np.isfinite(model.predict(X)).all()


# Bad input.


class Changes:
    """Blocks that a function changes from the second epoch of training on."""

    def __init__(self, change: Any, *arrays: Any) -> None:
        self._blocks = blocks(50, *arrays)
        self._change = change
        self._walks = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        self._walks += 1
        return iter(self._blocks if self._walks < 4 else self._change(list(self._blocks)))


def with_block(number: int, *replaced: Any) -> Any:
    def change(data: list[Any]) -> list[Any]:
        data[number] = replaced
        return data

    return change


CHANGES: dict[str, tuple[Any, str]] = {
    "ends early": (lambda data: data[:5], "ended after 250 rows, but had 430"),
    "has more": (lambda data: data + data[:1], "more rows than the 430"),
    "width": (with_block(4, X[:50, :4], NUMBERS[:50]), "In block 4: X has 4 features"),
    "dtype": (with_block(4, X[:50].astype(np.float32), NUMBERS[:50]), "In block 4: X has the dtype float32"),
    "nan": (with_block(4, np.full((50, 5), np.nan), NUMBERS[:50]), "In block 4: Input X contains NaN"),
    "lengths": (with_block(4, X[:50], NUMBERS[:49]), "In block 4: Found input variables with inconsistent"),
    "targets": (with_block(4, X[:50], np.stack([NUMBERS[:50]] * 2, 1)), "In block 4: y has the shape"),
    "weights": (with_block(4, X[:50], NUMBERS[:50], WEIGHTS[:50]), "In block 4: all blocks must have"),
    "kind": (with_block(4, X[:50]), "block 4 is a tuple of 1"),
    "no tuple": (lambda data: [*data[:4], X[:50], *data[5:]], "block 4 is of type ndarray"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_in_mid_training_keeps_whole_steps(name: str, prefetch: int) -> None:
    change, message = CHANGES[name]
    model = regressor(shuffle=False)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(Stream(Changes(change, X, NUMBERS), buffer_size=1, prefetch=prefetch))
    assert not reading_threads()
    # One epoch, and of the second the whole batches of the blocks before: 4 of 50 rows, or 5, or all but the
    # last batch.
    whole = {"ends early": 250 // 32, "has more": 430 // 32}.get(name, 200 // 32)
    if name == "has more":
        whole = -(-430 // 32)
    reference = regressor(shuffle=False, max_iter=1, warm_start=True, keep_optimizer_state=True)
    reference.fit(X, NUMBERS)
    reference.fit(X[: 32 * whole], NUMBERS[: 32 * whole])
    assert_same_bits(trained_arrays(model), trained_arrays(reference))
    assert model.n_iter_ == 1


def test_the_same_iterator_each_time() -> None:
    class Walked:
        def __init__(self) -> None:
            self._walk = iter(blocks(50, X, NUMBERS))

        def __iter__(self) -> Iterator[Any]:
            return self._walk

    with pytest.raises(TypeError, match="gives the same iterator each time"):
        regressor().fit(Walked())


def test_labels_with_nan_and_weights_of_whole_blocks() -> None:
    with pytest.raises(ValueError, match=r"In block 1: Input y contains NaN"):
        classifier().fit([(X, (NUMBERS > 0) * 1.0), (X, np.where(NUMBERS > 0, np.nan, 1.0))])
    assert classifier().fit([(X, LABELS, 2.0), (X, LABELS, 1.0)]).t_ == 2 * N * ARGUMENTS["max_iter"]


def test_a_class_that_is_new() -> None:
    y = LABELS.copy()
    changed = with_block(4, X[:50], np.full(50, "d"))
    model = classifier(shuffle=False)
    with pytest.raises(ValueError, match=r"In block 4: `y` has classes not in"):
        model.fit(Stream(Changes(changed, X, y), buffer_size=1))


def test_labels_that_cannot_be_compared() -> None:
    with pytest.raises(TypeError, match="In block 0: y holds missing values, or labels of several types"):
        classifier().fit([(X, np.where(np.arange(N) == 3, None, LABELS.astype(object)))])


@pytest.mark.parametrize("as_objects", [False, True])
def test_texts_and_numbers_are_no_labels_of_one_kind(as_objects: bool) -> None:
    texts, numbers = (np.array(y, object if as_objects else None) for y in (["1", "2"], [1, 2]))
    with pytest.raises(ValueError, match="In block 1: y holds numbers, but texts in block 0"):
        classifier().fit([(X[:2], texts), (X[:2], numbers)])


class Broken:
    """Its third block cannot be read in the second epoch."""

    def __init__(self) -> None:
        self.walks = 0

    def __iter__(self) -> Iterator[Any]:
        self.walks += 1
        for number, block in enumerate(blocks(50, X, NUMBERS)):
            if number == 2 and self.walks > 3:
                raise OSError("disk gone")
            yield block


class BrokenSequence(Broken):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, number: int) -> Any:
        self.walks += number == 2
        if number == 2 and self.walks > 3:
            raise OSError("disk gone")
        return blocks(50, X, NUMBERS)[number]


@pytest.mark.parametrize("source", [Broken, BrokenSequence])
@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_of_the_source_says_at_which_block(source: Any, prefetch: int) -> None:
    with pytest.raises(OSError, match="disk gone") as error:
        regressor().fit(Stream(source(), prefetch=prefetch))
    assert error.value.__notes__ == ["In block 2."]


def test_a_sequence_needs_no_iter() -> None:
    class Blocks:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, number: int) -> Any:
            return (X, NUMBERS)

    assert_same_fit(regressor().fit(Blocks()), regressor().fit([(X, NUMBERS)] * 2))


def test_a_block_may_be_a_list() -> None:
    assert_same_fit(regressor().fit([[X, NUMBERS]]), regressor().fit([(X, NUMBERS)]))
    assert_same_fit(regressor().fit(Stream([[X, NUMBERS]])), regressor().fit([(X, NUMBERS)]))


def test_an_error_before_the_first_step_changes_nothing() -> None:
    model = regressor().fit(X, NUMBERS)
    before = trained_arrays(model)
    with pytest.raises(ValueError, match="In block 0: Input X contains NaN"):
        model.fit([(X * np.nan, NUMBERS)])
    assert_same_bits(trained_arrays(model), before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: regressor().fit(iter([(X, NUMBERS)])), TypeError, "can be read once only"),
        (lambda: regressor().fit(Stream([])), ValueError, "The stream has no rows"),
        (lambda: regressor().fit([(X, NUMBERS, WEIGHTS, WEIGHTS)]), TypeError, "block 0 is a tuple of 4"),
        (lambda: regressor().fit([(X,)]), TypeError, "block 0 is a tuple of 1"),
        (lambda: regressor().fit([[1.0, 2.0], [3.0, 4.0]]), ValueError, "requires y to be passed"),
        (lambda: regressor().fit([(1.0, 2.0), (3.0, 4.0)]), ValueError, "requires y to be passed"),
        (lambda: regressor().fit(X, "price"), ValueError, "y='price' names a column, which files"),
        (lambda: regressor().fit([], "price"), ValueError, "y='price' names a column, which files"),
        (
            lambda: regressor(early_stopping=True, validation_fraction=0.0).fit(blocks(20, X, NUMBERS)),
            ValueError,
            "validation_fraction=0.0 sets no rows aside",
        ),
        (
            lambda: regressor(early_stopping=True, validation_fraction=0.0).fit(X, NUMBERS),
            ValueError,
            "validation_fraction=0.0 sets no rows aside",
        ),
        (lambda: gdfast.TabularRegressor().fit([(X, NUMBERS)]), ValueError, "requires y to be passed"),
        (lambda: regressor().fit(Stream(3)), TypeError, "got int"),
        (lambda: regressor().fit(Stream(X)), ValueError, "y is missing"),
        (
            lambda: regressor().fit(Stream(X, NUMBERS[:-1])),
            ValueError,
            "y must have a row for each of the 430",
        ),
        (lambda: regressor().fit(Stream(X, NUMBERS), NUMBERS), ValueError, "y must be given to the Stream"),
        (lambda: regressor().fit(Stream([(X, NUMBERS)], NUMBERS)), ValueError, "y must be in the blocks"),
        (lambda: regressor().fit(Stream(X, NUMBERS, features=["a"])), ValueError, "features names columns"),
        (lambda: Stream(X, NUMBERS, features="a"), TypeError, "features must be a sequence"),
        (lambda: Stream(X, NUMBERS, block_size=0), ValueError, "block_size must be at least 1, got 0"),
        (lambda: Stream(X, NUMBERS, buffer_size=1.5), TypeError, "buffer_size must be an integer"),
        (lambda: Stream(X, NUMBERS, prefetch=-1), ValueError, "prefetch must be at least 0"),
        (
            lambda: regressor(solver="lbfgs").fit(Stream(X, NUMBERS)),
            ValueError,
            "solver='lbfgs' needs all rows",
        ),
        (lambda: regressor().partial_fit(Stream(X, NUMBERS), None), TypeError, "partial_fit takes the rows"),
        (
            lambda: gdfast.RNNRegressor().fit(Stream(X, NUMBERS), None),
            TypeError,
            "RNNRegressor takes no stream",
        ),
        (
            lambda: gdfast.TabularRegressor().fit(Stream(X, NUMBERS), 0),
            TypeError,
            "in memory here, and is a Stream",
        ),
        (lambda: regressor().fit(X), ValueError, "requires y to be passed"),
        (lambda: regressor().fit(Stream(X, "y")), ValueError, "y='y' names a column"),
        (lambda: Stream("a", "y", features=["p", "p"]), ValueError, "each column once"),
        (lambda: Stream("a", "y", features=["p", "y"]), ValueError, "neither y nor"),
        (lambda: Stream("a", "y", features=3), TypeError, "features must be a sequence"),
        (
            lambda: gdfast.fit_many([regressor()], [(X, NUMBERS)], None),
            TypeError,
            "fit_many takes data in memory",
        ),
        (
            lambda: regressor().fit([(sparse.csr_array(X), NUMBERS), (X, NUMBERS)]),
            ValueError,
            "In block 1: some blocks",
        ),
    ],
)
def test_clear_errors(call: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("kind", ["a path", "a PosixPath", "a Stream", "a FileSystemDataset"])
def test_rows_that_must_be_in_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    path.touch()
    elsewhere: Any = {"a path": str(path), "a PosixPath": path, "a Stream": Stream(X, NUMBERS)}.get(kind)
    if elsewhere is None:
        pq = pytest.importorskip("pyarrow.parquet")
        frame = pytest.importorskip("pandas").DataFrame(X)
        frame.columns = [f"x{i}" for i in range(X.shape[1])]
        frame.to_parquet(path)
        assert pq.read_table(path).num_rows == len(X)
        elsewhere = pytest.importorskip("pyarrow.dataset").dataset(path)
    message = f"X must be rows in memory here, and is {kind.replace('PosixPath', 'path')}"
    est = regressor().fit(X, NUMBERS)
    tabular = gdfast.TabularRegressor(preset="fast").fit(X, NUMBERS)
    calls = [
        lambda: est.predict(elsewhere),
        lambda: est.score(elsewhere, NUMBERS),
        lambda: regressor().fit(X, NUMBERS, X_val=elsewhere, y_val=NUMBERS),
        lambda: gdfast.TabularRegressor().fit(elsewhere, "y"),
        lambda: tabular.predict(elsewhere),
    ]
    if kind != "a Stream":
        calls.append(lambda: regressor().partial_fit(elsewhere, NUMBERS))
    for call in calls:
        with pytest.raises(TypeError, match=message):
            call()


def test_balanced_weights_of_indicators_are_refused() -> None:
    indicators = np.stack([NUMBERS > 0, X[:, 2] > 0], axis=1).astype(int)
    with pytest.raises(ValueError, match="one label for each row"):
        classifier(class_weight="balanced").fit([(X, indicators)])


def test_a_warning_at_the_end_is_as_ever() -> None:
    with pytest.warns(ConvergenceWarning, match="Maximum iterations"):
        regressor(max_iter=1).fit(blocks(50, X, NUMBERS))
