import asyncio
import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from hydrophone.runtime.telemetry import (
    configure_logging,
    get_logger,
    process_figures,
    redacted,
    rss_bytes,
)

LIBRARIES = ("asyncio", "aiohttp", "websockets")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    library_levels = {name: logging.getLogger(name).level for name in LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, library_level in library_levels.items():
        logging.getLogger(name).setLevel(library_level)
    structlog.reset_defaults()


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines_of(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_machine_reads_one_json_object_a_line(out: io.StringIO) -> None:
    configure_logging("INFO", "json", out)
    get_logger("hydrophone.sources").info("source_connected", url="ws://h/\n", simulated=True)
    (line,) = lines_of(out)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "source_connected",
        "level": "info",
        "logger": "hydrophone.sources",
        "url": "ws://h/\n",
        "simulated": True,
    }


def test_libraries_speak_in_the_same_form(out: io.StringIO) -> None:
    configure_logging("INFO", "json", out)
    logging.getLogger("duckdb").warning("%d rows", 3)
    (line,) = lines_of(out)
    assert (line["event"], line["level"], line["logger"]) == ("3 rows", "warning", "duckdb")


def test_an_exception_is_one_field(out: io.StringIO) -> None:
    configure_logging("INFO", "json", out)
    try:
        int("ours")
    except ValueError:
        get_logger("ours").exception("it_failed")
        logging.getLogger("theirs").exception("it failed")
    ours, theirs = lines_of(out)
    for line in (ours, theirs):
        assert line["level"] == "error"
        assert "ValueError: invalid literal" in line["exception"]


def test_what_json_cannot_say_is_described(out: io.StringIO) -> None:
    configure_logging("INFO", "json", out)
    get_logger("ours").info("an_event", payload=b"\xff", kind=KeyError)
    (line,) = lines_of(out)
    assert line["payload"] == r"b'\xff'"


def test_people_read_a_line_each_without_colours_in_a_file(out: io.StringIO) -> None:
    configure_logging("INFO", "auto", out)
    get_logger("ours").warning("source_disconnected", reason="one\ntwo")
    text = out.getvalue()
    assert text.count("\n") == 1
    assert "source_disconnected" in text
    assert r"reason='one\ntwo'" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(("level", "count"), [("DEBUG", 4), ("INFO", 3), ("WARNING", 2), ("ERROR", 1)])
def test_the_level_says_what_is_left_out(out: io.StringIO, level: str, count: int) -> None:
    configure_logging(level, "json", out)
    log = get_logger("ours")
    for say in (log.debug, log.info, log.warning, log.error):
        say("an_event")
    assert len(lines_of(out)) == count


@pytest.mark.parametrize(("level", "expected"), [("DEBUG", logging.WARNING), ("ERROR", logging.ERROR)])
def test_chatty_libraries_are_heard_from_warnings_on(level: str, expected: int) -> None:
    configure_logging(level, "json", io.StringIO())
    assert [logging.getLogger(name).getEffectiveLevel() for name in LIBRARIES] == [expected] * 3


def test_configuring_again_replaces_the_former_and_reaches_loggers_already_made(out: io.StringIO) -> None:
    log = get_logger("ours")
    former = io.StringIO()
    configure_logging("INFO", "json", former)
    log.info("first")
    configure_logging("INFO", "json", out)
    log.info("second")
    assert [line["event"] for line in lines_of(former)] == ["first"]
    assert [line["event"] for line in lines_of(out)] == ["second"]


def test_unless_told_logs_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    get_logger("ours").info("an_event")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "an_event"


async def test_what_was_bound_in_a_task_is_in_its_logs_alone(out: io.StringIO) -> None:
    configure_logging("INFO", "json", out)

    async def work(number: int) -> None:
        structlog.contextvars.bind_contextvars(number=number)
        await asyncio.sleep(0)
        get_logger("ours").info("an_event")

    await asyncio.gather(*(asyncio.create_task(work(number)) for number in range(2)))
    assert [line["number"] for line in lines_of(out)] == [0, 1]


def test_the_memory_of_the_process_is_counted() -> None:
    assert 1_000_000 < rss_bytes() < 100_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ws://bob:secret@h:8999/ws", "ws://***@h:8999/ws"),
        ("tried wss://a@h/x and http://u:p@[::1]/ (no)", "tried wss://***@h/x and http://***@[::1]/ (no)"),
        ("ws://h/?to=a@b", "ws://h/?to=a@b"),
        ("mail bob@h", "mail bob@h"),
        ("ws://bob:s@cr@t@h/ws", "ws://***@h/ws"),
        ("ws://g:1,ws://bob:secret@h", "ws://g:1,ws://***@h"),
    ],
)
def test_names_and_passwords_in_urls_are_left_out(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_no_line_of_the_log_holds_a_password(out: io.StringIO) -> None:
    configure_logging("DEBUG", "json", out)
    log = get_logger("ours")
    log.info("source_connected", url="ws://bob:hunter2@h/")
    logging.getLogger("theirs").warning("cannot reach %s", "ws://bob:hunter2@h/")
    try:
        int("http://bob:hunter2@h/")
    except ValueError:
        log.exception("it_failed")
        logging.getLogger("theirs").exception("it failed")
    assert len(lines_of(out)) == 4
    assert "hunter2" not in out.getvalue()


def test_what_the_process_holds_is_counted() -> None:
    before = process_figures()
    assert before.open_files is not None
    assert before.threads is not None
    with Path(os.devnull).open("rb"):
        assert process_figures().open_files == before.open_files + 1
    assert before.threads >= 1
    assert before.file_limit is None or before.file_limit > before.open_files


def test_what_cannot_be_counted_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise OSError("Too many open files")

    monkeypatch.setattr("psutil.Process", refuse)
    figures = process_figures()
    assert (figures.open_files, figures.threads) == (None, None)
    assert figures.file_limit == process_figures().file_limit
