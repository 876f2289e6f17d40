import gzip
from collections.abc import Callable

import pytest

from hydrophone.errors import SourceRejected, SourceUnavailable
from hydrophone.sources.label_lists import FetchedList, fetch_label_list
from tests.backends import free_port
from tests.list_servers import listing, publishing, response

LIST = b'["bc1q"]'


async def test_a_list_comes_with_the_name_of_its_content() -> None:
    counted: list[int] = []
    async with publishing(listing(LIST, '"v1"')) as publisher:
        assert await fetch_label_list(publisher.url, on_read=counted.append) == FetchedList(LIST, '"v1"')
    assert sum(counted) == len(LIST)
    [head] = publisher.requests
    assert "If-None-Match" not in head
    assert "User-Agent: hydrophone\r\n" in head


async def test_a_list_that_has_not_changed_is_not_sent_again() -> None:
    async with publishing(listing(LIST, '"v1"')) as publisher:
        assert await fetch_label_list(publisher.url, etag='"v1"') is None
        assert await fetch_label_list(publisher.url, etag='"v0"') == FetchedList(LIST, '"v1"')


async def test_a_publisher_without_names_for_content_is_one_too() -> None:
    async with publishing(listing(LIST)) as publisher:
        assert await fetch_label_list(publisher.url) == FetchedList(LIST, "")


@pytest.mark.parametrize(
    ("answer", "error", "reason"),
    [
        (response(status="404 Not Found"), SourceRejected, "404: has the list moved"),
        (response(status="403 Forbidden"), SourceRejected, "403"),
        (response(status="202 Accepted"), SourceRejected, "202"),
        (response(status="304 Not Modified"), SourceRejected, "304"),
        (response(status="500 Oh"), SourceUnavailable, "500: try later"),
        (response(status="429 Slow"), SourceUnavailable, "429: try later"),
        (response(LIST, length=1000), SourceUnavailable, "and it broke off"),
        (response(b"x" * 2000), SourceRejected, "expected at most 1,000 bytes, and more came"),
        (
            response(gzip.compress(b"x" * 2000), Content_Encoding="gzip"),
            SourceRejected,
            "at most 1,000 bytes",
        ),
        (response(b"no gzip", Content_Encoding="gzip"), SourceUnavailable, ""),
        (response(status="302 Found", Location="file:///etc/passwd"), SourceUnavailable, ""),
        (response(status="302 Found", Location="/list"), SourceUnavailable, ""),
        (b"SSH-2.0-OpenSSH\r\n", SourceUnavailable, "found no answer"),
        (b"", SourceUnavailable, "found no answer"),
    ],
)
async def test_what_is_no_whole_list_is_an_error(answer: bytes, error: type[Exception], reason: str) -> None:
    async with publishing(lambda _head: answer) as publisher:
        with pytest.raises((SourceRejected, SourceUnavailable)) as failed:
            await fetch_label_list(publisher.url, max_bytes=1000)
    assert type(failed.value) is error or not reason
    assert reason in str(failed.value)
    assert publisher.url in str(failed.value)


@pytest.mark.parametrize("answer", [lambda _head: b"", lambda _head: response(LIST, length=100)])
async def test_a_publisher_that_falls_silent_is_given_up(answer: Callable[[str], bytes]) -> None:
    async with publishing(answer, stays_open=True) as publisher:
        with pytest.raises(SourceUnavailable, match="expected the whole list within 0 s"):
            await fetch_label_list(publisher.url, timeout_s=0.2)


async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(SourceUnavailable, match="found no answer"):
        await fetch_label_list(f"http://127.0.0.1:{await free_port()}/")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/list", "nonsense", "http://", "file:///etc/passwd"])
async def test_what_is_no_url_of_the_web_is_an_error(url: str) -> None:
    with pytest.raises((SourceRejected, SourceUnavailable)):
        await fetch_label_list(url)
