import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hydrophone.errors import StoreFull
from hydrophone.web import control
from hydrophone.web.control import ControlServer
from hydrophone.wire.control_v1 import Answer, BackedUp, BackUp, Failed, encode_line, parse_answer
from tests.backends import running

DONE = BackedUp("/copy.db", 10, 0.5, 3, "ab")


class Desk:
    """Answers as a test wants."""

    def __init__(self) -> None:
        self.asked: list[BackUp] = []
        self.was_cancelled = asyncio.Event()
        self.begun = asyncio.Event()

    async def answer(self, request: BackUp) -> Answer:
        self.asked.append(request)
        self.begun.set()
        if request.path == "/full":
            raise StoreFull("no room there")
        if request.path == "/slow":
            try:
                await asyncio.Event().wait()
            finally:
                self.was_cancelled.set()
        return DONE


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def path(desk: Desk, tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "socket"
    async with running(ControlServer(path, desk.answer).run):
        yield path


async def ask(path: Path, line: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line)
    said = await reader.read()
    writer.close()
    return said


async def test_a_request_is_answered(desk: Desk, path: Path) -> None:
    said = await ask(path, encode_line(BackUp("/copy.db")))
    assert parse_answer(said) == DONE
    assert desk.asked == [BackUp("/copy.db")]


async def test_a_failure_is_told_with_its_exit_code(path: Path) -> None:
    said = await ask(path, encode_line(BackUp("/full")))
    assert parse_answer(said) == Failed("no room there", 4)


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b'{"type":"drop_everything"}\n', b"\xff\xfe\n", b"GET / HTTP/1.1\n"]
)
async def test_what_is_no_request_is_refused(desk: Desk, path: Path, line: bytes) -> None:
    answer = parse_answer(await ask(path, line))
    assert isinstance(answer, Failed)
    assert "expected a request" in answer.message
    assert desk.asked == []


async def test_a_line_without_an_end_is_not_kept(path: Path) -> None:
    assert await ask(path, b"x" * 200_000) == b""
    assert parse_answer(await ask(path, encode_line(BackUp("/copy.db")))) == DONE


async def test_who_goes_away_wants_no_answer(desk: Desk, path: Path) -> None:
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(encode_line(BackUp("/slow")))
    await desk.begun.wait()
    writer.close()
    await desk.was_cancelled.wait()


async def test_another_user_is_refused(desk: Desk, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "is_friend", lambda _: False)
    answer = parse_answer(await ask(path, encode_line(BackUp("/copy.db"))))
    assert isinstance(answer, Failed)
    assert desk.asked == []


async def test_the_service_does_without_where_there_can_be_no_socket(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    async with running(ControlServer(tmp_path / "file" / "socket", desk.answer).run) as task:
        assert not task.done()


async def test_the_socket_goes_with_the_service(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    async with running(ControlServer(path, desk.answer).run):
        assert path.exists()
    assert not path.exists()
