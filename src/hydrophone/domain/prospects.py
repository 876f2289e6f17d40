"""What a signal says of confirmation, when it is made and when a child pays for its transaction."""

from dataclasses import replace
from typing import Final

from hydrophone.domain.forecast import Forecast, Forecaster
from hydrophone.domain.signal import Signal
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import FeeRate, Txid, UnixMicros, seconds_from_micros

_LIMIT: Final = 3_000
"""# chosen: as many as signals are remembered."""
_RESCUE_FACTOR: Final = 1.01
"""# chosen: a rate is known to about one per cent; less is no rescue."""


class Prospects:
    """Asks for forecasts, and counts what raised a fee.

    Args:
        forecaster: says when a transaction confirms.
    """

    def __init__(self, forecaster: Forecaster) -> None:
        self._forecaster = forecaster
        self._rescues: dict[Txid, int] = {}

    def forecast(
        self, transaction: Transaction, made_at: UnixMicros, detected_at: UnixMicros, bumps: int
    ) -> Forecast | None:
        """Return when a transaction confirms; None while its fee is unknown.

        Args:
            transaction: announced, or its fee became known.
            made_at: when that was.
            detected_at: when the first version of the payment was.
            bumps: how many versions there were before.
        """
        rate = transaction.effective_fee_rate
        if rate is None:
            rate = transaction.fee_rate
        if rate is None:
            return None
        return self._forecaster.forecast(
            transaction.txid,
            rate,
            transaction.weight_wu,
            made_at=made_at,
            age_s=seconds_from_micros(max(0, made_at - detected_at)),
            bumps=bumps,
            is_replacement=bumps > 0,
            is_accelerated=transaction.is_accelerated,
        )

    def rescued(self, signal: Signal, rate_sat_vb: FeeRate, at: UnixMicros) -> Signal | None:
        """Return a signal as it should read now that a child pays; None: it does not gain.

        Args:
            signal: of the parent, as it was said last.
            rate_sat_vb: of both together, as the source says; it never sends the parent's new rate again.
            at: when the child came.
        """
        before = signal.effective_fee_rate_sat_vb
        if before is None:
            before = signal.fee_rate_sat_vb
        if before is None or rate_sat_vb <= before * _RESCUE_FACTOR:
            return None
        rescues = self._rescues.pop(signal.txid, 0) + 1
        self._rescues[signal.txid] = rescues
        if len(self._rescues) > _LIMIT:
            del self._rescues[next(iter(self._rescues))]
        forecast = self._forecaster.forecast(
            signal.txid,
            rate_sat_vb,
            signal.weight_wu,
            made_at=at,
            age_s=seconds_from_micros(max(0, at - signal.detected_at)),
            bumps=len(signal.history) + rescues,
            is_replacement=signal.was_modified,
            is_accelerated=signal.transaction.is_accelerated,
        )
        return replace(
            signal,
            effective_fee_rate_sat_vb=rate_sat_vb,
            urgency_score=forecast.urgency.score,
            urgency_basis=forecast.urgency.basis,
            forecast=forecast,
        )
