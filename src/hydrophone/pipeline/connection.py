"""Whether we hear the mempool: said to every client when it changes, and to each that comes.

What can be known: that no connection is open; that a backend says it has not loaded its mempool; and, on a
network that is never quiet, that nothing was told of the mempool for minutes, whatever pings say: those are
answered by the socket, not by the mempool behind it. On a quiet network (a test network may have no
transaction for an hour) silence says nothing, and a connection that answers pings is believed, once it has
said anything at all: a backend answers the subscription with the newest blocks.

A source that comes back is believed at once. While predictions are unavailable one that then disappoints (it
closes again without a word, or falls silent) has to tell something of the mempool first: else a socket that
opens and closes would let us cry by turns.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from hydrophone.domain.units import MICROS_PER_S, UnixMicros, format_instant
from hydrophone.pipeline.ports import Broadcast
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.runtime.telemetry import get_logger

log = get_logger(__name__)

PATIENCE_S: Final = 300.0
"""Without the mempool, until predictions are called unavailable. Sources: requirement F9."""
_LATE_S: Final = 60.0
"""Between two looks. # chosen: far more than a busy machine makes of a second; then the machine slept, or its
clock was set, and that is no silence of the source."""
_TRIAL_S: Final = 30.0
"""# chosen: a connection that opened and closed within it, without a word, is no source that came back."""
_S_PER_MINUTE: Final = 60
_MINUTES_PER_HOUR: Final = 60

_REFUSALS: Final = 3
"""In a row until blocks are not followed any more. # chosen: of several backends that are tried in turn one
may answer, and an answer that was lost is no news."""
_TO_THE_SECOND: Final = len("2026-11-22T08:51:02")

UNAVAILABLE: Final = "Mempool Predictions Unavailable"
"""Sources: the quickstart's words."""


class ConnectionEncoder(Protocol):
    """Spells the message."""

    def __call__(
        self,
        status: str,
        message: str,
        at: UnixMicros,
        *,
        mempool_available: bool,
        since: UnixMicros | None,
        blocks_followed: bool | None,
    ) -> bytes:
        """Return the message."""
        ...


class ConnectionStatus(StrEnum):
    """Whether the mempool is heard, as published."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    DEGRADED = "degraded"


@dataclass(frozen=True, slots=True)
class Signs:
    """How to read what a link says about itself.

    Attributes:
        tells_mempool: whether a message tells of the mempool.
        parse_loaded_share: how much of its mempool a backend says it has loaded, in [0, 1]; None: nothing.
        tells_blocks: whether a REST answer (path, status, body) holds blocks; None: it is about others.
    """

    tells_mempool: Callable[[bytes], bool]
    parse_loaded_share: Callable[[bytes], float | None]
    tells_blocks: Callable[[str, int, bytes], bool | None]


class Silence(NamedTuple):
    """Since when the mempool is not heard, and why not."""

    since: UnixMicros
    reason: str


_NOT_YET: Final = "Not connected to a mempool yet"
_LOST: Final = "The connection to the mempool was lost; reconnecting"
_NEVER_CONNECTED: Final = "no source answers"
_STILL_LOST: Final = "the connection to the mempool is lost"
_SILENT: Final = "the source is connected and tells nothing of a mempool"


class ConnectionMonitor:
    """Follows the link by its frames, and by the clock.

    Args:
        broadcast: who says it.
        encode: spells it.
        signs: how to read frames.
        started_at: when the service started.
        heard_before: when the newest thing was heard before that; None: nothing was.
        is_never_quiet: whether a mempool of this network always has something to tell.
        patience_s: without the mempool, until predictions are called unavailable.
        on_silence: told when a connection that is open was silent for longer than that, and is no more, or
            is closed: from when, to when, and why.
    """

    def __init__(
        self,
        *,
        broadcast: Broadcast,
        encode: ConnectionEncoder,
        signs: Signs,
        started_at: UnixMicros,
        heard_before: UnixMicros | None = None,
        is_never_quiet: bool = True,
        patience_s: float = PATIENCE_S,
        on_silence: Callable[[UnixMicros, UnixMicros, str], Awaitable[None]],
    ) -> None:
        self._broadcast = broadcast
        self._encode = encode
        self._signs = signs
        self._is_never_quiet = is_never_quiet
        self._patience_micros = round(patience_s * MICROS_PER_S)
        self._on_silence = on_silence
        self.status = ConnectionStatus.DISCONNECTED
        self.is_connected = False
        self.is_simulated = False
        self.blocks_followed: bool | None = None
        self._refusals = 0
        self.heard_at: UnixMicros | None = None
        self.frame_count = 0
        self._lost_at = self._opened_at = self._told_at = started_at
        self._has_connected = self._must_prove_itself = False
        self._has_spoken = self._has_told = False
        self._loading: Silence | None = None
        self._outage: Silence | None = Silence(started_at, _NEVER_CONNECTED)
        self._blind_from = started_at if heard_before is None else heard_before
        self._looked_at = self._awake_since = started_at
        self._text = _NOT_YET
        self._remark: str | None = None
        self._message = self._encoded(started_at)

    def greeting(self) -> bytes:
        """Return what a client is told first."""
        return self._message

    @property
    def text(self) -> str:
        """How it stands, for people."""
        return self._text if self._remark is None else f"{self._text}; {self._remark}"

    async def remark(self, remark: str | None, at: UnixMicros) -> None:
        """Say something beside whether the mempool is heard, now and to each that comes; None: no more."""
        if remark != self._remark:
            self._remark = remark
            await self._say(self._text, at)

    @property
    def is_heard(self) -> bool:
        """Whether whales would be heard now, as far as can be known."""
        return self.status is ConnectionStatus.CONNECTED

    @property
    def unheard_since(self) -> UnixMicros | None:
        """Since when the mempool is not heard, as it was said; None: it is heard."""
        return None if self._outage is None else self._outage.since

    @property
    def blind_from(self) -> UnixMicros | None:
        """When the gap began that is open now, also before this service started; None: none is."""
        return None if self.is_heard else self._blind_from

    async def note(self, frame: Frame) -> None:
        """Look at a frame of the link; most say nothing new."""
        at = UnixMicros(frame.at)
        match frame.kind:
            case FrameKind.RECEIVED:
                self.heard_at = at
                self.frame_count += 1
                await self._received(at, frame.payload)
            case FrameKind.OPENED:
                await self._opened(at, is_simulated=frame.is_simulated)
            case FrameKind.CLOSED:
                await self._closed(at)
            case FrameKind.ANSWERED:
                if self.status is ConnectionStatus.DEGRADED:
                    await self._answered(at, frame)
            case FrameKind.SENT:
                pass

    async def look(self, at: UnixMicros) -> None:
        """Look at the clock, every few seconds: predictions may have become unavailable."""
        if at - self._looked_at > _LATE_S * MICROS_PER_S:
            self._awake_since = at
        self._looked_at = at
        silence = self._silence()
        if self.status is ConnectionStatus.DEGRADED:
            if silence is None and at - self._opened_at >= _TRIAL_S * MICROS_PER_S:
                await self._say_connected(at)
            return
        if silence is None or at - max(silence.since, self._awake_since) < self._patience_micros:
            return
        await self._degrade(at, silence)

    def _silence(self) -> Silence | None:
        """Return since when nothing is heard, for all we know; None: there is no sign of that."""
        if not self.is_connected:
            return Silence(self._lost_at, _STILL_LOST if self._has_connected else _NEVER_CONNECTED)
        if self._loading is not None:
            return self._loading
        is_suspicious = self._is_never_quiet or not self._has_spoken
        return Silence(self._told_at, _SILENT) if is_suspicious else None

    async def _opened(self, at: UnixMicros, *, is_simulated: bool) -> None:
        self.is_connected, self.is_simulated = True, is_simulated
        self._opened_at = self._told_at = at
        self._has_spoken = self._has_told = False
        self._loading = None
        if self.status is not ConnectionStatus.DEGRADED or not self._must_prove_itself:
            await self._say_connected(at)

    async def _closed(self, at: UnixMicros) -> None:
        silence = self._silence()
        is_old = at - self._opened_at >= _TRIAL_S * MICROS_PER_S
        if self._has_told or (is_old and silence is None):
            self._lost_at = self._blind_from = at if silence is None else silence.since
        else:
            self._must_prove_itself = True  # and the time since the last that was sound goes on
        self.is_connected = False
        if self.status is ConnectionStatus.DEGRADED and self._outage is not None:
            await self._end_silence(at, self._outage)
        else:
            self.status = ConnectionStatus.DISCONNECTED
            self._outage = Silence(self._lost_at, _STILL_LOST)
            await self._say(_LOST, at)

    async def _received(self, at: UnixMicros, payload: bytes) -> None:
        self._has_spoken = True
        if self._signs.tells_mempool(payload):
            await self._told(at)
            return
        share = self._signs.parse_loaded_share(payload)
        if share is not None and share < 1:
            reason = f"the backend has loaded {share:.0%} of its mempool"
            self._loading = Silence(at if self._loading is None else self._loading.since, reason)
        elif share is not None and self._loading is not None:
            await self._told(at)

    async def _told(self, at: UnixMicros) -> None:
        self._told_at = at
        self._has_told = True
        self._must_prove_itself = False
        self._loading = None
        if self.status is not ConnectionStatus.CONNECTED:
            await self._say_connected(at)

    async def _answered(self, at: UnixMicros, frame: Frame) -> None:
        found = self._signs.tells_blocks(frame.path, frame.status, frame.payload)
        if found is None:
            return
        self._refusals = 0 if found else self._refusals + 1
        is_one_of_several = self.blocks_followed and 0 < self._refusals < _REFUSALS
        if found is self.blocks_followed or is_one_of_several:
            return
        self.blocks_followed = found
        tell = log.info if found else log.warning
        tell("blocks_followed_by_rest" if found else "blocks_not_followed", status=frame.status)
        await self._say_degraded(at)

    async def _degrade(self, at: UnixMicros, silence: Silence) -> None:
        self.status = ConnectionStatus.DEGRADED
        self._outage = silence
        self._refusals = 0
        if self.is_connected:
            self._must_prove_itself = True
            self._blind_from = silence.since
        log.warning(
            "mempool_predictions_unavailable",
            reason=silence.reason,
            since=format_instant(silence.since),
            unheard_s=_seconds(silence.since, at),
        )
        await self._say_degraded(at)

    async def _say_degraded(self, at: UnixMicros) -> None:
        assert self._outage is not None
        blocks = {
            None: "asking for confirmed blocks by REST",
            True: "confirmed blocks are still followed, by REST",
            False: "REST gives no blocks either, so none are followed",
        }[self.blocks_followed]
        since = f"{format_instant(self._outage.since)[:_TO_THE_SECOND]}Z"
        await self._say(f"{UNAVAILABLE}: {self._outage.reason}, since {since}; {blocks}", at)

    async def _say_connected(self, at: UnixMicros) -> None:
        outage, was_degraded = self._outage, self.status is ConnectionStatus.DEGRADED
        text = f"Listening to {'a SIMULATED mempool' if self.is_simulated else 'the mempool'}"
        if outage is not None and (self._has_connected or was_degraded):
            text += f", after {describe_duration(_seconds(outage.since, at))} without it"
        self.status = ConnectionStatus.CONNECTED
        self._has_connected = True
        self._outage = self.blocks_followed = None
        if outage is not None and was_degraded:
            log.info(
                "mempool_predictions_resumed",
                since=format_instant(outage.since),
                unheard_s=_seconds(outage.since, at),
            )
            await self._end_silence(at, outage)
        await self._say(text, at)

    async def _end_silence(self, at: UnixMicros, outage: Silence) -> None:
        """Tell of a silence on this connection: no frame does."""
        if outage.since >= self._opened_at:
            await self._on_silence(outage.since, at, outage.reason)

    async def _say(self, text: str, at: UnixMicros) -> None:
        self._text = text
        self._message = self._encoded(at)
        await self._broadcast.publish(self._message)

    def _encoded(self, at: UnixMicros) -> bytes:
        return self._encode(
            self.status,
            self.text,
            at,
            mempool_available=self.is_heard,
            since=self.unheard_since,
            blocks_followed=self.blocks_followed,
        )


def describe_duration(duration_s: float) -> str:
    """Return a duration for people: `45 s`, `7 min 3 s`, `2 h 5 min`."""
    seconds = int(duration_s)
    minutes, seconds = divmod(seconds, _S_PER_MINUTE)
    hours, minutes = divmod(minutes, _MINUTES_PER_HOUR)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _seconds(begun_at: UnixMicros, ended_at: UnixMicros) -> float:
    return round((ended_at - begun_at) / MICROS_PER_S, 1)
