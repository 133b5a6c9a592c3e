"""Texts of the arguments in the HTML that notebooks show."""

from __future__ import annotations

import re
from typing import Any

try:
    from sklearn.utils._repr_html.common import get_docstring
except ImportError:  # older versions of scikit-learn show no texts
    get_docstring = None

_NAME = re.compile(r'<td class="param">(\w+)</td>')


class Described:
    """Mixin of estimators and encoders; it comes before scikit-learn's base class.

    scikit-learn shows the texts of arguments where there is a link to documentation on the web. These are
    shown without one.
    """

    def _get_params_html(self, *args: Any, **kwargs: Any) -> Any:
        params: Any = super()._get_params_html(*args, **kwargs)  # type: ignore[misc]
        kind = type(self)
        plain = params._html_repr

        def html() -> str:
            return _NAME.sub(lambda found: _described(kind, found), plain())

        if get_docstring is not None:
            params._html_repr = html
        return params


def _described(kind: type, found: re.Match[str]) -> str:
    name = found[1]
    # Some arguments are described together, as in "beta_1, beta_2 : float".
    together = re.search(rf"^ *((?:\w+, )*{name}(?:, \w+)*) : ", kind.__doc__ or "", re.MULTILINE)
    text = get_docstring(kind, "Parameters", name if together is None else together[1])
    if text is None:
        return found[0]
    # With the classes of scikit-learn's links, for which it brings the style.
    anchor = f"--doc-link-{name};"
    return (
        f'<td class="param"><span class="param-doc-link" style="anchor-name: {anchor}">{name}'
        f'<span class="param-doc-description" style="position-anchor: {anchor}">{text}</span></span></td>'
    )
