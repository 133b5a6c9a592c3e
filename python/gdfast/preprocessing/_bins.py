"""The edges of the bins of a column of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from gdfast.training.arrays import Array

# Edges by a tree are found on at most this many rows, drawn at random.
_TREE_ROWS = 50_000


def by_quantiles(x: Array, n_bins: int) -> Array:
    """Edges at equally spaced quantiles."""
    return np.unique(np.quantile(x, np.linspace(0, 1, n_bins + 1)))


def by_values(x: Array, n_bins: int) -> Array:
    """A bin for each value that more than ``1 / n_bins`` of the rows have, and quantiles of the others.

    With at most ``n_bins`` distinct values, each has a bin. The edges lie halfway between neighbours.
    """
    values, counts = np.unique(x, return_counts=True)
    if len(values) == 1:
        return values
    frequent = counts > len(x) / n_bins if len(values) > n_bins else np.ones(len(values), bool)
    between = (values[:-1] + values[1:]) / 2
    around = between[frequent[:-1] | frequent[1:]]
    edges = [values[[0, -1]], around]
    others = np.repeat(values[~frequent], counts[~frequent])
    if len(others):
        edges.append(np.quantile(others, np.linspace(0, 1, max(n_bins - int(frequent.sum()), 1) + 1)))
    return np.unique(np.concatenate(edges))


def by_tree(x: Array, y: Array, n_bins: int, min_samples_leaf: int, random_state: Any) -> Array:
    """Edges at the thresholds of a decision tree that predicts y from this column alone.

    Integers are classes: a classification tree; y may have several columns.
    """
    if len(x) > _TREE_ROWS:
        rows = random_state.choice(len(x), _TREE_ROWS, replace=False)
        x, y = x[rows], y[rows]
    kind = DecisionTreeRegressor if y.dtype.kind == "f" else DecisionTreeClassifier
    tree = kind(max_leaf_nodes=n_bins, min_samples_leaf=min_samples_leaf, random_state=0)
    tree.fit(x[:, np.newaxis], y)
    nodes = tree.tree_
    thresholds = nodes.threshold[nodes.feature >= 0]
    return np.unique(np.concatenate([[x.min()], thresholds, [x.max()]]))
