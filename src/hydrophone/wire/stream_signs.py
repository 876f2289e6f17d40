"""What a message of mempool.space tells about the stream itself: whether there is a mempool behind it.

Sources: mempool.space backend, loading-indicators.ts: an indicator counts percent and vanishes when it is
complete; frames of a backend whose node was down (August 2026): `{"loadingIndicators":{"mempool":99}}` each
second and nothing else.
"""

import re
from typing import Final

import msgspec

_TELLING_KEYS: Final = (b'"mempool-transactions"', b'"mempool-blocks"')
_INDICATORS_KEY: Final = b'"loadingIndicators"'
_PERCENT: Final = 100.0
_BLOCKS_PATH: Final = re.compile(r"/api/(?:v1/)?blocks(?:/\d+)?")
_HTTP_OK: Final = 200


class _Indicators(msgspec.Struct, gc=False):
    mempool: float = _PERCENT


class _Loading(msgspec.Struct, gc=False):
    indicators: _Indicators = msgspec.field(name="loadingIndicators")


_decode_loading = msgspec.json.Decoder(_Loading).decode


def tells_mempool(payload: bytes) -> bool:
    """Return whether a message says what is, or changes, in the mempool.

    It is looked for, not parsed: a frame may be 64 MB, and the decoder parses it anyway. Within a text of
    JSON the quotes would be escaped, so nothing but a key (or a value that is just this) is found.
    """
    return any(key in payload for key in _TELLING_KEYS)


def parse_loaded_share(payload: bytes) -> float | None:
    """Return how much of its mempool a backend says it has loaded, in [0, 1]; None: it says nothing."""
    if _INDICATORS_KEY not in payload:
        return None
    try:
        share = _decode_loading(payload).indicators.mempool / _PERCENT
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return min(max(share, 0.0), 1.0)


def tells_blocks(path: str, status: int, payload: bytes) -> bool | None:
    """Return whether a REST answer holds blocks of the chain; None when it is about something else.

    A page instead of a list is none: proxies answer 200 for a backend that is gone.

    Args:
        path: that was asked.
        status: HTTP, or 0 when no answer came.
        payload: its body.
    """
    if _BLOCKS_PATH.fullmatch(path) is None:
        return None
    return status == _HTTP_OK and payload.lstrip().startswith(b"[")
