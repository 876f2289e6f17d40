"""A client that is cut off at random while thousands of events flow: each reaches it once, or it is told.

The service's own parts: alerts are stored in DuckDB before they are said, and what the client missed is read
from there, or from a memory that is far too short. Between them stands a relay that cuts the connection after
a random number of bytes, in the middle of a frame too. The client is the package's own, with a filter.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from hydrophone.client import Client, Filters, ResyncRequiredMessage, StatusUpdateMessage, WhaleAlertMessage
from hydrophone.domain.events import Effect, RaiseSignal, RecordOutcome
from hydrophone.domain.outcome import Status
from hydrophone.domain.script import Network
from hydrophone.domain.units import Sats
from hydrophone.pipeline.ports import Publication
from hydrophone.store.duckdb_store import DuckDbStore
from hydrophone.store.stored_record import StoredRecord
from hydrophone.web.live import AlertServer
from hydrophone.wire.public_v1 import PublicEncoder
from tests.backends import running
from tests.contract.fake_store import later, outcome_of, whale

EVENTS: Final = 10_000
CUTS: Final = 100
_TAIL: Final = 64
"""Entries in memory. # chosen: so few that most of what is missed has to be read from the store."""
_BATCH: Final = 16
_LARGE_SAT: Final = Sats(1_000 * 100_000_000)
_SMALL_SAT: Final = Sats(200 * 100_000_000)
_WANTED: Final = Filters(min_btc_value=500.0)
_SEED: Final = 8


@dataclass(slots=True)
class Report:
    """What came of it.

    Attributes:
        events: said in all.
        wanted: of them, by the filter.
        received: entries that the client handed on, in order.
        resyncs: how often it was told that something cannot be had again.
        cuts: how often it was cut off.
    """

    events: int
    wanted: list[int]
    received: list[int] = field(default_factory=list)
    resyncs: int = 0
    cuts: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether each wanted entry came once and in order."""
        return self.received == self.wanted and self.resyncs == 0


def make_events(count: int) -> tuple[list[Effect], list[int]]:
    """Return alerts, each with its outcome some events later, and the indices of those that are wanted."""
    effects: list[Effect] = []
    wanted: list[int] = []
    ends: list[tuple[int, bool, Effect]] = []
    number = 0
    while len(effects) < count:
        if ends and ends[0][0] <= len(effects):
            _, is_large, effect = ends.pop(0)
        else:
            number += 1
            is_large = number % 3 == 0
            at = later(number)
            signal = replace(whale(number, detected_at=at), gross_sat=_LARGE_SAT if is_large else _SMALL_SAT)
            effect = RaiseSignal(at, signal)
            outcome = RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=later(number + 600)))
            ends.append((len(effects) + 200, is_large, outcome))
        effects.append(effect)
        if is_large:
            wanted.append(len(effects))
    return effects, wanted


class Relay:
    """Passes bytes on between a client and the service, and cuts the connection when told to.

    Args:
        port: of the service.
        chance: where the lengths of connections come from.
        cuts: how often it cuts; then it passes everything on.
    """

    def __init__(self, port: int, chance: random.Random, cuts: int) -> None:
        self._port = port
        self._chance = chance
        self._cuts_left = cuts
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what one client and the service say."""
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        pump = asyncio.create_task(self._pass_all(reader, up_writer))
        try:
            left = self._chance.randrange(200, 60_000) if self._cuts_left > 0 else sys.maxsize
            while left > 0 and (data := await up_reader.read(min(left, 65_536))):
                left -= len(data)
                writer.write(data)
                await writer.drain()
            if left == 0:
                self._cuts_left -= 1
                self.cuts += 1
        except OSError:
            pass
        finally:
            pump.cancel()
            for end in (writer, up_writer):
                end.transport.abort()

    @staticmethod
    async def _pass_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()


async def run(events: int = EVENTS, cuts: int = CUTS, *, seed: int = _SEED) -> Report:
    """Say so many events to a client that is cut off so often."""
    effects, wanted = make_events(events)
    report = Report(events, wanted)
    chance = random.Random(seed)
    encoder = PublicEncoder(Network.REGTEST)
    with tempfile.TemporaryDirectory() as folder:
        store = DuckDbStore(Path(folder, "resume.db"), address_of=lambda script: script.hex())
        await store.open()
        server = AlertServer(
            "127.0.0.1", 0, greeting=lambda: None, record=StoredRecord(store), tail=_TAIL, backlog=8
        )
        async with running(server.run):
            relay = Relay(server.port, chance, cuts)
            front = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
            following = asyncio.create_task(
                _follow(front.sockets[0].getsockname()[1], report, until_seq=wanted[-1])
            )
            for start in range(0, len(effects), _BATCH):
                batch = [
                    Publication(seq, effect, encoder.encode(effect, seq))
                    for seq, effect in enumerate(effects[start : start + _BATCH], start=start + 1)
                ]
                await store.commit(batch)
                await server.publish(*(publication.message for publication in batch))
            async with asyncio.timeout(120):
                await following
            report.cuts = relay.cuts
            front.close()
        await store.close()
    return report


async def _follow(port: int, report: Report, *, until_seq: int) -> None:
    client = Client(alerts_url=f"ws://127.0.0.1:{port}/", sleep=lambda _pause_s: asyncio.sleep(0.005))
    async with aclosing(client.alerts(_WANTED, since=0)) as heard:
        async for said in heard:
            if isinstance(said, WhaleAlertMessage | StatusUpdateMessage):
                report.received.append(said.seq)
                if said.seq >= until_seq:
                    return
            elif isinstance(said, ResyncRequiredMessage):
                report.resyncs += 1


def main() -> int:
    """Run it for several seeds and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--cuts", type=int, default=CUTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[_SEED])
    options = parser.parse_args()
    is_sound = True
    for seed in options.seeds:
        report = asyncio.run(run(options.events, options.cuts, seed=seed))
        doubled = len(report.received) - len(set(report.received))
        missing = len(set(report.wanted) - set(report.received))
        print(
            f"seed {seed}: {report.events} events, {len(report.wanted)} wanted by the filter, cut off "
            f"{report.cuts} times: {len(report.received)} received, {missing} missing, {doubled} doubled, "
            f"{report.resyncs} resyncs: {'sound' if report.is_sound else 'NOT SOUND'}"
        )
        is_sound = is_sound and report.is_sound and report.cuts >= options.cuts
    return 0 if is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
