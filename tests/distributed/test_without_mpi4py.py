from __future__ import annotations

import sys

import pytest
from gdfast.distributed import mpi


def test_without_mpi4py(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r"pip install gdfast\[mpi\]"), mpi():
        pass
