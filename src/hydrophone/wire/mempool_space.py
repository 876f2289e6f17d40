"""mempool.space's websocket, decoded in two stages; its REST answers see `mempool_space_rest`.

Stage one reads of each announced transaction only what the value gate needs; its inputs, the bulk of the
bytes, are skipped as raw JSON. Stage two decodes the inputs of the few that pass.

Sources: frames of a backend 3.4-dev on regtest (August 2026), and its websocket-handler.ts.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from hydrophone.domain.events import (
    BlockConnected,
    Event,
    GapFound,
    GapReason,
    MarketChanged,
    Package,
    Replaced,
    Source,
    TransactionSeen,
    TransactionsLeft,
    WaitingWhale,
    WhalesWaiting,
)
from hydrophone.domain.feemarket import RANGE_LENGTH, RateProfile
from hydrophone.domain.questions import AboutProjected
from hydrophone.domain.transaction import Transaction
from hydrophone.domain.units import WEIGHT_PER_VBYTE, FeeRate, Sats, Txid, UnixMicros, micros_from_seconds
from hydrophone.errors import MalformedMessage
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.esplora import (
    NOT_JSON,
    NOTHING,
    TXID,
    Block,
    GatedTransaction,
    Rate,
    block_connected,
    effective_rate_of,
    lenient,
    linked,
    transaction_of,
)
from hydrophone.wire.mempool_space_rest import decode_answer
from hydrophone.wire.quarantine import Quarantine

INIT: Final = b'{"action":"init"}'
"""Is answered at once by what a backend knows, and how much of its mempool it has loaded."""
SUBSCRIPTIONS: Final = (
    b'{"action":"want","data":["blocks","mempool-blocks","stats"]}',
    b'{"track-mempool":true}',
)
"""What makes a backend talk. A later `want` replaces the set; `track-mempool` must be `true`, not 1."""


def subscription_of(question: AboutProjected) -> bytes:
    """Return what to send to be told what is in a block to come, and how it changes, until the next asks."""
    return b'{"track-mempool-block":%d}' % question.index


SIMULATED_HEADER: Final = "X-Hydrophone-Simulated"
"""Our simulator says by this header of its handshake that its mempool is not real."""

_LATEST_S: Final = 2**33
"""# chosen: a first-seen time beyond the year 2242 is none."""
_LONGEST_EMPTY: Final = len(b"null")
"""What is no longer than this has nothing in it: nothing, `[]`, `null`."""


class _Replacement(msgspec.Struct, gc=False):
    replaced: str
    by: GatedTransaction


class _Delta(msgspec.Struct, gc=False):
    sequence: int
    added: list[GatedTransaction] = []
    removed: list[str] = []
    mined: list[str] = []
    replaced: list[_Replacement] = []


class _RawDelta(msgspec.Struct, gc=False):
    """The same, for a frame with something malformed in it: each part stands or falls alone."""

    sequence: int
    added: list[msgspec.Raw] = []
    removed: list[msgspec.Raw] = []
    mined: list[msgspec.Raw] = []
    replaced: list[msgspec.Raw] = []


class _ProjectedBlock(msgspec.Struct, gc=False):
    size_vb: Rate = msgspec.field(name="blockVSize")
    range_sat_vb: list[Rate] = msgspec.field(name="feeRange")


class _Ancestor(msgspec.Struct, gc=False):
    txid: str


class _Row(msgspec.Struct, gc=False, array_like=True):
    """A transaction in a block to come."""

    txid: str
    fee: float
    size_vb: float
    value: float
    rate_sat_vb: float = 0.0
    flags: float = 0.0
    first_seen: float = 0.0


class _Rows(msgspec.Struct, gc=False):
    """All of a block to come; what only tells how it changes has no such list."""

    transactions: list[_Row] = msgspec.field(name="blockTransactions", default=[])


class _Frame(msgspec.Struct, gc=False):
    delta: _Delta | None = msgspec.field(name="mempool-transactions", default=None)
    block: Block | None = None
    blocks: list[Block] = []
    projected: msgspec.Raw = msgspec.field(name="mempool-blocks", default=NOTHING)
    rows: msgspec.Raw = msgspec.field(name="projected-block-transactions", default=NOTHING)


class _RawFrame(msgspec.Struct, gc=False):
    delta: msgspec.Raw = msgspec.field(name="mempool-transactions", default=msgspec.Raw(b"null"))
    block: msgspec.Raw = msgspec.Raw(b"null")
    blocks: msgspec.Raw = msgspec.Raw(b"[]")
    projected: msgspec.Raw = msgspec.field(name="mempool-blocks", default=NOTHING)
    rows: msgspec.Raw = msgspec.field(name="projected-block-transactions", default=NOTHING)


class _Numbered(msgspec.Struct, gc=False):
    sequence: int


class _Marks(msgspec.Struct, gc=False):
    """What a frame says of its place in the stream."""

    delta: _Numbered | None = msgspec.field(name="mempool-transactions", default=None)
    block: Block | None = None
    blocks: list[Block] = []


_decode_marks = msgspec.json.Decoder(_Marks).decode
_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_raw_frame = msgspec.json.Decoder(_RawFrame).decode
_decode_raw_delta = msgspec.json.Decoder(_RawDelta | None).decode
_decode_block = msgspec.json.Decoder(Block | None).decode
_decode_some_block = msgspec.json.Decoder(Block).decode
_decode_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_transaction = msgspec.json.Decoder(GatedTransaction).decode
_decode_replacement = msgspec.json.Decoder(_Replacement).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_projected = msgspec.json.Decoder(list[_ProjectedBlock]).decode
_decode_rows = msgspec.json.Decoder(_Rows).decode
_decode_ancestors = msgspec.json.Decoder(list[_Ancestor]).decode


class MempoolSpaceDecoder:
    """Turns the frames of one link into events. Remembers who it hears, and when it heard what last.

    Args:
        source: name of the link.
        threshold_sat: transactions whose outputs exceed it are whales.
        quarantine: where malformed parts go.
    """

    def __init__(self, *, source: str, threshold_sat: Sats, quarantine: Quarantine) -> None:
        self._source = Source(source)
        self._threshold_sat = threshold_sat
        self._quarantine = quarantine
        self._last_sequence: tuple[int, UnixMicros] | None = None
        self._heard_at: UnixMicros | None = None
        self._has_opened = False
        self._is_projection_odd = False
        self.transaction_count = 0

    def resume(self, heard_at: UnixMicros | None) -> None:
        """Go on after a restart: what came since `heard_at` was not heard; None: there was nothing before."""
        self._heard_at = heard_at

    def decode(self, frame: Frame) -> list[Event]:
        """Return what a frame says; malformed parts are quarantined and become a gap."""
        at = UnixMicros(frame.at)
        match frame.kind:
            case FrameKind.RECEIVED:
                rejected_before = self._quarantine.count
                events = self._decode_received(at, frame.payload)
                self._heard_at = at
                rejected = self._quarantine.count - rejected_before
                return events if rejected == 0 else [self._malformed_gap(at, rejected), *events]
            case FrameKind.ANSWERED:
                return decode_answer(at, frame, self._source, self._threshold_sat, self._quarantine)
            case FrameKind.OPENED:
                self._source = Source(self._source.name, frame.is_simulated)
                return [self._opened(at)]
            case FrameKind.SENT | FrameKind.CLOSED:
                return []

    def _opened(self, at: UnixMicros) -> GapFound:
        reason = GapReason.RECONNECTED if self._has_opened else GapReason.STARTED
        started_at = at if self._heard_at is None else min(at, self._heard_at)
        self._has_opened = True
        self._last_sequence = None
        self._heard_at = at
        return GapFound(at, self._source.name, reason, started_at)

    def _decode_received(self, at: UnixMicros, payload: bytes) -> list[Event]:
        try:
            parsed = _decode_frame(payload)
        except NOT_JSON:
            return self._salvage(at, payload)
        return self._events(at, parsed)

    def _events(self, at: UnixMicros, parsed: _Frame) -> list[Event]:
        """Return events in the order that loses nothing.

        Old blocks come first: a list of them is how a backend tells a reorg. A successor comes before its own
        announcement, both before the block that may contain them, and leaving comes last.
        """
        events: list[Event] = [block_connected(at, block, None) for block in linked(parsed.blocks)]
        is_first = self._last_sequence is None
        if parsed.delta is not None:
            before = len(events)
            events += self._delta_events(at, parsed.delta, parsed.block)
            is_first = is_first or any(isinstance(event, GapFound) for event in events[before:])
        elif parsed.block is not None:
            events.append(block_connected(at, parsed.block, None))
        if parsed.delta is not None or parsed.projected:
            events.append(self._market_changed(at, parsed, is_first=is_first))
        if parsed.rows:
            events.append(self._whales_waiting(at, parsed.rows))
        return events

    def _whales_waiting(self, at: UnixMicros, raw: msgspec.Raw) -> WhalesWaiting:
        rows: _Rows | None = self._part(at, _decode_rows, raw)
        return WhalesWaiting(
            at,
            tuple(
                WaitingWhale(
                    Txid(row.txid),
                    micros_from_seconds(row.first_seen) if 0 < row.first_seen <= _LATEST_S else at,
                    effective_rate_of(row.rate_sat_vb),
                )
                for row in (() if rows is None else rows.transactions)
                if row.value > self._threshold_sat and TXID.fullmatch(row.txid)
            ),
        )

    def _market_changed(self, at: UnixMicros, parsed: _Frame, *, is_first: bool) -> MarketChanged:
        """Return what a frame says of the fee market.

        Args:
            at: when it was received.
            parsed: it.
            is_first: since the stream began or broke: then what is announced may have waited for long (a
                backend that starts announces its whole mempool), and says nothing about what arrives.
        """
        projected = None
        if parsed.projected:
            projected = self._projected(at, parsed.projected)
        added = [] if parsed.delta is None or is_first else parsed.delta.added
        return MarketChanged(
            at,
            [_rate_of(gated) if gated.effective_rate is None else gated.effective_rate for gated in added],
            [gated.weight for gated in added],
            projected,
            tuple([_package(g) for g in added if len(g.ancestors) > _LONGEST_EMPTY]),
        )

    def _projected(self, at: UnixMicros, raw: msgspec.Raw) -> tuple[RateProfile, ...] | None:
        """Return the blocks to come; None when any of them cannot be read: the rest would be another market.

        A backend whose ranges have another length than we know has such always: it is said once.
        """
        blocks: list[_ProjectedBlock] | None = self._part(at, _decode_projected, raw)
        if blocks is None:
            return None
        blocks = [block for block in blocks if block.size_vb > 0]
        odd = next((block for block in blocks if len(block.range_sat_vb) != RANGE_LENGTH), None)
        if odd is not None and not self._is_projection_odd:
            found = len(odd.range_sat_vb)
            self._reject(at, f"expected {RANGE_LENGTH} rates in a feeRange, found {found}", bytes(raw))
        self._is_projection_odd = odd is not None
        if odd is not None:
            return None
        return tuple([RateProfile(b.size_vb * WEIGHT_PER_VBYTE, tuple(b.range_sat_vb)) for b in blocks])

    def _delta_events(self, at: UnixMicros, delta: _Delta, block: Block | None) -> list[Event]:
        events: list[Event] = []
        gap = self._check_sequence(at, delta.sequence)
        if gap is not None:
            events.append(gap)
        for replacement in delta.replaced:
            event = self._checked(at, replacement)
            if event is not None:
                events.append(event)
        for gated in _above(self._threshold_sat, delta.added):
            transaction = self._candidate(at, gated)
            if transaction is not None:
                events.append(TransactionSeen(at, self._source, transaction))
        self.transaction_count += len(delta.added)
        left = delta.removed
        if block is not None:
            events.append(block_connected(at, block, delta.mined))
        elif delta.mined:  # into a block nobody described
            left = [*left, *delta.mined]
        if left:
            events.append(TransactionsLeft(at, tuple(map(Txid, left))))
        return events

    def _check_sequence(self, at: UnixMicros, sequence: int) -> GapFound | None:
        last, self._last_sequence = self._last_sequence, (sequence, at)
        if last is None or sequence == last[0] + 1:
            return None
        before, started_at = last
        if sequence == before == 0:  # a backend that starts up tells old blocks before it counts
            return None
        reason = GapReason.SEQUENCE_JUMP if sequence > before else GapReason.SEQUENCE_RESET
        return GapFound(at, self._source.name, reason, started_at, f"sequence {sequence} after {before}")

    def _checked(self, at: UnixMicros, replacement: _Replacement) -> Replaced | None:
        gated = replacement.by
        if not TXID.fullmatch(replacement.replaced) or not TXID.fullmatch(gated.txid):
            found = f"{replacement.replaced} -> {gated.txid}"
            self._reject(at, "expected two txids of 64 hex digits in a replacement", found.encode())
            return None
        is_whale = sum(output.value for output in gated.vout) > self._threshold_sat
        successor = self._candidate(at, gated)
        txid, by = Txid(replacement.replaced), Txid(gated.txid)
        return Replaced(at, self._source, txid, by, successor, is_whale=is_whale)

    def _candidate(self, at: UnixMicros, gated: GatedTransaction) -> Transaction | None:
        try:
            return transaction_of(gated)
        except MalformedMessage as error:
            self._reject(at, str(error), bytes(gated.vin))
            return None

    def _salvage(self, at: UnixMicros, payload: bytes) -> list[Event]:
        """Return what is sound in a frame that is not: a whale beside a malformed neighbour is heard."""
        try:
            raw = _decode_raw_frame(payload)
        except NOT_JSON as error:
            self._reject(at, f"expected a JSON object: {error}", payload)
            return []
        block = self._part(at, _decode_block, raw.block)
        blocks = self._part(at, _decode_raw_list, raw.blocks) or []
        sound = _Frame(
            block=block,
            blocks=self._parts(at, _decode_some_block, blocks),
            projected=raw.projected,
            rows=raw.rows,
        )
        raw_delta = self._part(at, _decode_raw_delta, raw.delta)
        if raw_delta is None:
            return self._events(at, sound)
        sound.delta = _Delta(
            sequence=raw_delta.sequence,
            added=self._parts(at, _decode_transaction, raw_delta.added),
            removed=self._parts(at, _decode_text, raw_delta.removed),
            mined=self._parts(at, _decode_text, raw_delta.mined),
            replaced=self._parts(at, _decode_replacement, raw_delta.replaced),
        )
        return self._events(at, sound)

    def _part(self, at: UnixMicros, decode: Any, raw: msgspec.Raw) -> Any:  # noqa: ANN401 -- one of seven decoders
        try:
            return decode(raw)
        except NOT_JSON as error:
            self._reject(at, str(error), bytes(raw))
            return None

    def _parts(self, at: UnixMicros, decode: Any, raws: Iterable[msgspec.Raw]) -> list[Any]:  # noqa: ANN401 -- as above
        parts = (self._part(at, decode, raw) for raw in raws)
        return [part for part in parts if part is not None]

    def _reject(self, at: UnixMicros, reason: str, payload: bytes) -> None:
        self._quarantine.add(at, self._source.name, reason, payload)

    def _malformed_gap(self, at: UnixMicros, count: int) -> GapFound:
        detail = f"parts of a frame that could not be read: {count}"
        return GapFound(at, self._source.name, GapReason.MALFORMED, at, detail)


class Landmarks(NamedTuple):
    """Where a frame stands in the stream.

    Attributes:
        sequence: of its delta; None without one.
        connected: the block it brings.
        listed: old blocks it lists, oldest first.
    """

    sequence: int | None
    connected: BlockConnected | None
    listed: tuple[BlockConnected, ...]


def parse_landmarks(payload: bytes) -> Landmarks:
    """Return where a frame stands; nowhere when it is no such frame."""
    try:
        marked = _decode_marks(payload)
    except NOT_JSON:
        marked = _Marks()
    at = UnixMicros(0)
    return Landmarks(
        sequence=None if marked.delta is None else marked.delta.sequence,
        connected=None if marked.block is None else block_connected(at, marked.block, None),
        listed=tuple(block_connected(at, block, None) for block in linked(marked.blocks)),
    )


def _above(threshold_sat: Sats, added: Iterable[GatedTransaction]) -> Iterator[GatedTransaction]:
    """Yield those that move more: the value gate, which all transactions come to."""
    for gated in added:
        value_sat = 0
        for output in gated.vout:  # mostly one or two: a list of their amounts would cost twice as much
            value_sat += output.value
        if value_sat > threshold_sat:
            yield gated


def _rate_of(gated: GatedTransaction) -> float:
    return 0.0 if gated.fee is None else gated.fee * WEIGHT_PER_VBYTE / gated.weight


def _package(gated: GatedTransaction) -> Package:
    ancestors = lenient(_decode_ancestors, gated.ancestors) or []
    rate = effective_rate_of(gated.effective_rate)
    txids = tuple([Txid(ancestor.txid) for ancestor in ancestors])
    return Package(txids, FeeRate(_rate_of(gated)) if rate is None else rate)
