"""Between a simulated backend and the service: a websocket that breaks, and REST that fails."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from http import HTTPStatus
from random import Random
from typing import Final

from evaluation.chaos_service import SOURCE
from evaluation.chaos_weather import Weather
from hydrophone.domain.questions import AboutProjected, AboutTransaction, Question
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.simulator.agenda import Agenda
from hydrophone.simulator.backend.backend import Backend
from hydrophone.simulator.backend.rest import answer
from hydrophone.simulator.backend.session import Session
from hydrophone.simulator.backend.updates import Update
from hydrophone.simulator.simulation import Simulation
from hydrophone.wire.mempool_space import SUBSCRIPTIONS
from hydrophone.wire.mempool_space_rest import is_route_missing, paths_of

URL: Final = b"ws://localhost:8999/api/v1/ws"
SILENCE_S: Final = 20.0
"""A peer that answers no ping is given up. Sources: sources/mempool_space.py, twice ten seconds."""
LONGEST_PAUSE_S: Final = 4.0
"""Between attempts to connect. Sources: requirement F9."""
_OTHER_POLL_S: Final = 7.0
_SPELL_S: Final = 60.0
_LAG_S: Final = 3.0
_NONSENSE: Final = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"<html>busy</html>",
    b'{"txid":"',
    b"\xff\xfe",
    b"[[1]]",
    b'{"error":1}',
)


class VirtualLink:
    """One connection at a time, and questions beside it.

    Args:
        simulation: whose backend is heard and asked.
        weather: how often what fails.
        rng: decides when.
        agenda: where what happens later is put.
        deliver: takes frames.

    Attributes:
        now: virtual seconds.
        is_wanted: whether a service runs that wants to be connected.
        heard: txids that a frame which was delivered announced, and when last.
        offset_s: by how much the machine's clock is wrong.
    """

    def __init__(
        self,
        simulation: Simulation,
        weather: Weather,
        rng: Random,
        agenda: Agenda,
        deliver: Callable[[Frame], None],
    ) -> None:
        self._simulation = simulation
        self._weather = weather
        self._rng = rng
        self._agenda = agenda
        self._deliver = deliver
        settings = simulation.settings
        self._other = Backend(
            simulation.world.node,
            style=settings.style,
            network=settings.network,
            started_at=settings.started_at,
        )
        self._backend = simulation.backend
        self._session: Session | None = None
        self._is_hung = False
        self._is_cut = False
        self._stalled: list[tuple[Frame, bool]] | None = None
        self._connection = 0
        self._attempts = 0
        self._is_trying = False
        self._is_silent_spell = False
        self._is_faultless = False
        self.is_wanted = False
        self.now = simulation.settings.started_at
        self.heard: dict[str, float] = {}
        self.offset_s = 0.0
        self.asked = 0
        self.cuts = 0

    # --- the websocket ------------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, be it a dead one."""
        return self._session is not None

    def connect(self) -> None:
        """Try to connect; if that fails, try again after a pause."""
        self._is_trying = False
        if self._session is not None or not self.is_wanted:
            return
        is_other = self._rng.random() < self._weather.other_share
        self._backend = self._other if is_other else self._simulation.backend
        if self._is_cut or not self._is_there:
            self._attempts += 1
            self._try_later(min(LONGEST_PAUSE_S, 0.25 * 2**self._attempts) * self._rng.uniform(0.5, 1))
            return
        self._attempts = 0
        self._connection += 1
        session = self._session = Session(self._backend)
        self._put(FrameKind.OPENED, URL)
        for subscription in SUBSCRIPTIONS:
            if self._session is not session:
                return
            self._put(FrameKind.SENT, subscription)
            self._receive(session.receive(subscription, self.now).texts)

    @property
    def _is_there(self) -> bool:
        return self._backend is self._other or self._simulation.is_listening

    def tell(self, updates: Iterable[Update]) -> None:
        """Let the usual backend say something, if it is the one that is connected."""
        if self._session is not None and self._backend is not self._other:
            self._receive([text for u in updates if (text := self._session.frame(u)) is not None])

    def vanish(self) -> None:
        """The usual backend's process has ended."""
        if self._backend is not self._other:
            self.lose("no close frame received or sent")

    def poll_other(self) -> None:
        """Let the other backend ask the node, and say what is new; again and again."""
        updates = self._other.poll(self.now)
        if self._session is not None and self._backend is self._other:
            self._receive([text for u in updates if (text := self._session.frame(u)) is not None])
        self._agenda.plan(self.now + _OTHER_POLL_S, self.poll_other)

    def knows_successor(self, txid: str) -> bool:
        """Whether the backend that is asked now can tell what a transaction was replaced by."""
        tree = self._backend.replacements.tree_of(txid)
        return tree is not None and tree["tx"]["txid"] != txid

    def lose(self, reason: str) -> None:
        """End the connection."""
        if self._session is None:
            return
        self._session, self._is_hung, self._stalled = None, False, None
        if self.is_wanted:
            self._put(FrameKind.CLOSED, reason.encode())
            self._try_later(self._rng.uniform(0.1, 0.25))

    def _try_later(self, pause_s: float) -> None:
        if not self._is_trying:
            self._is_trying = True
            self._agenda.plan(self.now + pause_s, self.connect)

    def forget(self) -> None:
        """The service is dead: there is no connection, and nobody who would say so."""
        self.is_wanted = False
        self._session, self._is_hung, self._stalled = None, False, None

    def cut(self) -> None:
        """Begin an outage of the way to the backend; both ends may be long in noticing."""
        if self._is_cut:
            return
        weather, self._is_cut = self._weather, True
        self.cuts += 1
        length_s = min(self._rng.expovariate(1 / weather.cut_s), weather.longest_cut_s)
        if self._rng.random() < weather.hang_share and self._session is not None:
            self._is_hung, connection = True, self._connection
            self._agenda.plan(self.now + SILENCE_S, lambda: self._give_up(connection))
        else:
            self.lose("no close frame received or sent")
        self._agenda.plan(self.now + length_s, self._mend)

    def _give_up(self, connection: int) -> None:
        if self._connection == connection and self._is_hung:
            self.lose("no answer to a ping within 10 s")

    def _mend(self) -> None:
        self._is_cut = False

    def calm_down(self) -> None:
        """Let nothing go wrong any more between the backend and the service."""
        self._is_faultless = True
        self._is_silent_spell = self._is_cut = False

    def stall(self) -> None:
        """Hold frames up for some seconds."""
        if self._stalled is None:
            held: list[tuple[Frame, bool]] = []
            self._stalled = held
            self._agenda.plan(self.now + self._rng.uniform(1, 15), lambda: self._flow(held))

    def _flow(self, held: list[tuple[Frame, bool]]) -> None:
        if self._stalled is held:
            self._stalled = None
            for frame, is_whole in held:
                self._hand_over(replace(frame, at=self._at()), is_whole=is_whole)

    def _receive(self, texts: tuple[str, ...] | list[str]) -> None:
        weather, rng = self._weather, self._rng
        for text in texts:
            if self._is_hung:
                continue
            times, payload, is_whole = 1, text.encode(), True
            if not self._is_faultless:
                wish = rng.random()
                if wish < weather.dropped_share:
                    times = 0
                elif wish < weather.dropped_share + weather.doubled_share:
                    times = 2
                if rng.random() < weather.broken_share:
                    payload, is_whole = _broken(payload, rng), False
            for _ in range(times):
                self._put(FrameKind.RECEIVED, payload, is_whole=is_whole)

    def _put(self, kind: FrameKind, payload: bytes, *, is_whole: bool = True) -> None:
        frame = Frame(self._at(), SOURCE, kind, payload, is_simulated=kind is FrameKind.OPENED)
        if self._stalled is not None:
            self._stalled.append((frame, is_whole))
        else:
            self._hand_over(frame, is_whole=is_whole)

    def _hand_over(self, frame: Frame, *, is_whole: bool) -> None:
        if frame.kind is FrameKind.RECEIVED and is_whole:
            self._note_announced(frame.payload)
        self._deliver(frame)

    def _note_announced(self, payload: bytes) -> None:
        if b'"added":[{' not in payload:
            return
        for added in json.loads(payload)["mempool-transactions"]["added"]:
            self.heard[added["txid"]] = self.now

    def _at(self) -> int:
        return round((self.now + self.offset_s) * 1e6)

    # --- REST ---------------------------------------------------------------------------------------

    def begin_spell(self) -> None:
        """Let no question be answered for a while."""
        self._is_silent_spell = not self._is_faultless
        self._agenda.plan(self.now + self._rng.expovariate(1 / _SPELL_S), self._end_spell)

    def _end_spell(self) -> None:
        self._is_silent_spell = False

    def ask(self, question: Question) -> None:
        """Take a question; the answer comes later, or never."""
        self.asked += 1
        if isinstance(question, AboutProjected):
            session = self._session
            if session is not None and not self._is_hung:
                text = json.dumps({"track-mempool-block": question.index})
                self._agenda.plan(self.now, lambda: self._ask_session(session, text))
            return
        weather, rng = self._weather, self._rng
        luck = 1.0 if self._is_faultless else rng.random()
        lost, refused = weather.lost_share, weather.lost_share + weather.refused_share
        if luck < lost:
            return
        if luck < refused or self._is_silent_spell or self._is_cut or self._is_hung:
            status = rng.choice((0, 0, 500, 502, 503, 429))
            self._say_after(rng.uniform(0.01, 9.6), question, status, b"busy")
        elif luck < refused + weather.garbage_share:
            self._say_after(_latency_s(rng), question, 200, rng.choice(_NONSENSE))
        else:
            there_s, back_s = _latency_s(rng), _latency_s(rng)
            self._agenda.plan(self.now + there_s, lambda: self._answer(question, back_s))

    def _say_after(self, after_s: float, question: Question, status: int, body: bytes) -> None:
        self._agenda.plan(self.now + after_s, lambda: self._say(question, status, body))

    def _ask_session(self, session: Session, wish: str) -> None:
        if self._session is session:
            self._receive(session.receive(wish, self.now).texts)

    def _answer(self, question: Question, back_s: float) -> None:
        """Look the answer up now; it arrives later, when it may be out of date."""
        backend = self._backend
        path, status, body = "", 0, b"connection refused"
        if self._is_there and not (backend.node.is_up is False and self._rng.random() < 0.5):
            for path in paths_of(question):
                found = answer(backend, path)
                status, body = int(found.status), found.body
                if not is_route_missing(status, body):
                    break
            if status == HTTPStatus.OK and self._lags(question):
                status, body = HTTPStatus.NOT_FOUND, b"Transaction not found"
        self._agenda.plan(self.now + back_s, lambda: self._say(question, status, body, path))

    def _lags(self, question: Question) -> bool:
        """Whether an index has not heard of it yet: indices follow their node by seconds."""
        if self._is_faultless or not isinstance(question, AboutTransaction):
            return False
        life = self._simulation.world.book.lives.get(question.txid)
        if life is None or self._rng.random() >= self._weather.lag_share:
            return False
        return self.now - max(life.born_at, life.end_at or 0.0) < _LAG_S

    def _say(self, question: Question, status: int, body: bytes, path: str = "") -> None:
        if self.is_wanted:
            where = path or paths_of(question)[0]
            self._deliver(Frame(self._at(), SOURCE, FrameKind.ANSWERED, body, where, status))


def _latency_s(rng: Random) -> float:
    """Return how long something is on its way: mostly some milliseconds, now and then seconds."""
    wish = rng.random()
    if wish < 0.8:
        return rng.uniform(0.002, 0.05)
    return rng.uniform(0.05, 1.0) if wish < 0.96 else rng.uniform(1.0, 4.0)


def _broken(payload: bytes, rng: Random) -> bytes:
    """Return a message with something wrong in it: cut, or with another value somewhere."""
    if rng.random() < 0.3:
        return payload[: rng.randrange(len(payload) + 1)]
    parts = payload.split(b'"value":')
    if len(parts) < 2:
        return payload[:-1]
    place = rng.randrange(1, len(parts))
    parts[place] = b"-" + parts[place]
    return b'"value":'.join(parts)
