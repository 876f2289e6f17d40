"""What every store promises: the same suite on DuckDB and on the fake."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hydrophone.domain.events import (
    AmendSignal,
    Ask,
    Effect,
    GapFound,
    GapReason,
    KeepLearned,
    NoteSuccessor,
    RaiseSignal,
    RecordBlock,
    RecordContents,
    RecordGap,
    RecordMarket,
    RecordModel,
    RecordOutcome,
)
from hydrophone.domain.feemarket import FeeMarket
from hydrophone.domain.flow import FlowType
from hydrophone.domain.labels import Entity, EntityKind, Role
from hydrophone.domain.learned_labels import LearnedBy, learned_label
from hydrophone.domain.model_state import ModelState
from hydrophone.domain.outcome import Status
from hydrophone.domain.questions import AboutTransaction
from hydrophone.domain.settlement import KnownBlock
from hydrophone.domain.signal import Signal
from hydrophone.domain.units import FeeRate, Height, UnixMicros
from hydrophone.pipeline.ports import Entry, Handover, Notation, Publication, SavedState, Store, StoreStatus
from hydrophone.store.duckdb_store import DuckDbStore
from tests.contract.fake_store import (
    DAY,
    T0,
    FakeStore,
    as_restored,
    bumped,
    doubt_about,
    later,
    outcome_of,
    publication,
    reopening_of,
    tracked,
    txid,
    whale,
)


@dataclass
class Bench:
    """A store under test, and how to stop and start it again."""

    store: Store
    reopen: Callable[[], Awaitable[Store]]


@pytest.fixture(params=["duckdb", "fake"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    if request.param == "fake":
        fake = FakeStore()

        async def keep() -> Store:
            return fake

        yield Bench(fake, keep)
        return
    opened: list[DuckDbStore] = []

    async def reopen() -> Store:
        for store in opened:
            await store.close()
        store = DuckDbStore(tmp_path / "store.db", address_of=bytes.hex)
        await store.open()
        opened.append(store)
        return store

    yield Bench(await reopen(), reopen)
    for store in opened:
        await store.close()


async def store_all(store: Store, *effects: Effect, first_seq: int = 1) -> None:
    await store.commit([publication(seq, effect) for seq, effect in enumerate(effects, start=first_seq)])


async def test_a_new_store_is_empty(bench: Bench) -> None:
    assert await bench.store.load_state() == SavedState()
    assert await bench.store.query_status() == StoreStatus(0, 0, 0, 0, 0, {})


async def test_an_empty_batch_stores_nothing(bench: Bench) -> None:
    await bench.store.commit([])
    assert await bench.store.load_state() == SavedState()


async def test_a_signal_comes_back_exactly_after_a_restart(bench: Bench) -> None:
    signal = whale()
    await store_all(bench.store, RaiseSignal(T0, signal))
    state = await (await bench.reopen()).load_state()
    assert state == SavedState(
        last_seq=1, tracked=(tracked(signal),), heard_at=T0, signals=(as_restored(signal),)
    )


async def test_signals_that_may_be_corrected_come_back_as_they_were_last_said(bench: Bench) -> None:
    first, other, gone = whale(1), whale(2, detected_at=later(1)), whale(3, detected_at=later(2))
    second = bumped(first, 4, seen_at=later(3))
    corrected = replace(other, flow=replace(other.flow, flow_type=FlowType.INTERNAL), label_set="another")
    await store_all(
        bench.store,
        *(RaiseSignal(signal.seen_at, signal) for signal in (first, other, gone, second)),
        AmendSignal(later(4), corrected, "a sweep"),
        RecordOutcome(outcome_of(other, Status.CONFIRMED, ended_at=later(5))),
        RecordOutcome(outcome_of(gone, Status.REPLACED, ended_at=later(6))),
    )
    state = await (await bench.reopen()).load_state()
    assert state.signals == (as_restored(second), as_restored(corrected))


async def test_a_signal_whose_older_version_was_mined_is_not_corrected_any_more(bench: Bench) -> None:
    first = whale(1)
    second = bumped(first, 2, seen_at=later(1))
    mined = outcome_of(first, Status.CONFIRMED, ended_at=later(2))
    await store_all(bench.store, RaiseSignal(T0, first), RaiseSignal(later(1), second), RecordOutcome(mined))
    assert (await (await bench.reopen()).load_state()).signals == ()


async def test_what_was_learned_comes_back_in_order(bench: Bench) -> None:
    learned = [
        learned_label(
            bytes([n]),
            Entity("Exchange é", EntityKind.EXCHANGE),
            role,
            source="a list",
            confidence=0.81,
            learned_by=how,
            evidence=txid(n),
            learned_at=later(n),
        )
        for n, role, how in (
            (3, Role.DEPOSIT, LearnedBy.SWEEP),
            (1, Role.UNKNOWN, LearnedBy.OWN_WALLET),
            (2, Role.HOT, LearnedBy.CO_SPEND),
        )
    ]
    learned.sort(key=lambda label: label.learned_at)
    await bench.store.commit([Notation(KeepLearned(later(3), tuple(learned[:2])))])
    await bench.store.commit([Notation(KeepLearned(later(4), tuple(learned[2:])))])
    store = await bench.reopen()
    assert (await store.load_state()).learned == tuple(learned)
    await store.commit([Notation(KeepLearned(later(5), tuple(learned)))])
    assert (await store.load_state()).learned == tuple(learned), "told again, it is one row"


async def test_what_was_learned_comes_back_and_the_newest_counts(bench: Bench) -> None:
    older, newer = ModelState(scored_blocks=1), ModelState(scored_blocks=2, taken=50.25)
    market = FeeMarket.from_rates([(5.0, 4_000)], [(7.0, 3.0)], tip=Height(7))
    entries = [
        Notation(RecordMarket(T0, market)),
        Notation(RecordModel(T0, older)),
        Notation(RecordModel(later(600), newer)),
    ]
    await bench.store.commit(entries)
    await bench.store.commit(entries)  # as after a failure that left it unsure what was stored
    assert (await (await bench.reopen()).load_state()).model == newer


async def test_what_the_source_did_not_say_stays_unknown(bench: Bench) -> None:
    signal = replace(whale(), fee_sat=None, fee_rate_sat_vb=None, urgency_score=None, payees=())
    await store_all(bench.store, RaiseSignal(T0, signal))
    assert (await bench.store.load_state()).tracked == (tracked(signal),)


async def test_a_fee_bump_continues_the_prediction(bench: Bench) -> None:
    first = whale(1)
    second = bumped(first, 2, seen_at=later(60))
    third = bumped(second, 3, seen_at=later(120))
    await store_all(bench.store, RaiseSignal(T0, first))
    await store_all(
        bench.store,
        NoteSuccessor(later(60), first.prediction_id, first.txid, second.txid),
        RaiseSignal(later(60), second),
        RaiseSignal(later(120), third),
        first_seq=2,
    )
    assert (await bench.store.load_state()).tracked == (tracked(third),)
    assert (await bench.store.query_status()).prediction_count == 1


async def test_signal_bump_and_outcome_may_be_one_batch(bench: Bench) -> None:
    first = whale(1)
    second = bumped(first, 2, seen_at=later(1))
    await store_all(
        bench.store,
        RaiseSignal(T0, first),
        RaiseSignal(later(1), second),
        RecordOutcome(outcome_of(second, Status.CONFIRMED, ended_at=later(2))),
    )
    state = await bench.store.load_state()
    assert state.tracked == (tracked(second, Status.CONFIRMED, 970_000),)
    assert (await bench.store.query_status()).outcome_count == 1


async def test_a_version_of_a_prediction_that_is_missing_is_stored_as_new(bench: Bench) -> None:
    second = bumped(whale(1), 2, seen_at=later(60))
    await store_all(bench.store, RaiseSignal(later(60), second))
    assert (await bench.store.load_state()).tracked == (tracked(second),)


async def test_the_same_prediction_is_never_two_rows(bench: Bench) -> None:
    signal = whale()
    again = replace(signal, urgency_score=0.9)
    months_later = whale(detected_at=later(90 * 86_400))
    await store_all(bench.store, RaiseSignal(T0, signal), RaiseSignal(T0, again))
    await store_all(bench.store, RaiseSignal(T0, again), first_seq=3)
    await store_all(bench.store, RaiseSignal(months_later.detected_at, months_later), first_seq=4)
    assert (await bench.store.query_status()).prediction_count == 1
    assert (await bench.store.load_state()).tracked == (tracked(signal),)


async def test_the_same_prediction_at_two_times_of_one_batch_is_one_row(bench: Bench) -> None:
    signal, again = whale(), whale(detected_at=later(1))
    await store_all(bench.store, RaiseSignal(T0, signal), RaiseSignal(later(1), again))
    assert (await bench.store.load_state()).tracked == (tracked(signal),)


async def test_an_amendment_corrects_what_is_remembered(bench: Bench) -> None:
    signal = replace(whale(), fee_sat=None, fee_rate_sat_vb=None)
    flow = replace(signal.flow, flow_type=FlowType.UNKNOWN, reason="no input is known")
    amended = replace(whale(), fee_rate_sat_vb=FeeRate(7.5), flow=flow)
    await store_all(bench.store, RaiseSignal(T0, signal))
    await store_all(bench.store, AmendSignal(later(1), amended, "prevouts came late"), first_seq=2)
    assert (await bench.store.load_state()).tracked == (tracked(amended),)
    assert (await bench.store.query_status()).by_flow == {"unknown": 1}


async def test_an_outcome_ends_a_prediction_once(bench: Bench) -> None:
    signal = whale()
    await store_all(
        bench.store,
        RaiseSignal(T0, signal),
        RecordOutcome(outcome_of(signal, Status.DROPPED, ended_at=later(10))),
        RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=later(20))),
    )
    await store_all(
        bench.store,
        RecordOutcome(outcome_of(signal, Status.REPLACED, ended_at=later(30))),
        doubt_about(signal, later(50), in_doubt=True),
        first_seq=4,
    )
    status = await bench.store.query_status()
    assert (status.prediction_count, status.pending_count, status.outcome_count) == (1, 0, 1)
    assert await bench.store.load_state() == SavedState(
        last_seq=5, ended=(signal.txid,), heard_at=later(50), closed=(tracked(signal, Status.DROPPED),)
    )


@pytest.mark.parametrize("ended_as", [Status.DROPPED, Status.REPLACED])
async def test_what_ended_may_come_back_and_end_otherwise(bench: Bench, ended_as: Status) -> None:
    signal = whale()
    await store_all(
        bench.store,
        RaiseSignal(T0, signal),
        RecordOutcome(outcome_of(signal, ended_as, ended_at=later(10))),
        reopening_of(signal, later(20)),
    )
    assert (await bench.store.load_state()).tracked == (tracked(signal),)
    assert (await bench.store.load_state()).closed == ()
    end = RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=later(30)))
    await store_all(bench.store, end, first_seq=4)
    status = await bench.store.query_status()
    assert (status.pending_count, status.outcome_count) == (0, 1)


async def test_the_newest_blocks_are_remembered_and_stale_ones_are_not(bench: Bench) -> None:
    def block(height: int, branch: str = "a", stale: range | None = None) -> Notation:
        return Notation(
            RecordBlock(later(height), Height(height), f"{branch}{height}", f"{branch}{height - 1}", stale)
        )

    read = Notation(RecordContents(later(9), Height(102), "a102", whales=5, unseen=1))
    await bench.store.commit([block(100), block(101), block(102), block(103), read, block(101)])
    assert (await bench.store.load_state()).blocks == tuple(
        KnownBlock(Height(h), f"a{h}", f"a{h - 1}", is_read=h == 102) for h in range(100, 104)
    )
    before_us = RecordBlock(later(99), Height(99), "a99", "a98", is_ours=False)
    await bench.store.commit([Notation(before_us)])
    assert (await bench.store.load_state()).blocks[0] == KnownBlock(
        Height(99), "a99", "a98", is_read=False, is_ours=False
    )
    await bench.store.commit([block(102, "b", range(101, 104))])
    assert [b.block_hash for b in (await bench.store.load_state()).blocks] == ["a99", "a100", "b102"]


async def test_a_reorg_reopens_and_a_new_block_confirms_again(bench: Bench) -> None:
    signal = whale()
    confirmed = RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=later(600)))
    await store_all(bench.store, RaiseSignal(T0, signal), confirmed)
    assert (await bench.store.load_state()).tracked == (tracked(signal, Status.CONFIRMED, 970_000),)

    await store_all(bench.store, reopening_of(signal, later(700)), first_seq=3)
    assert (await bench.store.load_state()).tracked == (tracked(signal),)
    assert (await bench.store.query_status()).outcome_count == 0

    elsewhere = RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=later(800), height=970_001))
    await store_all(bench.store, elsewhere, reopening_of(signal, later(900)), confirmed, first_seq=4)
    assert (await bench.store.load_state()).tracked == (tracked(signal, Status.CONFIRMED, 970_000),)
    assert (await bench.store.query_status()).outcome_count == 1


async def test_a_doubt_comes_and_goes(bench: Bench) -> None:
    signal = whale()
    await store_all(bench.store, RaiseSignal(T0, signal))
    await bench.store.commit([Notation(doubt_about(signal, later(1), in_doubt=True))])
    assert (await bench.store.load_state()).tracked == (tracked(signal, Status.IN_DOUBT),)
    assert (await bench.store.query_status()).pending_count == 1
    await bench.store.commit([Notation(doubt_about(signal, later(2), in_doubt=False))])
    assert (await bench.store.load_state()).tracked == (tracked(signal),)


async def test_a_new_version_ends_a_doubt(bench: Bench) -> None:
    first = whale(1)
    second = bumped(first, 2, seen_at=later(5))
    await store_all(
        bench.store,
        RaiseSignal(T0, first),
        doubt_about(first, later(1), in_doubt=True),
        RaiseSignal(later(5), second),
    )
    assert (await bench.store.load_state()).tracked == (tracked(second),)


async def test_gaps_are_counted_and_the_same_gap_is_one(bench: Bench) -> None:
    gap = GapFound(later(5), "mempool.space", GapReason.RECONNECTED, T0, "closed: 1006")
    other = replace(gap, reason=GapReason.SEQUENCE_JUMP)
    await bench.store.commit([Notation(RecordGap(gap)), Notation(RecordGap(other))])
    await bench.store.commit([Notation(RecordGap(gap))])
    assert (await bench.store.query_status()).gap_count == 2


async def test_effects_on_unknown_predictions_change_nothing(bench: Bench) -> None:
    known, unknown = whale(1), whale(2)
    mistimed = replace(known, detected_at=later(1))
    await store_all(bench.store, RaiseSignal(T0, known))
    for seq, signal in ((2, unknown), (5, mistimed)):
        await store_all(
            bench.store,
            RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=later(9))),
            AmendSignal(later(9), signal, "?"),
            doubt_about(signal, later(9), in_doubt=True),
            first_seq=seq,
        )
        await bench.store.commit([Handover(signal.prediction_id, signal.detected_at, later(9))])
    assert await bench.store.load_state() == SavedState(
        last_seq=7, tracked=(tracked(known),), heard_at=later(9), signals=(as_restored(known),)
    )
    assert (await bench.store.query_status()).outcome_count == 0


async def test_a_retried_batch_is_stored_once(bench: Bench) -> None:
    one, two, three = whale(1), whale(2), whale(3)
    batch: list[Entry] = [
        publication(1, RaiseSignal(T0, one)),
        publication(2, RecordOutcome(outcome_of(one, Status.DROPPED, ended_at=later(1)))),
    ]
    await bench.store.commit(batch)
    await bench.store.commit(batch)
    half_old = [*batch, publication(3, RaiseSignal(T0, two)), publication(4, RaiseSignal(T0, three))]
    await bench.store.commit(half_old)
    await (await bench.reopen()).commit(half_old)
    store = await bench.reopen()
    status = await store.query_status()
    assert (status.prediction_count, status.outcome_count, status.last_seq) == (3, 1, 4)
    assert {p.txid for p in (await store.load_state()).tracked} == {two.txid, three.txid}


@pytest.mark.parametrize("seqs", [(1, 3), (2,), (1, 1)], ids=str)
async def test_a_record_with_a_hole_is_refused_whole(bench: Bench, seqs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected record"):
        await bench.store.commit([publication(seq, RaiseSignal(T0, whale(seq))) for seq in seqs])
    assert await bench.store.query_status() == StoreStatus(0, 0, 0, 0, 0, {})


async def test_a_question_to_a_source_cannot_be_stored(bench: Bench) -> None:
    question = Ask(AboutTransaction(txid(1)))
    for entry in (publication(1, question), Notation(question)):
        with pytest.raises(TypeError, match="expected an effect to store"):
            await bench.store.commit([entry])


async def test_only_what_may_change_or_come_back_is_loaded(bench: Bench) -> None:
    now = T0
    old_open = whale(1, detected_at=UnixMicros(now - 30 * DAY))
    settled = whale(2, detected_at=UnixMicros(now - 5 * DAY))
    forgotten = whale(3, detected_at=UnixMicros(now - 21 * DAY))
    replaced = whale(4, detected_at=UnixMicros(now - 4 * DAY))
    bump = bumped(replaced, 44, seen_at=UnixMicros(now - 4 * DAY + 1))
    fresh = whale(5, detected_at=UnixMicros(now - DAY))
    signals = (old_open, settled, forgotten, replaced, bump, fresh)
    await store_all(
        bench.store,
        *(RaiseSignal(signal.seen_at, signal) for signal in signals),
        RecordOutcome(outcome_of(settled, Status.CONFIRMED, ended_at=UnixMicros(now - 2 * DAY - 1))),
        RecordOutcome(outcome_of(forgotten, Status.DROPPED, ended_at=UnixMicros(now - 7 * DAY))),
        RecordOutcome(outcome_of(bump, Status.REPLACED, ended_at=UnixMicros(now - 3 * DAY))),
        RecordOutcome(outcome_of(fresh, Status.CONFIRMED, ended_at=now)),
    )
    state = await (await bench.reopen()).load_state()
    assert state.tracked == (tracked(old_open), tracked(fresh, Status.CONFIRMED, 970_000))
    assert state.ended == (settled.txid, replaced.txid, bump.txid)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["raise", "bump", "confirm", "drop", "reopen", "doubt", "trust", "amend"]),
        st.integers(1, 3),
    ),
    max_size=12,
)


class Story:
    """Turns random steps into effects on three payments, wilder than a core would wish for."""

    def __init__(self) -> None:
        self.current: dict[int, Signal] = {}
        self.clock = 0

    def effect(self, step: str, number: int) -> Effect:
        self.clock += 1
        at = later(self.clock)
        signal = self.current.setdefault(number, whale(number))
        if step == "bump":
            signal = self.current[number] = bumped(signal, 1000 * number + self.clock, seen_at=at)
        effects: dict[str, Effect] = {
            "raise": RaiseSignal(at, signal),
            "bump": RaiseSignal(at, signal),
            "amend": AmendSignal(at, replace(signal, fee_rate_sat_vb=FeeRate(self.clock / 7)), "late"),
            "confirm": RecordOutcome(outcome_of(signal, Status.CONFIRMED, ended_at=at, height=self.clock)),
            "drop": RecordOutcome(outcome_of(signal, Status.DROPPED, ended_at=at)),
            "reopen": reopening_of(signal, at),
            "doubt": doubt_about(signal, at, in_doubt=True),
            "trust": doubt_about(signal, at, in_doubt=False),
        }
        return effects[step]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, batch_size=st.integers(1, 12))
async def test_the_fake_and_duckdb_agree_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]], batch_size: int
) -> None:
    story = Story()
    entries: list[Publication] = [
        publication(seq, story.effect(*step)) for seq, step in enumerate(steps, start=1)
    ]
    fake = FakeStore()
    real = DuckDbStore(tmp_path_factory.mktemp("agree") / "store.db", address_of=bytes.hex)
    await real.open()
    try:
        for start in range(0, len(entries), batch_size):
            await fake.commit(entries[start : start + batch_size])
            await real.commit(entries[start : start + batch_size])
        assert await real.load_state() == await fake.load_state()
        assert await real.query_status() == await fake.query_status()
    finally:
        await real.close()
