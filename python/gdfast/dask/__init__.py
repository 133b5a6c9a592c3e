"""Networks on a Dask cluster: training where the partitions lie, lazy prediction.

``DaskMLPClassifier`` and ``DaskMLPRegressor`` are :class:`gdfast.MLPClassifier` and
:class:`gdfast.MLPRegressor` for arrays and frames of Dask, with the same arguments. They train by local SGD:
local models take steps on partitions, and are averaged after every round. They need Dask:
``pip install gdfast[dask]``.
"""

from gdfast.dask._estimators import DaskMLPClassifier, DaskMLPRegressor

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor"]


def __dir__() -> list[str]:
    return list(__all__)
