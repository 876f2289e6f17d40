"""A store that is open."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hydrophone.store.duckdb_store import DuckDbStore
from tests.unit.store.written import address_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[DuckDbStore]:
    store = DuckDbStore(path, address_of=address_of)
    await store.open()
    yield store
    await store.close()
