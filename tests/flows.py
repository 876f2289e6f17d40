"""Small helpers to build payments, labels and what the flow model says of them. A test shows what matters."""

from collections.abc import Sequence
from datetime import date

from hypothesis import strategies as st

from hydrophone.domain.flow import FlowAssessment, FlowType
from hydrophone.domain.labels import Entity, EntityKind, Label, LabelBook, Role
from hydrophone.domain.learned_labels import LearnedBy, LearnedLabel
from hydrophone.domain.transaction import Input, OutPoint, Output, Transaction
from hydrophone.domain.units import FeeRate, Sats, Txid, UnixMicros, WeightUnits
from tests.builders import txid_of, wpkh

BTC = 100_000_000
DATA = bytes.fromhex("6a0548656c6c6f")
ANCHOR = bytes.fromhex("51024e73")


def taproot(number: int) -> bytes:
    """Return a P2TR script."""
    return b"\x51\x20" + number.to_bytes(32, "big")


def p2sh(number: int) -> bytes:
    """Return a P2SH script."""
    return b"\xa9\x14" + number.to_bytes(20, "big") + b"\x87"


CUSTOMER, STRANGER = taproot(1), wpkh(99)


def pay(script: bytes, value_sat: int) -> Output:
    """Return an output, or what an input spends."""
    return Output(script, Sats(value_sat))


def transaction(
    spent: Sequence[Output | None], paid: Sequence[Output], name: object = "transaction"
) -> Transaction:
    """Return a transaction of these prevouts and outputs; its name decides its txid."""
    inputs = [Input(OutPoint(txid_of("parent"), vout), 0xFFFFFFFD, out) for vout, out in enumerate(spent)]
    return Transaction(txid_of(name), tuple(inputs), tuple(paid), WeightUnits(600), Sats(1000))


def label(
    script: bytes,
    name: str,
    confidence: float = 0.9,
    *,
    role: Role = Role.UNKNOWN,
    source: str = "a list",
    kind: EntityKind = EntityKind.EXCHANGE,
    as_of: date | None = None,
) -> Label:
    """Return a published claim."""
    return Label(script, Entity(name, kind), role, source, confidence, as_of)


def learned(
    script: bytes,
    name: str = "Alpha",
    confidence: float = 0.9,
    *,
    role: Role = Role.UNKNOWN,
    source: str = "a list",
    by: LearnedBy = LearnedBy.CO_SPEND,
    evidence: Txid | None = None,
) -> LearnedLabel:
    """Return a claim of our own."""
    return LearnedLabel(
        script=script,
        entity=Entity(name, EntityKind.EXCHANGE),
        role=role,
        source=source,
        confidence=confidence,
        learned_by=by,
        evidence=txid_of("evidence") if evidence is None else evidence,
        learned_at=UnixMicros(0),
    )


# --- three exchanges, and what is said of a payment of theirs

A_HOT, A_HOT_2, A_COLD, B_HOT, C_HOT, A_DEPOSIT, A_PLAIN = (wpkh(number) for number in range(7))
LABELS = [
    label(A_HOT, "Alpha", role=Role.HOT),
    label(A_HOT_2, "Alpha", role=Role.HOT),
    label(A_COLD, "Alpha", role=Role.COLD),
    label(A_DEPOSIT, "Alpha", role=Role.DEPOSIT),
    label(A_PLAIN, "Alpha"),
    label(B_HOT, "Beta", role=Role.HOT),
    label(C_HOT, "Gamma", role=Role.HOT),
]
BOOK = LabelBook(LABELS)


def btc(value_sat: int) -> float:
    """Return an amount in whole coins."""
    return value_sat / BTC


def shares_of(flow: FlowAssessment) -> dict[FlowType, float]:
    """Return the shares of the value, as labels say, before they are calibrated."""
    assert flow.evidence is not None
    return dict(flow.evidence.shares)


# --- what Hypothesis draws

PLACES = [*map(wpkh, range(6)), *map(taproot, range(4))]
amounts = st.one_of(st.integers(0, 100_000 * BTC), st.sampled_from([0, 1, 546, BTC, 10 * BTC, 123_456_789]))
shares = st.floats(0, 1)
payments = st.builds(pay, st.sampled_from([*PLACES, DATA]), amounts)
transactions = st.builds(
    transaction, st.lists(payments, min_size=1, max_size=7), st.lists(payments, min_size=1, max_size=12)
)
label_lists = st.lists(
    st.builds(
        label,
        st.sampled_from(PLACES),
        st.sampled_from(["Alpha", "alpha", "Beta", "Gamma"]),
        shares,
        role=st.sampled_from(Role),
        source=st.sampled_from(["one", "two", "three"]),
        kind=st.sampled_from([EntityKind.EXCHANGE, EntityKind.EXCHANGE, EntityKind.POOL]),
    ),
    max_size=12,
)


# --- transactions of every form

_txids = st.binary(min_size=32, max_size=32).map(lambda raw: Txid(raw.hex()))
_sequences = st.integers(0, 2**32 - 1)
_scripts = st.binary(max_size=40)
_outputs = st.builds(pay, _scripts, st.integers(0, 100_000 * BTC))
_inputs = st.one_of(
    st.builds(Input, st.none(), _sequences, st.none()),
    st.builds(
        Input, st.builds(OutPoint, _txids, st.integers(0, 2**32 - 1)), _sequences, st.none() | _outputs
    ),
)
any_transactions = st.builds(
    Transaction,
    txid=_txids,
    inputs=st.lists(_inputs, max_size=6).map(tuple),
    outputs=st.lists(_outputs, max_size=6).map(tuple),
    weight_wu=st.integers(1, 4_000_000).map(WeightUnits),
    fee_sat=st.none() | st.integers(0, 21_000_000 * BTC).map(Sats),
    effective_fee_rate=st.none() | st.floats(0, 1e9).map(FeeRate),
)
"""Whatever `Transaction` can hold: coinbases, unknown prevouts, no fee, odd scripts."""
