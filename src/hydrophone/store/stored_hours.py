"""Reads the counts by hour: what exchanges received and sent, and what was predicted."""

from datetime import datetime
from typing import Any, Final

import duckdb

from hydrophone.domain.units import (
    UnixMicros,
    btc_from_sats,
    datetime_from_micros,
    format_instant,
    micros_from_datetime,
)
from hydrophone.store.stored_predictions import naive, spellings_of
from hydrophone.wire.rest_queries import NetflowQuery, StatisticsQuery
from hydrophone.wire.rest_v1 import NetflowPageV1, NetflowV1, PeriodV1, StatisticsV1, SurenessV1

_PERIODS: Final = {"daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter"}
_NETFLOW: Final = """
    SELECT start, exchange, simulated, net, rn, rc, rl, ru, sn, sc, sl, su FROM (
        SELECT date_trunc($interval, hour)::TIMESTAMP AS start, exchange, simulated, sum(net_sat) AS net,
            sum(received_n) AS rn, sum(received_certain_sat) AS rc, sum(received_likely_sat) AS rl,
            sum(received_unknown_sat) AS ru, sum(sent_n) AS sn, sum(sent_certain_sat) AS sc,
            sum(sent_likely_sat) AS sl, sum(sent_unknown_sat) AS su
        FROM exchange_hours
        WHERE ($exchanges IS NULL OR list_contains($exchanges::TEXT[], exchange))
            AND ($begin IS NULL OR hour >= date_trunc('hour', $begin::TIMESTAMP))
            AND ($end IS NULL OR hour < $end::TIMESTAMP)
        GROUP BY ALL
    )
    WHERE $start IS NULL OR start < $start::TIMESTAMP OR (start = $start::TIMESTAMP AND
        (exchange > $after OR (exchange = $after AND simulated > $after_simulated)))
    ORDER BY start DESC, exchange, simulated LIMIT $most
"""
_STATISTICS: Final = """
    SELECT date_trunc($period, hour)::DATE AS start, flow_type, simulated, sum(n), sum(open), sum(confirmed),
        sum(replaced), sum(dropped), sum(gross_sat), sum(moved_sat), sum(inflow_sat), sum(outflow_sat),
        sum(fee_sat)
    FROM prediction_hours
    WHERE ($begin IS NULL OR hour >= date_trunc('hour', $begin::TIMESTAMP))
        AND ($end IS NULL OR hour < $end::TIMESTAMP)
    GROUP BY ALL ORDER BY start DESC, flow_type, simulated LIMIT $most
"""


def read_netflow(connection: duckdb.DuckDBPyConnection, query: NetflowQuery) -> NetflowPageV1:
    """Return a page of what exchanges received and sent.

    Args:
        connection: to read by.
        query: which.
    """
    start: datetime | None = None
    after, after_simulated = "", False
    if isinstance(query.cursor, str):
        micros, name, flag = query.cursor.split(".")
        start = datetime_from_micros(UnixMicros(int(micros))).replace(tzinfo=None)
        after, after_simulated = bytes.fromhex(name).decode(errors="replace"), flag == "1"
    rows = connection.execute(
        _NETFLOW,
        {
            "interval": query.interval,
            "exchanges": spellings_of(connection, query.exchange),
            "begin": naive(query.from_),
            "end": naive(query.to),
            "start": start,
            "after": after,
            "after_simulated": after_simulated,
            "most": query.limit + 1,
        },
    ).fetchall()
    page = rows[: query.limit]
    cursor = None
    if len(rows) > query.limit:
        last, exchange, simulated = page[-1][:3]
        cursor = f"{micros_from_datetime(last)}.{exchange.encode().hex()}.{int(simulated)}"
    return NetflowPageV1(interval=query.interval, data=[_netflow(*row) for row in page], next_cursor=cursor)


def read_statistics(connection: duckdb.DuckDBPyConnection, query: StatisticsQuery) -> StatisticsV1:
    """Return what was predicted by period and direction, the newest periods first.

    Args:
        connection: to read by.
        query: which.
    """
    rows = connection.execute(
        _STATISTICS,
        {
            "period": _PERIODS[query.period],
            "begin": naive(query.from_),
            "end": naive(query.to),
            "most": query.limit + 1,
        },
    ).fetchall()
    page, left_off = rows[: query.limit], len(rows) > query.limit
    if left_off:  # half of a period would look like a whole one
        cut = rows[query.limit][0]
        page = [row for row in page if row[0] != cut] or page
    return StatisticsV1(period=query.period, data=[_period(*row) for row in page], left_off=left_off)


def _netflow(start: datetime, exchange: str, simulated: bool, net: int, *counts: int) -> NetflowV1:  # noqa: FBT001 -- a row
    return NetflowV1(
        start=format_instant(micros_from_datetime(start)),
        exchange=exchange,
        simulated=simulated,
        net_btc=btc_from_sats(int(net)),
        net_sat=int(net),
        received=_sureness(*counts[:4]),
        sent=_sureness(*counts[4:]),
    )


def _sureness(n: int, certain: int, likely: int, unknown: int) -> SurenessV1:
    certain_sat, likely_sat, unknown_sat = int(certain), int(likely), int(unknown)
    return SurenessV1(
        btc_from_sats(certain_sat),
        certain_sat,
        btc_from_sats(likely_sat),
        likely_sat,
        btc_from_sats(unknown_sat),
        unknown_sat,
        int(n),
    )


def _period(start: Any, flow_type: str, simulated: bool, *counts: Any) -> PeriodV1:  # noqa: ANN401, FBT001 -- a row
    n, is_open, confirmed, replaced, dropped, gross, moved, inflow, outflow, fee = map(int, counts)
    return PeriodV1(
        start=start.isoformat(),
        flow_type=flow_type,
        simulated=simulated,
        n=n,
        open=is_open,
        confirmed=confirmed,
        replaced=replaced,
        dropped=dropped,
        gross_btc=btc_from_sats(gross),
        gross_sat=gross,
        moved_btc=btc_from_sats(moved),
        moved_sat=moved,
        inflow_btc=btc_from_sats(inflow),
        inflow_sat=inflow,
        outflow_btc=btc_from_sats(outflow),
        outflow_sat=outflow,
        fee_btc=btc_from_sats(fee),
        fee_sat=fee,
    )
