"""The newest entries of the record as subscribers get them, and what is known of each prediction.

No I/O here: what is older is read by whoever has a store, and made into the same entries.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from hydrophone.domain.record import RecordEntry
from hydrophone.wire.alert_facts import AlertFacts, Kind, Reading, meets, read_message
from hydrophone.wire.socket_v1 import EVERYTHING, FiltersV1

TAIL: Final = 4_096
"""Entries kept in memory. # chosen: some 8 MB, half a busy day: whoever was away for less costs no query."""
_PREDICTIONS: Final = 20_000
"""Of which is known what was said. # chosen: some 10 MB; four times the whales that are ever open at once."""

_TAIL_SHORT: Final = 256
"""Entries kept while memory is short. # chosen: half an hour of a busy day; who was away for longer costs a
query."""
_PREDICTIONS_SHORT: Final = 1_000
"""Predictions known while memory is short. # chosen: as many whales as a busy mempool holds."""

Versions = tuple[AlertFacts, ...]
"""What a prediction's alert said, and each amendment of it; in order."""


class Entry(NamedTuple):
    """A message, and whom it is for.

    Attributes:
        frame: as it is written.
        kind: who gets it.
        seq: its index in the record; None: it is in none.
        versions: what had been said of its prediction up to it; empty: that is not known.
    """

    frame: bytes
    kind: Kind = Kind.NOTICE
    seq: int | None = None
    versions: Versions = ()


def is_for(filters: FiltersV1 | None, entry: Entry) -> bool:
    """Return whether who asked for this gets that; None asked for nothing.

    What follows an alert (an update, a fee bump) is for whoever would have got the alert in any of its
    versions: who was told of a prediction is told how it ends, also if it was moved out of what was asked
    for. Of a prediction that is not known everybody is told: one message too many does less harm than one
    missing.
    """
    if entry.kind is Kind.NOTICE:
        return True
    if filters is None:
        return False
    if filters is EVERYTHING:
        return True
    if not filters.include_updates:
        return entry.kind is Kind.ALERT and meets(filters, entry.versions[-1])
    return not entry.versions or any(meets(filters, facts) for facts in entry.versions)


class Journal:
    """What was said lately.

    Args:
        last_seq: index of the newest entry of the record; 0: there is none.
        frame: how a message is written.
        keep: entries that stay in memory.
    """

    def __init__(
        self, last_seq: int = 0, *, frame: Callable[[bytes], bytes] = bytes, keep: int = TAIL
    ) -> None:
        self.head = last_seq
        self._frame = frame
        self._keep = keep
        self._tail: deque[Entry] = deque(maxlen=keep)
        self._most_predictions = _PREDICTIONS
        self._versions: OrderedDict[str, Versions] = OrderedDict()

    @property
    def oldest(self) -> int:
        """Index after which everything is in memory."""
        return self.head - len(self._tail)

    @property
    def tail_count(self) -> int:
        """Entries in memory."""
        return len(self._tail)

    @property
    def prediction_count(self) -> int:
        """Predictions of which is known what was said."""
        return len(self._versions)

    def shrink(self) -> int:
        """Keep little in memory from now on; return how many entries and predictions went.

        What is older is read from the record, as after a start; of a prediction that is not known any more
        everybody is told.
        """
        before = len(self._tail) + len(self._versions)
        self._resize(min(self._keep, _TAIL_SHORT))
        self._most_predictions = _PREDICTIONS_SHORT
        while len(self._versions) > self._most_predictions:
            self._versions.popitem(last=False)
        return before - len(self._tail) - len(self._versions)

    def grow(self) -> None:
        """Keep as much as usual again: it fills up with what is said from now on."""
        self._resize(self._keep)
        self._most_predictions = _PREDICTIONS

    def _resize(self, keep: int) -> None:
        if self._tail.maxlen != keep:
            self._tail = deque(self._tail, maxlen=keep)

    def note(self, messages: Iterable[bytes]) -> list[Entry]:
        """Take up messages that are being said.

        Raises:
            ValueError: an entry of the record was said already.
        """
        return [self._note(message, read_message(message)) for message in messages]

    def _note(self, message: bytes, reading: Reading) -> Entry:
        entry = Entry(self._frame(message), reading.kind, reading.seq, self._learn(reading))
        if reading.seq is not None:
            if reading.seq <= self.head:
                raise ValueError(f"expected record entry {self.head + 1}, found {reading.seq} said again")
            if reading.seq > self.head + 1:
                self._tail.clear()  # there is a hole before it
            self._tail.append(entry)
            self.head = reading.seq
        return entry

    def _learn(self, reading: Reading) -> Versions:
        """Return what is known of the prediction by now; it is only kept from its first version on."""
        own = () if reading.facts is None else (reading.facts,)
        if reading.prediction_id is None or reading.seq is None:
            return own
        known = self._versions.get(reading.prediction_id)
        if known is None and not reading.is_first:
            return own if reading.kind is Kind.ALERT else ()
        known = known or ()
        if own and (not known or known[-1].seq < reading.seq):
            known = (*known, *own)
            self._versions[reading.prediction_id] = known
            self._versions.move_to_end(reading.prediction_id)
            if len(self._versions) > self._most_predictions:
                self._versions.popitem(last=False)
        return known

    def restore(self, page: Sequence[RecordEntry], alerts: Iterable[bytes]) -> None:
        """Take up what was said before the start.

        Args:
            page: the newest entries of the record, up to its head.
            alerts: alerts and amendments of what they are about, and of all that is open, in order.
        """
        for message in alerts:
            self._learn(read_message(message))
        for record_entry in page:
            if record_entry.message is None:
                self._tail.clear()
            elif record_entry.seq <= self.head:
                reading = read_message(record_entry.message)
                versions = _up_to(self._learn(reading), record_entry.seq)
                frame = self._frame(record_entry.message)
                self._tail.append(Entry(frame, reading.kind, record_entry.seq, versions))

    def entries_after(self, seq: int, limit: int) -> list[Entry] | None:
        """Return entries in order, at most so many; None: they are not all in memory any more."""
        if seq < self.oldest:
            return None
        start = seq - self.oldest
        return list(islice(self._tail, start, start + limit))

    def unknown_in(self, page: Sequence[RecordEntry]) -> set[str]:
        """Return the predictions that entries are about and of which is not known what was said before."""
        return {
            entry.prediction_id
            for entry in page
            if entry.prediction_id is not None and entry.prediction_id not in self._versions
        }

    def entries_of(
        self, page: Sequence[RecordEntry], since: int, alerts: Mapping[str, Sequence[bytes]]
    ) -> list[Entry] | None:
        """Return entries that were read from the record; None: one is missing, or what it said is not kept.

        Args:
            page: entries after an index.
            since: the index.
            alerts: of predictions that are unknown here: their alerts and amendments, in order.
        """
        looked_up = {prediction_id: _versions_of(said) for prediction_id, said in alerts.items()}
        entries = []
        for expected, record_entry in enumerate(page, start=since + 1):
            if record_entry.seq != expected or record_entry.message is None:
                return None
            if expected > self.head:
                break  # stored, and not said yet
            reading = read_message(record_entry.message)
            about = reading.prediction_id or ""
            versions = _up_to(self._versions.get(about) or looked_up.get(about, ()), expected)
            if not versions and reading.kind is Kind.ALERT and reading.facts is not None:
                versions = (reading.facts,)
            entries.append(Entry(self._frame(record_entry.message), reading.kind, expected, versions))
        return entries or None


def _versions_of(alerts: Sequence[bytes]) -> Versions:
    facts = (read_message(message).facts for message in alerts)
    return tuple(found for found in facts if found is not None)


def _up_to(versions: Versions, seq: int) -> Versions:
    return tuple(facts for facts in versions if facts.seq <= seq)
