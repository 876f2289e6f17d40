"""The whole service as people run it: a process of its own, a backend, clients, a database, signals."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from hydrophone.client import (
    Client,
    ConnectionMessage,
    PredictionsQuery,
    StatusUpdateMessage,
    WhaleAlertMessage,
)
from hydrophone.client.following import Heard
from hydrophone.domain.units import SATS_PER_BTC
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.simulator.playback import PlaybackServer
from tests.backends import HOST, Backend, await_subscriptions, running
from tests.builders import mempool_json, transaction_json, txid_of
from tests.e2e.program import (
    ROOT,
    Entry,
    Finished,
    Program,
    addresses_of,
    clean_environment,
    finish,
    hydrophone,
    started,
)
from tests.recorded import load_excerpt
from tests.replay.expected import (
    EXCERPT_FLOWS,
    EXCERPT_MESSAGES,
    LABELS,
    Summary,
    summary_of,
    unpack_excerpt,
)

Message = dict[str, Any]

FREE_PORTS = ("--alerts-port", "0", "--api-port", "0")
STORE = Path("data/mempool_predictions.db")
STOP_S = 8.0
"""An orderly stop ends well before this, even on a busy machine."""
pytestmark = pytest.mark.timeout(60)
"""The story starts a dozen programs, which on a busy machine takes as long as a test may otherwise."""


class Pace:
    """Stands in for `asyncio.sleep` in a playback: frames follow at once, as far as the test allows."""

    def __init__(self) -> None:
        self._allowed = 0
        self._changed = asyncio.Event()
        self._slept = 0

    def allow(self, frame_count: int) -> None:
        self._allowed = frame_count
        self._changed.set()

    async def sleep(self, _delay_s: float) -> None:
        """Wait before a frame; there is one more sleep after the last."""
        self._slept += 1
        while self._slept > self._allowed:
            self._changed.clear()
            await self._changed.wait()
        await asyncio.sleep(0)


FRAMES = [frame for frame in load_excerpt() if frame.kind is FrameKind.RECEIVED]


@asynccontextmanager
async def playback(pace: Pace, frames: Sequence[Frame] = FRAMES) -> AsyncIterator[str]:
    """Yield the URL of a backend that plays frames once, and then hangs up."""
    server = PlaybackServer(frames, rounds=1, sleep=pace.sleep)
    async with running(server.run):
        yield f"ws://localhost:{server.port}/api/v1/ws"


class Listener:
    """A plain websocket client that keeps what it is told."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.messages: list[Message] = []

    async def until(self, condition: Callable[[Message], bool]) -> Message:
        """Listen until a message is the one waited for."""
        while True:
            message: Message = json.loads(await self._connection.recv())
            self.messages.append(message)
            if condition(message):
                return message

    async def until_seq(self, seq: int) -> None:
        await self.until(lambda message: message.get("seq") == seq)

    async def until_closed(self) -> int | None:
        """Listen to the end; return the code it was closed with."""
        with contextlib.suppress(ConnectionClosed):
            await self.until(lambda _: False)
        return self._connection.close_code

    @property
    def record(self) -> list[Message]:
        """What is in the record: alerts and their updates."""
        return [message for message in self.messages if "seq" in message]


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Listener]:
    async with connect(url) as connection:
        yield Listener(connection)


def summary(messages: Sequence[Message]) -> list[Summary]:
    return [summary_of(message) for message in messages]


def stored(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(duckdb.connect(str(path), read_only=True)) as connection:
        return connection.execute(query).fetchall()


# One service from start to stop, looked at from all sides.


@dataclass(frozen=True, slots=True)
class Story:
    """What was seen of a service that heard the excerpt."""

    folder: Path
    messages: list[Message]
    record: list[Message]
    resumed: list[Message]
    typed: list[Heard]
    example: list[str]
    verified: Finished
    running: tuple[Finished, Finished, Finished]
    stopped: tuple[Finished, Finished, Finished]
    program: Program
    exit_code: int
    stop_s: float
    close_code: int | None


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return asyncio.run(_live(tmp_path_factory.mktemp("service")))


async def _live(folder: Path) -> Story:
    pace = Pace()
    async with (
        playback(pace) as url,
        started(
            *("run", "--source", url, "--network", "regtest", "--labels", LABELS, *FREE_PORTS),
            cwd=folder,
        ) as program,
    ):
        addresses = await addresses_of(program)
        async with listening(addresses.alerts_url) as listener:
            pace.allow(len(FRAMES))
            await listener.until_seq(len(EXCERPT_MESSAGES))
            while_running = await _ask(folder, addresses.api_port, addresses.alerts_url)
            resumed = await _resume(addresses.api_port, since=2)
            typed = await _follow(addresses.api_port)
            example = await _try_example(folder, addresses.api_port)
            await _ask_everything(addresses.api_port)
            head = json.loads(while_running[0].out)["record_head"]
            verified = await hydrophone(
                *("record", "verify", "--json", "--head", head, "--api-port", addresses.api_port), cwd=folder
            )
            exit_code, stop_s = await program.stop()
            close_code = await listener.until_closed()
    after = await _ask(folder, addresses.api_port, addresses.alerts_url)
    return Story(
        folder,
        listener.messages,
        listener.record,
        resumed,
        typed,
        example,
        verified,
        while_running,
        after,
        program,
        exit_code,
        stop_s,
        close_code,
    )


async def _ask(folder: Path, api_port: str, alerts_url: str) -> tuple[Finished, Finished, Finished]:
    """Ask for the status as the command line, the quickstart's script and `db check` give it."""
    return await asyncio.gather(
        hydrophone("status", "--json", "--api-port", api_port, cwd=folder),
        finish(
            str(ROOT / "scripts/check_status.py"),
            cwd=folder,
            HYDROPHONE_API__PORT=api_port,
            HYDROPHONE_ALERTS__PORT=alerts_url.rpartition(":")[2],
        ),
        hydrophone("db", "check", cwd=folder),
    )


async def _resume(api_port: str, since: int) -> list[Message]:
    """Return what a client is sent on the API's port that asks for what came after an entry."""
    async with connect(f"ws://localhost:{api_port}/ws") as connection:
        await connection.send(json.dumps({"type": "subscribe", "id": 1, "since": since}))
        listener = Listener(connection)
        await listener.until(lambda message: message["type"] == "subscribed")
        await listener.until_seq(len(EXCERPT_MESSAGES))
        return listener.record


async def _follow(api_port: str) -> list[Heard]:
    """Return what the client of the package makes of the whole record."""
    heard: list[Heard] = []
    async with aclosing(Client(f"http://localhost:{api_port}").alerts(since=0)) as messages:
        async for message in messages:
            if not isinstance(message, ConnectionMessage):
                heard.append(message)
            if len(heard) == len(EXCERPT_MESSAGES):
                break
    return heard


async def _ask_everything(api_port: str) -> None:
    """Ask each path by the client of the package, which reads each answer as its type."""
    async with Client(f"http://localhost:{api_port}") as client:
        predictions = [prediction async for prediction in client.every_prediction(PredictionsQuery(limit=2))]
        txid = predictions[0].transaction_id
        assert (await client.prediction(txid)).transaction_id == txid
        assert (await client.explain(txid)).txid == txid
        status = await client.status()
        assert len(predictions) == status.predictions["total"]
        assert (await client.record()).head.seq == status.record_seq
        assert len((await client.netflow()).data) >= 1
        assert len((await client.statistics()).data) >= 1
        assert (await client.accuracy()).days == 90.0
        assert (await client.gaps(days=1)).days == 1.0
        assert (await client.fee_market()).simulated
        assert (await client.prices()).source == "mempool.space"
        assert (await client.labels_coverage()).claims >= 1


async def _try_example(folder: Path, api_port: str) -> list[str]:
    """Run the README's example as it stands but for the port, the least amount, and where it begins."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [code] = [block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "client" in block]
    for old, new in (
        ("localhost:8000", f"localhost:{api_port}"),
        ("min_moved_btc=100, ", ""),
        ("alerts(wanted)", "alerts(wanted, since=0)"),
    ):
        assert old in code
        code = code.replace(old, new)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", code),
        cwd=folder,
        env=clean_environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(3)]
    process.kill()
    await process.wait()
    return lines


def test_a_client_that_was_away_gets_what_it_missed_on_the_port_of_the_api(story: Story) -> None:
    assert story.resumed == story.record[2:]


def test_the_client_of_the_package_understands_every_message(story: Story) -> None:
    said = [
        (message.seq, message.data.transaction_id)
        for message in story.typed
        if isinstance(message, WhaleAlertMessage | StatusUpdateMessage)
    ]
    assert said == [(message["seq"], message["data"]["transaction_id"]) for message in story.record]


def test_the_example_of_the_readme_hears_whales(story: Story) -> None:
    assert [line.split()[0].isdecimal() for line in story.example] == [True] * 3
    assert "BTC from" in "".join(story.example)


def test_a_plain_client_is_greeted_and_hears_every_alert(story: Story) -> None:
    greeting = story.messages[0]
    assert (greeting["type"], greeting["data"]["status"]) == ("connection", "connected")
    assert "SIMULATED" in greeting["data"]["message"]
    assert summary(story.record) == EXCERPT_MESSAGES
    assert [message["seq"] for message in story.record] == list(range(1, len(EXCERPT_MESSAGES) + 1))
    assert all(message["data"].get("simulated", True) for message in story.record)


def test_each_alert_names_the_flow(story: Story) -> None:
    alerts = [message["data"] for message in story.record if message["type"] == "whale_alert"]
    assert {data["transaction_id"][:8]: data["flow_type"] for data in alerts} == EXCERPT_FLOWS


def test_what_was_heard_is_in_the_database_byte_for_byte(story: Story) -> None:
    rows = stored(story.folder / STORE, "SELECT seq, message FROM record ORDER BY seq")
    assert [seq for seq, _ in rows] == [message["seq"] for message in story.record]
    assert [json.loads(text) for _, text in rows] == story.record


def test_the_quickstarts_tables_hold_each_whale_with_its_outcome(story: Story) -> None:
    rows = stored(
        story.folder / STORE,
        """
        SELECT transaction_id, flow_type, btc_value, was_modified, status, published_at >= received_at
        FROM mempool_predictions ORDER BY detection_timestamp
        """,
    )
    last_versions = {
        m["data"]["prediction_id"]: m["data"] for m in story.record if m["type"] == "whale_alert"
    }
    assert rows == [
        (
            data["transaction_id"],
            data["flow_type"],
            data["btc_value"],
            data["was_modified"],
            "confirmed",
            True,
        )
        for data in last_versions.values()
    ]
    outcomes = stored(
        story.folder / STORE, "SELECT actual_outcome, count(*) FROM prediction_outcomes GROUP BY 1"
    )
    assert outcomes == [("confirmed", 7)]


def test_the_label_set_that_was_used_is_in_the_database(story: Story) -> None:
    report = json.loads(story.running[0].out)["labels"]
    sets = stored(story.folder / STORE, "SELECT version, claims, scripts, dated IS NULL FROM label_sets")
    assert sets == [(report["set"], report["claims"], report["scripts"], False)]
    used = stored(story.folder / STORE, "SELECT DISTINCT label_set FROM mempool_predictions")
    assert used == [(report["set"],)]
    [(count,)] = stored(story.folder / STORE, "SELECT count(*) FROM label_claims WHERE recorded_to IS NULL")
    assert count == report["claims"]


def test_a_running_service_reports_over_http(story: Story) -> None:
    status, _, check = story.running
    assert (status.code, status.err) == (0, "")
    report = json.loads(status.out)
    assert report["running"] is True
    assert report["simulated"] is True
    assert report["source"]["connected"] is True
    assert report["source"]["frames"] == len(FRAMES)
    assert report["source"]["malformed"] == 0
    assert report["predictions"]["total"] == 7
    assert report["predictions"]["signalled_since_start"] == 9
    assert report["record_seq"] == len(EXCERPT_MESSAGES)
    assert report["alerts"]["clients"] == 1
    assert report["store"] == str(STORE)
    assert (check.code, check.out) == (4, "")
    assert f"{STORE} is in use by process {story.program.process.pid}" in check.err


def test_the_record_of_a_running_service_is_verified_against_a_noted_head(story: Story) -> None:
    report = json.loads(story.running[0].out)
    assert (story.verified.code, story.verified.err) == (0, "")
    assert json.loads(story.verified.out) == {
        "whole": True,
        "entries": len(EXCERPT_MESSAGES),
        "with_content": len(EXCERPT_MESSAGES),
        "head": report["record_head"],
        "broken_at": None,
        "reason": None,
    }
    assert report["accuracy"]["within_p90"] == "insufficient data"
    assert report["accuracy"]["low"] is False


def test_a_stopped_service_is_reported_from_its_file(story: Story) -> None:
    status, _, check = story.stopped
    assert (status.code, status.err) == (0, "")
    report = json.loads(status.out)
    assert report["running"] is False
    assert (report["prediction_count"], report["outcome_count"], report["last_seq"]) == (7, 7, 18)
    assert (check.code, check.out, check.err) == (0, f"{STORE} is sound\n", "")


def test_the_quickstarts_script_prints_its_four_lines_running_or_not(story: Story) -> None:
    """And below them, while it runs, whether the mempool is heard."""
    for (_, script, _), alerts, sight in (
        (story.running, "✅ Alert broadcaster is running", ["✅ Listening to a SIMULATED mempool"]),
        (story.stopped, "❌ Alert broadcaster is not running", []),
    ):
        assert (script.code, script.err) == (0, "")
        memory, total, pending, broadcaster, *others = script.out.splitlines()
        assert others[:1] == sight
        assert re.fullmatch(r"Memory usage: \d+\.\d MB", memory)
        assert (total, pending, broadcaster) == ("Total predictions: 7", "Pending predictions: 0", alerts)


def test_each_alert_is_logged_in_the_quickstarts_words(story: Story) -> None:
    alerts = [message for message in story.record if message["type"] == "whale_alert"]
    assert story.program.whales == [message["data"]["transaction_id"] for message in alerts]
    first = next(entry for entry in story.program.log if "WHALE ALERT" in entry["event"])
    assert first["event"].startswith("🐋 WHALE ALERT: 140.34 BTC - TX: 5c4d106a")
    assert first["level"] == "info"


def test_sigterm_is_an_orderly_end(story: Story) -> None:
    assert story.exit_code == 0
    assert story.stop_s < STOP_S
    assert story.close_code == 1001
    assert story.program.log[-1]["event"] == "stopped"
    assert story.program.noise == []


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


@pytest.fixture
def excerpt(tmp_path: Path) -> Path:
    return unpack_excerpt(tmp_path)


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


# Recorded, and replayed.


def transactions_of(frame: Message) -> list[dict[str, Any]]:
    delta = frame.get("mempool-transactions") or {}
    return [*delta.get("added", []), *(pair["by"] for pair in delta.get("replaced", []))]


def whales_of(frame: Frame) -> set[str]:
    """Return the txids of the whales that a frame announces."""
    return {
        transaction["txid"]
        for transaction in transactions_of(json.loads(frame.payload))
        if sum(output["value"] for output in transaction["vout"]) > 100 * SATS_PER_BTC
    }


def without_prevouts(frames: Sequence[Frame]) -> list[Frame]:
    """Return frames as a backend without an address index says them, and the answers of its REST."""
    said: list[Frame] = []
    for frame in frames:
        stripped, whole = json.loads(frame.payload), json.loads(frame.payload)
        for transaction in transactions_of(stripped):
            for spent in transaction["vin"]:
                spent["prevout"] = None
        said.append(replace(frame, payload=json.dumps(stripped).encode()))
        said += [
            Frame(
                frame.at,
                frame.source,
                FrameKind.ANSWERED,
                json.dumps(transaction).encode(),
                f"/api/v1/tx/{transaction['txid']}",
                200,
            )
            for transaction in transactions_of(whole)
        ]
    return said


async def hear_all(program: Program, pace: Pace) -> None:
    """Let a program hear each frame once it has said all whales before it; end with the hanging up."""
    due: set[str] = set()

    def are_said() -> bool:
        return due <= set(program.whales)

    for count, frame in enumerate(FRAMES, 1):
        await program.until(are_said)
        pace.allow(count)
        due |= whales_of(frame)
    await program.until(are_said)
    pace.allow(len(FRAMES) + 1)
    await program.until(lambda: any("retry_in_s" in entry for entry in program.log))


OF_THE_MARKET = frozenset(
    {
        "urgency_score",
        "urgency_basis",
        "urgency_reason",
        "predicted_confirmation_block",
        "confirm_probability",
    }
    | {"eta_minutes", "p_replaced", "p_dropped", "calibrated", "market", "model_state", "confidence_score"}
)
"""How fast transactions arrive is measured by when frames were received."""


def timeless(message: Message) -> Message:
    """Return what of a message does not depend on when frames were received: two programs hear apart."""
    data = {
        key: value
        for key, value in message["data"].items()
        if not key.endswith(("timestamp", "time")) and key not in OF_THE_MARKET
    }
    if "history" in data:
        data["history"] = [version | {"seen": None} for version in data["history"]]
    return {"type": message["type"], "seq": message["seq"], "data": data}


async def test_what_was_recorded_replays_as_what_was_published_live(tmp_path: Path) -> None:
    """From a backend that sends no prevouts: a replay needs the REST answers that were recorded too."""
    common = ("--network", "regtest", "--labels", LABELS)

    async def listen() -> list[Message]:
        pace = Pace()
        async with (
            playback(pace, without_prevouts(FRAMES)) as url,
            started("run", "--source", url, *common, *FREE_PORTS, cwd=tmp_path) as program,
            listening((await addresses_of(program)).alerts_url) as listener,
        ):
            await hear_all(program, pace)
            assert (await program.stop())[0] == 0
            await listener.until_closed()
        assert program.noise == []
        return listener.record

    async def record() -> None:
        pace = Pace()
        async with (
            playback(pace, without_prevouts(FRAMES)) as url,
            started("record", "heard.jsonl", "--source", url, *common, cwd=tmp_path) as program,
        ):
            await hear_all(program, pace)
            assert (await program.stop())[0] == 0
        assert program.noise == []

    published, _ = await asyncio.gather(listen(), record())
    replayed = await hydrophone("replay", "heard.jsonl", *common, "--json", cwd=tmp_path)
    assert replayed.err == ""
    said = [json.loads(line) for line in replayed.out.splitlines()]
    assert summary(said) == EXCERPT_MESSAGES
    assert [timeless(message) for message in said] == [timeless(message) for message in published]
    flows = {
        m["data"]["transaction_id"][:8]: m["data"].get("flow_type")
        for m in said
        if m["type"] == "whale_alert"
    }
    assert flows == EXCERPT_FLOWS
    assert all(m["data"]["simulated"] for m in said if m["type"] == "whale_alert")


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
