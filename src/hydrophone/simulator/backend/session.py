"""The conversation with one websocket client, without its socket.

Not imitated: subscriptions to single transactions and addresses. Of those only the complaints about wrong
ones are given.

**Sources**: mempool.space backend, websocket-handler.ts; what it answers to bad input was recorded.
"""

import json
from collections import deque
from typing import Any, Final, NamedTuple

from hydrophone.simulator.backend.backend import Backend
from hydrophone.simulator.backend.js_text import dump, frame
from hydrophone.simulator.backend.projection import BLOCKS
from hydrophone.simulator.backend.updates import PROJECTED_BLOCK, Update

MAX_MESSAGES: Final = 100
MESSAGES_WINDOW_S: Final = 10
"""The next message within that time closes the socket. Sources: recordings."""
_MAX_TXIDS: Final = 100
_MAX_ADDRESSES: Final = 1
"""Sources: recordings."""
_WANTS: Final = {
    "blocks": ("block", "blocks"),
    "mempool-blocks": ("mempool-blocks",),
    "live-2h-chart": ("live-2h-chart",),
    "stats": ("mempoolInfo", "vBytesPerSecond", "transactions", "fees", "da"),
}
_FIRST_ANSWERS: Final = {
    "blocks": ("blocks",),
    "mempool-blocks": ("mempool-blocks",),
    "stats": ("mempoolInfo", "vBytesPerSecond", "fees", "da"),
}
"""What a new wish is answered with at once, in that order."""
_RBF_MODES: Final = ("all", "fullRbf")
_INIT: Final = (
    "mempoolInfo", "blocks", "mempool-blocks", "loadingIndicators", "fees", "da", "backend",
    "vBytesPerSecond", "conversions", "transactions", "backendInfo",
)  # fmt: skip
_INIT_BEFORE: Final = tuple(name for name in _INIT if name not in ("backend", "conversions", "backendInfo"))


class Answer(NamedTuple):
    """What a message of the client leads to.

    Attributes:
        texts: frames to send, in order.
        is_closing: whether the socket is closed afterwards, without a code.
    """

    texts: tuple[str, ...] = ()
    is_closing: bool = False


_CLOSE: Final = Answer(is_closing=True)


class Session:
    """What one client has subscribed to.

    Args:
        backend: it listens to.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._wants: tuple[str, ...] = ()
        self._tracked: dict[str, tuple[str, ...]] = {}
        self._names: frozenset[str] = frozenset()
        self._heard_at: deque[float] = deque()

    def receive(self, message: str | bytes, now: float) -> Answer:
        """Return the answer to a message.

        Args:
            message: text or binary alike.
            now: seconds.
        """
        while self._heard_at and self._heard_at[0] <= now - MESSAGES_WINDOW_S:
            self._heard_at.popleft()
        self._heard_at.append(now)
        if len(self._heard_at) > MAX_MESSAGES:
            return _CLOSE
        try:
            wish = json.loads(message, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return _CLOSE
        if wish is None:
            return _CLOSE
        return self._answer(wish) if isinstance(wish, dict) else Answer()

    def frame(self, update: Update) -> str | None:
        """Return what this client gets of an update; None when that is nothing."""
        if update.is_for_everyone:
            return update.frame(update.names)
        names = [name for name in update.names if name in self._names]
        return update.frame(names) if names else None

    def _answer(self, wish: dict[str, Any]) -> Answer:
        if "track-txs" in wish:
            problem = _problem_with_txids(wish["track-txs"])
            if problem is not None:
                return Answer((frame([("track-txs-error", dump(problem))]),), is_closing=True)
        parts: list[tuple[str, str]] = []
        action = wish.get("action")
        if action == "want":
            parts += self._want(wish.get("data"))
        addresses = wish.get("track-addresses")
        if isinstance(addresses, list) and len(addresses) > _MAX_ADDRESSES:
            problem = (
                "too many addresses requested, this connection supports tracking a maximum of "
                f"{_MAX_ADDRESSES} addresses"
            )
            parts.append(("track-addresses-error", dump(problem)))
        parts += self._track(wish)
        texts = [frame(parts)] if parts else []
        if action == "init":
            self._backend.has_initialised = True
            texts.append(initial_data(self._backend))
        if action == "ping":
            texts.append(frame([("pong", "true")]))
        if wish.get("refresh-blocks"):
            texts.append(frame(self._current(("blocks",))))
        return Answer(tuple(texts))

    def _want(self, data: object) -> list[tuple[str, str]]:
        """Replace what is wanted; return what is new in it."""
        if not isinstance(data, list):
            return []
        new = tuple(name for name in _WANTS if name in data)
        fresh = [name for name in _FIRST_ANSWERS if name in new and name not in self._wants]
        self._wants = new
        self._subscribe()
        return self._current(tuple(part for name in fresh for part in _FIRST_ANSWERS[name]))

    def _track(self, wish: dict[str, Any]) -> list[tuple[str, str]]:
        parts: list[tuple[str, str]] = []
        for key in ("mempool-txids", "mempool-transactions"):
            tracked = wish.get("track-mempool" if key == "mempool-transactions" else "track-mempool-txids")
            if isinstance(tracked, bool):
                self._tracked[key] = (key,) if tracked else ()
        index = wish.get("track-mempool-block")
        if isinstance(index, int) and not isinstance(index, bool) and index < BLOCKS:
            self._tracked[PROJECTED_BLOCK] = (f"{PROJECTED_BLOCK}:{index}",) if index >= 0 else ()
            if index >= 0:
                rows = self._backend.projection.full(index, self._backend.sequence)
                parts.append((PROJECTED_BLOCK, rows))
        mode = wish.get("track-rbf")
        if mode is not None:
            self._tracked["rbfLatest"] = (f"rbfLatest:{mode}",) if mode in _RBF_MODES else ()
            parts += self._current(self._tracked["rbfLatest"])
        summary = wish.get("track-rbf-summary")
        if summary is not None:
            self._tracked["rbfLatestSummary"] = ("rbfLatestSummary",) if summary else ()
            if self._backend.has_told_replacements:
                parts += self._current(self._tracked["rbfLatestSummary"])
        self._subscribe()
        return parts

    def _subscribe(self) -> None:
        wanted = [part for name in self._wants for part in _WANTS[name]]
        tracked = [part for parts in self._tracked.values() for part in parts]
        self._names = frozenset(wanted + tracked)

    def _current(self, names: tuple[str, ...]) -> list[tuple[str, str]]:
        found = [(name.partition(":")[0], self._backend.current(name)) for name in names]
        return [(name, text) for name, text in found if text is not None]


def _refuse(constant: str) -> None:
    """Refuse what Python takes for JSON and JavaScript does not.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"expected JSON, found {constant}")


def _problem_with_txids(txids: object) -> str | None:
    if not isinstance(txids, list):
        return "incorrect track-txs format"
    if len(txids) > _MAX_TXIDS:
        return (
            "too many txids requested, this connection supports tracking a maximum of "
            f"{_MAX_TXIDS} transactions"
        )
    return None


def initial_data(backend: Backend) -> str:
    """Return all that a client needs to begin with: less until some client has asked by websocket."""
    names = _INIT if backend.has_initialised else _INIT_BEFORE
    parts = []
    for name in names:
        text = _OWN[name](backend) if name in _OWN else backend.current(name)
        if text is not None:
            parts.append((name, text))
    if backend.has_told_replacements:
        parts.append(("rbfSummary", backend.current("rbfLatestSummary") or "[]"))
    return frame(parts)


def _about(backend: Backend) -> str:
    return dump(
        {
            "hostname": "hydrophone",
            "version": "3.4-dev",
            "gitCommit": "?",
            "lightning": False,
            "backend": str(backend.style),
            "coreVersion": "/Satoshi:31.99.0/",
            "osVersion": "simulated",
        }
    )


_OWN: Final = {"backend": lambda backend: dump(str(backend.style)), "backendInfo": _about}
