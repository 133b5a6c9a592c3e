"""Optimizers for NumPy arrays, in place, with the names and defaults of PyTorch.

`step` updates an array, or all arrays of a list, with one call into the compiled core. The same objects can
be passed as `solver=` to the estimators and as `method=` to `gdfast.minimize`, which copy them and never
change them. `init` and `update` do the same step with a state that the caller keeps.

Results are bitwise identical for any number of threads; the GIL is released during a step. This does not
hold for the rules that see whole gradients (`KFAC`, `Muon`, `Prodigy`, `SOAP`, `ScheduleFree`): they are
Python over NumPy, and the bits of its products of matrices are those of BLAS.

Examples
--------
>>> import numpy as np
>>> from gdfast import optim
>>> weights = [np.ones((2, 3)), np.ones(3)]
>>> optimizer = optim.Adam(lr=0.125)
>>> optimizer.step(weights, [np.full((2, 3), 5.0), np.array([1.0, 0.0, -1.0])])
>>> weights[1].round(6)
array([0.875, 1.   , 1.125])
>>> optimizer
Adam(lr=0.125, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.0, amsgrad=False, eps_mode='outside')
"""

from __future__ import annotations

from gdfast.optim._adam import Adam, Adamax, AdamW, NAdam
from gdfast.optim._adaptive import Adadelta, Adagrad, RMSprop
from gdfast.optim._base import Optimizer
from gdfast.optim._kfac import KFAC
from gdfast.optim._muon import Muon
from gdfast.optim._prodigy import Prodigy
from gdfast.optim._schedule_free import ScheduleFree
from gdfast.optim._sgd import SGD
from gdfast.optim._sign import Lion, Rprop
from gdfast.optim._soap import SOAP

__all__ = [
    "KFAC",
    "SGD",
    "SOAP",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "NAdam",
    "Optimizer",
    "Prodigy",
    "RMSprop",
    "Rprop",
    "ScheduleFree",
]


def __dir__() -> list[str]:
    return list(__all__)
