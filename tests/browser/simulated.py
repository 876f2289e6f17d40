"""A simulated mempool in which only that happens a test wants, told as by mempool.space's backend."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Literal
from unittest.mock import patch

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from hydrophone.bootstrap.simulation import listeners_on
from hydrophone.domain.units import SATS_PER_BTC
from hydrophone.simulator.backend import backend
from hydrophone.simulator.scenarios import Scenario
from hydrophone.simulator.server import SimulatorServer
from hydrophone.simulator.simulation import Simulation, SimulationSettings
from hydrophone.simulator.world.habits import Habits
from hydrophone.simulator.world.label_claims import LabelQuality
from hydrophone.simulator.world.lives import End, Life, truth_of
from tests.backends import running

HOST: Final = "localhost"
POLL_S: Final = 0.2
"""The real backend looks at its node every two seconds, which a test would wait for each time."""
_NEVER_S: Final = 1e9
_TRIES: Final = 50
_WHALE_SAT: Final = 100 * SATS_PER_BTC
_NO_SURPRISES: Final = {
    "bump": 0.0,
    "rescue": 0.0,
    "accelerated": 0.0,
    "unannounced": 0.0,
    "skipped": 0.0,
    "mined_double_spend": 0.0,
    "natural_fork": 0.0,
    "empty_block": 0.0,
    "stale_template": 0.0,
    "template_lag_median_s": 1e-6,  # a block has all that waits
    "fixed_fee": 0.0,
    "overpay": 0.0,
    "deposit_to_hot": 1.0,  # of new deposit addresses the labels, written at the start, would know nothing
    "whale_floor_btc": 110.0,
    "payment_sigma": 1.0,
    "exact_payment": 0.0,  # what is paid is what was wanted, and the rest is change
    "new_payer": 1.0,
    "unconfirmed_spend": 0.0,  # nobody buys bread with the change of a whale, and so makes another one
}
_SMALL_CHANGE: Final = dict.fromkeys(Habits().ordinary_mix, 0.0) | {"payment": 80.0, "deposit": 20.0}
"""Ordinary transactions. Of other kinds some exceed 100 BTC: an exchange may pay out of its largest coin."""

_ALL_KNOWN: Final = LabelQuality(coverage=1.0, deposits=1.0)
"""Every exchange is recognised, so that a kind of whale always reads the same."""

Replacement = Literal["fee_bump", "other_payee", "cancelled", "other_amount"]


@dataclass(frozen=True, slots=True)
class Whale:
    """A whale, and what is true of it.

    Attributes:
        txid: of it.
        truth: as `hydrophone simulate --truth` writes it: flow_type, gross_sat, moved_sat, entities and more.
    """

    txid: str
    truth: dict[str, Any]


class SimulatedSource(SimulatorServer):
    """A backend on loopback whose world does what a test says, in real time.

    Ordinary transactions come by themselves, for a fee market; whales, blocks and mishaps do not.
    """

    def __init__(self, *, seed: int = 3) -> None:
        scenario = Scenario(
            "only what a test wants",
            rate_per_s=3.0,
            whales_per_hour=0.0,
            prefill=300,
            first_block_s=_NEVER_S,
            habits=_NO_SURPRISES,
            ordinary_mix=_SMALL_CHANGE,
        )
        settings = SimulationSettings(
            scenario, seed, time.time(), label_quality=_ALL_KNOWN, price_usd=65_000.0
        )
        self.simulation = Simulation(settings)
        super().__init__(self.simulation, listeners_on(HOST))
        self._world = self.simulation.world
        self._is_deaf = False

    @property
    def url(self) -> str:
        return f"ws://{HOST}:{self.port}/api/v1/ws"

    # --- transactions -------------------------------------------------------------------------------

    def whale(
        self, kind: str = "whale_otc", *, btc: float | None = None, fee_rate_sat_vb: float | None = None
    ) -> Whale:
        """Send a whale; the service hears of it within the next poll.

        Args:
            kind: a key of `Habits.whale_mix`: whale_otc is unknown, whale_deposit and custody_to_exchange are
                inflow, whale_withdrawal and whale_batch outflow, interexchange, hot_to_cold and cold_to_hot
                internal.
            btc: what is paid, change not counted; None: by chance. The service shows what it takes for the
                payment, which is about that; what it says of gross is exact (`truth["gross_sat"]`).
            fee_rate_sat_vb: what it bids; None: what the market asks for.
        """
        with self._told(btc, fee_rate_sat_vb):
            for _ in range(_TRIES):
                life = self._world._activities[kind]()
                if life is not None and life.transaction.value_sat > _WHALE_SAT:
                    return _whale(life)
        raise AssertionError(f"nobody could afford a {kind} of {btc} BTC")

    def replace(self, whale: Whale, how: Replacement = "fee_bump") -> Whale:
        """Replace a whale that waits: by the same at a higher fee, or by something else."""
        life, minds = self._life(whale), self._world._minds
        make = {
            "fee_bump": minds._pay_fee,
            "other_payee": minds._pay_another,
            "cancelled": minds._cancel,
            "other_amount": minds._pay_less,
        }[how]
        successor = self._world._stage.send(make(life), life.kind, replaces=(whale.txid,), reason=how)
        assert successor is not None, f"the node took no replacement of {whale.txid} by {how}"
        return _whale(successor)

    def drop(self, whale: Whale) -> None:
        """Let the node forget a whale that waits."""
        mempool = self._world.node.mempool
        for entry in mempool.remove(mempool.entries[whale.txid]):
            self._world._stage.end(entry, End.DROPPED, "evicted")

    # --- blocks -------------------------------------------------------------------------------------

    def block(self) -> int:
        """Find a block with all that waits; return its height."""
        self._world._mine()
        return self._world.node.chain.height

    def reorganise(self, depth: int = 1, *, is_empty: bool = False) -> None:
        """Replace the last blocks by one more, in which they spend one coin otherwise.

        Args:
            depth: how many are replaced.
            is_empty: the new ones have nothing in them, so that all of it waits again.
        """
        if not is_empty:
            self._world.reorganise(depth)
            return
        with (
            patch.object(type(self._world.node.mempool), "template", lambda *_, **__: []),
            patch.object(type(self._world), "_double_spends", lambda *_: []),
        ):
            self._world.reorganise(depth)

    # --- mishaps ------------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """Break off the websocket and refuse new ones; REST goes on, and so the service follows blocks."""
        self._is_deaf = True
        for connection in list(self._sessions):
            connection.transport.abort()

    def listen_again(self) -> None:
        """Accept websockets again."""
        self._is_deaf = False

    def vanish(self) -> None:
        """End as a killed process does: sockets break, and nobody answers."""
        self.simulation.is_listening = False

    def come_back(self) -> None:
        """Run again, as after a restart."""
        self.simulation._restarted()

    def lose_node(self) -> None:
        """Stay connected, and say that the node is down."""
        self.simulation._set_node(is_up=False)

    def find_node(self) -> None:
        """Have the node again."""
        self.simulation._set_node(is_up=True)

    # --- how ----------------------------------------------------------------------------------------

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if self._is_deaf and "Upgrade" in request.headers:
            return connection.respond(HTTPStatus.BAD_GATEWAY, "no websocket today")
        return super()._answer(connection, request)

    def _life(self, whale: Whale) -> Life:
        return self._world.book.lives[whale.txid]

    @contextmanager
    def _told(self, btc: float | None, fee_rate_sat_vb: float | None) -> Iterator[None]:
        """Take chance away from what is paid and bid."""
        people, fees = self._world._people, self._world._stage.fees
        amount, bid = people.whale_amount_sat, fees.bid
        with (
            patch.object(
                people,
                "whale_amount_sat",
                amount if btc is None else lambda: round(btc * SATS_PER_BTC),
            ),
            patch.object(fees, "bid", bid if fee_rate_sat_vb is None else lambda *_: fee_rate_sat_vb),
        ):
            yield


@asynccontextmanager
async def simulated_source() -> AsyncIterator[SimulatedSource]:
    """Serve a simulated source on a free port within the context."""
    with patch.object(backend, "POLL_INTERVAL_S", POLL_S):
        source = SimulatedSource()
        async with running(source.run):
            yield source


def _whale(life: Life) -> Whale:
    return Whale(life.transaction.txid, truth_of(life))
