"""Files for browsers: read, tagged and compressed once, at the start. No request becomes a path on the disk.

Sources: RFC 9110 (content coding, entity tags), RFC 8246 (immutable).
"""

import gzip
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Final

from aiohttp.web import BaseRequest, Response

from hydrophone.web.replies import is_known, reply

CHECKED_EACH_TIME: Final = "private, no-cache"
KEPT_FOR_EVER: Final = "public, max-age=31536000, immutable"
"""For what has its hash in its name: other contents are another file."""
_HASHED_FOLDER: Final = "/assets/"
"""Where Vite puts what it names by a hash. Sources: Vite, `build.assetsDir`."""
_HTML: Final = "text/html; charset=utf-8"
_TYPES: Final[Mapping[str, str]] = {
    ".html": _HTML,
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
    ".woff2": "font/woff2",
    ".json": "application/json",
    ".map": "application/json",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}
_UNKNOWN_TYPE: Final = "application/octet-stream"
_PACKED_ALREADY: Final = frozenset({".png", ".woff2"})
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
"""# chosen: what Vite makes of names; it is spelled the same in a URL, and nothing hidden fits."""
_INDEX: Final = "/index.html"
_VIEWS: Final = re.compile(r"/(?:flows|fees|record|system|whales/[0-9a-fA-F]{64})?")
"""Paths that are one page, which shows something else at each."""
_TAG_DIGITS: Final = 32
_NOT_BUILT: Final = b"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Hydrophone</title></head>
<body>
<h1>The dashboard is not built</h1>
<p>Everything else works: <a href="/docs">the API</a>, <code>/ws</code> and the alerts.
To have the dashboard too, run <code>make dashboard</code> in the repository and start the service again.</p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file as it is sent.

    Attributes:
        body: its contents.
        zipped: the same with gzip; None: that would not be shorter.
        content_type: of it.
        tag: changes with the contents.
        kept: how long browsers may keep it.
        status: 200, or that there is something else in its place.
    """

    body: bytes
    zipped: bytes | None
    content_type: str
    tag: str
    kept: str = CHECKED_EACH_TIME
    status: HTTPStatus = HTTPStatus.OK

    def answer(self, request: BaseRequest) -> Response:
        """Return it as it is sent: compressed where that is understood, without a body where it is known."""
        headers = {"Cache-Control": self.kept, "Vary": "Accept-Encoding"}
        body = self.body
        headers["ETag"] = f'"{self.tag}"'
        if self.zipped is not None and accepts_gzip(request.headers.get("Accept-Encoding", "")):
            body = self.zipped
            headers |= {"Content-Encoding": "gzip", "ETag": f'"{self.tag}-gzip"'}
        if self.status is HTTPStatus.OK and is_known(request, headers["ETag"]):
            return Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return reply(body, self.content_type, status=self.status, headers=headers)


class Pages:
    """What is served beside the API.

    Args:
        files: by path.
        index: the page that shows everything; None: it was not built.
    """

    def __init__(self, files: Mapping[str, StaticFile], index: StaticFile | None) -> None:
        self._files = files
        self._index = index or make_file(_INDEX, _NOT_BUILT, status=HTTPStatus.NOT_FOUND)

    def find(self, path: str) -> StaticFile | None:
        """Return what is at a path; None: nothing."""
        return self._index if _VIEWS.fullmatch(path) else self._files.get(path)


def load_pages(built: Traversable | None = None) -> Pages:
    """Read the dashboard, if it was built, and what shows the API.

    Args:
        built: the folder the dashboard was built into; None: the package's.
    """
    package = resources.files("hydrophone.web")
    files = dict(_read(built or package / "static", ""))
    index = files.pop(_INDEX, None)
    for path, name in (("/docs", "docs.html"), ("/docs.js", "docs.js"), ("/docs.css", "docs.css")):
        files[path] = make_file(f"/{name}", (package / name).read_bytes())
    return Pages(files, index)


def make_file(path: str, body: bytes, *, status: HTTPStatus = HTTPStatus.OK) -> StaticFile:
    """Return a file as it is sent.

    Args:
        path: where it is; its suffix says what it is.
        body: its contents.
        status: with which it is answered.
    """
    suffix = PurePosixPath(path).suffix
    zipped = None if suffix in _PACKED_ALREADY else gzip.compress(body, mtime=0)
    return StaticFile(
        body=body,
        zipped=zipped if zipped is not None and len(zipped) < len(body) else None,
        content_type=_TYPES.get(suffix, _UNKNOWN_TYPE),
        tag=sha256(body).hexdigest()[:_TAG_DIGITS],
        kept=KEPT_FOR_EVER if path.startswith(_HASHED_FOLDER) else CHECKED_EACH_TIME,
        status=status,
    )


def accepts_gzip(header: str) -> bool:
    """Return whether somebody understands gzip, as Accept-Encoding says; who says nothing of it does not.

    Args:
        header: such as `gzip, br;q=0.5`.
    """
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        if coding.strip() == "gzip":
            return not re.fullmatch(r"q\s*=\s*0(\.0*)?", weight.strip())
    return False


def _read(folder: Traversable, place: str) -> Iterator[tuple[str, StaticFile]]:
    """Yield the files of a folder and of those within, by path; none where there is no such folder."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if not _NAME.fullmatch(entry.name):
            continue
        path = f"{place}/{entry.name}"
        if entry.is_dir():
            yield from _read(entry, path)
        else:
            yield path, make_file(path, entry.read_bytes())
