import csv
import io
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from hydrophone.wire.public_v1 import VersionV1
from hydrophone.wire.rest_json import (
    encode_csv,
    encode_page,
    parse_addresses,
    parse_entities,
    parse_history,
    parse_numbers,
)
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


class Within(msgspec.Struct):
    first: str
    deeper: SurenessV1 | None


class Holder(msgspec.Struct):
    many: list[Within]
    perhaps: Annotated[Within, Meta(description="null: there is none")] | None
    last: int


def test_what_is_not_there_leaves_its_cells_empty() -> None:
    sure = SurenessV1(0.1, 10_000_000, 0.0, 0, 0.0, 0, 1)
    rows = [Holder([], None, 1), Holder([Within("x", None)], Within("=a", None), 2)]
    rows.append(Holder([], Within("b", sure), 3))
    [head, *cells] = read(encode_csv(Holder, rows))
    assert head[:3] == ["many", "perhaps_first", "perhaps_deeper_certain_btc"]
    assert [len(row) for row in cells] == [len(head)] * 3
    assert [row[-1] for row in cells] == ["1", "2", "3"]
    assert [row[1] for row in cells] == ["", "'=a", "b"]
    assert cells[1][0] == '[{"first":"x","deeper":null}]'
    assert cells[2][2:4] == ["0.1", "10000000"]


def test_nothing_is_a_header() -> None:
    assert read(encode_csv(Row, [])) == [["text", "number", "is_so", "many"]]


@pytest.mark.parametrize("text", [None, "", "nothing", "{}", '[{"name":1}]', "[1]"])
def test_what_others_wrote_into_columns_harms_nobody(text: str | None) -> None:
    assert parse_entities(text) == []
    assert parse_addresses(text) == []
    assert parse_history(text) == []


def test_versions_of_before_a_change_was_kept_are_read() -> None:
    [version] = parse_history('[{"txid":"ab","seen_at":"2026-11-26T00:00:00Z","fee_rate_sat_vb":1.5}]')
    assert version == VersionV1("ab", "2026-11-26T00:00:00Z", 1.5, None)


def test_numbers_by_name() -> None:
    assert parse_numbers('{"1":0.5}') == {"1": 0.5}
    assert parse_numbers("[]") is None
    assert parse_numbers(None) is None


class Page(msgspec.Struct):
    data: list[Holder]
    next_cursor: str | None


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
@pytest.mark.parametrize("cursor", [None, "a"])
def test_a_page_in_steps_is_the_same_bytes_as_at_once(count: int, cursor: str | None) -> None:
    page = Page([Holder([], Within("x,]", None), number) for number in range(count)], cursor)
    assert encode_page(page) == msgspec.json.encode(page)
