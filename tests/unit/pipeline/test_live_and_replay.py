"""A live run, whose clock ticks at any moment, and its replay, which has no clock, say the same."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from hydrophone.domain.events import AmendSignal, Ask, Effect
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.script import Network
from hydrophone.domain.tracker import Tracker
from hydrophone.domain.units import SATS_PER_BTC, Sats, UnixMicros
from hydrophone.pipeline.detection import Detection, detect
from hydrophone.runtime.channel import Channel
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.mempool_space import MempoolSpaceDecoder
from hydrophone.wire.quarantine import Quarantine
from tests.builders import (
    SOURCE,
    START,
    Json,
    answered,
    block_json,
    mempool_json,
    opened,
    output_json,
    received,
    to_bytes,
    transaction_json,
    txid_of,
    wpkh,
)

HOT, DEPOSIT = wpkh(7), wpkh(8)
BOOK = LabelBook([Label(HOT, Entity("Binance", EntityKind.EXCHANGE), Role.HOT, "test", 0.95)])
HOUR_MICROS = 3_600_000_000
SWEEP: Json = transaction_json("sweep", []) | {
    "vin": [
        {
            "txid": txid_of(f"deposited {n}"),
            "vout": n,
            "sequence": 0xFFFFFFFD,
            "is_coinbase": False,
            "prevout": output_json(200 * SATS_PER_BTC, script),
        }
        for n, script in enumerate([DEPOSIT, *map(wpkh, range(20, 24))])
    ],
    "vout": [output_json(1_000 * SATS_PER_BTC - 1_000, HOT)],
}
"""Shows whose all payments to `DEPOSIT` were: what was said of them is corrected, a few with each event."""


def whale(name: str, *, has_prevouts: bool = True) -> Json:
    paid = [output_json(150 * SATS_PER_BTC, DEPOSIT)]
    transaction = transaction_json(name, [150 * SATS_PER_BTC], has_prevouts=has_prevouts)
    return transaction | {"vout": paid}


def deposits() -> list[Json]:
    return [whale(f"deposit {n}") for n in range(50)]


def fork_json(height: int, branch: str) -> Json:
    """Return a block of a branch; that of the main one is without a name."""
    block = block_json(height)
    return block | ({"id": txid_of(f"block {height} {branch}")} if branch else {})


NAMES = st.sampled_from("abcd")
HEIGHTS = st.integers(7, 9)
BRANCHES = st.sampled_from(["", "", "other"])
PAYLOADS = st.one_of(
    st.builds(lambda name, full: {"added": [whale(name, has_prevouts=full)]}, NAMES, st.booleans()),
    st.builds(lambda name, full: {"added": [whale(name, has_prevouts=full)]}, NAMES, st.booleans()),
    st.builds(lambda old, new: {"replaced": [(txid_of(old), whale(new))]}, NAMES, NAMES),
    st.builds(lambda name: {"removed": [txid_of(name)]}, NAMES),
    st.builds(
        lambda names, height, branch: {
            "mined": list(map(txid_of, names)),
            "block": fork_json(height, branch),
        },
        st.lists(NAMES, unique=True),
        HEIGHTS,
        BRANCHES,
    ),
    st.builds(lambda: {"added": deposits()}),
    st.builds(lambda: {"added": [SWEEP]}),
    st.builds(
        lambda rate: {
            "added": [],
            "mempool-blocks": [{"blockVSize": 999_000, "feeRange": [rate] * 7, "nTx": 9, "totalFees": 1}],
        },
        st.sampled_from([1.0, 5.0]),
    ),
    st.builds(
        lambda name: {
            "projected-block-transactions": {
                "blockTransactions": [[txid_of(name), 1_000, 141, 150 * SATS_PER_BTC, 7.1, 0, 1]]
            }
        },
        NAMES,
    ),
)


def told_json(name: str, height: int | None) -> bytes:
    place = {"confirmed": True, "block_height": height, "block_hash": txid_of(f"block {height}")}
    return to_bytes(whale(name) | {"status": {"confirmed": False} if height is None else place})


ANSWERS = st.one_of(
    st.builds(
        lambda name, height: (f"/api/v1/tx/{txid_of(name)}", 200, told_json(name, height)),
        NAMES,
        st.none() | HEIGHTS,
    ),
    st.builds(
        lambda name, status: (f"/api/v1/tx/{txid_of(name)}", status, b"Transaction not found"),
        NAMES,
        st.sampled_from([404, 404, 500]),
    ),
    st.builds(
        lambda name, by: (
            f"/api/v1/tx/{txid_of(name)}/rbf",
            200,
            to_bytes({"replacements": {"tx": {"txid": txid_of(by)}}}),
        ),
        NAMES,
        NAMES,
    ),
    st.builds(
        lambda height, names: (
            f"/api/v1/block/{txid_of(f'block {height}')}/summary",
            200,
            to_bytes([{"txid": txid_of(name), "value": 150 * SATS_PER_BTC} for name in ("coinbase", *names)]),
        ),
        HEIGHTS,
        st.lists(NAMES, unique=True),
    ),
    st.builds(
        lambda height: ("/api/v1/blocks", 200, to_bytes([fork_json(n, "") for n in range(6, height)])),
        HEIGHTS,
    ),
)
STEPS_MICROS = st.sampled_from([0, 1, 400_000, 1_100_000, 4_000_000, 61_000_000])


@st.composite
def recordings(draw: st.DrawFn) -> list[Frame]:
    """Frames and answers in any order, at times that do not go back; at the end all has come to rest."""
    at, sequence = int(START), 0
    frames = [opened(UnixMicros(at))]
    for step, said in draw(st.lists(st.tuples(STEPS_MICROS, PAYLOADS | ANSWERS | st.none()), max_size=25)):
        at += step
        if said is None:
            frames.append(opened(UnixMicros(at)))
        elif isinstance(said, tuple):
            path, status, body = said
            frames.append(answered(path, status, body, UnixMicros(at)))
        else:
            sequence += 1
            changes = {key: value for key, value in said.items() if key != "block"}
            others = {"block": said["block"]} if "block" in said else {}
            frames.append(received(mempool_json(sequence, **changes, **others), UnixMicros(at)))
    ends = (received(mempool_json(sequence + n), UnixMicros(at + n * HOUR_MICROS)) for n in range(1, 10))
    return [*frames, *ends]


def make_decoder() -> MempoolSpaceDecoder:
    return MempoolSpaceDecoder(source=SOURCE, threshold_sat=Sats(100 * SATS_PER_BTC), quarantine=Quarantine())


def make_tracker() -> Tracker:
    return Tracker(network=Network.REGTEST, book=BOOK)


class Nobody:
    """Is asked and does not answer: answers are among the frames."""

    def ask(self, question: object) -> None:
        pass


async def heard_live(frames: Sequence[Frame], moments: Sequence[float]) -> list[Effect]:
    """Return what a live run passes on whose clock is looked at once between two frames.

    Args:
        frames: in turn.
        moments: for each the share of the time to the next at which the clock is looked at.
    """
    now = [frames[0].at]
    heard: Channel[Frame] = Channel("frames", 64)
    effects: Channel[Effect] = Channel("effects", 1_000_000)

    async def on_frame(_: Frame) -> None:
        pass

    detection = Detection(
        frames=heard,
        effects=effects,
        decoder=make_decoder(),
        tracker=make_tracker(),
        asker=Nobody(),
        clock=lambda: UnixMicros(now[0]),
        on_frame=on_frame,
    )
    task = asyncio.create_task(detection.run(lambda: None))
    for frame, following, moment in zip(frames, [*frames[1:], frames[-1]], moments, strict=True):
        now[0] = frame.at
        await heard.put(frame)
        await _worked()
        now[0] = frame.at + int(moment * (following.at - frame.at))
        # A frame that says nothing wakes it up, so that it looks at the clock.
        await heard.put(Frame(now[0], SOURCE, FrameKind.SENT, b""))
        await _worked()
    detection.drain()
    await task
    return await effects.take() if len(effects) else []


async def _worked() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(recordings(), st.data())
def test_a_clock_that_ticks_at_any_moment_changes_nothing(frames: list[Frame], data: st.DataObject) -> None:
    moments = data.draw(st.lists(st.floats(0, 1), min_size=len(frames), max_size=len(frames)))
    replayed = [e for e in detect(frames, make_decoder(), make_tracker()) if not isinstance(e, Ask)]
    assert asyncio.run(heard_live(frames, moments)) == replayed


def test_corrections_that_wait_are_made_when_something_is_heard() -> None:
    """Not when a clock ticks, which it does for whatever is asked again."""
    frames = [
        opened(START),
        received(mempool_json(1, added=deposits()), UnixMicros(START + 1)),
        received(mempool_json(2, added=[whale("a", has_prevouts=False)]), UnixMicros(START + 2)),
        received(mempool_json(3, added=[SWEEP]), UnixMicros(START + 3)),
        received(mempool_json(4), UnixMicros(START + HOUR_MICROS)),
    ]
    replayed = [e for e in detect(frames, make_decoder(), make_tracker()) if not isinstance(e, Ask)]
    assert {e.at for e in replayed if isinstance(e, AmendSignal)} == {START + 3, START + HOUR_MICROS}
    assert asyncio.run(heard_live(frames, [0.5] * len(frames))) == replayed
