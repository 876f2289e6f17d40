"""The backend's statistics of the last two hours: a point each minute, and two with each block."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from typing import Final

from hydrophone.simulator.backend.js_text import dump
from hydrophone.simulator.backend.transactions import Record

INTERVAL_S: Final = 60
_SPAN_S: Final = 2 * 3600
_LEVELS_SAT_VB: Final = (
    0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 50, 60, 70, 80, 90, 100, 125, 150, 175, 200, 250, 300,
    350, 400, 500, 600, 700, 800, 900, 1000, 1200, 1400, 1600, 1800, 2000,
)  # fmt: skip
"""Sources: mempool.space backend, statistics.ts; agrees with the 39 sizes of the recordings."""


class History:
    """Points of the mempool's past."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, str]] = deque()

    def add(
        self, now: float, records: Iterable[Record], *, vbytes_per_second: int, min_fee_sat_vb: float
    ) -> str:
        """Add a point and return it as JSON.

        Args:
            now: seconds.
            records: what waits.
            vbytes_per_second: what came lately.
            min_fee_sat_vb: what the node asks at least.
        """
        sizes = [0] * len(_LEVELS_SAT_VB)
        count = fee_sat = 0
        for record in records:
            count += 1
            fee_sat += record.transaction.fee_sat
            sizes[bisect_right(_LEVELS_SAT_VB, record.rate_sat_vb) - 1] += record.vsize
        point = dump(
            {
                "added": int(now),
                "count": count,
                "vbytes_per_second": vbytes_per_second if count else 0,
                "mempool_byte_weight": 4 * sum(sizes),
                "total_fee": fee_sat,
                "min_fee": min_fee_sat_vb if count else 0,
                "vsizes": sizes,
            }
        )
        self._points.append((now, point))
        while self._points[0][0] < now - _SPAN_S:
            self._points.popleft()
        return point

    def listed(self) -> str:
        """Return all points as JSON, the latest first."""
        return "[" + ",".join([point for _, point in reversed(self._points)]) + "]"
