import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydrophone.domain.events import (
    BlockConnected,
    Event,
    GapFound,
    GapReason,
    MarketChanged,
    Package,
    Replaced,
    Source,
    TransactionSeen,
    TransactionsLeft,
    WaitingWhale,
    WhalesWaiting,
)
from hydrophone.domain.feemarket import RateProfile
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import MAX_MONEY_SAT, FeeRate, Height, Sats, UnixMicros
from hydrophone.errors import MalformedMessage
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.esplora import encode_esplora_transaction, parse_esplora_transaction
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.quarantine import Quarantine
from hydrophone.wire.recording import parse_recorded_frame
from tests.builders import (
    SOURCE,
    START,
    Json,
    answered,
    block_json,
    mempool_json,
    opened,
    output_json,
    received,
    to_bytes,
    transaction_json,
    txid_of,
    wpkh,
)
from tests.flows import any_transactions
from tests.recorded import EXCERPT

THRESHOLD_SAT = Sats(100 * 100_000_000)
WHALE_SAT = THRESHOLD_SAT + 1
NO_PREVOUTS = Path(__file__).parents[2] / "recordings" / "mempool-none.jsonl.gz"


class Ears:
    """A decoder with its quarantine."""

    def __init__(self) -> None:
        self.quarantine = Quarantine()
        self.decoder = MempoolSpaceDecoder(
            source=SOURCE, threshold_sat=THRESHOLD_SAT, quarantine=self.quarantine
        )

    def hear(self, *frames: Frame) -> list[Event]:
        """Return what is said of whales, blocks and gaps."""
        return [event for event in self.hear_all(*frames) if not isinstance(event, MarketChanged)]

    def hear_all(self, *frames: Frame) -> list[Event]:
        return [event for frame in frames for event in self.decoder.decode(frame)]

    def hear_market(self, *frames: Frame) -> list[MarketChanged]:
        return [event for event in self.hear_all(*frames) if isinstance(event, MarketChanged)]


@pytest.fixture
def ears() -> Ears:
    return Ears()


def after(micros: int) -> UnixMicros:
    return UnixMicros(START + micros)


def seen(events: list[Event]) -> list[str]:
    return [event.transaction.txid for event in events if isinstance(event, TransactionSeen)]


def gaps(events: list[Event]) -> list[GapFound]:
    return [event for event in events if isinstance(event, GapFound)]


# --- the fee market

RANGE = [0.1, 0.5, 1, 2, 3.5, 5, 40]
PROJECTED: Json = {
    "blockSize": 9,
    "blockVSize": 250.5,
    "nTx": 2,
    "totalFees": 7,
    "medianFee": 0,
    "feeRange": RANGE,
}


def projected_json(blocks: object) -> Json:
    return {"mempool-blocks": blocks}


def test_what_comes_is_two_numbers_to_the_market(ears: Ears) -> None:
    added = [
        transaction_json("a", [5], effectiveFeePerVsize=14.5, weight=400),
        transaction_json("b", [5], fee_sat=1_000, weight=800),
        transaction_json("c", [5], weight=800) | {"fee": None},
    ]
    first, second = ears.hear_market(
        received(mempool_json(1)), received(mempool_json(2, added=added), after(7))
    )
    assert (first.rates_sat_vb, first.projected) == ([], None)
    assert second.at == after(7)
    assert second.rates_sat_vb == [14.5, 5.0, 0.0]
    assert second.weights_wu == [400, 800, 800]


@pytest.mark.parametrize("opening", ["start", "jump", "reset"])
def test_what_is_announced_after_a_break_may_have_waited_for_long(opening: str, ears: Ears) -> None:
    ears.hear(received(mempool_json(5)))
    frames = {
        "start": [opened(), received(mempool_json(6, added=[transaction_json("a", [5])]))],
        "jump": [received(mempool_json(9, added=[transaction_json("a", [5])]))],
        "reset": [received(mempool_json(1, added=[transaction_json("a", [5])]))],
    }[opening]
    [market] = ears.hear_market(*frames)
    assert market.rates_sat_vb == []


def test_the_market_is_the_last_that_a_frame_tells(ears: Ears) -> None:
    whale, told = transaction_json("whale", [WHALE_SAT]), projected_json([PROJECTED])
    *_, last = ears.hear_all(received(mempool_json(added=[whale], mined=["x"], block=block_json(7), **told)))
    assert isinstance(last, MarketChanged)
    assert last.projected == (RateProfile(1_002.0, tuple(RANGE)),)


def test_projected_blocks_are_heard_without_a_change_of_the_mempool(ears: Ears) -> None:
    [market] = ears.hear_market(received({"mempool-blocks": [PROJECTED, PROJECTED]}))
    assert market.projected is not None
    assert len(market.projected) == 2


@pytest.mark.parametrize("blocks", [[{"feeRange": RANGE}], 7, [PROJECTED | {"blockVSize": -1}], "x"])
def test_projected_blocks_that_are_malformed_are_quarantined_and_the_rest_is_heard(
    blocks: object, ears: Ears
) -> None:
    whale = transaction_json("whale", [WHALE_SAT])
    document = mempool_json(added=[whale], **projected_json(blocks))
    events = ears.hear_all(received(document))
    assert seen(events) == [txid_of("whale")]
    assert ears.quarantine.count == 1
    [market] = [event for event in events if isinstance(event, MarketChanged)]
    assert market.projected is None


def test_with_a_range_of_another_length_what_waits_is_unknown_and_said_once(ears: Ears) -> None:
    odd, sound = [PROJECTED | {"feeRange": [1, 2]}, PROJECTED], [PROJECTED]
    for blocks, expected in ((odd, 1), (odd, 1), (sound, 1), (odd, 2)):
        [market] = ears.hear_market(received({"mempool-blocks": blocks}))
        assert (market.projected is None) == (blocks is odd)
        assert ears.quarantine.count == expected
    [specimen, _] = ears.quarantine.specimens
    assert "expected 7 rates in a feeRange, found 2" in specimen.reason


def test_an_empty_block_to_come_has_no_rates(ears: Ears) -> None:
    empty = PROJECTED | {"blockVSize": 0, "feeRange": []}
    [market] = ears.hear_market(received({"mempool-blocks": [PROJECTED, empty]}))
    assert market.projected == (RateProfile(1_002.0, tuple(RANGE)),)


def test_a_block_tells_when_it_was_found_and_its_rates(ears: Ears) -> None:
    told = block_json(7) | {"timestamp": 1_790_000_000, "weight": 3_000_000, "extras": {"feeRange": RANGE}}
    [event] = ears.hear(received({"block": told}))
    assert isinstance(event, BlockConnected)
    assert event.found_at == 1_790_000_000_000_000
    assert event.profile == RateProfile(3_000_000, tuple(RANGE))


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"timestamp": "soon", "weight": -1, "extras": 7},
        {"timestamp": None, "weight": 4, "extras": {"feeRange": None}},
        {"timestamp": 2**40, "weight": 4, "extras": {"feeRange": [1, 2]}},
    ],
)
def test_a_block_is_heard_whatever_it_says_of_its_fees(told: Json, ears: Ears) -> None:
    [event] = ears.hear(received({"block": block_json(7) | told}))
    assert isinstance(event, BlockConnected)
    assert (event.height, event.found_at, event.profile) == (7, None, None)
    assert ears.quarantine.count == 0


def test_a_child_names_what_it_pays_for(ears: Ears) -> None:
    parent = {"txid": txid_of("parent"), "fee": 200, "weight": 561}
    child = transaction_json("child", [5], effectiveFeePerVsize=14.5, ancestors=[parent])
    orphan = transaction_json("orphan", [5], effectiveFeePerVsize=14.5, ancestors=[])
    odd = transaction_json("odd", [5], effectiveFeePerVsize=14.5, ancestors="none of your business")
    ears.hear(received(mempool_json(1)))
    [market] = ears.hear_market(received(mempool_json(2, added=[child, orphan, odd])))
    assert market.packages[0] == Package((txid_of("parent"),), FeeRate(14.5))
    assert [package.ancestors for package in market.packages[1:]] == [()]


@pytest.mark.parametrize("rate", [-1.0, -1e300, 1.1e12, 1e308])
def test_an_effective_rate_that_cannot_be_one_is_unknown(rate: float, ears: Ears) -> None:
    [event] = ears.hear(
        received(mempool_json(added=[transaction_json("w", [WHALE_SAT], effectiveFeePerVsize=rate)]))
    )
    assert isinstance(event, TransactionSeen)
    assert event.transaction.effective_fee_rate is None


def test_who_is_accelerated_pays_its_own_rate_to_everybody_else(ears: Ears) -> None:
    """mempool.space's rate of the package has in it what was paid elsewhere."""
    accelerated = transaction_json(
        "w", [WHALE_SAT], fee_sat=2_000, effectiveFeePerVsize=80.0, acceleration=True, acceleratedBy=[36, 111]
    )
    [event] = ears.hear(received(mempool_json(added=[accelerated])))
    assert isinstance(event, TransactionSeen)
    assert event.transaction.is_accelerated
    assert event.transaction.effective_fee_rate is None
    assert event.transaction.fee_rate == pytest.approx(2_000 * 4 / accelerated["weight"])
    written = encode_esplora_transaction(event.transaction)
    assert parse_esplora_transaction(written) == event.transaction


@pytest.mark.parametrize("said", [False, None, 1, "true", [True]])
def test_what_is_not_said_to_be_accelerated_is_not(said: Any, ears: Ears) -> None:  # noqa: ANN401 -- any JSON
    [event] = ears.hear(received(mempool_json(added=[transaction_json("w", [WHALE_SAT], acceleration=said)])))
    assert isinstance(event, TransactionSeen)
    assert not event.transaction.is_accelerated
    assert ears.quarantine.count == 0


@pytest.mark.parametrize("rate", [-1.0, 1e308])
def test_a_child_whose_rate_cannot_be_one_pays_its_own(rate: float, ears: Ears) -> None:
    parent = {"txid": txid_of("parent"), "fee": 200, "weight": 561}
    child = transaction_json("child", [5], fee_sat=2_000, effectiveFeePerVsize=rate, ancestors=[parent])
    ears.hear(received(mempool_json(1)))
    [market] = ears.hear_market(received(mempool_json(2, added=[child])))
    [package] = market.packages
    assert package.rate_sat_vb == pytest.approx(2_000 * 4 / child["weight"])


# --- the value gate


def test_a_whale_is_announced_with_all_that_was_said_of_it(ears: Ears) -> None:
    whale = transaction_json("whale", [WHALE_SAT, 5], fee_sat=2_000, effectiveFeePerVsize=14.5)
    (event,) = ears.hear(received(mempool_json(added=[whale])))
    assert isinstance(event, TransactionSeen)
    assert (event.at, event.source) == (START, Source(SOURCE))
    transaction = event.transaction
    assert transaction.txid == txid_of("whale")
    prevout = Output(wpkh(2), Sats(WHALE_SAT + 5 + 2_000))
    assert transaction.inputs == (Input(OutPoint(txid_of("parent of whale"), 0), 0xFFFFFFFD, prevout),)
    assert transaction.outputs == (Output(wpkh(1), Sats(WHALE_SAT)), Output(wpkh(1), Sats(5)))
    assert (transaction.weight_wu, transaction.fee_sat, transaction.effective_fee_rate) == (561, 2_000, 14.5)


def test_exactly_the_threshold_is_no_whale_and_one_satoshi_more_is(ears: Ears) -> None:
    added = [
        transaction_json("at", [THRESHOLD_SAT - 7, 7]),
        transaction_json("above", [THRESHOLD_SAT - 7, 8]),
    ]
    assert seen(ears.hear(received(mempool_json(added=added)))) == [txid_of("above")]
    assert ears.decoder.transaction_count == 2
    assert ears.quarantine.count == 0


@given(st.lists(st.lists(st.integers(0, THRESHOLD_SAT * 2), max_size=4), max_size=12))
def test_exactly_those_transactions_are_announced_whose_outputs_exceed_the_threshold(
    values_sat: list[list[int]],
) -> None:
    ears = Ears()
    added = [transaction_json(number, values) for number, values in enumerate(values_sat)]
    events = ears.hear(received(mempool_json(added=added)))
    assert seen(events) == [
        txid_of(number) for number, values in enumerate(values_sat) if sum(values) > THRESHOLD_SAT
    ]
    assert len(events) == len(seen(events))
    assert ears.decoder.transaction_count == len(values_sat)
    assert ears.quarantine.count == 0


def test_prevouts_a_backend_does_not_know_are_none(ears: Ears) -> None:
    whale = transaction_json("whale", [WHALE_SAT], has_prevouts=False)
    (event,) = ears.hear(received(mempool_json(added=[whale])))
    assert isinstance(event, TransactionSeen)
    assert [tx_input.prevout for tx_input in event.transaction.inputs] == [None]


@pytest.mark.parametrize(
    ("fee", "fee_sat"), [(1000.0000000000001, 1000), (999.9999999999999, 1000), (0, 0), (None, None)]
)
def test_a_fee_computed_from_btc_is_put_right(ears: Ears, fee: float | None, fee_sat: int | None) -> None:
    whale = transaction_json("whale", [WHALE_SAT], fee=fee)
    (event,) = ears.hear(received(mempool_json(added=[whale])))
    assert isinstance(event, TransactionSeen)
    assert event.transaction.fee_sat == fee_sat
    assert fee_sat is None or type(event.transaction.fee_sat) is int


def test_an_input_that_makes_coins_has_no_outpoint(ears: Ears) -> None:
    spent = {
        "txid": "0" * 64,
        "vout": 0xFFFFFFFF,
        "sequence": 0xFFFFFFFF,
        "prevout": None,
        "is_coinbase": True,
    }
    whale = transaction_json("whale", [WHALE_SAT], vin=[spent])
    (event,) = ears.hear(received(mempool_json(added=[whale])))
    assert isinstance(event, TransactionSeen)
    assert event.transaction.is_coinbase
    assert event.transaction.inputs == (Input(None, 0xFFFFFFFF),)


def test_whether_it_is_simulated_is_what_the_latest_connection_said(ears: Ears) -> None:
    frame = received(mempool_json(added=[transaction_json("whale", [WHALE_SAT])]))
    sources = []
    for is_simulated in (True, False):
        event = ears.hear(opened(is_simulated=is_simulated), frame)[-1]
        assert isinstance(event, TransactionSeen)
        sources.append(event.source)
    assert sources == [Source(SOURCE, is_simulated=True), Source(SOURCE, is_simulated=False)]


# --- the order of events


def test_a_frame_is_told_in_the_order_that_loses_nothing(ears: Ears) -> None:
    """Replaced, seen, connected, left: a successor is known before it is announced, mined or gone."""
    successor = transaction_json("successor", [WHALE_SAT])
    payload = mempool_json(
        added=[successor, transaction_json("other", [WHALE_SAT])],
        removed=[txid_of("old"), txid_of("evicted")],
        mined=[txid_of("mined"), txid_of("successor")],
        replaced=[(txid_of("old"), successor)],
        block=block_json(800),
    )
    events = ears.hear(received(payload))
    assert [type(event) for event in events] == [
        Replaced,
        TransactionSeen,
        TransactionSeen,
        BlockConnected,
        TransactionsLeft,
    ]
    replaced, _, _, connected, left = events
    assert isinstance(replaced, Replaced)
    assert (replaced.txid, replaced.by) == (txid_of("old"), txid_of("successor"))
    assert replaced.successor is not None
    assert replaced.successor.txid == txid_of("successor")
    assert connected == BlockConnected(
        START,
        Height(800),
        txid_of("block 800"),
        txid_of("block 799"),
        (txid_of("mined"), txid_of("successor")),
    )
    assert left == TransactionsLeft(START, (txid_of("old"), txid_of("evicted")))


def test_a_successor_below_the_threshold_is_described_and_called_no_whale(ears: Ears) -> None:
    small = transaction_json("small", [THRESHOLD_SAT])
    (event,) = ears.hear(received(mempool_json(replaced=[(txid_of("old"), small)])))
    assert isinstance(event, Replaced)
    assert event.successor is not None
    assert (event.by, event.successor.gross_sat, event.is_whale) == (txid_of("small"), THRESHOLD_SAT, False)


def row(name: str, value_sat: int, *more: float) -> list[object]:
    """A row of a block to come: txid, fee, vsize, value, rate, flags, time."""
    return [txid_of(name), 1_000, 140.25, value_sat, 12.5, 2**60, *more]


def projected(*rows: object) -> Frame:
    block = {"index": 0, "sequence": 7, "blockTransactions": rows}
    return received(to_bytes({"projected-block-transactions": block}))


def test_the_whales_of_a_block_to_come_are_told(ears: Ears) -> None:
    rows = [row("small", THRESHOLD_SAT, 1_700_000_000), row("whale", WHALE_SAT, 1_700_000_000)]
    (event,) = ears.hear(projected(*rows, row("new", WHALE_SAT)))
    assert event == WhalesWaiting(
        START,
        (
            WaitingWhale(txid_of("whale"), UnixMicros(1_700_000_000_000_000), FeeRate(12.5)),
            WaitingWhale(txid_of("new"), START, FeeRate(12.5)),
        ),
    )


@pytest.mark.parametrize("rows", [[["zz", 1, 1, 1e18]], [[1]], "x"], ids=["no txid", "too short", "no list"])
def test_rows_that_are_none_tell_of_no_whale(ears: Ears, rows: object) -> None:
    block = {"blockTransactions": rows}
    events = ears.hear(received(to_bytes({"projected-block-transactions": block})))
    assert [event for event in events if isinstance(event, WhalesWaiting) and event.whales] == []


def test_what_only_tells_how_a_block_to_come_changes_tells_of_no_whale(ears: Ears) -> None:
    change = {"index": 0, "delta": {"added": [row("whale", WHALE_SAT)], "removed": [], "changed": []}}
    assert ears.hear(received(to_bytes({"projected-block-transactions": change}))) == [
        WhalesWaiting(START, ())
    ]


def test_a_confirmed_winner_comes_before_the_block_that_mined_it(ears: Ears) -> None:
    winner = transaction_json("winner", [WHALE_SAT], status={"confirmed": True, "block_height": 800})
    payload = mempool_json(
        mined=[txid_of("winner")], replaced=[(txid_of("victim"), winner)], block=block_json(800)
    )
    replaced, connected = ears.hear(received(payload))
    assert isinstance(replaced, Replaced)
    assert (replaced.txid, replaced.by) == (txid_of("victim"), txid_of("winner"))
    assert isinstance(connected, BlockConnected)
    assert connected.mined == (txid_of("winner"),)


def test_old_pairs_that_repeat_are_told_again(ears: Ears) -> None:
    c = transaction_json("c", [WHALE_SAT])
    events = ears.hear(received(mempool_json(replaced=[(txid_of("b"), c), (txid_of("a"), c)])))
    assert [event.txid for event in events if isinstance(event, Replaced)] == [txid_of("b"), txid_of("a")]


def test_what_was_mined_in_a_block_nobody_described_has_left(ears: Ears) -> None:
    (event,) = ears.hear(received(mempool_json(removed=[txid_of("a")], mined=[txid_of("b")])))
    assert event == TransactionsLeft(START, (txid_of("a"), txid_of("b")))


@pytest.mark.parametrize("others", [{}, {"mempool-transactions": None}])
def test_a_block_without_a_change_of_the_mempool_connects(ears: Ears, others: Json) -> None:
    (event,) = ears.hear(received({"block": block_json(800), **others}))
    assert event == BlockConnected(START, Height(800), txid_of("block 800"), txid_of("block 799"), None)


# --- what has nothing to say


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"pong": True},
        {"loadingIndicators": {"mempool": 99}},
        {"conversions": {"USD": -1}, "da": None},
        {"block": None, "mempool-transactions": None},
        {"blocks": [], "mempool-blocks": [], "fees": {"fastestFee": 1.5}},
    ],
)
def test_frames_of_other_kinds_say_nothing(ears: Ears, document: Json) -> None:
    assert ears.hear(received(document)) == []
    assert ears.quarantine.count == 0


def test_unknown_keys_are_passed_over_at_every_level(ears: Ears) -> None:
    whale = transaction_json("whale", [], vout=[{**output_json(WHALE_SAT), "new": [1]}], new={"a": {}})
    whale["vin"][0]["new"] = None
    payload = mempool_json(added=[whale], block={**block_json(1), "extras": {"reward": 1}}, new=[[], {}])
    assert seen(ears.hear(received(payload))) == [txid_of("whale")]
    assert ears.quarantine.count == 0


@pytest.mark.parametrize("kind", [FrameKind.SENT, FrameKind.CLOSED])
def test_what_we_said_and_why_it_ended_are_no_events(ears: Ears, kind: FrameKind) -> None:
    whale = mempool_json(added=[transaction_json("whale", [WHALE_SAT])])
    assert ears.hear(Frame(START, SOURCE, kind, whale)) == []


# --- what is malformed


def assert_whale_is_heard_and_the_rest_counted(ears: Ears, payload: bytes, *, count: int = 1) -> None:
    events = ears.hear(received(payload))
    assert seen(events) == [txid_of("whale")]
    assert ears.quarantine.count == count
    assert gaps(events) == [
        GapFound(
            START, SOURCE, GapReason.MALFORMED, START, f"parts of a frame that could not be read: {count}"
        )
    ]
    assert isinstance(events[0], GapFound)


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        [],
        "a transaction",
        {},
        transaction_json("bad", [-1]),
        transaction_json("bad", [MAX_MONEY_SAT + 1], has_prevouts=False),
        transaction_json("bad", [MAX_MONEY_SAT, 1], has_prevouts=False),
        transaction_json("bad", [2**63]),
        transaction_json("bad", [10**1_000]),
        transaction_json("bad", [WHALE_SAT, -WHALE_SAT]),
        transaction_json("bad", [], vout=[{"value": 1.5}]),
        transaction_json("bad", [], vout=[{"value": "1"}]),
        transaction_json("bad", [], vout=[{"value": True}]),
        transaction_json("bad", [], vout=[{"scriptpubkey": ""}]),
        transaction_json("bad", [], vout=None),
        transaction_json("bad", [], vout=[{**output_json(WHALE_SAT), "scriptpubkey": "abc"}]),
        transaction_json("bad", [], vout=[{**output_json(WHALE_SAT), "scriptpubkey": "zz"}]),
        transaction_json("bad", [], vout=[{**output_json(WHALE_SAT), "scriptpubkey": None}]),
        transaction_json("bad", [WHALE_SAT], txid="f" * 63),
        transaction_json("bad", [WHALE_SAT], txid="F" * 64),
        transaction_json("bad", [WHALE_SAT], txid="f" * 64 + "\n"),
        transaction_json("bad", [WHALE_SAT], txid=7),
        transaction_json("bad", [WHALE_SAT], weight=0),
        transaction_json("bad", [WHALE_SAT], weight=4_000_001),
        transaction_json("bad", [WHALE_SAT], weight=None),
        transaction_json("bad", [WHALE_SAT], fee=-1),
        transaction_json("bad", [WHALE_SAT], fee=10**400),
        transaction_json("bad", [WHALE_SAT], fee="1000"),
        transaction_json("bad", [WHALE_SAT], effectiveFeePerVsize="fast"),
        transaction_json("bad", [WHALE_SAT], vin=None),
        transaction_json("bad", [WHALE_SAT], vin=[None]),
        transaction_json("bad", [WHALE_SAT], vin=[{"txid": "ff", "vout": 0, "sequence": 0}]),
        transaction_json("bad", [WHALE_SAT], vin=[{"txid": "f" * 64, "vout": -1, "sequence": 0}]),
        transaction_json("bad", [WHALE_SAT], vin=[{"txid": "f" * 64, "vout": 0, "sequence": 2**32}]),
        transaction_json(
            "bad",
            [WHALE_SAT],
            vin=[{"txid": "f" * 64, "sequence": 0, "prevout": output_json(MAX_MONEY_SAT)}] * 2,
        ),
        transaction_json(
            "bad", [WHALE_SAT], vin=[{"txid": "f" * 64, "sequence": 0, "prevout": output_json(-1)}]
        ),
    ],
)
def test_a_whale_beside_a_malformed_transaction_is_heard(ears: Ears, malformed: object) -> None:
    added = [malformed, transaction_json("whale", [WHALE_SAT])]
    assert_whale_is_heard_and_the_rest_counted(ears, mempool_json(added=added))


@pytest.mark.parametrize(
    "others",
    [
        {"block": {**block_json(800), "height": -1}},
        {"block": {**block_json(800), "height": 2**31}},
        {"block": {**block_json(800), "id": "no hash"}},
        {"block": {**block_json(800), "previousblockhash": "f" * 64 + "\n"}},
        {"block": []},
    ],
)
def test_a_whale_beside_a_malformed_block_is_heard(ears: Ears, others: Json) -> None:
    added = [transaction_json("whale", [WHALE_SAT])]
    assert_whale_is_heard_and_the_rest_counted(ears, mempool_json(added=added, **others))


@pytest.mark.parametrize(
    "change",
    [
        {"removed": [1]},
        {"mined": [None]},
        {"replaced": [("f" * 63, transaction_json("new", [1]))]},
        {"replaced": [(txid_of("old"), transaction_json("new", [1], txid="new"))]},
        {"replaced": [(txid_of("old"), None)]},
    ],
)
def test_a_whale_beside_a_malformed_departure_is_heard(ears: Ears, change: Json) -> None:
    added = [transaction_json("whale", [WHALE_SAT])]
    assert_whale_is_heard_and_the_rest_counted(ears, mempool_json(added=added, **change))


def test_what_is_sound_beside_something_malformed_is_told_in_full(ears: Ears) -> None:
    payload = mempool_json(
        added=[None, transaction_json("whale", [WHALE_SAT])],
        removed=[txid_of("gone"), 0],
        mined=[0, txid_of("mined")],
        replaced=[(txid_of("old"), transaction_json("new", [1]))],
        block=block_json(800),
    )
    gap, *events = ears.hear(received(payload))
    assert isinstance(gap, GapFound)
    assert gap.detail.endswith(": 3")
    sound = json.loads(payload)["mempool-transactions"]
    sound |= {
        "sequence": 2,
        "added": sound["added"][1:],
        "removed": [txid_of("gone")],
        "mined": [txid_of("mined")],
    }
    assert events == ears.hear(received({"mempool-transactions": sound, "block": block_json(800)}))


def test_a_malformed_successor_of_a_whale_still_replaces_it(ears: Ears) -> None:
    successor = transaction_json("new", [WHALE_SAT], vin=[None])
    gap, event = ears.hear(received(mempool_json(replaced=[(txid_of("old"), successor)])))
    assert isinstance(gap, GapFound)
    assert event == Replaced(START, Source(SOURCE), txid_of("old"), txid_of("new"), None)
    assert ears.quarantine.count == 1


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b"42",
        b"not JSON",
        b'{"mempool-transactions":',
        b"\xff\xfe",
        b"[" * 1_000_000,
        b'{"x":' + b"[" * 1_000_000,
        b'{"mempool-transactions":{"sequence":1,"added":' + b"[" * 1_000_000,
        b'{"block":' + b'{"a":' * 1_000_000,
        b"x" * (20 * 1024 * 1024),
        mempool_json().replace(b'"sequence": 1', b'"sequence": "1"'),
        mempool_json().replace(b'"added": []', b'"added": null'),
    ],
    ids=lambda payload: f"{bytes(payload[:30])!r} of {len(payload)}",
)
def test_a_frame_that_cannot_be_read_is_counted_and_is_a_gap(ears: Ears, payload: bytes) -> None:
    (gap,) = ears.hear(received(payload, after(5)))
    assert isinstance(gap, GapFound)
    assert (gap.reason, gap.at, gap.started_at) == (GapReason.MALFORMED, after(5), after(5))
    (specimen,) = ears.quarantine.specimens
    assert payload.startswith(specimen.excerpt) or specimen.excerpt in payload


def test_a_number_longer_than_python_will_read_is_malformed(ears: Ears) -> None:
    added = [transaction_json("bad", [123_456_789]), transaction_json("whale", [WHALE_SAT])]
    payload = mempool_json(added=added).replace(b"123456789", b"9" * 100_000)
    assert_whale_is_heard_and_the_rest_counted(ears, payload)


def test_a_whale_among_twenty_mebibytes_is_heard(ears: Ears) -> None:
    small = transaction_json("small", [1], padding="x" * 20_000)
    added = [small] * 1_050 + [transaction_json("whale", [WHALE_SAT])]
    payload = mempool_json(added=added)
    assert len(payload) > 20 * 1024 * 1024
    assert seen(ears.hear(received(payload))) == [txid_of("whale")]
    assert ears.decoder.transaction_count == 1_051


@given(st.binary(max_size=300), st.sampled_from(list(FrameKind)), st.integers(0, 999))
def test_any_bytes_end_in_events_or_in_quarantine(payload: bytes, kind: FrameKind, status: int) -> None:
    ears = Ears()
    path = f"/api/tx/{txid_of('any')}"
    assert isinstance(ears.hear(Frame(START, SOURCE, kind, payload, path, status)), list)


FRAME_KEYS = ["mempool-transactions", "block", "id", "height", "previousblockhash"]
DELTA_KEYS = ["sequence", "added", "removed", "mined", "replaced", "by"]
TRANSACTION_KEYS = ["txid", "vin", "vout", "weight", "fee", "effectiveFeePerVsize"]
OUTPUT_KEYS = ["value", "scriptpubkey", "prevout", "is_coinbase"]
KNOWN_KEYS = st.sampled_from([*FRAME_KEYS, *DELTA_KEYS, *TRANSACTION_KEYS, *OUTPUT_KEYS])
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**31, 2**53, MAX_MONEY_SAT, 2**63, 2**64, 10**100, 10**1_000])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from([txid_of("any"), "f" * 64 + "\n", "00"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KNOWN_KEYS, inner, max_size=6),
    max_leaves=20,
)


@given(st.fixed_dictionaries({}, optional={"mempool-transactions": ANY_JSON, "block": ANY_JSON}))
@example({"mempool-transactions": {"sequence": 10**1_000}})
def test_any_json_under_the_known_keys_ends_in_events_or_in_quarantine(document: Json) -> None:
    ears = Ears()
    events = ears.hear(received(document))
    assert bool(gaps(events)) == (ears.quarantine.count > 0)


def paths_of(document: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the way to every value inside, innermost last."""
    yield path
    if isinstance(document, dict | list):
        keys = document if isinstance(document, dict) else range(len(document))
        for key in keys:
            yield from paths_of(document[key], (*path, key))


def with_value_at(document: Any, path: tuple[str | int, ...], value: object) -> object:  # noqa: ANN401 -- JSON
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = with_value_at(document[path[0]], path[1:], value)
    return copy


VICTIM = transaction_json("victim", [WHALE_SAT], effectiveFeePerVsize=1.5)


@given(st.sampled_from(list(paths_of(VICTIM))), ANY_JSON)
def test_whatever_becomes_of_its_neighbour_a_whale_is_heard(
    path: tuple[str | int, ...], value: object
) -> None:
    ears = Ears()
    added = [with_value_at(VICTIM, path, value), transaction_json("whale", [WHALE_SAT])]
    events = ears.hear(received(mempool_json(added=added, removed=[txid_of("gone")])))
    assert seen(events)[-1] == txid_of("whale")
    assert events[-1] == TransactionsLeft(START, (txid_of("gone"),))
    assert len(gaps(events)) == ears.quarantine.count <= 1


EVERYTHING: Json = json.loads(
    mempool_json(
        added=[VICTIM],
        removed=[txid_of("gone")],
        mined=[txid_of("mined")],
        replaced=[(txid_of("old"), VICTIM)],
        block=block_json(800),
    )
)


@given(st.sampled_from(list(paths_of(EVERYTHING))), ANY_JSON)
def test_a_frame_changed_anywhere_is_read_or_is_a_gap(path: tuple[str | int, ...], value: object) -> None:
    ears = Ears()
    events = ears.hear(received(to_bytes(with_value_at(EVERYTHING, path, value))))
    assert len(gaps(events)) == (ears.quarantine.count > 0)


# --- gaps


def gap_of(ears: Ears, *frames: Frame) -> GapFound:
    *_, last = frames
    (gap,) = [gap for gap in gaps(ears.hear(*frames)) if gap.at == last.at]
    return gap


def test_the_first_connection_is_a_gap_that_starts_with_it(ears: Ears) -> None:
    assert gap_of(ears, opened(START)) == GapFound(START, SOURCE, GapReason.STARTED, START)


def test_a_new_connection_is_a_gap_since_we_last_heard_anything(ears: Ears) -> None:
    closed = Frame(after(30), SOURCE, FrameKind.CLOSED, b"gone")
    frames = [opened(START), received(mempool_json(7), after(10)), received({}, after(20)), closed]
    gap = gap_of(ears, *frames, opened(after(40)))
    assert gap == GapFound(after(40), SOURCE, GapReason.RECONNECTED, after(20))


def test_a_connection_on_which_nothing_was_heard_is_a_gap_since_it_opened(ears: Ears) -> None:
    gap = gap_of(ears, opened(START), opened(after(40)))
    assert gap == GapFound(after(40), SOURCE, GapReason.RECONNECTED, START)


@pytest.mark.parametrize(
    ("sequence", "reason"),
    [(9, GapReason.SEQUENCE_JUMP), (1_000, GapReason.SEQUENCE_JUMP), (0, GapReason.SEQUENCE_RESET)],
)
def test_a_sequence_that_is_not_the_next_is_a_gap_since_the_last_one(
    ears: Ears, sequence: int, reason: GapReason
) -> None:
    """Other frames in between carry no sequence: what is missing may have been before them."""
    frames = [opened(START), received(mempool_json(7), after(10)), received({}, after(20))]
    gap = gap_of(ears, *frames, received(mempool_json(sequence), after(30)))
    assert (gap.reason, gap.started_at) == (reason, after(10))
    assert gap.detail == f"sequence {sequence} after 7"


def test_a_gap_is_told_before_what_its_frame_says_and_only_once(ears: Ears) -> None:
    whale = transaction_json("whale", [WHALE_SAT])
    events = ears.hear(received(mempool_json(1)), received(mempool_json(5, added=[whale])))
    assert [type(event) for event in events] == [GapFound, TransactionSeen]
    assert ears.hear(received(mempool_json(6))) == []


def test_consecutive_sequences_are_no_gap(ears: Ears) -> None:
    frames = [received(mempool_json(sequence), after(sequence)) for sequence in range(5)]
    assert gaps(ears.hear(*frames)) == []


def test_a_new_connection_may_begin_at_any_sequence(ears: Ears) -> None:
    events = ears.hear(opened(), received(mempool_json(7)), opened(), received(mempool_json(3)))
    assert [gap.reason for gap in gaps(events)] == [GapReason.STARTED, GapReason.RECONNECTED]


def test_a_frame_that_could_not_be_read_leaves_a_jump_behind(ears: Ears) -> None:
    frames = [
        received(mempool_json(1), START),
        received(b"{", after(1)),
        received(mempool_json(3), after(2)),
    ]
    first, second = gaps(ears.hear(*frames))
    assert (first.reason, first.started_at) == (GapReason.MALFORMED, after(1))
    assert (second.reason, second.started_at) == (GapReason.SEQUENCE_JUMP, START)


# --- REST answers

WHALE = transaction_json("whale", [WHALE_SAT])
PATH = f"/api/v1/tx/{txid_of('whale')}"


@pytest.mark.parametrize(
    "path", ["", "/api/v1/fees/recommended", f"{PATH}/status", f"{PATH}?", PATH.upper(), f"/x{PATH}"]
)
def test_answers_to_other_questions_say_nothing(ears: Ears, path: str) -> None:
    assert ears.hear(answered(path, 200, to_bytes(WHALE))) == []
    assert ears.quarantine.count == 0


def test_an_answer_is_no_gap_and_does_not_count_as_heard(ears: Ears) -> None:
    ears.hear(opened(START), answered(PATH, 200, b"<html>", after(10)))
    (gap,) = ears.hear(opened(after(20)))
    assert gap == GapFound(after(20), SOURCE, GapReason.RECONNECTED, START)


@given(st.binary(max_size=200) | ANY_JSON.map(to_bytes))
def test_a_transaction_is_parsed_or_called_malformed(raw: bytes) -> None:
    try:
        transaction = parse_esplora_transaction(raw)
    except MalformedMessage:
        return
    assert 0 <= transaction.gross_sat <= MAX_MONEY_SAT


# --- writing


@given(any_transactions)
def test_a_transaction_is_read_as_it_was_written(tx: Transaction) -> None:
    assert parse_esplora_transaction(encode_esplora_transaction(tx)) == tx


def test_a_transaction_is_written_as_esplora_spells_it() -> None:
    document = transaction_json("whale", [WHALE_SAT, 5], fee_sat=2_000, effectiveFeePerVsize=14.5)
    written = encode_esplora_transaction(parse_esplora_transaction(to_bytes(document)))
    assert json.loads(written) == document


def test_what_is_not_known_is_not_written() -> None:
    document = transaction_json("whale", [WHALE_SAT], has_prevouts=False)
    del document["fee"]
    written = json.loads(encode_esplora_transaction(parse_esplora_transaction(to_bytes(document))))
    assert written == document
    assert written.keys() == {"txid", "vin", "vout", "weight"}


def test_a_coinbase_is_written_as_one() -> None:
    coinbase = {"sequence": 0xFFFFFFFF, "prevout": None, "is_coinbase": True}
    document = transaction_json("block", [312_500_000], vin=[coinbase])
    written = encode_esplora_transaction(parse_esplora_transaction(to_bytes(document)))
    assert json.loads(written) == document


# --- real backends


def decode_recording(path: Path, ears: Ears) -> list[Event]:
    with gzip.open(path) as lines:
        return ears.hear(*(parse_recorded_frame(line, SOURCE).frame for line in lines))


@pytest.mark.parametrize("path", [EXCERPT, NO_PREVOUTS], ids=["esplora", "none"])
def test_a_recording_of_a_real_backend_is_read_without_loss(ears: Ears, path: Path) -> None:
    events = decode_recording(path, ears)
    assert ears.quarantine.count == 0
    assert [gap.reason for gap in gaps(events)] == [GapReason.STARTED]
    expected, count = independently_announced(path)
    assert seen(events) == expected
    assert expected
    assert ears.decoder.transaction_count == count


@pytest.mark.parametrize(
    ("path", "is_known"), [(EXCERPT, True), (NO_PREVOUTS, False)], ids=["esplora", "none"]
)
def test_prevouts_come_with_one_backend_and_not_with_the_other(
    ears: Ears, path: Path, *, is_known: bool
) -> None:
    whales = [e.transaction for e in decode_recording(path, ears) if isinstance(e, TransactionSeen)]
    assert {whale.has_all_prevouts for whale in whales} == {is_known}


def independently_announced(path: Path) -> tuple[list[str], int]:
    """Read the recording by plain dictionaries, as an oracle."""
    whales, count = [], 0
    with gzip.open(path) as lines:
        for line in map(json.loads, lines):
            delta = json.loads(line["raw"]).get("mempool-transactions") if line["dir"] == "in" else None
            for transaction in delta["added"] if delta else []:
                count += 1
                if sum(output["value"] for output in transaction["vout"]) > THRESHOLD_SAT:
                    whales.append(transaction["txid"])
    return whales, count


def test_the_first_gap_after_a_restart_reaches_back_to_what_was_heard_before() -> None:
    decoder = MempoolSpaceDecoder(source="m", threshold_sat=Sats(1), quarantine=Quarantine())
    decoder.resume(UnixMicros(START - 5_000_000))
    (first,) = decoder.decode(opened(START))
    assert isinstance(first, GapFound)
    assert (first.reason, first.started_at) == (GapReason.STARTED, START - 5_000_000)
    (second,) = decoder.decode(opened(START + 9))
    assert isinstance(second, GapFound)
    assert (second.reason, second.started_at) == (GapReason.RECONNECTED, START)


def test_a_list_of_blocks_tells_each_of_them_and_nothing_mined(ears: Ears) -> None:
    blocks = [block_json(height) for height in (800, 801)]
    events = ears.hear(received(to_bytes({"blocks": [*blocks, {"id": 5}], "fees": {}})))
    connected = [event for event in events if isinstance(event, BlockConnected)]
    assert [(block.height, block.mined) for block in connected] == [(800, None), (801, None)]
    assert [event.reason for event in events if isinstance(event, GapFound)] == [GapReason.MALFORMED]
