from collections.abc import Callable

import pytest

from hydrophone.domain.feemarket import RateProfile
from hydrophone.domain.forecast import ACCELERATED_SHARE, Forecast, Forecaster, Work
from hydrophone.domain.units import MICROS_PER_S, Height, UnixMicros
from hydrophone.domain.urgency import UrgencyBasis
from tests.builders import START, txid_of

PROFILE = RateProfile(3_000_000, (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 40.0))


def at(seconds: float) -> UnixMicros:
    return UnixMicros(round(START + seconds * MICROS_PER_S))


def hear(forecaster: Forecaster, seconds: float, rate: float = 5.0) -> None:
    """Hear a frame with a transaction and what waits."""
    forecaster.note_time(at(seconds))
    forecaster.note_market([rate], [800], [PROFILE], at(seconds))


def block(forecaster: Forecaster, height: int, seconds: float) -> bool:
    return forecaster.note_block(
        Height(height), txid_of(height), at(seconds), found_at=at(seconds), profile=PROFILE
    )


def ask(forecaster: Forecaster, rate: float = 5.0, weight_wu: int = 800, **more: float) -> Forecast:
    return forecaster.forecast(txid_of("asked"), rate, weight_wu, made_at=at(0), **more)  # type: ignore[arg-type]


def informed() -> Forecaster:
    forecaster = Forecaster()
    block(forecaster, 900_000, 0)
    for second in range(0, 62, 2):
        hear(forecaster, second)
    return forecaster


def test_nothing_is_estimated_before_a_block_and_a_market_were_seen() -> None:
    forecaster = Forecaster()
    hear(forecaster, 0)
    hear(forecaster, 2)
    blind = ask(forecaster)
    assert blind.estimate is None
    assert blind.market is None
    assert blind.model_state is None
    assert blind.urgency.basis is UrgencyBasis.FALLBACK_CURVE
    block(forecaster, 900_000, 3)
    hear(forecaster, 4)
    hear(forecaster, 6)
    seeing = ask(forecaster)
    assert seeing.estimate is not None
    assert seeing.urgency.basis is UrgencyBasis.FEE_MARKET
    assert seeing.model_state == forecaster.state.state_id
    assert not seeing.is_calibrated


def test_a_forecast_says_what_market_it_was_computed_from() -> None:
    view = ask(informed(), 5.0).market
    assert view is not None
    assert view.tip == 900_000
    assert view.waiting_wu > view.ahead_wu > 0
    assert view.marginal_rate_sat_vb is not None
    assert view.overpay is not None
    assert view.overpay > 4


def test_a_heavy_transaction_is_computed_for_itself() -> None:
    light, heavy = ask(informed(), 3.0, 800).estimate, ask(informed(), 3.0, 390_000).estimate
    assert light is not None
    assert heavy is not None
    assert heavy.by_block[0] < light.by_block[0]


def test_an_old_payment_is_in_the_templates_already() -> None:
    young, old = ask(informed(), 30.0).estimate, ask(informed(), 30.0, age_s=600).estimate
    assert young is not None
    assert old is not None
    assert old.by_block[0] > young.by_block[0]


def test_some_miners_take_what_was_accelerated_whatever_it_pays() -> None:
    plain, accelerated = ask(informed(), 0.1).estimate, ask(informed(), 0.1, is_accelerated=True).estimate
    assert plain is not None
    assert accelerated is not None
    share = accelerated.by_block[0] - plain.by_block[0]
    assert share == pytest.approx(ACCELERATED_SHARE * (1 - plain.by_block[0]), rel=0.05)


def test_after_a_gap_nothing_is_estimated_until_the_market_is_told_again() -> None:
    forecaster = informed()
    forecaster.go_blind(at(62), at(100))
    assert ask(forecaster).estimate is None
    hear(forecaster, 101)
    hear(forecaster, 103)
    assert ask(forecaster).estimate is not None


def test_the_chance_is_drawn_anew_with_each_block_and_only_then() -> None:
    forecaster = informed()
    first = ask(forecaster, 5.0).estimate
    assert first == ask(forecaster, 5.0).estimate
    block(forecaster, 900_001, 63)
    hear(forecaster, 64)
    hear(forecaster, 66)
    second = ask(forecaster, 5.0).estimate
    assert second is not None
    assert second.tip == 900_001
    assert first is not None
    assert first.by_block != second.by_block


def test_where_and_when_tables_are_computed_changes_nothing() -> None:
    """Live they are computed in a thread that may be late; in a replay at once."""
    waiting: list[Work] = []

    def put_off(work: Work) -> Callable[[], object]:
        waiting.append(work)
        return work

    late, prompt = Forecaster(run=put_off), Forecaster()  # type: ignore[arg-type]
    for forecaster in (late, prompt):
        block(forecaster, 900_000, 0)
    for tenth in range(100):
        for forecaster in (late, prompt):
            hear(forecaster, tenth / 10, rate=1.0 + tenth)
        assert ask(late, 6.0) == ask(prompt, 6.0)
    assert 5 <= len(waiting) <= 11  # about one in a second


def test_after_a_block_it_is_forecast_for_later_ones_from_what_it_should_have_left() -> None:
    forecaster = informed()
    before = ask(forecaster, 5.0)
    block(forecaster, 900_001, 63)
    forecaster.note_time(at(63))
    after = ask(forecaster, 5.0)
    assert before.market is not None
    assert after.market is not None
    assert after.estimate is not None
    assert after.market.tip == after.estimate.tip == 900_001
    assert after.estimate.predicted_block == 900_002
    assert (before.market.ahead_wu > 0, after.market.ahead_wu) == (True, 0), "the block took it all"


def test_a_table_that_was_asked_for_before_a_block_is_of_no_use_after_it() -> None:
    forecaster = informed()
    hear(forecaster, 64)
    block(forecaster, 900_001, 64.1)
    forecaster.note_time(at(65))
    estimate = ask(forecaster).estimate
    assert estimate is not None
    assert estimate.tip == 900_001


def test_a_list_of_old_blocks_takes_nothing_out_of_what_waits() -> None:
    forecaster = informed()
    market = forecaster.market
    assert market is not None
    for height in range(899_995, 900_001):
        block(forecaster, height, 63)
        assert forecaster.market is not None
        assert forecaster.market.tip == height
        assert forecaster.market.waiting_wu == market.waiting_wu


def test_a_market_that_nobody_renews_is_forgotten() -> None:
    forecaster = informed()
    for second in range(62, 130, 2):
        forecaster.note_time(at(second))
        forecaster.note_market([5.0], [800], None, at(second))
        assert (ask(forecaster).estimate is None) == (second >= 122)
    hear(forecaster, 130)
    hear(forecaster, 132)
    assert ask(forecaster).estimate is not None


def test_while_nothing_changes_a_market_does_not_get_old() -> None:
    forecaster = informed()
    forecaster.note_time(at(3_600))
    assert ask(forecaster).estimate is not None


def test_a_clock_that_is_set_back_does_not_keep_the_old_market() -> None:
    forecaster = informed()
    hear(forecaster, 64)
    hear(forecaster, -3_000)
    hear(forecaster, -2_998)
    market = forecaster.market
    assert market is not None
    assert market.at == at(-3_000)


def test_nobody_waits_for_a_table_before_it_has_had_time() -> None:
    fetched: list[float] = []
    now = 0.0

    def run(work: Work) -> Callable[[], object]:
        def fetch() -> object:
            fetched.append(now)
            return work()

        return fetch

    forecaster = Forecaster(run=run)  # type: ignore[arg-type]
    block(forecaster, 900_000, 0)
    for tenth in range(31):
        now = tenth / 10
        if tenth == 20:
            block(forecaster, 900_001, now)
        hear(forecaster, now)
    assert fetched == [0.5, 1.5, 2.5], "half a second after each was asked for, also after a block"


def test_a_forecast_says_when_it_was_made() -> None:
    assert ask(informed()).made_at == ask(Forecaster()).made_at == at(0)


def test_a_block_is_learned_from_once() -> None:
    forecaster = informed()
    before = forecaster.state.state_id
    assert block(forecaster, 900_001, 600)
    assert forecaster.state.state_id != before or forecaster.state.scored_blocks == 0
    assert not block(forecaster, 900_001, 601)


def test_what_was_learned_is_restored() -> None:
    forecaster = informed()
    txid = txid_of("mined")
    forecaster.forecast(txid, 30.0, 800, made_at=at(0))
    forecaster.note_block(Height(900_001), txid_of(1), at(600), profile=PROFILE, mined=[txid])
    other = Forecaster()
    other.restore(forecaster.state)
    assert other.state.scored_blocks == 1
    assert other.state.state_id == forecaster.state.state_id
