"""mempool.space's websocket and REST, decoded in two stages.

Stage one reads of each announced transaction only what the value gate needs; its inputs, the bulk of the
bytes, are skipped as raw JSON. Stage two decodes the inputs of the few that pass.

Sources: frames of a backend 3.4-dev on regtest (August 2026), and its websocket-handler.ts.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final, NamedTuple, TypeVar

import msgspec

from hydrophone.domain.events import (
    BlockConnected,
    Event,
    GapFound,
    GapReason,
    MarketChanged,
    Package,
    PrevoutsResolved,
    PrevoutsUnavailable,
    Replaced,
    Source,
    TransactionSeen,
    TransactionsLeft,
)
from hydrophone.domain.feemarket import RANGE_LENGTH, RateProfile
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import (
    MAX_MONEY_SAT,
    WEIGHT_PER_VBYTE,
    FeeRate,
    Height,
    Sats,
    Txid,
    UnixMicros,
    WeightUnits,
    micros_from_seconds,
)
from hydrophone.errors import MalformedMessage
from hydrophone.runtime.frame import Frame, FrameKind
from hydrophone.wire.quarantine import Quarantine

SUBSCRIPTIONS: Final = (
    b'{"action":"want","data":["blocks","mempool-blocks","stats"]}',
    b'{"track-mempool":true}',
)
"""What makes a backend talk. A later `want` replaces the set; `track-mempool` must be `true`, not 1."""
SIMULATED_HEADER: Final = "X-Hydrophone-Simulated"
"""Our simulator says by this header of its handshake that its mempool is not real."""

_T = TypeVar("_T")

_TXID_DIGITS: Final = 64
_TXID: Final = re.compile(r"[0-9a-f]{64}")
_TX_PATH: Final = re.compile(r"/api/(?:v1/)?tx/([0-9a-f]{64})")
_HTTP_OK: Final = 200

_MAX_WEIGHT_WU: Final = 4_000_000
"""No transaction weighs more than a block may. Sources: BIP 141, block size."""
_Amount = Annotated[int, msgspec.Meta(ge=0, le=MAX_MONEY_SAT)]
_Fee = Annotated[float, msgspec.Meta(ge=0, le=MAX_MONEY_SAT)]
"""Satoshis; backends compute it from BTC and may be a hair off."""
_MAX_RATE: Final = 1e12
_Rate = Annotated[float, msgspec.Meta(ge=0, le=_MAX_RATE)]
"""Also of sizes in vB. # chosen: beyond any that a block has; sums of them and ratios to them stay finite."""
_Weight = Annotated[int, msgspec.Meta(gt=0, le=_MAX_WEIGHT_WU)]
_Height = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""Sources: Bitcoin Core, chain.h, CBlockIndex::nHeight is an int."""
_Uint32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
_BlockHash = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


_NOTHING: Final = msgspec.Raw(b"")
_LONGEST_EMPTY: Final = len(b"null")
"""What is no longer than this has nothing in it: nothing, `[]`, `null`."""


class _Output(msgspec.Struct, gc=False):
    value: _Amount
    scriptpubkey: str = ""


class _GatedTransaction(msgspec.Struct, gc=False):
    """Stage one: outputs typed, inputs raw."""

    txid: str
    vin: msgspec.Raw
    vout: list[_Output]
    weight: _Weight
    fee: _Fee | None = None
    effective_rate: float | None = msgspec.field(name="effectiveFeePerVsize", default=None)
    ancestors: msgspec.Raw = _NOTHING
    acceleration: msgspec.Raw = _NOTHING


class _Prevout(msgspec.Struct, gc=False):
    value: _Amount
    scriptpubkey: str


class _Input(msgspec.Struct, gc=False):
    sequence: _Uint32
    txid: str = ""
    vout: _Uint32 = 0
    prevout: _Prevout | None = None
    is_coinbase: bool = False


class _Replacement(msgspec.Struct, gc=False):
    replaced: str
    by: _GatedTransaction


class _Delta(msgspec.Struct, gc=False):
    sequence: int
    added: list[_GatedTransaction] = []
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


class _Block(msgspec.Struct, gc=False):
    """Its header is needed; what it says of fees may be malformed, and is read apart."""

    id: _BlockHash
    height: _Height
    previousblockhash: _BlockHash
    timestamp: msgspec.Raw = _NOTHING
    weight: msgspec.Raw = _NOTHING
    extras: msgspec.Raw = _NOTHING


class _Extras(msgspec.Struct, gc=False):
    range_sat_vb: list[_Rate] | None = msgspec.field(name="feeRange", default=None)


class _ProjectedBlock(msgspec.Struct, gc=False):
    size_vb: _Rate = msgspec.field(name="blockVSize")
    range_sat_vb: list[_Rate] = msgspec.field(name="feeRange")


class _Ancestor(msgspec.Struct, gc=False):
    txid: str


class _Frame(msgspec.Struct, gc=False):
    delta: _Delta | None = msgspec.field(name="mempool-transactions", default=None)
    block: _Block | None = None
    blocks: list[_Block] = []
    projected: msgspec.Raw = msgspec.field(name="mempool-blocks", default=_NOTHING)


class _RawFrame(msgspec.Struct, gc=False):
    delta: msgspec.Raw = msgspec.field(name="mempool-transactions", default=msgspec.Raw(b"null"))
    block: msgspec.Raw = msgspec.Raw(b"null")
    blocks: msgspec.Raw = msgspec.Raw(b"[]")
    projected: msgspec.Raw = msgspec.field(name="mempool-blocks", default=_NOTHING)


class _Numbered(msgspec.Struct, gc=False):
    sequence: int


class _Marks(msgspec.Struct, gc=False):
    """What a frame says of its place in the stream."""

    delta: _Numbered | None = msgspec.field(name="mempool-transactions", default=None)
    block: _Block | None = None
    blocks: list[_Block] = []


_decode_marks = msgspec.json.Decoder(_Marks).decode
_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_raw_frame = msgspec.json.Decoder(_RawFrame).decode
_decode_raw_delta = msgspec.json.Decoder(_RawDelta | None).decode
_decode_block = msgspec.json.Decoder(_Block | None).decode
_decode_some_block = msgspec.json.Decoder(_Block).decode
_decode_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_transaction = msgspec.json.Decoder(_GatedTransaction).decode
_decode_replacement = msgspec.json.Decoder(_Replacement).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_inputs = msgspec.json.Decoder(list[_Input]).decode
_decode_projected = msgspec.json.Decoder(list[_ProjectedBlock]).decode
_decode_extras = msgspec.json.Decoder(_Extras).decode
_decode_weight = msgspec.json.Decoder(_Weight).decode
_decode_timestamp = msgspec.json.Decoder(_Uint32).decode
_decode_ancestors = msgspec.json.Decoder(list[_Ancestor]).decode

_NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what was asked for; RecursionError: nested too deeply."""


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
                return self._decode_answer(at, frame)
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
        except _NOT_JSON:
            return self._salvage(at, payload)
        return self._events(at, parsed)

    def _events(self, at: UnixMicros, parsed: _Frame) -> list[Event]:
        """Return events in the order that loses nothing.

        Old blocks come first: a list of them is how a backend tells a reorg. A successor comes before its own
        announcement, both before the block that may contain them, and leaving comes last.
        """
        events: list[Event] = [_block_connected(at, block, ()) for block in parsed.blocks]
        is_first = self._last_sequence is None
        if parsed.delta is not None:
            before = len(events)
            events += self._delta_events(at, parsed.delta, parsed.block)
            is_first = is_first or any(isinstance(event, GapFound) for event in events[before:])
        elif parsed.block is not None:
            events.append(_block_connected(at, parsed.block, ()))
        if parsed.delta is not None or parsed.projected:
            events.append(self._market_changed(at, parsed, is_first=is_first))
        return events

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

    def _delta_events(self, at: UnixMicros, delta: _Delta, block: _Block | None) -> list[Event]:
        events: list[Event] = []
        gap = self._check_sequence(at, delta.sequence)
        if gap is not None:
            events.append(gap)
        for replacement in delta.replaced:
            event = self._checked(at, replacement)
            if event is not None:
                events.append(event)
        threshold_sat = self._threshold_sat
        for gated in delta.added:
            if sum([output.value for output in gated.vout]) > threshold_sat:
                transaction = self._candidate(at, gated)
                if transaction is not None:
                    events.append(TransactionSeen(at, self._source, transaction))
        self.transaction_count += len(delta.added)
        left = delta.removed
        if block is not None:
            events.append(_block_connected(at, block, delta.mined))
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
        if not _TXID.fullmatch(replacement.replaced) or not _TXID.fullmatch(gated.txid):
            found = f"{replacement.replaced} -> {gated.txid}"
            self._reject(at, "expected two txids of 64 hex digits in a replacement", found.encode())
            return None
        is_whale = sum(output.value for output in gated.vout) > self._threshold_sat
        successor = self._candidate(at, gated) if is_whale else None
        return Replaced(at, self._source, Txid(replacement.replaced), Txid(gated.txid), successor)

    def _candidate(self, at: UnixMicros, gated: _GatedTransaction) -> Transaction | None:
        try:
            return _transaction(gated)
        except MalformedMessage as error:
            self._reject(at, str(error), bytes(gated.vin))
            return None

    def _salvage(self, at: UnixMicros, payload: bytes) -> list[Event]:
        """Return what is sound in a frame that is not: a whale beside a malformed neighbour is heard."""
        try:
            raw = _decode_raw_frame(payload)
        except _NOT_JSON as error:
            self._reject(at, f"expected a JSON object: {error}", payload)
            return []
        block = self._part(at, _decode_block, raw.block)
        blocks = self._part(at, _decode_raw_list, raw.blocks) or []
        sound = _Frame(
            block=block, blocks=self._parts(at, _decode_some_block, blocks), projected=raw.projected
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
        except _NOT_JSON as error:
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

    def _decode_answer(self, at: UnixMicros, frame: Frame) -> list[Event]:
        match = _TX_PATH.fullmatch(frame.path)
        if match is None:
            return []
        txid = Txid(match.group(1))
        if frame.status != _HTTP_OK:
            said = frame.payload[:200].decode(errors="replace")
            reason = said or (f"the backend answered {frame.status}" if frame.status else "no answer came")
            return [PrevoutsUnavailable(at, txid, reason)]
        try:
            transaction = parse_esplora_transaction(frame.payload)
        except MalformedMessage as error:
            self._reject(at, str(error), frame.payload)
            return [PrevoutsUnavailable(at, txid, "the backend's answer was malformed")]
        prevouts = tuple(i.prevout for i in transaction.inputs if i.prevout is not None)
        if transaction.txid != txid or len(prevouts) != len(transaction.inputs):
            return [PrevoutsUnavailable(at, txid, "the backend's answer has no prevouts")]
        return [PrevoutsResolved(at, txid, prevouts)]


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
    except _NOT_JSON:
        marked = _Marks()
    at = UnixMicros(0)
    return Landmarks(
        sequence=None if marked.delta is None else marked.delta.sequence,
        connected=None if marked.block is None else _block_connected(at, marked.block, ()),
        listed=tuple(_block_connected(at, block, ()) for block in marked.blocks),
    )


def parse_esplora_transaction(raw: bytes) -> Transaction:
    """Return a transaction given as Esplora JSON, as REST answers it.

    Raises:
        MalformedMessage: it is not such a transaction.
    """
    try:
        return _transaction(_decode_transaction(raw))
    except _NOT_JSON as error:
        raise MalformedMessage(f"expected a transaction in Esplora's JSON: {error}") from error


def encode_esplora_transaction(tx: Transaction) -> bytes:
    """Return a transaction as Esplora JSON, with all that `Transaction` holds and nothing else."""
    inputs = [
        {
            **({} if i.outpoint is None else {"txid": i.outpoint.txid, "vout": i.outpoint.vout}),
            "is_coinbase": i.outpoint is None,
            "sequence": i.sequence,
            "prevout": None if i.prevout is None else _output_json(i.prevout),
        }
        for i in tx.inputs
    ]
    document = {
        "txid": tx.txid,
        "vin": inputs,
        "vout": [_output_json(output) for output in tx.outputs],
        "weight": tx.weight_wu,
        "fee": tx.fee_sat,
        "effectiveFeePerVsize": tx.effective_fee_rate,
        "acceleration": tx.is_accelerated or None,
    }
    return msgspec.json.encode({key: value for key, value in document.items() if value is not None})


def _output_json(output: Output) -> dict[str, object]:
    return {"scriptpubkey": output.script.hex(), "value": output.value_sat}


def _transaction(gated: _GatedTransaction) -> Transaction:
    """Stage two."""
    if not _TXID.fullmatch(gated.txid):
        raise MalformedMessage(f"expected a txid of 64 hex digits, found {gated.txid[:80]!r}")
    try:
        inputs = _decode_inputs(gated.vin)
    except _NOT_JSON as error:
        raise MalformedMessage(f"inputs of {gated.txid}: {error}") from error
    _check_total(gated.txid, gated.vout)
    _check_total(gated.txid, [i.prevout for i in inputs if i.prevout is not None])
    # Then the package's rate has in it what was paid elsewhere; other miners see what it pays itself.
    is_accelerated = bytes(gated.acceleration) == b"true"
    try:
        return Transaction(
            txid=Txid(gated.txid),
            inputs=tuple([_input(i) for i in inputs]),
            outputs=tuple([Output(bytes.fromhex(o.scriptpubkey), Sats(o.value)) for o in gated.vout]),
            weight_wu=WeightUnits(gated.weight),
            fee_sat=None if gated.fee is None else Sats(round(gated.fee)),
            effective_fee_rate=None if is_accelerated else _effective_rate(gated.effective_rate),
            is_accelerated=is_accelerated,
        )
    except ValueError as error:
        raise MalformedMessage(f"expected txids and scripts in hex in {gated.txid}: {error}") from error


def _check_total(txid: str, amounts: Sequence[_Output | _Prevout]) -> None:
    """Refuse more coins than there are: sums of amounts stay within 64 bits, and exact as JSON numbers."""
    total_sat = sum([amount.value for amount in amounts])
    if total_sat > MAX_MONEY_SAT:
        raise MalformedMessage(f"expected at most 21 million BTC on a side of {txid}, found {total_sat} sat")


def _input(parsed: _Input) -> Input:
    """Return an input; raises ValueError when something in it is no hex. A whale may have thousands."""
    if parsed.is_coinbase:
        return Input(None, parsed.sequence)
    if len(parsed.txid) != _TXID_DIGITS:
        raise ValueError(f"found {parsed.txid[:80]!r}")
    spent = OutPoint(Txid(parsed.txid), parsed.vout)
    prevout = parsed.prevout
    if prevout is None:
        return Input(spent, parsed.sequence)
    return Input(spent, parsed.sequence, Output(bytes.fromhex(prevout.scriptpubkey), Sats(prevout.value)))


def _block_connected(at: UnixMicros, block: _Block, mined: Iterable[str]) -> BlockConnected:
    timestamp = _lenient(_decode_timestamp, block.timestamp)
    return BlockConnected(
        at,
        Height(block.height),
        block.id,
        block.previousblockhash,
        tuple(map(Txid, mined)),
        None if timestamp is None else micros_from_seconds(timestamp),
        _profile(block),
    )


def _lenient(decode: Callable[[msgspec.Raw], _T], raw: msgspec.Raw) -> _T | None:
    """Return what is not worth losing a block for; None when it is missing or malformed."""
    try:
        return decode(raw) if raw else None
    except _NOT_JSON:
        return None


def _profile(block: _Block) -> RateProfile | None:
    extras, weight_wu = _lenient(_decode_extras, block.extras), _lenient(_decode_weight, block.weight)
    if extras is None or weight_wu is None or extras.range_sat_vb is None:
        return None
    rates = tuple(extras.range_sat_vb)
    return RateProfile(weight_wu, rates) if len(rates) == RANGE_LENGTH else None


def _effective_rate(rate_sat_vb: float | None) -> FeeRate | None:
    """Return a rate that can be one; None for what cannot."""
    return FeeRate(rate_sat_vb) if rate_sat_vb is not None and 0 <= rate_sat_vb <= _MAX_RATE else None


def _rate_of(gated: _GatedTransaction) -> float:
    return 0.0 if gated.fee is None else gated.fee * WEIGHT_PER_VBYTE / gated.weight


def _package(gated: _GatedTransaction) -> Package:
    ancestors = _lenient(_decode_ancestors, gated.ancestors) or []
    rate = _effective_rate(gated.effective_rate)
    txids = tuple([Txid(ancestor.txid) for ancestor in ancestors])
    return Package(txids, FeeRate(_rate_of(gated)) if rate is None else rate)
