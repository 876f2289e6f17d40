import json
from typing import Any

from hydrophone.domain.units import MICROS_PER_S, UnixMicros, format_instant
from hydrophone.pipeline.connection import ConnectionMonitor
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.public_v1 import encode_connection
from tests.builders import SOURCE, START, opened, received


class Audience:
    """Hears what is published, and what a client that joins at that moment would be told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.greetings: list[bytes] = []
        self.monitor = ConnectionMonitor(broadcast=self, encode=encode_connection, started_at=START)

    async def publish(self, *messages: bytes) -> None:
        self.heard += messages
        self.greetings.append(self.monitor.greeting())


def closed(at: int) -> Frame:
    return Frame(at, SOURCE, FrameKind.CLOSED, b"the peer went away")


def said(message: bytes) -> tuple[str, bool, str, str]:
    """Return status, availability, text and time of a message."""
    parsed: dict[str, Any] = json.loads(message)
    assert parsed["type"] == "connection"
    assert "seq" not in parsed
    data = parsed["data"]
    return data["status"], data["mempool_available"], data["message"], parsed["timestamp"]


def time_of(at: int) -> str:
    return format_instant(UnixMicros(at))


def test_before_the_first_connection_a_client_is_told_that_nothing_is_heard() -> None:
    audience = Audience()
    assert said(audience.monitor.greeting()) == (
        "disconnected",
        False,
        "Not connected to a mempool yet",
        time_of(START),
    )
    assert not audience.monitor.is_connected
    assert audience.monitor.heard_at is None
    assert audience.heard == []


async def test_each_change_is_said_to_all_and_greets_who_comes_later() -> None:
    audience = Audience()
    for frame in (opened(START + 1), closed(START + 2), opened(START + 3)):
        await audience.monitor.note(frame)
        assert said(audience.monitor.greeting())[3] == time_of(frame.at)
    lost = "The connection to the mempool was lost; reconnecting"
    assert [said(message) for message in audience.heard] == [
        ("connected", True, "Listening to the mempool", time_of(START + 1)),
        ("disconnected", False, lost, time_of(START + 2)),
        ("connected", True, "Listening to the mempool", time_of(START + 3)),
    ]


async def test_the_greeting_changes_before_the_news_is_published() -> None:
    """A client that joins while a broadcast is going on hears the new state one way or the other."""
    audience = Audience()
    for frame in (opened(), closed(START + 1)):
        await audience.monitor.note(frame)
    assert audience.greetings == audience.heard


async def test_a_simulated_mempool_is_called_so() -> None:
    audience = Audience()
    await audience.monitor.note(opened(is_simulated=True))
    assert audience.monitor.is_simulated
    assert said(audience.heard[0])[2] == "Listening to a SIMULATED mempool"

    await audience.monitor.note(opened())
    assert not audience.monitor.is_simulated


async def test_messages_of_the_backend_are_counted_and_change_nothing() -> None:
    audience = Audience()
    await audience.monitor.note(opened())
    for second in (1, 2):
        await audience.monitor.note(received(b"{}", START + second * MICROS_PER_S))
    for kind in (FrameKind.SENT, FrameKind.ANSWERED):
        await audience.monitor.note(Frame(START + 9 * MICROS_PER_S, SOURCE, kind, b"{}"))
    assert audience.monitor.frame_count == 2
    assert audience.monitor.heard_at == START + 2 * MICROS_PER_S
    assert len(audience.heard) == 1


async def test_it_is_connected_between_opening_and_loss() -> None:
    monitor = Audience().monitor
    await monitor.note(opened())
    assert monitor.is_connected
    await monitor.note(closed(START + 1))
    assert not monitor.is_connected
