"""The whole service as people run it: a process of its own, a backend, clients, a database, signals."""

import asyncio
import json
import re
import sys
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from hydrophone.client import (
    Client,
    ConnectionMessage,
    PredictionsQuery,
    StatusUpdateMessage,
    WhaleAlertMessage,
)
from hydrophone.client.following import Heard
from tests.e2e.playing import (
    FRAMES,
    FREE_PORTS,
    STOP_S,
    STORE,
    Listener,
    Message,
    Pace,
    listening,
    playback,
    stored,
    summary,
)
from tests.e2e.program import (
    ROOT,
    Finished,
    Program,
    addresses_of,
    clean_environment,
    finish,
    hydrophone,
    started,
)
from tests.replay.expected import (
    EXCERPT_FLOWS,
    EXCERPT_MESSAGES,
    LABELS,
)

pytestmark = pytest.mark.timeout(120)
"""The story starts a dozen programs, which on a busy machine takes longer than a test may otherwise."""


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
