"""REST answers as a real backend gives them, and worse ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain.events import (
    Answered,
    BlockConnected,
    BlockPlace,
    ContentsTold,
    Event,
    NoAnswer,
    ReplacementTold,
    Source,
    TransactionTold,
)
from hydrophone.domain.questions import (
    AboutBlock,
    AboutContents,
    AboutProjected,
    AboutReplacement,
    AboutTip,
    AboutTransaction,
    Question,
)
from hydrophone.domain.transaction import Output
from hydrophone.domain.units import Height, Sats, Txid
from hydrophone.errors import HydrophoneError
from hydrophone.wire.mempool_space_rest import decode_answer, is_route_missing, paths_of
from hydrophone.wire.quarantine import Quarantine
from tests.builders import SOURCE, START, answered, block_json, to_bytes, transaction_json, txid_of, wpkh

THRESHOLD_SAT = Sats(100 * 100_000_000)
WHALE_SAT = THRESHOLD_SAT + 1
WHALE = transaction_json("whale", [WHALE_SAT])
TXID = txid_of("whale")
BLOCK = txid_of("block 7")
NO_ROUTE = b"<!DOCTYPE html><html><body><pre>Cannot GET /api/v1/tx</pre></body></html>"
"""What Express says of a path that it does not know."""
ABOUT = {
    AboutTransaction(TXID): f"/api/v1/tx/{TXID}",
    AboutReplacement(TXID): f"/api/v1/tx/{TXID}/rbf",
    AboutTip(): "/api/v1/blocks",
    AboutBlock(BLOCK): f"/api/v1/block/{BLOCK}",
    AboutContents(BLOCK): f"/api/v1/block/{BLOCK}/summary",
}


def read(path: str, status: int, payload: bytes, quarantine: Quarantine | None = None) -> list[Event]:
    frame = answered(path, status, payload)
    return decode_answer(START, frame, Source(SOURCE), THRESHOLD_SAT, quarantine or Quarantine())


def told(payload: object) -> Event:
    (event,) = read(f"/api/tx/{TXID}", 200, to_bytes(payload))
    return event


@pytest.mark.parametrize("question", ABOUT, ids=lambda question: type(question).__name__)
def test_an_answer_is_known_by_where_it_was_asked(question: Question) -> None:
    assert ABOUT[question] in paths_of(question)
    for path in paths_of(question):
        (event,) = read(path, 500, b"")
        assert event == NoAnswer(START, question, "the backend answered 500")


def test_what_the_websocket_is_asked_has_no_path() -> None:
    with pytest.raises(ValueError, match="websocket"):
        paths_of(AboutProjected(0))


def test_a_transaction_comes_with_its_prevouts() -> None:
    event = told({**WHALE, "status": {"confirmed": False}})
    assert isinstance(event, TransactionTold)
    assert event.place is None
    assert event.is_whale
    assert event.transaction.inputs[0].prevout == Output(wpkh(2), Sats(WHALE_SAT + 1_000))


def test_a_confirmed_transaction_comes_with_its_block() -> None:
    status = {"confirmed": True, "block_height": 7, "block_hash": BLOCK, "block_time": 1}
    event = told({**WHALE, "status": status})
    assert isinstance(event, TransactionTold)
    assert event.place == BlockPlace(Height(7), BLOCK)


def test_what_is_below_the_threshold_is_told_as_such() -> None:
    event = told({**transaction_json("whale", [THRESHOLD_SAT])})
    assert isinstance(event, TransactionTold)
    assert not event.is_whale


@pytest.mark.parametrize(
    ("status", "payload", "reason", "is_unknown"),
    [
        (200, to_bytes(transaction_json("other", [1])), "the backend's answer was malformed", False),
        (200, to_bytes({**WHALE, "weight": 0}), "the backend's answer was malformed", False),
        (
            200,
            to_bytes({**WHALE, "status": {"confirmed": True}}),
            "the backend's answer was malformed",
            False,
        ),
        (200, b"<html>", "the backend's answer was malformed", False),
        (200, b"", "the backend's answer was malformed", False),
        (200, b"[" * 1_000_000, "the backend's answer was malformed", False),
        (404, b"Transaction not found", "Transaction not found", True),
        (
            404,
            b'{"error":"No such mempool or blockchain transaction"}',
            '{"error":"No such mempool or blockchain transaction"}',
            True,
        ),
        (404, b"'/api/v1/tx/00'", "the backend answered 404", False),
        (404, b'endpoint does not exist "/api/v1/tx/00"', "the backend answered 404", False),
        (404, b'{"detail":"Not Found"}', "the backend answered 404", False),
        (500, b'{"error":"Failed to get transaction"}', '{"error":"Failed to get transaction"}', False),
        (404, NO_ROUTE, "the backend answered 404", False),
        (404, b"", "the backend answered 404", False),
        (500, b"", "the backend answered 500", False),
        (503, b"\xff" * 1_000, "\N{REPLACEMENT CHARACTER}" * 200, False),
        (0, b"no answer within 3 s", "no answer within 3 s", False),
        (0, b"", "no answer came", False),
    ],
)
def test_any_other_answer_says_why_and_whether_there_is_no_such_thing(
    status: int, payload: bytes, reason: str, *, is_unknown: bool
) -> None:
    quarantine = Quarantine()
    (event,) = read(f"/api/v1/tx/{TXID}", status, payload, quarantine)
    assert event == NoAnswer(START, AboutTransaction(TXID), reason, is_unknown=is_unknown)
    assert quarantine.count == ("malformed" in reason)


def tree(*txids: Txid) -> object:
    """What a backend remembers of a payment, newest version first."""
    inner: list[object] = []
    for txid in reversed(txids):
        inner = [{"tx": {"txid": txid, "fee": 1.0}, "time": 1, "replaces": inner}]
    return {"replacements": inner[0] if inner else None, "replaces": None}


@pytest.mark.parametrize(
    ("versions", "by"),
    [((), None), (("whale",), None), (("b", "whale"), "b"), (("c", "b", "whale"), "c")],
    ids=["none", "itself", "one", "two"],
)
def test_the_newest_version_is_what_it_was_replaced_by(versions: tuple[str, ...], by: str | None) -> None:
    (event,) = read(f"/api/v1/tx/{TXID}/rbf", 200, to_bytes(tree(*map(txid_of, versions))))
    assert event == ReplacementTold(START, TXID, None if by is None else txid_of(by))


@pytest.mark.parametrize("payload", [NO_ROUTE, b"{}"])
def test_a_backend_that_remembers_no_replacements_knows_of_none(payload: bytes) -> None:
    (event,) = read(f"/api/v1/tx/{TXID}/rbf", 404, payload)
    assert event == ReplacementTold(START, TXID, None)


def test_blocks_come_from_below_and_without_contents() -> None:
    page = [block_json(height) for height in (9, 8, 7)]
    *blocks, answer = read("/api/v1/blocks", 200, to_bytes(page))
    assert [b.height for b in blocks if isinstance(b, BlockConnected) and b.mined is None] == [7, 8, 9]
    assert answer == Answered(START, AboutTip())


def test_stale_blocks_beside_the_chain_are_left_out() -> None:
    stale = {**block_json(8), "id": txid_of("stale 8")}
    page = [block_json(9), stale, block_json(8), {**block_json(7), "id": txid_of("stale 7")}]
    *blocks, _ = read("/api/v1/blocks", 200, to_bytes(page))
    assert [b.block_hash for b in blocks if isinstance(b, BlockConnected)] == [
        txid_of("block 8"),
        txid_of("block 9"),
    ]


def test_a_block_is_told_by_its_hash() -> None:
    connected, answer = read(f"/api/v1/block/{BLOCK}", 200, to_bytes(block_json(7)))
    assert isinstance(connected, BlockConnected)
    assert (connected.height, connected.mined) == (7, None)
    assert answer == Answered(START, AboutBlock(BLOCK))
    (refused,) = read(f"/api/v1/block/{BLOCK}", 200, to_bytes(block_json(8)))
    assert isinstance(refused, NoAnswer)


def test_the_contents_of_a_block_tell_its_whales_but_not_the_coinbase() -> None:
    rows = [
        {"txid": txid_of(name), "fee": 1, "vsize": 1.25, "value": value, "rate": 1.0, "flags": 2**60}
        for name, value in (("coinbase", WHALE_SAT), ("small", THRESHOLD_SAT), ("whale", WHALE_SAT))
    ]
    (event,) = read(f"/api/v1/block/{BLOCK}/summary", 200, to_bytes(rows))
    assert isinstance(event, ContentsTold)
    assert event.txids == tuple(txid_of(name) for name in ("coinbase", "small", "whale"))
    assert event.whales == (TXID,)


@pytest.mark.parametrize(
    "path",
    ["", "/api/v1/fees/recommended", f"/api/v1/tx/{TXID}/status", f"/api/tx/{TXID}?", f"/x/api/tx/{TXID}"],
)
def test_answers_to_other_questions_say_nothing(path: str) -> None:
    assert read(path, 200, to_bytes(WHALE)) == []


@given(
    st.sampled_from(sorted(ABOUT.values())),
    st.sampled_from([0, 200, 404, 500]),
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8) | st.just(TXID),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["txid", "value", "tx", "replacements", "status"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    ).map(lambda document: json.dumps(document).encode()),
)
def test_any_answer_says_something_and_never_fails(path: str, status: int, payload: bytes) -> None:
    try:
        events = read(path, status, payload)
    except HydrophoneError as error:
        raise AssertionError(payload) from error
    assert events


@given(st.integers(100, 599), st.binary(max_size=9))
def test_only_a_404_can_mean_that_there_is_no_such_route(status: int, body: bytes) -> None:
    assert not is_route_missing(status, body) or status == 404
