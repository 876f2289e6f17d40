import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.runtime.frame import FrameKind
from hydrophone.wire.stream_signs import parse_loaded_share, tells_blocks, tells_mempool
from tests.builders import mempool_json
from tests.recorded import load_excerpt

KEYS = ("mempool-transactions", "mempool-blocks", "loadingIndicators", "blocks", "stats")


def test_a_recorded_stream_tells_of_the_mempool_in_each_frame_that_has_a_delta() -> None:
    frames = [frame.payload for frame in load_excerpt() if frame.kind is FrameKind.RECEIVED]
    with_delta = [frame for frame in frames if "mempool-transactions" in json.loads(frame)]
    assert len(with_delta) >= 5
    assert all(map(tells_mempool, with_delta))


@pytest.mark.parametrize(
    ("payload", "is_told"),
    [
        (mempool_json(), True),
        (b'{"mempool-blocks":[]}', True),
        (b'{"blocks":[]}', False),
        (b'{"pong":true}', False),
        (b'{"loadingIndicators":{"mempool":99}}', False),
        (b'{"memo":"he said \\"mempool-blocks\\""}', False),
        (b"{}", False),
        (b"", False),
    ],
)
def test_only_what_is_about_the_mempool_tells_of_it(payload: bytes, *, is_told: bool) -> None:
    assert tells_mempool(payload) is is_told


@given(st.dictionaries(st.sampled_from(KEYS), st.text(alphabet='"\\ mempool-blockstransactions')))
def test_it_is_told_exactly_where_a_parser_finds_the_key(document: dict[str, str]) -> None:
    known = {"mempool-transactions", "mempool-blocks"}
    payload = json.dumps(document).encode()
    assert tells_mempool(payload) == bool(known & {*document, *document.values()})


@pytest.mark.parametrize(
    ("payload", "share"),
    [
        (b'{"loadingIndicators":{"mempool":99}}', 0.99),
        (b'{"loadingIndicators":{"mempool":12.5,"block-indexing":3}}', 0.125),
        (b'{"loadingIndicators":{"block-indexing":3}}', 1.0),
        (b'{"loadingIndicators":{}}', 1.0),
        (b'{"loadingIndicators":{"mempool":100}}', 1.0),
        (b'{"loadingIndicators":{"mempool":-3}}', 0.0),
        (b'{"loadingIndicators":{"mempool":"all"}}', None),
        (b'{"loadingIndicators":7}', None),
        (b'"loadingIndicators"', None),
        (b"{}", None),
        (mempool_json(), None),
    ],
)
def test_how_much_is_loaded_is_what_the_indicator_says(payload: bytes, share: float | None) -> None:
    assert parse_loaded_share(payload) == share


@given(st.binary() | st.binary().map(lambda raw: b'{"loadingIndicators":{"mempool":' + raw))
def test_any_bytes_have_a_share_or_none(payload: bytes) -> None:
    share = parse_loaded_share(payload)
    assert share is None or 0 <= share <= 1


@pytest.mark.parametrize(
    ("path", "status", "payload", "found"),
    [
        ("/api/v1/blocks", 200, b"[]", True),
        ("/api/v1/blocks/840000", 200, b' [{"id":1}]', True),
        ("/api/blocks", 200, b"[]", True),
        ("/api/v1/blocks", 0, b"no answer", False),
        ("/api/v1/blocks", 502, b"[]", False),
        ("/api/v1/blocks", 200, b"<!doctype html>", False),
        ("/api/v1/block/ab/summary", 200, b"[]", None),
        ("/api/v1/tx/ab", 0, b"", None),
        ("", 0, b"", None),
    ],
)
def test_blocks_are_told_by_a_list_of_them(
    path: str, status: int, payload: bytes, found: bool | None
) -> None:
    assert tells_blocks(path, status, payload) is found
