"""How services begin and end: kills, signals, rubbish, what keeps one from starting, the demonstration."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from websockets.asyncio.server import ServerConnection

from hydrophone.domain.units import SATS_PER_BTC
from tests.backends import HOST, Backend, await_subscriptions
from tests.builders import mempool_json, transaction_json, txid_of
from tests.e2e.playing import (
    FRAMES,
    FREE_PORTS,
    STOP_S,
    STORE,
    Message,
    Pace,
    listening,
    playback,
    stored,
    summary,
)
from tests.e2e.program import (
    ROOT,
    Entry,
    addresses_of,
    finish,
    hydrophone,
    started,
)
from tests.replay.expected import (
    EXCERPT_FLOWS,
    EXCERPT_MESSAGES,
)

# Kills, stops, ends.


async def test_after_kill_9_no_whale_is_alerted_again_and_none_is_lost(tmp_path: Path) -> None:
    arguments = ("--network", "regtest", *FREE_PORTS)
    heard: list[Message] = []
    for frame_count, seq in ((10, 9), (len(FRAMES), len(EXCERPT_MESSAGES))):
        pace = Pace()
        async with (
            playback(pace) as url,
            started("run", "--source", url, *arguments, cwd=tmp_path) as program,
        ):
            async with listening((await addresses_of(program)).alerts_url) as listener:
                pace.allow(frame_count)  # the second time from the beginning again
                await listener.until_seq(seq)
                program.process.kill()
                await listener.until_closed()
            heard += listener.record
            assert await program.end() == -signal.SIGKILL
            assert program.noise == []
    assert summary(heard) == EXCERPT_MESSAGES
    assert [message["seq"] for message in heard] == list(range(1, len(EXCERPT_MESSAGES) + 1))
    checked = await hydrophone("db", "check", cwd=tmp_path)
    assert (checked.code, checked.out) == (0, f"{STORE} is sound\n")


def whale(name: str) -> dict[str, Any]:
    return transaction_json(name, [150 * SATS_PER_BTC])


RUBBISH: tuple[str | bytes, ...] = (
    "this is not JSON",
    b"\x00\xff\xfe",
    "x" * 20 * 2**20,
    '{"mempool-transactions":"' + "x" * 20 * 2**20 + '"}',
    '{"mempool-transactions":{"sequence":1,"added":[5]}}',
    '{"block":{"height":"high"}}',
    '["a list"]',
    "[" * 100_000,
    "",
)
"""Frames that are no frames: one thing is wrong with each."""


async def test_rubbish_from_the_backend_is_counted_and_the_next_whale_is_heard(tmp_path: Path) -> None:
    go = asyncio.Event()

    async def talk_rubbish(connection: ServerConnection) -> None:
        await await_subscriptions(connection)
        await go.wait()
        await connection.send("{}")
        for rubbish in RUBBISH:
            await connection.send(rubbish)
        await connection.send(mempool_json(2, added=[5, whale("next"), {"txid": "short"}]))
        await connection.wait_closed()

    bad_labels = tmp_path / "bad.csv"
    bad_labels.write_text("exchange_name,address,type\nSome Exchange,nonsense,deposit\n", encoding="utf-8")
    async with (
        Backend(talk_rubbish) as backend,
        started(
            *("run", "--source", backend.url(), "--labels", str(bad_labels), *FREE_PORTS),
            cwd=tmp_path,
        ) as program,
    ):
        addresses = await addresses_of(program)
        async with listening(addresses.alerts_url) as listener:
            go.set()
            alert = await listener.until(lambda message: message["type"] == "whale_alert")
        status = await hydrophone("status", "--json", "--api-port", addresses.api_port, cwd=tmp_path)
        rejected = await program.logged("label_rejected")
        code, _ = await program.stop(signal.SIGINT)
    assert alert["data"]["transaction_id"] == txid_of("next")
    source = json.loads(status.out)["source"]
    assert source["connected"] is True
    assert source["malformed"] == len(RUBBISH) + 2
    assert source["frames"] == len(RUBBISH) + 2
    assert (rejected["level"], rejected["file"], rejected["line"]) == ("warning", str(bad_labels), 2)
    assert code == 0
    assert program.noise == []


@asynccontextmanager
async def unresponsive_client(alerts_url: str) -> AsyncIterator[None]:
    """Connect a client that never answers a closing handshake."""
    host, _, port = alerts_url.removeprefix("ws://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_a_second_signal_kills(second: signal.Signals, tmp_path: Path) -> None:
    """A service whose orderly end takes long, because a client does not say goodbye."""
    async with (
        Backend() as backend,
        started("run", "--source", backend.url(), *FREE_PORTS, cwd=tmp_path, LOG_LEVEL="DEBUG") as program,
        unresponsive_client((await addresses_of(program)).alerts_url),
    ):
        program.process.send_signal(signal.SIGINT)
        await program.until(lambda: any(is_stop_of("recorder", entry) for entry in program.log))
        code, _ = await program.stop(second)
    assert code == -second
    assert program.noise == []


def is_stop_of(service: str, entry: Entry) -> bool:
    return (entry["event"], entry.get("service")) == ("service_stopped", service)


async def test_a_recording_as_source_is_played_to_its_end(tmp_path: Path, excerpt: Path) -> None:
    arguments = ("run", "--source", f"recording:{excerpt}", "--network", "regtest", *FREE_PORTS)
    async with started(*arguments, cwd=tmp_path) as program:
        assert await program.end() == 0
    assert program.noise == []
    assert program.log[-1]["event"] == "stopped"
    rows = stored(tmp_path / STORE, "SELECT message FROM record ORDER BY seq")
    assert summary([json.loads(text) for (text,) in rows]) == EXCERPT_MESSAGES
    times = stored(tmp_path / STORE, "SELECT min(published_at - received_at) FROM mempool_predictions")
    assert times[0][0].total_seconds() >= 0


async def test_the_quickstarts_monitor_is_the_service(tmp_path: Path, excerpt: Path) -> None:
    script = str(ROOT / "scripts/mempool_whale_monitor.py")
    source = ("--source", f"recording:{excerpt}", "--network", "regtest")
    finished = await finish("-u", script, *source, *FREE_PORTS, cwd=tmp_path, LOG_LEVEL="DEBUG")
    assert (finished.code, finished.out) == (0, "")
    grepped = [line for line in finished.err.splitlines() if "WHALE ALERT" in line]
    assert len(grepped) == len(EXCERPT_FLOWS)
    assert "🐋 WHALE ALERT: 140.34 BTC - TX: 5c4d106a" in grepped[0]
    assert "debug" in finished.err


# What keeps a service from starting: one line, and the exit code that says whose fault it is.


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]


async def refusal_of(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Run a service that does not start; return its exit code and the line it says."""
    finished = await hydrophone("run", *arguments, cwd=cwd)
    assert finished.out == ""
    [line] = finished.err.splitlines()
    assert line.startswith("hydrophone: ")
    return finished.code, line


NOBODY = ("--source", f"ws://{HOST}:9")
"""Where nobody needs to be: it is not come to that."""


@pytest.mark.parametrize("section", ["alerts", "api"])
async def test_a_busy_port_is_exit_2(section: str, busy_port: int, tmp_path: Path) -> None:
    code, line = await refusal_of(*NOBODY, *FREE_PORTS, f"--{section}-port", str(busy_port), cwd=tmp_path)
    assert code == 2
    assert f"port {busy_port} of localhost is in use" in line
    assert f"{section}.port" in line
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 -- a folder in memory


async def test_a_missing_label_file_is_exit_2(tmp_path: Path) -> None:
    code, line = await refusal_of(*NOBODY, *FREE_PORTS, "--labels", "missing.csv", cwd=tmp_path)
    assert code == 2
    assert "label file missing.csv: expected a file that can be read: No such file" in line


async def test_a_database_that_another_process_has_open_is_exit_4(tmp_path: Path) -> None:
    with closing(duckdb.connect(str(tmp_path / "x.db"))):
        code, line = await refusal_of(*NOBODY, *FREE_PORTS, "--store-path", "x.db", cwd=tmp_path)
    assert code == 4
    assert f"x.db is in use by process {os.getpid()}" in line


async def test_a_place_where_no_database_can_be_is_exit_4(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, line = await refusal_of(*NOBODY, *FREE_PORTS, "--store-path", "file/x.db", cwd=tmp_path)
    assert code == 4
    assert "file cannot be made to hold the database" in line


@pytest.mark.parametrize("kept_bytes", [0, 5_000])
async def test_a_damaged_database_is_exit_4(kept_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    assert (await hydrophone("db", "init", "--store-path", "x.db", cwd=tmp_path)).code == 0
    whole = path.read_bytes()
    path.write_bytes(whole[:kept_bytes] + b"\xa5" * (len(whole) - kept_bytes))
    code, line = await refusal_of(*NOBODY, *FREE_PORTS, "--store-path", "x.db", cwd=tmp_path)
    assert code == 4
    assert "x.db" in line
    assert "move it away" in line


# Output that nobody reads.


@pytest.mark.parametrize(
    "arguments", ["replay excerpt.jsonl --json", "replay excerpt.jsonl", "config show", "run --help"]
)
async def test_a_reader_that_has_seen_enough_is_no_error(
    arguments: str, tmp_path: Path, excerpt: Path
) -> None:
    assert excerpt.parent == tmp_path
    reader, writer = os.pipe()
    os.close(reader)
    try:
        finished = await hydrophone(*arguments.split(), cwd=tmp_path, stdout=writer)
    finally:
        os.close(writer)
    assert (finished.code, finished.err) == (0, "")


# The demonstration.


async def test_the_demo_replaces_busy_ports_and_shows_a_whale_within_seconds(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        busy = {
            name: str(stack.enter_context(socket.create_server((HOST, 0))).getsockname()[1])
            for name in ("simulator", "alerts", "api")
        }
        ports = [part for name, port in busy.items() for part in (f"--{name}-port", port)]
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        began = time.monotonic()
        async with started("demo", *ports, cwd=tmp_path, TMPDIR=str(temporary)) as program:
            addresses = await addresses_of(program)
            async with listening(addresses.alerts_url) as listener:
                alert = await listener.until(lambda message: message["type"] == "whale_alert")
            first_whale_s = time.monotonic() - began
            code, stop_s = await program.stop()
    assert code == 0
    assert stop_s < STOP_S
    said = {entry["section"]: str(entry["port"]) for entry in program.log if entry["event"] == "port_busy"}
    assert said == busy
    assert addresses.api_port not in busy.values()
    assert alert["data"]["simulated"] is True
    assert alert["data"]["explorer_url"] is None
    assert first_whale_s < 15
    text = "\n".join(program.noise)
    assert "SIMULATED" in text
    assert addresses.alerts_url in text
    assert addresses.api_url in text
    assert "Traceback" not in text
    assert "leaked" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]  # noqa: ASYNC240 -- a folder in memory
    assert list(temporary.iterdir()) == []  # its database is gone
