"""What a service recorded, replayed: the same as it published live."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydrophone.domain.units import SATS_PER_BTC
from hydrophone.runtime.frame import Frame, FrameKind
from tests.e2e.playing import (
    FRAMES,
    FREE_PORTS,
    Message,
    Pace,
    listening,
    playback,
    summary,
)
from tests.e2e.program import (
    Program,
    addresses_of,
    hydrophone,
    started,
)
from tests.replay.expected import (
    EXCERPT_FLOWS,
    EXCERPT_MESSAGES,
    LABELS,
)


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
