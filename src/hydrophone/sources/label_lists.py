"""Fetches label lists. Asks for the whole list, never for an address: what we look up stays here."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from hydrophone.errors import SourceRejected, SourceUnavailable

LIST_TIMEOUT_S: Final = 120.0
"""# chosen: for the whole answer; the largest list known has 20 MB, and nobody waits for it but a person."""
LIST_MAX_BYTES: Final = 64 * 2**20
"""# chosen: what a label file may have, unpacked; a small answer that unpacks to more is cut off too."""
_CONNECT_TIMEOUT_S: Final = 15.0
_MAX_REDIRECTS: Final = 3
_HEADERS: Final = {"User-Agent": "hydrophone", "Accept": "*/*"}
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class FetchedList:
    """A list as its publisher gave it.

    Attributes:
        content: the bytes.
        etag: what the publisher calls this content; empty when it does not.
    """

    content: bytes
    etag: str


async def fetch_label_list(
    url: str,
    *,
    etag: str = "",
    timeout_s: float = LIST_TIMEOUT_S,
    max_bytes: int = LIST_MAX_BYTES,
    on_read: Callable[[int], object] = lambda _count: None,
) -> FetchedList | None:
    """Return a list; None when it is still the one that `etag` names.

    Args:
        url: http or https.
        etag: of the content we have; empty when we have none.
        timeout_s: for everything.
        max_bytes: of the content, unpacked.
        on_read: told how many bytes have come.

    Raises:
        SourceUnavailable: there is no answer, not all of it came, or the publisher has trouble.
        SourceRejected: the publisher refuses, or sends more than any list.
    """
    headers = {**_HEADERS, "If-None-Match": etag} if etag else _HEADERS
    timeout = aiohttp.ClientTimeout(total=timeout_s, sock_connect=min(timeout_s, _CONNECT_TIMEOUT_S))
    is_here = urlsplit(url).hostname in _LOOPBACK_NAMES  # a proxy has a localhost of its own
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=not is_here) as session,
            session.get(url, max_redirects=_MAX_REDIRECTS) as response,
        ):
            if response.status == HTTPStatus.NOT_MODIFIED and etag:
                return None
            _require_success(url, response.status)
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                on_read(len(chunk))
                if len(content) > max_bytes:
                    raise SourceRejected(
                        f"{url}: expected at most {max_bytes:,} bytes, and more came: is it the list?"
                    )
            return FetchedList(bytes(content), response.headers.get("ETag", ""))
    except TimeoutError as error:
        raise SourceUnavailable(f"{url}: expected the whole list within {timeout_s:.0f} s") from error
    except (aiohttp.ClientPayloadError, asyncio.IncompleteReadError) as error:
        raise SourceUnavailable(f"{url}: expected the whole list, and it broke off") from error
    except aiohttp.InvalidURL as error:
        raise SourceRejected(f"expected an http or https URL, found {url!r}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise SourceUnavailable(
            f"{url}: expected a list, found no answer: {str(error) or type(error).__name__}"
        ) from error


def _require_success(url: str, status: int) -> None:
    if status == HTTPStatus.OK:
        return
    trouble = f"{url}: expected a list, found the answer {status}"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
        raise SourceUnavailable(f"{trouble}: try later")
    raise SourceRejected(f"{trouble}: has the list moved? Name its new place with --url")
