import asyncio
import gzip
import re
from importlib import resources
from pathlib import Path

import pytest

from hydrophone.web.rest import RestServer
from hydrophone.web.static_files import Pages, accepts_gzip, load_pages, make_file
from tests.backends import running
from tests.unit.web.asking import ask, make_server

TXID = "aB" * 32
SCRIPT = "listen();" * 200


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A dashboard as Vite lays it out, and what does not belong in it."""
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><script src='/assets/index-BuRq_3x-.js'></script>")
    (folder / "assets/index-BuRq_3x-.js").write_text(SCRIPT)
    (folder / "assets/sans-C0ffee.woff2").write_bytes(b"wOF2" + bytes(200))
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "manifest.webmanifest").write_text("{}")
    (folder / ".hidden").write_text("not for everybody")
    (folder / "a name.txt").write_text("not for a URL")
    (folder / "docs").write_text("not where the API is shown")
    (tmp_path / "secret.txt").write_text("not within")
    return folder


async def get(
    pages: Pages, path: str, *headers: str, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    """Ask a server for bytes, which `ask` takes for text."""
    server = make_server((), pages=pages)
    async with running(server.run):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        lines = (f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers)
        writer.write("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
    first, *rest = head.decode().split("\r\n")
    found = dict(line.split(": ", 1) for line in rest)
    return int(first.split()[1]), {name.lower(): value for name, value in found.items()}, body


@pytest.mark.parametrize(
    "path", ["/", "/flows", "/fees", "/record", "/system", f"/whales/{TXID}", "/?theme=dark"]
)
async def test_every_view_is_the_page(built: Path, path: str) -> None:
    status, headers, body = await get(load_pages(built), path)
    assert (status, body) == (200, (built / "index.html").read_bytes())
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "private, no-cache"
    again, _, nothing = await get(load_pages(built), path, f"If-None-Match: {headers['etag']}")
    assert (again, nothing) == (304, b"")


@pytest.mark.parametrize(
    ("path", "kind", "is_kept"),
    [
        ("/assets/index-BuRq_3x-.js", "text/javascript; charset=utf-8", True),
        ("/assets/sans-C0ffee.woff2", "font/woff2", True),
        ("/favicon.svg", "image/svg+xml", False),
        ("/manifest.webmanifest", "application/manifest+json", False),
    ],
)
async def test_files_are_what_their_names_say(built: Path, path: str, kind: str, is_kept: bool) -> None:
    status, headers, body = await get(load_pages(built), path)
    assert (status, body) == (200, (built / path[1:]).read_bytes())
    assert headers["content-type"] == kind
    kept = "public, max-age=31536000, immutable" if is_kept else "private, no-cache"
    assert headers["cache-control"] == kept
    assert headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/.hidden",
        "/a name.txt".replace(" ", "%20"),
        "/assets",
        "/assets/",
        "/assets/../index.html",
        "/assets/..%2findex.html",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/assets/later.js",
        "/flows/",
        "/Flows",
        "/whales/",
        f"/whales/{TXID[:-1]}",
        f"/whales/{TXID[:-1]}g",
        f"/whales/{TXID}/x",
        f"/whales/{TXID}%0a",
    ],
)
async def test_only_what_was_there_at_the_start_is_served(built: Path, path: str) -> None:
    pages = load_pages(built)
    (built / "assets/later.js").write_text("late")
    status, headers, _ = await get(pages, path)
    assert (status, headers["content-type"]) == (404, "application/json")


async def test_who_understands_gzip_gets_it_the_same_bytes_each_time(built: Path) -> None:
    path = "/assets/index-BuRq_3x-.js"
    _, plain, _ = await get(load_pages(built), path)
    status, headers, body = await get(load_pages(built), path, "Accept-Encoding: br, gzip;q=0.5")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(body).decode() == SCRIPT
    assert len(body) < len(SCRIPT)
    assert headers["etag"] != plain["etag"]
    assert await get(load_pages(built), path, "Accept-Encoding: gzip") == (status, headers, body)
    _, head, nothing = await get(load_pages(built), path, "Accept-Encoding: gzip", method="HEAD")
    assert (head["content-length"], nothing) == (str(len(body)), b"")


async def test_what_gets_no_shorter_is_sent_as_it_is(built: Path) -> None:
    for path in ("/favicon.svg", "/assets/sans-C0ffee.woff2"):
        _, headers, _ = await get(load_pages(built), path, "Accept-Encoding: gzip")
        assert "content-encoding" not in headers


@pytest.mark.parametrize(
    ("header", "does"),
    [
        ("gzip", True),
        ("deflate, GZIP;q=1.0, br", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("gzip; q=0.00", False),
        ("br, zstd", False),
        ("*", False),
        ("xgzip", False),
        ("", False),
    ],
)
def test_gzip_is_sent_only_to_who_names_it(header: str, does: bool) -> None:
    assert accepts_gzip(header) is does


async def test_a_dashboard_that_was_not_built_says_how_and_harms_nothing_else(tmp_path: Path) -> None:
    pages = load_pages(tmp_path / "nowhere")
    for path in ("/", "/flows"):
        status, headers, body = await get(pages, path)
        assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert b"make dashboard" in body
    assert (await get(pages, "/docs"))[0] == 200
    assert (await get(pages, "/favicon.svg"))[0] == 404


async def test_the_api_is_shown_where_it_always_was(built: Path) -> None:
    server: RestServer = make_server((), pages=load_pages(built))
    async with running(server.run):
        page = await ask(server, "/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "Hydrophone: API" in page.body
        named = re.findall(r'(?:src|href)="(/[^"]*)"', page.body)
        assert {"/docs.js", "/docs.css", "/openapi.json"} <= set(named)
        for path in named:
            assert (await ask(server, path)).status == 200


@pytest.mark.parametrize("name", ["docs.html", "docs.js", "docs.css"])
def test_what_shows_the_api_asks_no_third_party_and_never_parses_text_as_markup(name: str) -> None:
    source = resources.files("hydrophone.web").joinpath(name).read_text()
    assert not re.search(r"""["'(]\s*(https?:)?//\w""", source)
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|\bon\w+=\"|style=", source
    )


def test_a_suffix_that_nobody_knows_is_bytes() -> None:
    assert make_file("/x.exe", b"MZ").content_type == "application/octet-stream"
