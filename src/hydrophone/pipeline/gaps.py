"""The ledger of gaps: when which source was blind, and how many whales were mined unseen."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from hydrophone.domain.scoring import LEAST_PREDICTIONS
from hydrophone.domain.units import MICROS_PER_S, UnixMicros, format_instant
from hydrophone.pipeline.accuracy import DEFAULT_DAYS, days_of
from hydrophone.pipeline.connection import ConnectionMonitor
from hydrophone.pipeline.ports import BlockCounts, Clock, GapPeriod, StoredGap, StoredGaps

_S_PER_DAY: Final = 86_400
_SHARE_DECIMALS: Final = 6
LEAST_WHALES: Final = LEAST_PREDICTIONS
"""Below, the share of whales that were mined unseen is "insufficient data"."""


class GapDesk:
    """Answers when sources were blind.

    Args:
        query_gaps: reads the gaps of a period.
        monitor: knows of the gap that is open.
        source: whom it follows.
        clock: now.
    """

    def __init__(
        self,
        query_gaps: Callable[[GapPeriod], Awaitable[StoredGaps]],
        *,
        monitor: ConnectionMonitor,
        source: str,
        clock: Clock,
    ) -> None:
        self._query_gaps = query_gaps
        self._monitor = monitor
        self._source = source
        self._clock = clock

    async def answer(self, query: Mapping[str, str]) -> dict[str, object]:
        """Return the gaps of the days that are asked for, counted back from now.

        Raises:
            ConfigError: they are no number of days.
            StoreError: the gaps cannot be read.
        """
        days = days_of(query.get("days"))
        now, monitor = self._clock(), self._monitor
        open_from = monitor.blind_from
        begun_at = UnixMicros(max(0, now - round(days * _S_PER_DAY * MICROS_PER_S)))
        stored = await self._query_gaps(GapPeriod(begun_at, now, open_from))
        open_gap = None
        if open_from is not None and stored.blocks_of_open_gap is not None:
            blocks, reason = stored.blocks_of_open_gap, str(monitor.status)
            ongoing = StoredGap(self._source, reason, open_from, now, monitor.text, blocks)
            open_gap = {**_gap(ongoing), "ended_at": None}
        return {
            "days": days,
            "from": format_instant(stored.begun_at),
            "to": format_instant(now),
            "simulated": monitor.is_simulated,
            **_totals(stored, now),
            "open_gap": open_gap,
            "gaps": [_gap(gap) for gap in stored.gaps],
            "gaps_left_off": stored.gap_count - len(stored.gaps),
        }

    async def summary(self) -> dict[str, object]:
        """Return the totals of the days that history is kept for."""
        left_out = ("gaps", "gaps_left_off", "open_gap", "from", "to", "simulated")
        found = await self.answer({"days": str(DEFAULT_DAYS)})
        return {key: value for key, value in found.items() if key not in left_out}


def _totals(stored: StoredGaps, now: UnixMicros) -> dict[str, Any]:
    period_s = (now - stored.begun_at) / MICROS_PER_S
    n, unseen = stored.blocks.whales, stored.blocks.unseen
    if n < LEAST_WHALES:
        rate: dict[str, object] = {"n": n, "insufficient_data": True}
    else:
        rate = {"n": n, "value": round(unseen / n, _SHARE_DECIMALS)}
    return {
        "period_s": round(period_s, 3),
        "blind_s": round(stored.blind_s, 3),
        "blind_share": round(stored.blind_s / period_s, _SHARE_DECIMALS) if period_s > 0 else None,
        "gap_count": stored.gap_count,
        **_counts(stored.blocks),
        "blind_spot_rate": rate,
    }


def _gap(gap: StoredGap) -> dict[str, Any]:
    return {
        "source": gap.source,
        "reason": gap.reason,
        "started_at": format_instant(gap.started_at),
        "ended_at": format_instant(gap.ended_at),
        "duration_s": (gap.ended_at - gap.started_at) / MICROS_PER_S,
        "detail": gap.detail,
        **_counts(gap.blocks),
    }


def _counts(counts: BlockCounts) -> dict[str, int | None]:
    """Return counts for JSON; of blocks nobody has read there are no whales to count."""
    is_known = counts.read > 0
    return {
        "blocks": counts.blocks,
        "blocks_read": counts.read,
        "whales_mined": counts.whales if is_known else None,
        "whales_unseen": counts.unseen if is_known else None,
    }
