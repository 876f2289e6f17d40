"""Looks at a backend: whether it answers, is loaded and in time, and can be asked what a service asks."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from hydrophone.cli.asking import open_direct
from hydrophone.cli.findings import Finding, bad, describe_age, ok, warn
from hydrophone.domain.questions import AboutTransaction
from hydrophone.domain.units import Txid
from hydrophone.errors import SourceError
from hydrophone.runtime.telemetry import redacted
from hydrophone.sources.mempool_space import hear
from hydrophone.sources.mempool_space_rest import rest_base_of
from hydrophone.wire.mempool_space_rest import is_route_missing, paths_of
from hydrophone.wire.stream_signs import parse_loaded_share, tells_mempool

_TIMEOUT_S: Final = 2.0
_LISTEN_S: Final = 1.0
"""# chosen: a backend answers `init` at once; who diagnoses does not want to wait."""
_CLOCK_TOLERANCE_S: Final = 5.0
"""# chosen: HTTP dates have whole seconds, and an answer takes some."""
_BEHIND_S: Final = 7_200.0
"""# chosen: two hours without a block come once in ten years (e^-12 of the intervals)."""
_NOBODY: Final = Txid("00" * 32)
"""A transaction that there is not."""
_MOST_BYTES: Final = 4_000_000
_TIP: Final = "/api/v1/blocks"


@dataclass(frozen=True, slots=True)
class _Answer:
    """A REST answer; status 0: none came."""

    status: int
    body: bytes = b""
    date: str | None = None


async def examine_source(url: str, rest_url: str | None, *, is_mainnet: bool) -> list[Finding]:
    """Return what is found about a backend and its REST.

    Args:
        url: of its websocket.
        rest_url: of its REST; None: beside the websocket.
        is_mainnet: whether blocks come every ten minutes.
    """
    base = rest_url or rest_base_of(url)
    asked = [
        asyncio.create_task(asyncio.to_thread(_ask, base + path))
        for path in (_TIP, *paths_of(AboutTransaction(_NOBODY)))
    ]
    heard = await _hear(url)
    tip, *transactions = [await task for task in asked]
    name = redacted(url)
    return [
        _of_stream(name, heard, is_mainnet=is_mainnet),
        *_of_rest(redacted(base), tip, transactions, is_mainnet=is_mainnet),
        _of_clock(tip),
    ]


async def _hear(url: str) -> list[bytes] | str:
    """Return what a backend says within a second, or why it does not answer."""
    try:
        return await hear(url, open_timeout_s=_TIMEOUT_S, listen_s=_LISTEN_S, enough=tells_mempool)
    except SourceError as error:
        return str(error)


def _of_stream(url: str, heard: list[bytes] | str, *, is_mainnet: bool) -> Finding:
    if isinstance(heard, str):
        return bad(
            "source", f"{url} does not answer ({heard})", "is the backend running there? set source.urls"
        )
    shares = [share for share in map(parse_loaded_share, heard) if share is not None and share < 1]
    if shares:
        return warn("source", f"{url} has loaded {shares[-1]:.0%} of its mempool", "wait until it has")
    if not any(map(tells_mempool, heard)) and is_mainnet:
        return warn(
            "source",
            f"{url} answers, and told nothing of a mempool within {_LISTEN_S:g} s",
            "is it a mempool.space backend, and its node in sync?",
        )
    return ok("source", f"{url} answers")


def _of_rest(base: str, tip: _Answer, transactions: list[_Answer], *, is_mainnet: bool) -> Iterator[Finding]:
    advice = "set source.rest_url to where its REST is, up to before /api"
    if tip.status == 0:
        yield warn("rest", f"{base} does not answer by REST, so nothing can be looked up there", advice)
        return
    if all(answer.status == 0 or is_route_missing(answer.status, answer.body) for answer in transactions):
        yield warn(
            "rest",
            f"{base} cannot be asked about transactions (a backend on Esplora without its proxy has no such "
            "path), so doubts are never settled",
            "set source.rest_url to the proxy, or to Esplora itself, up to before /api",
        )
        return
    newest_s = _newest_block_s(tip)
    if newest_s is not None and is_mainnet and time.time() - newest_s > _BEHIND_S:
        age = describe_age(time.time() - newest_s)
        yield warn("rest", f"the newest block of {base} came {age}", "is its node in sync?")
    else:
        yield ok("rest", f"{base} answers")


def _newest_block_s(tip: _Answer) -> float | None:
    try:
        return max(float(block["timestamp"]) for block in json.loads(tip.body))
    except (ValueError, TypeError, KeyError):
        return None


def _of_clock(tip: _Answer) -> Finding:
    if tip.date is None:
        return ok("clock", "nobody to compare it with (the backend's REST does not answer)")
    try:
        offset_s = time.time() - parsedate_to_datetime(tip.date).timestamp()
    except ValueError:
        return ok("clock", "nobody to compare it with (the backend's REST says no time)")
    if abs(offset_s) <= _CLOCK_TOLERANCE_S:
        return ok("clock", "agrees with the backend's")
    return bad("clock", f"differs from the backend's by {offset_s:+.0f} s", "is NTP running, here and there?")


def _ask(url: str) -> _Answer:
    """Ask a URL, one on this machine without a proxy: the proxy has a clock, and a localhost, of its own."""
    parts = urlsplit(url)
    is_here = parts.hostname in ("localhost", "127.0.0.1", "::1")
    names, _, place = parts.netloc.rpartition("@")
    request = urllib.request.Request(urlunsplit(parts._replace(netloc=place)))  # noqa: S310 -- http, by the settings
    if names:  # Sources: RFC 7617
        request.add_header("Authorization", f"Basic {b64encode(unquote(names).encode()).decode()}")
    try:
        with (open_direct if is_here else urllib.request.urlopen)(request, timeout=_TIMEOUT_S) as response:
            return _Answer(response.status, response.read(_MOST_BYTES), response.headers["Date"])
    except urllib.error.HTTPError as error:
        with error:
            return _Answer(error.code, error.read(_MOST_BYTES), error.headers["Date"])
    except (OSError, ValueError, HTTPException):
        return _Answer(0)
