"""Which signals may still have to be corrected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrophone.domain import revision
from hydrophone.domain.revision import SignalMemory
from hydrophone.domain.signal import Signal
from tests.contract.fake_store import bumped, later, whale


def kept_in(memory: SignalMemory) -> list[Signal]:
    """Return every signal that is kept, oldest first."""
    memory.doubt_all("to see them")
    return [signal for signal, _ in memory.take_doubtful(99)]


def test_a_signal_is_found_by_what_it_pays_and_by_what_it_spends() -> None:
    memory = SignalMemory()
    memory.remember(whale(1))
    [output, *_] = whale(1).transaction.outputs
    [spent] = [i.prevout.script for i in whale(1).transaction.inputs if i.prevout is not None]
    for script in (output.script, spent):
        memory.doubt([script], "why", besides="")
        assert [(s.txid, reason) for s, reason in memory.take_doubtful(9)] == [(whale(1).txid, "why")]
    memory.doubt([b"another"], "why", besides="")
    assert not memory.has_doubtful


def test_what_taught_is_not_doubted() -> None:
    memory = SignalMemory()
    memory.remember(whale(1))
    [output, *_] = whale(1).transaction.outputs
    memory.doubt([output.script], "why", besides=whale(1).prediction_id)
    assert not memory.has_doubtful


def test_the_doubtful_come_a_few_at_a_time_oldest_first_and_as_they_read_now() -> None:
    memory = SignalMemory()
    for number in range(1, 5):
        memory.remember(whale(number))
    memory.doubt_all("why")
    memory.forget(whale(1).prediction_id)
    newer = bumped(whale(3), 9, seen_at=later(1))
    memory.remember(newer)  # a new version is judged by what is known now
    assert [s.txid for s, _ in memory.take_doubtful(1)] == [whale(2).txid]
    assert [s.txid for s, _ in memory.take_doubtful(9)] == [whale(4).txid]
    assert not memory.has_doubtful


def test_what_it_rested_on_is_not_kept() -> None:
    memory = SignalMemory()
    memory.remember(whale(1))
    assert [signal.flow.evidence for signal in kept_in(memory)] == [None]


def test_a_newer_version_takes_the_place_of_the_older() -> None:
    memory = SignalMemory()
    first = whale(1)
    second = bumped(first, 2, seen_at=later(1))
    memory.remember(first)
    memory.remember(second)
    assert [signal.txid for signal in kept_in(memory)] == [second.txid]


def test_beyond_the_limit_the_oldest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revision, "REMEMBERED_LIMIT", 3)
    memory = SignalMemory()
    for number in range(1, 6):
        memory.remember(whale(number))
    assert [signal.txid for signal in kept_in(memory)] == [whale(number).txid for number in (3, 4, 5)]


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4))))
def test_the_index_holds_what_the_memory_holds(steps: list[tuple[bool, int]]) -> None:
    memory = SignalMemory()
    kept: dict[str, None] = {}
    for is_kept, number in steps:
        signal = whale(number)
        kept.pop(signal.prediction_id, None)
        if is_kept:
            memory.remember(signal)
            kept[signal.prediction_id] = None
        else:
            memory.forget(signal.prediction_id)
    assert [signal.prediction_id for signal in kept_in(memory)] == list(kept)
    assert len(kept_in(memory)) == len(kept)
    scripts = [output.script for number in range(1, 5) for output in whale(number).transaction.outputs]
    memory.doubt(scripts, "why", besides="")
    assert [signal.prediction_id for signal, _ in memory.take_doubtful(99)] == list(kept)
    if not kept:
        assert memory._by_script == {}
