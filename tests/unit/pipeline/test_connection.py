import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from hydrophone.domain.units import MICROS_PER_S, UnixMicros, format_instant
from hydrophone.pipeline.connection import ConnectionMonitor, ConnectionStatus, Signs, describe_duration
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.public_v1 import encode_connection
from hydrophone.wire.stream_signs import parse_loaded_share, tells_blocks, tells_mempool
from tests.builders import SOURCE, START, answered, mempool_json, opened, received

SIGNS = Signs(tells_mempool, parse_loaded_share, tells_blocks)
LOADING = b'{"loadingIndicators":{"mempool":99}}'
LOADED = b'{"loadingIndicators":{}}'


class Audience:
    """Hears what is published, and what a client that joins at that moment would be told."""

    def __init__(self, *, heard_before: UnixMicros | None = None, is_never_quiet: bool = True) -> None:
        self.heard: list[bytes] = []
        self.greetings: list[bytes] = []
        self.silences: list[tuple[float, float, str]] = []
        self.monitor = ConnectionMonitor(
            broadcast=self,
            encode=encode_connection,
            signs=SIGNS,
            started_at=START,
            heard_before=heard_before,
            is_never_quiet=is_never_quiet,
            on_silence=self.on_silence,
        )

    async def publish(self, *messages: bytes) -> None:
        self.heard += messages
        self.greetings.append(self.monitor.greeting())

    async def on_silence(self, begun_at: UnixMicros, ended_at: UnixMicros, reason: str) -> None:
        self.silences.append((seconds_of(begun_at), seconds_of(ended_at), reason))

    async def look_each_second(self, first_s: int, last_s: int) -> None:
        for second in range(first_s, last_s + 1):
            await self.monitor.look(after(second))

    @property
    def statuses(self) -> list[str]:
        return [said(message)[0] for message in self.heard]

    @property
    def last(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.heard[-1])["data"]
        return data


def after(second: float) -> UnixMicros:
    return UnixMicros(START + round(second * MICROS_PER_S))


def seconds_of(at: int) -> float:
    return (at - START) / MICROS_PER_S


def closed(at: int) -> Frame:
    return Frame(at, SOURCE, FrameKind.CLOSED, b"the peer went away")


def told(at: int) -> Frame:
    return received(mempool_json(), at)


def blocks_answered(status: int, at: int) -> Frame:
    return answered("/api/v1/blocks", status, b"[]" if status else b"no answer", at)


def said(message: bytes) -> tuple[str, bool, str, str]:
    """Return status, availability, text and time of a message."""
    parsed: dict[str, Any] = json.loads(message)
    assert parsed["type"] == "connection"
    assert "seq" not in parsed
    data = parsed["data"]
    return data["status"], data["mempool_available"], data["message"], parsed["timestamp"]


def time_of(at: int) -> str:
    return format_instant(UnixMicros(at))


async def test_before_the_first_connection_a_client_is_told_that_nothing_is_heard() -> None:
    audience = Audience()
    assert said(audience.monitor.greeting()) == (
        "disconnected",
        False,
        "Not connected to a mempool yet",
        time_of(START),
    )
    assert not audience.monitor.is_connected
    assert not audience.monitor.is_heard
    assert audience.monitor.heard_at is None
    assert audience.heard == []


async def test_each_change_is_said_to_all_and_greets_who_comes_later() -> None:
    audience = Audience()
    for frame in (opened(START), told(after(1)), closed(after(2)), opened(after(65))):
        await audience.monitor.note(frame)
        if frame.kind is not FrameKind.RECEIVED:
            assert said(audience.monitor.greeting())[3] == time_of(frame.at)
    lost = "The connection to the mempool was lost; reconnecting"
    assert [said(message) for message in audience.heard] == [
        ("connected", True, "Listening to the mempool", time_of(START)),
        ("disconnected", False, lost, time_of(after(2))),
        ("connected", True, "Listening to the mempool, after 1 min 4 s without it", time_of(after(65))),
    ]


async def test_the_greeting_changes_before_the_news_is_published() -> None:
    """A client that joins while a broadcast is going on hears the new state one way or the other."""
    audience = Audience()
    for frame in (opened(), told(after(1)), closed(after(2))):
        await audience.monitor.note(frame)
    await audience.look_each_second(3, 310)
    await audience.monitor.note(blocks_answered(200, after(310)))
    await audience.monitor.note(opened(after(311)))
    assert audience.statuses == ["connected", "disconnected", "degraded", "degraded", "connected"]
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
        await audience.monitor.note(received(b"{}", after(second)))
    for kind in (FrameKind.SENT, FrameKind.ANSWERED):
        await audience.monitor.note(Frame(after(9), SOURCE, kind, b"{}"))
    assert audience.monitor.frame_count == 2
    assert audience.monitor.heard_at == after(2)
    assert len(audience.heard) == 1


async def test_it_is_connected_between_opening_and_loss() -> None:
    monitor = Audience().monitor
    await monitor.note(opened())
    assert monitor.is_connected
    await monitor.note(closed(after(1)))
    assert not monitor.is_connected


# Five minutes without.


async def test_after_five_minutes_without_the_stream_predictions_are_unavailable_and_it_says_since_when() -> (
    None
):
    audience = Audience()
    for frame in (opened(), told(after(9)), closed(after(10))):
        await audience.monitor.note(frame)
    with capture_logs() as logs:
        await audience.look_each_second(11, 308)
        assert audience.statuses == ["connected", "disconnected"]
        await audience.monitor.look(after(309))
    assert said(audience.heard[-1]) == (
        "degraded",
        False,
        (
            "Mempool Predictions Unavailable: the connection to the mempool is lost, "
            "since 2026-09-21T14:13:29Z; asking for confirmed blocks by REST"
        ),
        time_of(after(309)),
    )
    assert audience.last["since"] == time_of(after(9))
    assert audience.last["blocks_followed"] is None
    [entry] = logs
    assert (entry["event"], entry["log_level"]) == ("mempool_predictions_unavailable", "warning")
    assert (entry["since"], entry["unheard_s"]) == (time_of(after(9)), 300.0)


async def test_a_source_that_comes_back_ends_it_and_it_is_said_for_how_long_it_was_gone() -> None:
    audience = Audience()
    for frame in (opened(), told(after(9)), closed(after(10))):
        await audience.monitor.note(frame)
    await audience.look_each_second(11, 700)
    assert not audience.monitor.is_heard
    with capture_logs() as logs:
        await audience.monitor.note(opened(after(700)))
    assert audience.monitor.is_heard
    assert audience.last == {
        "status": "connected",
        "mempool_available": True,
        "message": "Listening to the mempool, after 11 min 31 s without it",
        "since": None,
        "blocks_followed": None,
    }
    [entry] = logs
    assert (entry["event"], entry["log_level"]) == ("mempool_predictions_resumed", "info")
    assert entry["unheard_s"] == 691.0
    await audience.look_each_second(701, 999)
    assert audience.monitor.is_heard


async def test_a_service_that_never_finds_a_source_says_so_after_five_minutes() -> None:
    audience = Audience(heard_before=after(-7_200))
    await audience.look_each_second(1, 299)
    assert audience.heard == []
    await audience.monitor.look(after(300))
    assert audience.last["status"] == "degraded"
    assert "no source answers, since 2026-09-21T14:13:20Z" in audience.last["message"]
    assert audience.monitor.blind_from == after(-7_200)  # the gap began when we were stopped
    await audience.monitor.note(opened(after(301)))
    assert audience.last["message"] == "Listening to the mempool, after 5 min 1 s without it"
    assert audience.monitor.blind_from is None


@pytest.mark.parametrize(
    ("answers", "followed"),
    [
        ([200], [None, True]),
        ([0], [None, False]),
        ([0, 0, 502, 200, 200, 0, 0, 502], [None, False, True, False]),
        ([200, 0, 502, 200, 0, 0], [None, True]),
    ],
)
async def test_whether_blocks_are_followed_is_said_when_it_changes(
    answers: Sequence[int], followed: list[bool | None]
) -> None:
    audience = Audience()
    await audience.look_each_second(1, 300)
    for number, status in enumerate(answers):
        await audience.monitor.note(blocks_answered(status, after(301 + number)))
        await audience.monitor.note(answered("/api/v1/tx/ab", 500, b"", after(301 + number)))
    assert [json.loads(message)["data"]["blocks_followed"] for message in audience.heard] == followed
    words = {None: "asking for", True: "are still followed", False: "none are followed"}
    assert words[followed[-1]] in audience.last["message"]


async def test_blocks_that_are_answered_while_the_mempool_is_heard_are_no_news() -> None:
    audience = Audience()
    await audience.monitor.note(opened())
    await audience.monitor.note(blocks_answered(0, after(1)))
    assert audience.statuses == ["connected"]
    assert audience.monitor.blocks_followed is None


async def test_a_connection_that_tells_nothing_of_a_mempool_is_not_hearing_it() -> None:
    audience = Audience()
    await audience.monitor.note(opened(after(5)))
    for second in range(6, 310):
        await audience.monitor.note(received(b'{"blocks":[]}', after(second)))
        await audience.monitor.look(after(second))
    assert audience.statuses == ["connected", "degraded"]
    assert "connected and tells nothing of a mempool" in audience.last["message"]
    assert audience.monitor.is_connected
    await audience.monitor.note(told(after(400)))
    assert audience.statuses[-1] == "connected"
    assert audience.silences == [(5.0, 400.0, "the source is connected and tells nothing of a mempool")]


async def test_a_stream_that_falls_silent_is_not_heard_where_a_mempool_is_never_quiet() -> None:
    audience = Audience()
    await audience.monitor.note(opened())
    await audience.look_each_second(1, 99)
    await audience.monitor.note(told(after(100)))
    await audience.look_each_second(100, 399)
    assert audience.statuses == ["connected"]
    await audience.monitor.look(after(400))
    assert audience.statuses == ["connected", "degraded"]


async def test_silence_says_nothing_where_a_mempool_may_be_quiet() -> None:
    audience = Audience(is_never_quiet=False)
    await audience.monitor.note(opened())
    await audience.monitor.note(received(b'{"blocks":[]}', after(1)))
    await audience.look_each_second(1, 4_000)
    await audience.monitor.note(closed(after(4_000)))
    await audience.look_each_second(4_001, 4_299)  # it was heard until then
    assert audience.statuses == ["connected", "disconnected"]


async def test_who_says_nothing_at_all_is_no_backend_on_any_network() -> None:
    audience = Audience(is_never_quiet=False)
    await audience.monitor.note(opened())
    await audience.look_each_second(1, 300)
    assert audience.statuses == ["connected", "degraded"]
    await audience.monitor.note(closed(after(350)))
    await audience.monitor.note(opened(after(360)))
    assert audience.statuses == ["connected", "degraded"]
    assert audience.silences == [(0.0, 350.0, "the source is connected and tells nothing of a mempool")]


@pytest.mark.parametrize("is_never_quiet", [True, False])
async def test_a_backend_that_loads_its_mempool_for_five_minutes_is_not_heard(
    *, is_never_quiet: bool
) -> None:
    audience = Audience(is_never_quiet=is_never_quiet)
    await audience.monitor.note(opened())
    await audience.monitor.note(told(after(99)))
    for second in range(100, 401):
        await audience.monitor.note(received(LOADING, after(second)))
        await audience.monitor.look(after(second))
    assert audience.statuses == ["connected", "degraded"]
    assert "the backend has loaded 99% of its mempool, since 2026-09-21T14:15:00Z" in audience.last["message"]
    await audience.monitor.note(received(LOADED, after(450)))
    assert audience.statuses == ["connected", "degraded", "connected"]
    assert audience.silences == [(100.0, 450.0, "the backend has loaded 99% of its mempool")]


async def test_a_backend_that_tells_changes_while_it_loads_is_heard() -> None:
    audience = Audience()
    await audience.monitor.note(opened())
    for second in range(1, 400):
        await audience.monitor.note(received(LOADING, after(second)))
        if second % 100 == 0:
            await audience.monitor.note(told(after(second)))
        await audience.monitor.look(after(second))
    assert audience.statuses == ["connected"]


# What comes back, and does not stay.


async def flap(audience: Audience, first_s: int, last_s: int) -> None:
    """Let a socket open and close again without a word, each other second."""
    for second in range(first_s, last_s, 2):
        await audience.monitor.note(opened(after(second)))
        await audience.monitor.note(closed(after(second + 1)))
        await audience.monitor.look(after(second + 1))


@pytest.mark.parametrize("is_never_quiet", [True, False])
async def test_a_socket_that_opens_and_closes_does_not_count_as_heard(*, is_never_quiet: bool) -> None:
    audience = Audience(is_never_quiet=is_never_quiet)
    await flap(audience, 1, 900)
    assert set(audience.statuses[:-1]) == {"connected", "disconnected"}
    assert audience.statuses[-1] == "degraded"
    assert said(audience.heard[-1])[3] <= time_of(after(301))
    await audience.monitor.note(opened(after(901)))
    assert audience.statuses[-1] == "degraded"
    await audience.monitor.note(told(after(902)))
    assert audience.statuses[-1] == "connected"


async def test_a_source_that_comes_back_and_disappoints_has_to_speak_the_next_time() -> None:
    audience = Audience()
    for frame in (opened(), told(after(9)), closed(after(10))):
        await audience.monitor.note(frame)
    await audience.look_each_second(11, 400)
    await flap(audience, 401, 900)
    assert audience.statuses == [
        "connected",
        "disconnected",
        "degraded",
        "connected",
        "disconnected",
        "degraded",
    ]
    assert audience.last["since"] == time_of(after(9))


async def test_a_quiet_source_that_stays_is_believed() -> None:
    audience = Audience(is_never_quiet=False)
    await flap(audience, 1, 400)
    assert audience.statuses[-1] == "degraded"
    await audience.monitor.note(opened(after(400)))
    await audience.monitor.note(received(b'{"blocks":[]}', after(401)))
    await audience.look_each_second(401, 429)
    assert audience.statuses[-1] == "degraded"
    await audience.monitor.look(after(430))
    assert audience.statuses[-1] == "connected"


async def test_a_machine_that_slept_does_not_blame_the_source() -> None:
    audience = Audience()
    await audience.monitor.note(opened())
    await audience.monitor.note(told(after(1)))
    await audience.look_each_second(1, 3)
    await audience.monitor.look(after(4_000))
    assert audience.statuses == ["connected"]
    await audience.look_each_second(4_001, 4_300)
    assert audience.statuses == ["connected", "degraded"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("open", "close", "told", "loading", "loaded", "blocks", "look", "other")),
        st.integers(0, 59),
    ),
    max_size=60,
)


@given(STEPS, st.booleans())
async def test_whatever_happens_what_is_said_is_what_is(
    steps: Sequence[tuple[str, int]],
    is_never_quiet: bool,
) -> None:
    """Predictions are available exactly while connected is said, and only over an open connection."""
    audience = Audience(is_never_quiet=is_never_quiet)
    second, is_open = 0, False
    for step, pause_s in steps:
        second += pause_s
        at = after(second)
        if step == "look":
            await audience.monitor.look(at)
        elif step == "open" and not is_open:
            is_open = True
            await audience.monitor.note(opened(at))
        elif step == "close" and is_open:
            is_open = False
            await audience.monitor.note(closed(at))
        elif step in ("told", "loading", "loaded", "other") and is_open:
            payload = {"told": mempool_json(), "loading": LOADING, "loaded": LOADED}.get(step, b"{}")
            await audience.monitor.note(received(payload, at))
        elif step == "blocks":
            await audience.monitor.note(blocks_answered(200, at))
        monitor = audience.monitor
        data = json.loads(monitor.greeting())["data"]
        assert data["status"] == monitor.status
        assert data["mempool_available"] == monitor.is_heard == (monitor.blind_from is None)
        assert (data["since"] is None) == monitor.is_heard
        assert monitor.is_connected == is_open
        assert is_open or not monitor.is_heard
        if step == "told" and is_open:
            assert monitor.is_heard
        assert monitor.blind_from is None or monitor.blind_from <= at
        assert monitor.status is ConnectionStatus.DEGRADED or monitor.blocks_followed is None


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(0.0, "0 s"), (59.9, "59 s"), (60, "1 min 0 s"), (3_599, "59 min 59 s"), (7_500, "2 h 5 min")],
)
def test_durations_are_told_in_the_two_units_that_matter(duration_s: float, text: str) -> None:
    assert describe_duration(duration_s) == text


async def test_a_remark_is_said_beside_what_is_heard_until_it_ends() -> None:
    audience = Audience()
    await audience.monitor.note(opened())
    await audience.monitor.remark("short of memory", after(1))
    await audience.monitor.remark("short of memory", after(2))
    assert audience.monitor.text == "Listening to the mempool; short of memory"
    await audience.monitor.note(closed(after(3)))
    await audience.monitor.remark(None, after(4))
    lost = "The connection to the mempool was lost; reconnecting"
    assert [said(message)[2] for message in audience.heard] == [
        "Listening to the mempool",
        "Listening to the mempool; short of memory",
        f"{lost}; short of memory",
        lost,
    ]
    assert audience.greetings == audience.heard
