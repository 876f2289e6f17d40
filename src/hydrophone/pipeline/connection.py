"""Whether we hear the mempool: said to every client when it changes, and to each that comes."""

from typing import Final, Protocol

from hydrophone.domain.units import UnixMicros
from hydrophone.pipeline.ports import Broadcast
from hydrophone.runtime.frame import Frame, FrameKind


class ConnectionEncoder(Protocol):
    """Spells the message."""

    def __call__(self, status: str, message: str, at: UnixMicros, *, mempool_available: bool) -> bytes:
        """Return the message."""
        ...


_NOT_YET: Final = "Not connected to a mempool yet"


class ConnectionMonitor:
    """Follows the link by its frames.

    Args:
        broadcast: who says it.
        encode: spells it.
        started_at: when the service started.
    """

    def __init__(
        self,
        *,
        broadcast: Broadcast,
        encode: ConnectionEncoder,
        started_at: UnixMicros,
    ) -> None:
        self._broadcast = broadcast
        self._encode = encode
        self._message = encode("disconnected", _NOT_YET, started_at, mempool_available=False)
        self.is_connected = False
        self.is_simulated = False
        self.heard_at: UnixMicros | None = None
        self.frame_count = 0

    def greeting(self) -> bytes:
        """Return what a client is told first."""
        return self._message

    async def note(self, frame: Frame) -> None:
        """Look at a frame of the link; most say nothing new."""
        at = UnixMicros(frame.at)
        if frame.kind is FrameKind.RECEIVED:
            self.heard_at = at
            self.frame_count += 1
        elif frame.kind is FrameKind.OPENED:
            self.is_connected, self.is_simulated = True, frame.is_simulated
            kind = "a SIMULATED mempool" if frame.is_simulated else "the mempool"
            await self._say("connected", f"Listening to {kind}", at)
        elif frame.kind is FrameKind.CLOSED:
            self.is_connected = False
            await self._say("disconnected", "The connection to the mempool was lost; reconnecting", at)

    async def _say(self, status: str, message: str, at: UnixMicros) -> None:
        self._message = self._encode(status, message, at, mempool_available=self.is_connected)
        await self._broadcast.publish(self._message)
