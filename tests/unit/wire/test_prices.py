import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.wire.prices import ToldPrices, parse_prices_answer, parse_prices_frame

RECORDINGS = Path(__file__).parents[2] / "recordings"
PRICES = {"time": 1795337391, "USD": 91_234, "EUR": 80_000.5, "GBP": -1, "JPY": 0}


def frame(conversions: object) -> bytes:
    return json.dumps({"conversions": conversions}).encode()


def test_what_is_known_is_told_and_nothing_else() -> None:
    told = parse_prices_frame(frame(PRICES))
    assert told == ToldPrices(1_795_337_391.0, {"USD": 91_234.0, "EUR": 80_000.5})
    assert parse_prices_answer(json.dumps(PRICES).encode()) == told


@pytest.mark.parametrize(
    "conversions",
    [
        {"time": 0, "USD": -1, "EUR": -1},
        {"time": 1_795_337_391},
        {"time": 1, "USD": 0},
        {"USD": None, "EUR": "80000", "CAD": True, "usd": 5, "DOLLAR": 5},
        {"USD": 10**400},
        {f"{a}{b}X": 1 for a in "ABCDEFGHIJKLMNOP" for b in "ABCDEFGHIJKLMNOP"},
        {},
        [],
        None,
        5,
    ],
)
def test_what_is_no_price_is_none(conversions: object) -> None:
    assert parse_prices_frame(frame(conversions)) is None
    assert parse_prices_answer(json.dumps(conversions).encode()) is None


@pytest.mark.parametrize("time", [0, -1, None, "soon", True, 253_402_300_800, 1e305, 10**400])
def test_prices_may_come_without_a_time(time: object) -> None:
    assert parse_prices_frame(frame({"time": time, "USD": 5})) == ToldPrices(None, {"USD": 5.0})


def test_a_frame_with_much_else_is_not_looked_through() -> None:
    long = json.dumps({"conversions": PRICES, "mempool-transactions": "x" * 65_536}).encode()
    assert parse_prices_frame(long) is None
    assert parse_prices_answer(long) is None


def test_a_backend_that_knows_no_price_tells_none_in_a_whole_recording() -> None:
    with gzip.open(RECORDINGS / "backend.jsonl.gz", "rt", encoding="utf-8") as lines:
        payloads = [json.loads(line).get("raw", "").encode() for line in lines]
    with_key = [payload for payload in payloads if b'"conversions"' in payload]
    assert with_key
    assert all(parse_prices_frame(payload) is None for payload in payloads)


@given(st.binary(max_size=200), st.sampled_from([b"", b'{"conversions":', b'{"USD":']))
def test_any_bytes_are_prices_or_none(raw: bytes, begin: bytes) -> None:
    for parse in (parse_prices_frame, parse_prices_answer):
        told = parse(begin + raw)
        assert told is None or all(price > 0 for price in told.by_currency.values())
