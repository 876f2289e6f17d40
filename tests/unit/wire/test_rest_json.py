import csv
import io

import msgspec
import pytest

from hydrophone.wire.rest_json import encode_csv, parse_addresses, parse_entities, parse_numbers
from hydrophone.wire.rest_v1 import NetflowV1, SurenessV1


class Row(msgspec.Struct):
    text: str | None
    number: float
    is_so: bool
    many: list[str]


def read(raw: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(raw.decode(), newline="")))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "=cmd|' /C calc'!A0"])
def test_no_text_is_a_formula(text: str) -> None:
    [_, [cell, *_]] = read(encode_csv(Row, [Row(text, 1.0, True, [])]))
    assert cell == f"'{text}"


def test_cells_survive_commas_quotes_and_lines() -> None:
    text = 'a,"b"\r\nc;é'
    found = read(encode_csv(Row, [Row(text, -1.5, False, ["x", "y"]), Row(None, 0.0, True, [])]))
    assert found == [
        ["text", "number", "is_so", "many"],
        [text, "-1.5", "false", '["x","y"]'],
        ["", "0.0", "true", "[]"],
    ]


def test_what_is_within_gets_its_name_in_front() -> None:
    sure = SurenessV1(0.1, 10_000_000, 0.0, 0, 0.0, 0, 1)
    row = NetflowV1(
        start="2026-11-26T00:00:00Z",
        exchange="X",
        simulated=False,
        net_btc=0.1,
        net_sat=10_000_000,
        received=sure,
        sent=sure,
    )
    [head, cells] = read(encode_csv(NetflowV1, [row]))
    assert len(head) == len(cells) == 19
    assert head[5:7] == ["received_certain_btc", "received_certain_sat"]
    assert dict(zip(head, cells, strict=True))["sent_n"] == "1"


def test_nothing_is_a_header() -> None:
    assert read(encode_csv(Row, [])) == [["text", "number", "is_so", "many"]]


@pytest.mark.parametrize("text", [None, "", "nothing", "{}", '[{"name":1}]', "[1]"])
def test_what_others_wrote_into_columns_harms_nobody(text: str | None) -> None:
    assert parse_entities(text) == []
    assert parse_addresses(text) == []


def test_numbers_by_name() -> None:
    assert parse_numbers('{"1":0.5}') == {"1": 0.5}
    assert parse_numbers("[]") is None
    assert parse_numbers(None) is None
