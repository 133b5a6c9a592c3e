"""The plot of the first layer's weights, as images and as a heat map."""

from __future__ import annotations

from typing import Any

import gdfast
import numpy as np
import pandas as pd
import pytest
from fits import KINDS, make
from gdfast import WeightsDisplay
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, Y = make(n_features=12)
FIT = {"hidden_layer_sizes": (8,), "max_iter": 2, "random_state": 0}


def weights(n_features: int, n_units: int) -> np.ndarray:
    """With norms that grow from the first unit to the last, and from the first feature to the last."""
    signs = np.random.RandomState(0).choice([-1.0, 1.0], (n_features, n_units))
    return signs * np.outer(1.0 + np.arange(n_features), 1.0 + np.arange(n_units))


def names(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.get_ticklabels()]


@pytest.mark.parametrize("kind", [*KINDS.values(), MLPClassifier], ids=[*KINDS, "scikit-learn's"])
def test_a_heat_map_has_the_largest_units_first(kind: Any) -> None:
    est = kind(**FIT).fit(X, Y)
    display = WeightsDisplay.from_estimator(est, max_units=5)
    expected = np.argsort(-np.linalg.norm(est.coefs_[0], axis=0))[:5]
    np.testing.assert_array_equal(display.units_, expected)
    np.testing.assert_array_equal(display.im_.get_array(), est.coefs_[0][:, expected])
    assert names(display.ax_.xaxis) == [str(unit) for unit in expected]
    assert names(display.ax_.yaxis) == [f"x{i}" for i in range(12)]
    assert display.ax_.get_title() == kind.__name__
    assert "(5 of 8)" in display.ax_.get_xlabel()
    assert display.texts_ == []
    display.figure_.canvas.draw()


def test_zero_is_in_the_middle_of_the_colours() -> None:
    display = WeightsDisplay([[0.5, -2.0], [0.0, 1.0]]).plot()
    assert display.im_.get_clim() == (-2.0, 2.0)
    assert display.colorbar_.mappable is display.im_
    nothing = WeightsDisplay(np.zeros((2, 2))).plot(colorbar=False)
    assert nothing.im_.get_clim() == (-1.0, 1.0)
    assert nothing.colorbar_ is None
    nothing.figure_.canvas.draw()


def test_features_have_the_names_of_the_columns() -> None:
    frame = pd.DataFrame(X, columns=[f"column {i}" for i in range(12)])
    est = gdfast.MLPRegressor(**FIT).fit(frame, Y)
    assert names(WeightsDisplay.from_estimator(est).ax_.yaxis) == list(frame.columns)
    given = [f"other {i}" for i in range(12)]
    assert names(WeightsDisplay.from_estimator(est, feature_names=given).ax_.yaxis) == given
    # An image has no use for names.
    assert WeightsDisplay.from_estimator(est, image_shape=(3, 4)).feature_names is None


def test_of_many_features_those_with_the_largest_weights_are_shown() -> None:
    W = weights(10, 3)[::-1]
    display = WeightsDisplay(W, feature_names=list("abcdefghij")).plot(max_features=4, max_units=2)
    assert display.features_.tolist() == [0, 1, 2, 3]
    assert display.units_.tolist() == [2, 1]
    np.testing.assert_array_equal(display.im_.get_array(), W[:4, [2, 1]])
    assert names(display.ax_.yaxis) == list("abcd")
    assert "4 of 10" in display.ax_.get_ylabel()


@pytest.mark.parametrize("n_units", [1, 2, 7, 16, 50])
@pytest.mark.parametrize("shape", [(3, 4), (12, 1), (1, 12), (2, 2, 3)], ids=str)
def test_every_unit_has_its_image(shape: tuple[int, ...], n_units: int) -> None:
    W = weights(12, n_units)
    display = WeightsDisplay(W, image_shape=shape).plot(max_units=100)
    assert display.units_.tolist() == list(range(n_units))[::-1]
    whole = np.ma.filled(display.im_.get_array(), np.nan)
    shown = ~np.isnan(whole) if whole.ndim == 2 else whole[..., 3] == 1
    assert shown.sum() == n_units * shape[0] * shape[1]
    # The images are where the numbers of their units say, and where there is none, from left to right.
    places = [(round(y + 0.5), round(x + 0.5 - shape[1] / 2)) for x, y in map(_place, display.texts_)]
    for unit, (top, left) in zip(display.units_, places, strict=False):
        image = whole[top : top + shape[0], left : left + shape[1]]
        expected = W[:, unit].reshape(shape)
        if len(shape) == 3:
            image, expected = image[..., :3], 0.5 + expected / (2 * np.abs(W).max())
        np.testing.assert_array_equal(image, expected)
    assert len(places) == (n_units if n_units <= 36 else 0)
    assert (display.colorbar_ is None) == (len(shape) == 3)
    display.figure_.canvas.draw()


def _place(text: Any) -> tuple[float, float]:
    x, y = text.get_position()
    return float(x), float(y)


def test_images_of_an_estimator() -> None:
    est = gdfast.MLPClassifier(**FIT).fit(X, Y)
    display = WeightsDisplay.from_estimator(
        est, image_shape=np.array([3, 4]), max_units=3, name="net", cmap="PuOr"
    )
    assert [text.get_text() for text in display.texts_] == [str(unit) for unit in display.units_]
    assert display.ax_.get_title() == "net"
    assert display.im_.get_cmap().name == "PuOr"
    assert list(display.ax_.get_xticks()) == []


def test_a_network_without_hidden_layers_has_units_too() -> None:
    est = gdfast.MLPClassifier((), max_iter=2).fit(X, Y)
    assert len(WeightsDisplay.from_estimator(est).units_) == 3


@pytest.mark.parametrize("image_shape", [None, (2, 32)], ids=["heat map", "images"])
def test_many_names_in_a_small_plot_do_not_overlap(image_shape: Any) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(3, 2))
    display = WeightsDisplay(weights(64, 30), image_shape=image_shape).plot(ax=ax, max_units=30)
    figure.canvas.draw()
    texts = display.texts_ if image_shape else ax.get_yticklabels()
    boxes = [text.get_window_extent() for text in texts]
    heights = sorted({round(box.y0) for box in boxes})
    assert max(box.height for box in boxes) <= 1.3 * min(np.diff(heights))


def test_the_features_of_a_table() -> None:
    frame = pd.DataFrame({"number": X[:, 0], "category": np.where(X[:, 1] > 0, "a", "b")})
    est = gdfast.TabularClassifier(n_members=1, max_iter=1, random_state=0).fit(frame, Y)
    features = est.encoder_.get_feature_names_out()
    display = WeightsDisplay.from_estimator(est.members_[0], feature_names=features, max_features=1000)
    assert names(display.ax_.yaxis) == list(features)


def test_what_is_no_multilayer_perceptron() -> None:
    rnn = gdfast.RNNClassifier(max_iter=1).fit(X[:, :, None], Y)
    with pytest.raises(ValueError, match="This RNNClassifier is not a feed-forward network"):
        WeightsDisplay.from_estimator(rnn)
    assert WeightsDisplay(rnn.coefs_[0]).plot().im_.get_array().shape == (1, 16)
    with pytest.raises(ValueError, match="This LogisticRegression has no coefs_"):
        WeightsDisplay.from_estimator(LogisticRegression().fit(X, Y))


@pytest.mark.parametrize(
    "shape", [(3, 5), (12,), (12, 1, 1), (-3, -4), (3.0, 4.0), 12, "ab", (), (2, 2, 3, 1)]
)
def test_refused_shapes(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"image_shape must be .* of 12 numbers"):
        WeightsDisplay(np.ones((12, 3)), image_shape=shape).plot()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": np.ones(3)}, r"weights must be numbers of the shape \(n_features, n_units\)"),
        ({"weights": np.ones((0, 3))}, "weights must be numbers of the shape"),
        ({"weights": [["a"]]}, "weights must be numbers of the shape"),
        ({"weights": [[np.nan]]}, "weights must be finite"),
        ({"weights": [[1.0]], "feature_names": ["a", "b"]}, "feature_names has 2 names for 1 features"),
        ({"weights": [[1.0]], "feature_names": ["a"], "image_shape": (1, 1)}, "leave out one of the two"),
    ],
)
def test_refused_weights_and_names(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeightsDisplay(**arguments).plot()


@pytest.mark.parametrize("name", ["max_units", "max_features"])
def test_refused_counts(name: str) -> None:
    for bad, error in ((0, ValueError), (1.5, TypeError), ("a", TypeError)):
        with pytest.raises(error, match=name):
            WeightsDisplay(np.ones((3, 3))).plot(**{name: bad})  # type: ignore[arg-type]
