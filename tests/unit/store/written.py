"""Writes to a store, and reads what its file then holds."""

from datetime import datetime
from typing import Any

import duckdb

from hydrophone.domain.events import (
    Effect,
)
from hydrophone.domain.forecast import MarketView
from hydrophone.domain.units import FeeRate, Height
from hydrophone.store.duckdb_store import DuckDbStore
from tests.contract.fake_store import (
    T0,
    publication,
)

VIEW = MarketView(
    at=T0,
    tip=Height(800),
    tau_s=600.0,
    waiting_wu=1e6,
    ahead_wu=5.5,
    inflow_wu_s=0.25,
    marginal_rate_sat_vb=FeeRate(1.5),
    overpay=2.0,
)


def address_of(script: bytes) -> str | None:
    """Stand in for the network: scripts of witness version 0 have an address, others none."""
    return f"bc1q{script[2:].hex().lstrip('0')}" if script.startswith(b"\x00") else None


async def commit(store: DuckDbStore, *effects: Effect, first_seq: int = 1) -> None:
    await store.commit([publication(seq, effect) for seq, effect in enumerate(effects, start=first_seq)])


async def rows(store: DuckDbStore, sql: str) -> list[dict[str, Any]]:
    """Close the store and return what a query finds in its file."""
    await store.close()
    with duckdb.connect(store._path) as connection:
        result = connection.execute(sql)
        columns = [column[0] for column in result.description]
        return [dict(zip(columns, values, strict=True)) for values in result.fetchall()]


async def prediction(store: DuckDbStore) -> dict[str, Any]:
    [row] = await rows(store, "SELECT * FROM mempool_predictions")
    return row


def at(seconds: float, micros: int = 99_989) -> datetime:
    """Return the stored form of `later(seconds)`."""
    return datetime(2026, 11, 22, 8, 51 + int(seconds // 60), 2 + int(seconds % 60), micros)  # noqa: DTZ001 -- as stored
