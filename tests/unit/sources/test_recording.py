import gzip
import json
from pathlib import Path

import pytest

from hydrophone.errors import SourceRejected, SourceUnavailable
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.sources.recording import RecordingLink
from tests.recorded import EXCERPT

SUBSCRIPTION = '{"track-mempool":true}'


def line(t: int, conn: str | None, direction: str, raw: str) -> bytes:
    fields = {"t": t, "conn": conn, "dir": direction, "raw": raw}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


def answer(t: int, path: str) -> bytes:
    return json.dumps({"t": t, "path": path, "status": 200, "body": {"txid": "..."}}).encode()


TWO_CONNECTIONS = (
    line(1, "idle", "in", "not subscribed"),
    line(2, "first", "out", SUBSCRIPTION),
    line(3, "second", "out", SUBSCRIPTION),
    line(4, "second", "in", "to the second"),
    answer(5, "/api/v1/tx/ab"),
    line(6, "first", "in", "to the first"),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "frames.jsonl"


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def replay(path: Path, conn: str | None = None) -> list[Frame]:
    return list(RecordingLink(path, source="mempool.space", conn=conn).frames())


def payloads(frames: list[Frame]) -> list[str]:
    return [frame.payload.decode() for frame in frames]


def test_frames_come_in_their_order_with_their_time_and_the_name_of_the_source(file: Path) -> None:
    write(file, line(1, "a", "out", SUBSCRIPTION), line(2, "a", "in", "{}"), line(3, "a", "close", "gone"))
    assert replay(file) == [
        Frame(1_000_000, "mempool.space", FrameKind.SENT, SUBSCRIPTION.encode()),
        Frame(2_000_000, "mempool.space", FrameKind.RECEIVED, b"{}"),
        Frame(3_000_000, "mempool.space", FrameKind.CLOSED, b"gone"),
    ]


def test_unless_told_it_follows_the_first_connection_that_subscribed_to_the_mempool(file: Path) -> None:
    frames = replay(write(file, *TWO_CONNECTIONS))
    assert payloads(frames) == [SUBSCRIPTION, '{"txid": "..."}', "to the first"]


def test_a_connection_can_be_named(file: Path) -> None:
    frames = replay(write(file, *TWO_CONNECTIONS), "second")
    assert payloads(frames) == [SUBSCRIPTION, "to the second", '{"txid": "..."}']
    assert payloads(replay(file, "idle")) == ["not subscribed", '{"txid": "..."}']


def test_rest_answers_belong_to_every_connection(file: Path) -> None:
    write(file, *TWO_CONNECTIONS)
    for conn in (None, "idle", "first", "second"):
        answers = [frame for frame in replay(file, conn) if frame.kind is FrameKind.ANSWERED]
        assert [(frame.path, frame.status) for frame in answers] == [("/api/v1/tx/ab", 200)]


def test_without_a_subscriber_every_line_is_replayed(file: Path) -> None:
    frames = replay(write(file, line(1, "a", "in", "one"), line(2, "b", "in", "two"), answer(3, "/x")))
    assert payloads(frames)[:2] == ["one", "two"]
    assert len(frames) == 3


def test_a_recording_that_names_no_connections_is_replayed_whole(file: Path) -> None:
    frames = replay(write(file, line(1, None, "out", SUBSCRIPTION), line(2, None, "in", "{}")))
    assert payloads(frames) == [SUBSCRIPTION, "{}"]


def test_replaying_twice_gives_the_same(file: Path) -> None:
    link = RecordingLink(write(file, *TWO_CONNECTIONS), source="s")
    assert list(link.frames()) == list(link.frames())


def test_malformed_lines_are_reported_by_number_once_each_and_skipped(file: Path) -> None:
    write(
        file,
        b"{cut off",
        line(2, "a", "out", SUBSCRIPTION),
        b"",
        b'{"t":"noon","conn":"a","dir":"in"}',
        line(5, "a", "sideways", "?"),
        b"\xff\xfe",
        line(7, "a", "in", "{}"),
    )
    reports: list[tuple[int, str]] = []
    link = RecordingLink(
        file, source="s", on_malformed=lambda number, reason: reports.append((number, reason))
    )
    assert payloads(list(link.frames())) == [SUBSCRIPTION, "{}"]
    assert [number for number, _ in reports] == [1, 4, 5, 6]
    assert all("expected a line such as" in reason for _, reason in reports)
    assert "sideways" in reports[2][1]


def test_what_was_read_is_told_for_a_progress_bar(file: Path) -> None:
    read: list[int] = []
    write(file, *TWO_CONNECTIONS)
    list(RecordingLink(file, source="s", on_read=read.append).frames())
    assert sum(read) == file.stat().st_size


def test_a_missing_file_is_an_unavailable_source(file: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"frames\.jsonl: No such file"):
        replay(file)


def test_a_directory_is_an_unavailable_source(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="Is a directory"):
        replay(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"hello\n"], ids=["empty", "blank", "prose"])
def test_a_file_without_frames_is_no_recording(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(SourceRejected, match="no frame: is it a recording"):
        replay(file)


@pytest.mark.parametrize("lines", [TWO_CONNECTIONS, (line(1, None, "in", "{}"),), (answer(1, "/x"),)])
def test_naming_a_connection_that_is_not_in_it_is_an_error_whatever_else_is(
    file: Path, lines: tuple[bytes, ...]
) -> None:
    with pytest.raises(SourceRejected, match="no frame of connection 'third'"):
        replay(write(file, *lines), "third")


def test_a_packed_recording_is_read_as_it_is(tmp_path: Path) -> None:
    plain, packed = tmp_path / "r.jsonl", tmp_path / "r.jsonl.gz"
    excerpt = EXCERPT.read_bytes()
    packed.write_bytes(excerpt)
    plain.write_bytes(gzip.decompress(excerpt))
    assert list(RecordingLink(packed, source="m").frames()) == list(RecordingLink(plain, source="m").frames())
    packed.write_bytes(excerpt[: len(excerpt) // 2])
    with pytest.raises(SourceUnavailable, match="cannot read the recording"):
        list(RecordingLink(packed, source="m").frames())
