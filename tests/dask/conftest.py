from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

# What a cluster says in its logs when workers go is no failure.
for name in ("distributed", "distributed.nanny", "distributed.scheduler"):
    logging.getLogger(name).setLevel(logging.CRITICAL)


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """A cluster of two workers within this process, which is there at once."""
    distributed = pytest.importorskip("distributed")
    with distributed.Client(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as c:
        yield c
