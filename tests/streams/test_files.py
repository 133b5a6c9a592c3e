"""Streams of named columns: Parquet files, data sets of pyarrow, collections of Dask."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import gdfast
import numpy as np
import pytest
from fits import assert_same_bits, trained_arrays
from gdfast.data import Stream

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
dataset = pytest.importorskip("pyarrow.dataset")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
N = 300
NAMES = ["p", "q", "r"]
X = RNG.normal(size=(N, 3)).astype(np.float32)
NUMBERS = X[:, 0] * X[:, 1] + 0.1 * RNG.normal(size=N)
LABELS = np.array(["a", "b"])[(NUMBERS > 0).astype(int)]
WEIGHTS = RNG.random(N)
ARGUMENTS: dict[str, Any] = {
    "hidden_layer_sizes": (8,),
    "batch_size": 32,
    "random_state": 3,
    "max_iter": 3,
    "shuffle": False,
}


def table(**columns: Any) -> Any:
    plain = dict(zip(NAMES, X.T, strict=True))
    return pyarrow.table({**plain, "weight": WEIGHTS, "y": NUMBERS, **columns})


def files(folder: Path, data: Any = None, **arguments: Any) -> str:
    """Two files, the first one of several row groups, the second in a folder below."""
    data = table() if data is None else data
    (folder / "data" / "later").mkdir(parents=True)
    parquet.write_table(data.slice(0, 190), folder / "data" / "a.parquet", row_group_size=60, **arguments)
    parquet.write_table(data.slice(190), folder / "data" / "later" / "b.parquet", **arguments)
    return str(folder / "data")


def regressor(**arguments: Any) -> Any:
    return gdfast.MLPRegressor(**{**ARGUMENTS, **arguments})


def assert_same_fit(left: Any, right: Any) -> None:
    assert_same_bits(trained_arrays(left), trained_arrays(right))


def test_files_are_the_array(tmp_path: Path) -> None:
    expected = regressor().fit(X, NUMBERS, WEIGHTS)
    folder = files(tmp_path)
    listed = [Path(folder) / "a.parquet", Path(folder) / "later" / "b.parquet"]
    for source in (folder, Path(folder), listed, dataset.dataset(folder)):
        model = regressor().fit(source, "y", "weight")
        assert_same_fit(model, expected)
        assert list(model.feature_names_in_) == NAMES
        assert model.coefs_[0].dtype == np.float32
    for block_size in (1, 7, 60, 1000):
        stream = Stream(folder, "y", "weight", block_size=block_size, buffer_size=50)
        assert_same_fit(regressor().fit(stream), expected)


def test_other_formats_of_a_data_set(tmp_path: Path) -> None:
    dataset.write_dataset(table(), tmp_path, format="feather", max_rows_per_file=100, max_rows_per_group=40)
    source = dataset.dataset(tmp_path, format="feather")
    model = regressor().fit(source, "y", "weight")
    assert_same_fit(model, regressor().fit(X, NUMBERS, WEIGHTS))


def test_columns_in_the_names_of_folders(tmp_path: Path) -> None:
    dataset.write_dataset(
        table(year=np.arange(N) % 2 + 2025),
        tmp_path,
        format="parquet",
        partitioning=dataset.partitioning(pyarrow.schema([("year", pyarrow.int64())]), flavor="hive"),
    )
    for source in (tmp_path, dataset.dataset(tmp_path, partitioning="hive")):
        model = regressor().fit(Stream(source, "y", features=["p", "year"]))
        years = np.repeat([2025, 2026], N // 2)
        order = np.argsort(np.arange(N) % 2, kind="stable")
        expected = np.stack([X[order, 0], years], axis=1).astype(np.float64)
        assert_same_fit(model, regressor().fit(expected, NUMBERS[order]))


def test_chosen_columns_in_the_order_given(tmp_path: Path) -> None:
    stream = Stream(files(tmp_path), "y", features=["r", "p"])
    model = regressor().fit(stream)
    assert_same_fit(model, regressor().fit(np.ascontiguousarray(X[:, [2, 0]]), NUMBERS))
    assert list(model.feature_names_in_) == ["r", "p"]


@pytest.mark.parametrize("kind", ["int32", "bool", "float16", "decimal", "double"])
def test_columns_of_other_numbers_make_float64(tmp_path: Path, kind: str) -> None:
    values: Any = np.round(X[:, 0] * 4)
    column = {
        "int32": values.astype(np.int32),
        "bool": values > 0,
        "float16": values.astype(np.float16),
        "decimal": [Decimal(int(value)) for value in values],
        "double": values.astype(np.float64),
    }[kind]
    expected = X.astype(np.float64)
    expected[:, 0] = values > 0 if kind == "bool" else values
    model = regressor().fit(Stream(files(tmp_path, table(p=column)), "y", features=NAMES))
    assert_same_fit(model, regressor().fit(expected, NUMBERS))


@pytest.mark.parametrize("dictionary", [False, True])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_labels(tmp_path: Path, dictionary: bool, early_stopping: bool) -> None:
    labels: Any = pyarrow.array(LABELS)
    folder = files(tmp_path, table(y=labels.dictionary_encode() if dictionary else labels))
    model = gdfast.MLPClassifier(**ARGUMENTS, early_stopping=early_stopping, validation_fraction=0.3)
    model.fit(Stream(folder, "y", features=NAMES, block_size=20))
    assert list(model.classes_) == ["a", "b"]
    if not early_stopping:
        assert_same_fit(model, gdfast.MLPClassifier(**ARGUMENTS).fit(X, LABELS))


def test_rows_are_shuffled_and_the_fit_is_repeatable(tmp_path: Path) -> None:
    folder = files(tmp_path)
    first, second = (regressor(shuffle=True).fit(folder, "y") for _ in range(2))
    assert_same_fit(first, second)
    assert not np.array_equal(first.coefs_[0], regressor().fit(folder, "y").coefs_[0])


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    folder = files(tmp_path)
    cut = Path(folder) / "later" / "b.parquet"
    cut.write_bytes(cut.read_bytes()[:-100])
    model = regressor()
    with pytest.raises(ValueError, match=r"Reading .*b\.parquet failed"):
        model.fit(folder, "y")
    assert not hasattr(model, "coefs_")


def test_a_row_group_that_is_damaged_is_named(tmp_path: Path) -> None:
    """The footer is whole: the fault is met when the data are read, after steps on what is before them."""
    folder = files(tmp_path, compression="zstd")
    damaged = Path(folder) / "later" / "b.parquet"
    content = bytearray(damaged.read_bytes())
    first = parquet.ParquetFile(damaged).metadata.row_group(0).column(0).data_page_offset
    content[first : first + 200] = b"\xff" * 200
    damaged.write_bytes(content)
    model = regressor()
    with pytest.raises(ValueError, match=r"Reading row group 0 of .*b\.parquet failed"):
        model.fit(Stream(folder, "y", buffer_size=1))
    assert np.isfinite(model.coefs_[0]).all()


def test_missing_values_name_their_block(tmp_path: Path) -> None:
    values = [None if i == 250 else float(x) for i, x in enumerate(X[:, 1])]
    folder = files(tmp_path, table(q=values))
    with pytest.raises(ValueError, match=r"In block 2 of row group 0 of .*b\.parquet: Input X contains NaN"):
        regressor().fit(Stream(folder, "y", block_size=30, buffer_size=1))


def test_names_are_compared_by_a_fit_that_goes_on(tmp_path: Path) -> None:
    first, other = tmp_path / "first.parquet", tmp_path / "other.parquet"
    parquet.write_table(table(), first)
    parquet.write_table(table().select(["q", "p", "r", "weight", "y"]), other)
    model = regressor(warm_start=True).fit(first, "y", "weight").fit(first, "y", "weight")
    with pytest.raises(ValueError, match=r"columns \['q', 'p', 'r'\]"):
        model.fit(other, "y", "weight")


def test_the_index_of_a_frame_is_no_feature(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=NAMES).assign(y=NUMBERS)
    frame[frame.p > 0].to_parquet(tmp_path / "a.parquet")
    assert list(regressor().fit(tmp_path / "a.parquet", "y").feature_names_in_) == NAMES


def test_folders_above_the_data_are_no_columns(tmp_path: Path) -> None:
    (tmp_path / "seed=3").mkdir()
    folder = files(tmp_path / "seed=3")
    assert list(regressor().fit(folder, "y", "weight").feature_names_in_) == NAMES
    assert list(regressor().fit(Path(folder) / "a.parquet", "y", "weight").feature_names_in_) == NAMES


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    folder = files(tmp_path)
    (Path(folder) / "_temporary").mkdir()
    parquet.write_table(table(), Path(folder) / "_temporary" / "a.parquet")
    (Path(folder) / ".a.parquet").write_text("being written")
    assert regressor(max_iter=1).fit(folder, "y").t_ == N


@pytest.mark.parametrize("kind", [np.float64, np.int32, str])
def test_files_of_other_types(tmp_path: Path, kind: Any) -> None:
    folder = files(tmp_path)
    parquet.write_table(table(q=np.round(X[:, 1]).astype(kind)), Path(folder) / "b.parquet")
    model = regressor()
    with pytest.raises(ValueError, match=r"The column 'q' of .*b\.parquet holds"):
        model.fit(folder, "y")
    assert not hasattr(model, "coefs_")


def test_files_of_more_columns(tmp_path: Path) -> None:
    folder = files(tmp_path)
    parquet.write_table(table(s=X[:, 0]), Path(folder) / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet has the columns \['s'\]"):
        regressor().fit(folder, "y")
    assert regressor(max_iter=1).fit(Stream(folder, "y", features=NAMES)).t_ == 2 * N


def test_data_sets_in_memory_and_filtered_ones() -> None:
    expected = regressor().fit(X, NUMBERS, WEIGHTS)
    assert_same_fit(regressor().fit(dataset.dataset(table()), "y", "weight"), expected)
    with pytest.raises(ValueError, match="has been filtered"):
        regressor().fit(dataset.dataset(table()).filter(dataset.field("p") > 0), "y")


def test_files_of_other_columns(tmp_path: Path) -> None:
    folder = files(tmp_path)
    parquet.write_table(table().drop_columns(["q"]), Path(folder) / "c.parquet")
    with pytest.raises(ValueError, match=r"c\.parquet lacks the columns \['q'\]"):
        regressor().fit(folder, "y")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("z",), ValueError, r"y names the column 'z', but the data have \['p', 'q', 'r', 'weight', 'y'\]"),
        (("y", "z"), ValueError, "sample_weight names the column 'z'"),
        ((), ValueError, "y is missing: a data set takes the name of its column"),
    ],
)
def test_columns_that_are_not_there(tmp_path: Path, arguments: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        regressor().fit(files(tmp_path), *arguments)


def test_columns_that_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="The column 'q' holds string, but X takes numbers"):
        regressor().fit(files(tmp_path, table(q=list("abc") * 100)), "y")


def test_features_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="features names the column 'z'"):
        regressor().fit(Stream(files(tmp_path), "y", features=["z"]))
    only_y = tmp_path / "y.parquet"
    parquet.write_table(table().select(["y"]), only_y)
    with pytest.raises(ValueError, match="no column for X"):
        regressor().fit(only_y, "y")


def test_folders_and_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="There is no file or directory"):
        regressor().fit(tmp_path / "none", "y")
    with pytest.raises(FileNotFoundError, match="holds no file whose name ends in"):
        regressor().fit(tmp_path, "y")


def test_dask_arrays_and_frames() -> None:
    array = pytest.importorskip("dask.array")
    frame = pytest.importorskip("dask.dataframe")
    expected = regressor().fit(X, NUMBERS, WEIGHTS)
    chunked = [array.from_array(a, chunks) for a, chunks in ((X, (70, 2)), (NUMBERS, 70), (WEIGHTS, 70))]
    assert_same_fit(regressor().fit(*chunked), expected)
    data = frame.from_pandas(table().to_pandas(), npartitions=4)
    model = regressor().fit(data, "y", "weight")
    assert_same_fit(model, expected)
    assert list(model.feature_names_in_) == NAMES
    assert_same_fit(regressor().fit(data[NAMES], data["y"], data["weight"]), expected)
    assert_same_fit(regressor().fit(Stream(data, "y", "weight", features=NAMES)), expected)
    with pytest.raises(ValueError, match="y has 2 partitions, but X has 5"):
        regressor().fit(chunked[0], array.from_array(NUMBERS, 150))
    with pytest.raises(ValueError, match="y names the column 'z'"):
        regressor().fit(data, "z")
    assert_same_fit(regressor().fit(chunked[0], NUMBERS, WEIGHTS), expected)
    with pytest.raises(TypeError, match="y must be a collection of Dask"):
        regressor().fit(data[NAMES], NUMBERS)
    with pytest.raises(ValueError, match="y is missing"):
        regressor().fit(chunked[0])
