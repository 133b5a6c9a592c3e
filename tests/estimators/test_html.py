"""What notebooks show of an estimator."""

from __future__ import annotations

import html
import re
from importlib.util import find_spec
from typing import Any

import gdfast
import pytest
from gdfast import preprocessing
from sklearn.pipeline import make_pipeline

KINDS = [
    gdfast.MLPClassifier,
    gdfast.MLPRegressor,
    gdfast.RNNClassifier,
    gdfast.RNNRegressor,
    gdfast.TabularClassifier,
    gdfast.TabularRegressor,
    *(getattr(preprocessing, name) for name in preprocessing.__all__),
]
HAS_TEXTS = find_spec("sklearn.utils._repr_html.common") is not None


def texts_of(shown: str) -> dict[str, str]:
    """The text of each argument."""
    found = re.findall(r'>\s*(\w+)\s*<span class="param-doc-description"[^>]*>(.*?)</span>', shown, re.DOTALL)
    return {name: html.unescape(text).strip() for name, text in found}


@pytest.mark.skipif(not HAS_TEXTS, reason="this version of scikit-learn shows no texts")
@pytest.mark.parametrize("kind", KINDS)
def test_each_argument_has_its_text(kind: Any) -> None:
    est = kind()
    texts = texts_of(est._repr_html_())
    assert set(texts) == set(est.get_params())
    for name, text in texts.items():
        title, _, rest = text.partition("<br><br>")
        assert re.match(rf"(\w+, )*{name}(, \w+)*: ", title)
        assert len(rest) > 10


@pytest.mark.skipif(not HAS_TEXTS, reason="this version of scikit-learn shows no texts")
def test_texts_within_a_pipeline() -> None:
    texts = texts_of(make_pipeline(preprocessing.RobustClipper(), gdfast.MLPClassifier())._repr_html_())
    assert texts["alpha"].startswith("alpha: float")


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_link_to_a_page_that_does_not_exist(kind: Any) -> None:
    shown = kind()._repr_html_()
    assert kind.__name__ in shown
    assert not re.search(r'<a class="[^"]*doc-link[^"]*"[^>]*href="https://scikit-learn', shown)
