from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.contributions import contributions_of
from hydrophone.domain.flow import FlowValues, classify_flow
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import Sats, Txid, WeightUnits
from tests.builders import wpkh
from tests.explained import BINANCE, BOOK, BTC, KRAKEN, POOL, taproot

SCRIPTS = st.sampled_from([KRAKEN, BINANCE, POOL, taproot(1), *(wpkh(number) for number in range(8))])
OUTPUTS = st.builds(Output, SCRIPTS, st.integers(0, 5_000 * BTC).map(Sats))


@st.composite
def transactions(draw: st.DrawFn) -> Transaction:
    spent = draw(st.lists(st.none() | OUTPUTS, min_size=1, max_size=9))
    paid = draw(st.lists(OUTPUTS, min_size=1, max_size=14))
    inputs = [Input(OutPoint(Txid("ab" * 32), index), 0, prevout) for index, prevout in enumerate(spent)]
    return Transaction(Txid("cd" * 32), tuple(inputs), tuple(paid), WeightUnits(400))


def parts_of(values: FlowValues) -> tuple[int, ...]:
    return (
        values.inflow_sat,
        values.outflow_sat,
        values.internal_sat,
        values.interexchange_sat,
        values.unknown_sat,
    )


@given(transactions())
def test_what_the_outputs_add_sums_to_the_values_up_to_a_satoshi_each(tx: Transaction) -> None:
    flow = classify_flow(tx, BOOK)
    contributions = contributions_of(tx, flow)
    assert len(contributions) == len(tx.outputs)
    added = zip(*(parts_of(part.values) for part in contributions), strict=True)
    for total, parts in zip(parts_of(flow.values), added, strict=True):
        assert abs(sum(parts) - total) <= len(tx.outputs) + 1


@given(transactions())
def test_what_an_output_adds_is_its_value_net_of_change_and_no_more_than_its_value(tx: Transaction) -> None:
    flow = classify_flow(tx, BOOK)
    for part, output, change in zip(contributions_of(tx, flow), tx.outputs, flow.change, strict=True):
        assert sum(parts_of(part.values)) == part.net_sat
        assert 0 <= part.net_sat <= output.value_sat
        assert abs(part.net_sat - output.value_sat * (1 - change)) <= 1


def test_without_prevouts_each_output_is_unknown_in_full() -> None:
    outputs = (Output(BINANCE, Sats(7 * BTC)), Output(wpkh(1), Sats(3)))
    tx = Transaction(Txid("cd" * 32), (Input(OutPoint(Txid("ab" * 32), 0), 0),), outputs, WeightUnits(400))
    parts = contributions_of(tx, classify_flow(tx, BOOK))
    assert [parts_of(part.values) for part in parts] == [(0, 0, 0, 0, 7 * BTC), (0, 0, 0, 0, 3)]
