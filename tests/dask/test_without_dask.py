"""Without Dask: what needs it says how to install it, and nothing else needs it."""

from __future__ import annotations

import os
import subprocess
import sys

# A finder that knows no Dask, as if it were not installed.
WITHOUT = """
import sys

class NoDask:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("dask", "distributed"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoDask())
"""


def run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error", "-c", WITHOUT + code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_error_names_the_extra() -> None:
    printed = run("""
import numpy as np
from gdfast.dask import DaskMLPClassifier

clf = DaskMLPClassifier()
for use in (lambda: clf.fit(np.ones((2, 2)), [0, 1]), lambda: clf.client):
    try:
        use()
    except ImportError as error:
        print(error)
""")
    assert (
        printed.splitlines()
        == ["gdfast.dask needs distributed. Install it by `pip install gdfast[dask]`."] * 2
    )


def test_data_in_memory_need_no_dask() -> None:
    printed = run("""
import numpy as np
from gdfast import MLPRegressor
from gdfast.dask import DaskMLPRegressor

X = np.random.default_rng(0).normal(size=(50, 2))
local = MLPRegressor(max_iter=500, tol=0.1, random_state=0).fit(X, X[:, 0])
est = DaskMLPRegressor()
vars(est).update({name: value for name, value in vars(local).items() if name.endswith("_")})
assert (est.predict(X) == local.predict(X)).all()
""")
    assert printed == ""


def test_importing_loads_no_dask() -> None:
    printed = run("""
import gdfast.dask
import gdfast.estimators

print([name for name in sys.modules if name.partition(".")[0] in ("dask", "distributed")])
""")
    assert printed == "[]\n"
