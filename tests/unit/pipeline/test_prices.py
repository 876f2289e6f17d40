import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hydrophone.domain.units import UnixMicros, format_instant
from hydrophone.pipeline.prices import FRESH_S, PriceBoard
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.prices import parse_prices_answer, parse_prices_frame
from tests.backends import until
from tests.contract.fake_store import T0, later

T0_S = T0 // 1_000_000
NOTHING = {"at": None, "source": "mempool.space", "prices": None, "simulated": False}


@dataclass
class Backend:
    """Answers what a test says, and counts how often it was asked."""

    answer: tuple[int, bytes] = (0, b"")
    asked: int = 0
    hold: asyncio.Event | None = None

    async def fetch(self) -> tuple[int, bytes]:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        return self.answer


@dataclass
class Rig:
    """A board, what it asks, and its clock."""

    backend: Backend = field(default_factory=Backend)
    now: UnixMicros = T0
    ask_every_s: float = 3_600.0

    def __post_init__(self) -> None:
        self.board = PriceBoard(
            source="mempool.space",
            parse_frame=parse_prices_frame,
            parse_answer=parse_prices_answer,
            fetch=self.backend.fetch,
            clock=lambda: self.now,
            ask_every_s=self.ask_every_s,
        )

    def open(self, *, is_simulated: bool = False) -> None:
        self.board.note(Frame(self.now, "mempool.space", FrameKind.OPENED, is_simulated=is_simulated))

    def hear(self, **conversions: float) -> None:
        payload = json.dumps({"conversions": conversions}).encode()
        self.board.note(Frame(self.now, "mempool.space", FrameKind.RECEIVED, payload))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        ready = asyncio.Event()
        task = asyncio.create_task(self.board.run(ready.set))
        await ready.wait()
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})


def test_before_anything_is_heard_nothing_is_known() -> None:
    assert Rig().board.answer() == NOTHING


def test_the_newest_prices_count_however_old_they_become() -> None:
    rig = Rig()
    rig.hear(time=T0_S - 60, USD=90_000)
    rig.hear(time=T0_S - 30, USD=91_000, EUR=80_000)
    rig.hear(time=0, USD=-1, EUR=-1)  # it lost its way to the exchanges
    rig.now = later(86_400)
    assert rig.board.answer() == NOTHING | {
        "at": format_instant(UnixMicros((T0_S - 30) * 1_000_000)),
        "prices": {"USD": 91_000.0, "EUR": 80_000.0},
    }


def test_prices_of_no_time_or_of_one_to_come_are_of_when_they_were_heard() -> None:
    rig = Rig()
    for told in ({"USD": 5.0}, {"time": T0_S + 3_600.0, "USD": 5.0}):
        rig.hear(**told)
        assert rig.board.answer()["at"] == format_instant(T0)


def test_prices_of_a_simulation_are_not_those_of_the_world() -> None:
    rig = Rig()
    rig.open(is_simulated=True)
    rig.hear(USD=1)
    assert (rig.board.answer()["prices"], rig.board.answer()["simulated"]) == ({"USD": 1.0}, True)
    rig.open(is_simulated=True)
    assert rig.board.answer()["prices"] == {"USD": 1.0}
    rig.open()
    assert rig.board.answer() == NOTHING


async def test_a_new_connection_is_asked_what_it_has_not_said_by_itself() -> None:
    rig = Rig(Backend((200, b'{"time":1,"USD":7}')))
    async with rig.running():
        assert rig.backend.asked == 0
        rig.open()
        await until(lambda: rig.board.answer()["prices"] == {"USD": 7.0})
        assert rig.board.answer()["at"] == "1970-01-01T00:00:01.000000Z"


async def test_while_fresh_prices_are_known_nobody_is_asked() -> None:
    rig = Rig(Backend((200, b'{"USD":7}')))
    async with rig.running():
        rig.hear(USD=5)
        rig.open()
        await until(lambda: not rig.board._opened.is_set())
        assert (rig.backend.asked, rig.board.answer()["prices"]) == (0, {"USD": 5.0})
        rig.now = later(FRESH_S)
        rig.open()
        await until(lambda: rig.board.answer()["prices"] == {"USD": 7.0})


async def test_who_had_no_answer_is_asked_again_after_a_while() -> None:
    rig = Rig(Backend((503, b"<html>")), ask_every_s=0.001)
    async with rig.running():
        await until(lambda: rig.backend.asked > 2)
        assert rig.board.answer() == NOTHING
        rig.backend.answer = (200, b'{"USD":7}')
        await until(lambda: rig.board.answer()["prices"] is not None)


async def test_an_answer_of_another_world_comes_too_late() -> None:
    rig = Rig(Backend((200, b'{"USD":7}'), hold=asyncio.Event()))
    assert rig.backend.hold is not None
    async with rig.running():
        rig.open(is_simulated=True)
        await until(lambda: rig.backend.asked == 1)
        rig.open()
        rig.backend.answer = (0, b"")
        rig.backend.hold.set()
        await until(lambda: rig.backend.asked == 2)
    assert rig.board.answer() == NOTHING
