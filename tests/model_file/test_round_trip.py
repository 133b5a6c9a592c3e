"""What is saved is what is loaded, and training goes on from it as if it had never stopped."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import gdfast
import pytest
from models import CASES, assert_alike, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("case", CASES)
def test_everything_comes_back(case: str, tmp_path: Path) -> None:
    est, path = fitted(case), tmp_path / "model.safetensors"
    est.save(path)
    loaded = gdfast.load(path)
    assert_alike(est, loaded)
    X = CASES[case]()[1]
    assert_alike(est.predict(X), loaded.predict(X))


@pytest.mark.parametrize("case", CASES)
def test_unfitted_estimators_come_back(case: str, tmp_path: Path) -> None:
    est, _, _ = CASES[case]()
    est.save(tmp_path / "model")
    assert_alike(est, gdfast.load(tmp_path / "model"))


@pytest.mark.parametrize("case", CASES)
def test_the_same_model_makes_the_same_bytes(case: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    fitted(case).save(first)
    gdfast.load(first).save(second)
    assert first.read_bytes() == second.read_bytes()


GO_ON = [
    case for case in CASES if "table" not in case and case not in ("lbfgs", "newton-cg", "lm", "annealing")
]


@pytest.mark.parametrize("case", GO_ON)
def test_partial_fit_goes_on(case: str, tmp_path: Path) -> None:
    _, X, y = CASES[case]()
    est = copy.deepcopy(fitted(case)).set_params(early_stopping=False, ema_decay=0)
    est.save(tmp_path / "model")
    loaded = gdfast.load(tmp_path / "model")
    for _ in range(2):
        assert_alike(est.partial_fit(X, y), loaded.partial_fit(X, y))


@pytest.mark.parametrize("case", GO_ON)
def test_warm_starts_go_on(case: str, tmp_path: Path) -> None:
    _, X, y = CASES[case]()
    est = copy.deepcopy(fitted(case)).set_params(warm_start=True, keep_optimizer_state=True)
    est.fit(X, y).save(tmp_path / "model")
    loaded = gdfast.load(tmp_path / "model")
    assert_alike(est.fit(X, y), loaded.fit(X, y))


def test_a_random_state_in_two_places_stays_one(tmp_path: Path) -> None:
    est = fitted("everything")
    assert est._training.random_state is est.random_state
    est.save(tmp_path / "model")
    loaded = gdfast.load(tmp_path / "model")
    assert loaded._training.random_state is loaded.random_state
    assert loaded._training.order._random_state is loaded.random_state


def test_an_encoder_comes_back(tmp_path: Path) -> None:
    from gdfast import preprocessing
    from models import numbers, rows, table

    encoders: list[Any] = [
        preprocessing.TableEncoder().fit(table(), numbers()),
        preprocessing.CategoricalEncoder().fit(table()[["color", "sold"]]),
        preprocessing.PiecewiseLinearEncoder(bins="quantile").fit(rows()),
        preprocessing.RobustClipper().fit(rows()).set_output(transform="pandas"),
    ]
    for encoder in encoders:
        encoder.save(tmp_path / "encoder")
        assert_alike(encoder, gdfast.load(tmp_path / "encoder"))
