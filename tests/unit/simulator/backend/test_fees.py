import json

import pytest

from hydrophone.simulator.backend.fees import NO_FEES, ProjectedFees, fee_statistics, recommended_fees


def test_the_range_is_that_of_the_recording() -> None:
    """The first mempool of mempool-esplora: twenty payments."""
    rates = [21.11] * 2 + [13.07] + [8.04] * 6 + [8.0] + [2.01] * 4 + [1.0] * 6
    statistics = fee_statistics(rates, [561] * 20)
    assert statistics.range_sat_vb == (1.0, 1.0, 1.0, 2.01, 8.04, 13.07, 21.11)


def test_unused_space_counts_as_free() -> None:
    assert fee_statistics([10.0, 5.0], [561, 561]).median_sat_vb == 0
    assert fee_statistics([10.0, 5.0], [1_500_000, 1_500_000]).median_sat_vb == 5


def test_the_median_of_a_full_block_is_in_its_middle() -> None:
    assert fee_statistics([float(rate) for rate in range(400, 0, -1)], [10_000] * 400).median_sat_vb == 200.5


def test_no_transactions_have_no_fees() -> None:
    assert fee_statistics([], []) == NO_FEES


@pytest.mark.parametrize(
    ("blocks", "is_precise", "expected"),
    [
        ([], True, [1, 0.5, 0.1, 0.1, 0.1]),
        ([], False, [1, 1, 1, 1, 1]),
        ([ProjectedFees(20_000, 0)], True, [1, 0.5, 0.1, 0.1, 0.1]),
        ([ProjectedFees(998_000, 12.3), ProjectedFees(998_000, 8), ProjectedFees(998_000, 4),
          ProjectedFees(998_000, 2)], False, [13, 11, 8, 2, 1]),
        ([ProjectedFees(750_000, 10)], False, [5, 1, 1, 1, 1]),
    ],
)  # fmt: skip
def test_what_is_recommended(blocks: list[ProjectedFees], is_precise: bool, expected: list[float]) -> None:
    fees = json.loads(recommended_fees(blocks, min_sat_vb=0.1, is_precise=is_precise))
    assert list(fees) == ["fastestFee", "halfHourFee", "hourFee", "economyFee", "minimumFee"]
    assert list(fees.values()) == expected
