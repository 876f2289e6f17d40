from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.confirmation import DEPTH, ConfirmationEstimate
from hydrophone.domain.forecast import Forecast, MarketView
from hydrophone.domain.units import FeeRate, Height, UnixMicros
from hydrophone.domain.urgency import Urgency, UrgencyBasis, fallback_urgency
from hydrophone.store.forecasts import forecast_of_row
from hydrophone.store.rows import Row, row_of_signal
from tests.builders import START
from tests.contract.fake_store import whale

VIEW = MarketView(UnixMicros(START), Height(800), 600.0, 1e6, 5.5, 0.25, FeeRate(1.5), 2.0)
URGENCY = Urgency(0.5, UrgencyBasis.FEE_MARKET, "a reason", 2.0)
curves = st.lists(st.floats(min_value=0, max_value=1), min_size=DEPTH, max_size=DEPTH).map(
    lambda steps: tuple(accumulate(sorted(steps), max))
)


def row_of(forecast: Forecast | None) -> Row:
    signal = replace(whale(), forecast=forecast, urgency_score=0.5)
    if forecast is not None:
        signal = replace(signal, urgency_basis=forecast.urgency.basis, urgency_score=forecast.urgency.score)
    return row_of_signal(signal, lambda script: script.hex())


@given(curves)
def test_all_that_was_published_is_read_back(curve: tuple[float, ...]) -> None:
    estimate = ConfirmationEstimate(Height(800), curve, 0.1, 0.2, 500.5, None)
    said = Forecast(URGENCY, estimate, VIEW, "2-abc", is_calibrated=True, made_at=UnixMicros(START + 5))
    signal = replace(whale(), forecast=said)
    read = forecast_of_row(row_of(said), signal.flow.confidence)
    assert read is not None
    assert read.estimate is not None
    assert replace(read, estimate=estimate) == said
    assert read.estimate.p_confirm == estimate.p_confirm
    assert read.estimate.predicted_block == estimate.predicted_block
    assert read.estimate.by_block == tuple(sorted(read.estimate.by_block))
    assert replace(signal, forecast=read).confidence_score == pytest.approx(signal.confidence_score)


def test_an_urgency_without_a_market_is_read_back() -> None:
    urgency = fallback_urgency(5.0)
    assert forecast_of_row(row_of(Forecast(urgency)), 0.9) == Forecast(urgency)


def test_where_nothing_was_forecast_nothing_is_read() -> None:
    assert forecast_of_row(row_of(None), 0.9) is None
