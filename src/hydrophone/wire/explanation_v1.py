"""The public schema of an explanation, version 1: what an answer about a flow rests on, to the satoshi.

The rules of `public_v1` hold: fields may be added, not renamed or removed; keys keep the order they are
declared in.
"""

from typing import Any, Final

import msgspec

from hydrophone.errors import MalformedMessage
from hydrophone.wire.public_v1 import EntityV1, ValuesV1


class WhaleV1(msgspec.Struct, frozen=True):
    """Whether the transaction is a whale, and why."""

    is_whale: bool
    threshold_sat: int
    why: str


class BasisV1(msgspec.Struct, frozen=True):
    """What a direction would rest on, and how often such answers were right in simulated worlds."""

    basis: str
    right: int
    n: int


class BarsV1(msgspec.Struct, frozen=True):
    """What an answer has to reach: as a share of the value, by labels alone, and as a probability."""

    share: float
    probability: float


class SignV1(msgspec.Struct, frozen=True):
    """What in the looks of a transaction speaks for or against an exchange as its sender."""

    name: str
    log_odds: float


class SenderV1(msgspec.Struct, frozen=True):
    """Who sends.

    `shares` is by exchange; `conflict` names those that cannot all be the sender; `unnamed` is the
    probability of an exchange that no label names, `unnamed_bias` the log-odds its signs are added to.
    """

    same_owner: float
    same_owner_why: str
    shares: dict[str, float]
    conflict: list[str]
    unnamed: float
    unnamed_bias: float
    signs: list[SignV1]


class VoteV1(msgspec.Struct, frozen=True):
    """What speaks for an output being change: log-odds, and what is left of them after the discount."""

    vote: str
    output: int
    log_odds: float
    discounted: float


class SilentVoteV1(msgspec.Struct, frozen=True):
    """A vote that did not fire, and why."""

    vote: str
    why: str


class ChangeV1(msgspec.Struct, frozen=True):
    """Which outputs are change. `returned` pay a script of the sender, which outdoes every vote."""

    no_change_prior: float
    vote_discount: float
    returned: list[int]
    silent: list[SilentVoteV1]


class LooksV1(msgspec.Struct, frozen=True):
    """What can be seen without labels, besides the shape; `swept_by` names who gathers deposits."""

    is_coinjoin: bool
    is_gathering: bool
    has_spare_input: bool
    has_round_total: bool
    swept_by: str | None


class InputV1(msgspec.Struct, frozen=True):
    """What is spent; None for what nobody told us."""

    index: int
    address: str | None
    script: str | None
    value_sat: int | None


class OutputV1(msgspec.Struct, frozen=True):
    """What is paid, and what it adds to each direction.

    `change_probability` is None without prevouts; `receivers` is the probability by exchange.
    """

    index: int
    address: str | None
    script: str
    type: str
    value_sat: int
    change_probability: float | None
    receivers: dict[str, float]
    net_sat: int
    contributes: ValuesV1


class LearnedV1(msgspec.Struct, frozen=True):
    """How a label was learned that nobody published."""

    how: str
    evidence: str
    learned_at: str


class LabelV1(msgspec.Struct, frozen=True):
    """A claim about the script of an input or output. `why_not` says why it gives no direction."""

    side: str
    index: int
    address: str | None
    script: str
    entity: str
    kind: str
    role: str
    confidence: float
    source: str
    citation: str
    source_url: str
    licence: str
    as_of: str | None
    disputed: bool
    gives_direction: bool
    why_not: str | None
    learned: LearnedV1 | None


class AmendmentV1(msgspec.Struct, frozen=True):
    """A correction of what was said: the columns that changed."""

    amended_at: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]


class SaidV1(msgspec.Struct, frozen=True):
    """What stands in the database: what was said at the time. None for what its writer did not state."""

    prediction_id: str
    transaction_id: str
    detected_at: str
    status: str | None
    flow_type: str
    flow_subtype: str | None
    flow_reason: str | None
    confidence: float | None
    values: ValuesV1 | None
    moved_sat: int | None
    label_set: str | None
    amendments: list[AmendmentV1]


class AnswerV1(msgspec.Struct, frozen=True):
    """What is said about one transaction. `shape` is None for an ordinary payment, and without prevouts."""

    txid: str
    text: str
    flow_type: str
    flow_subtype: str | None
    flow_reason: str | None
    confidence: float
    probabilities: dict[str, float]
    values: ValuesV1
    gross_sat: int
    moved_sat: int
    fee_sat: int | None
    fee_rate: float | None
    rbf_enabled: bool
    shape: str | None
    entities: list[EntityV1]
    exchange_addresses: list[str]


class ExplanationV1(AnswerV1, frozen=True):
    """The same, and everything it rests on. None where that needs prevouts that nobody told us.

    `shares` is what labels say, before calibration; `probabilities` after it. `said` is what was said at the
    time, when the transaction comes from the database, and `said_differs` whether it was another answer.
    """

    whale: WhaleV1
    shares: dict[str, float] | None
    bars: BarsV1
    basis: dict[str, BasisV1] | None
    prevouts_known: int
    looks: LooksV1 | None
    sender: SenderV1 | None
    change: ChangeV1 | None
    votes: list[VoteV1]
    inputs: list[InputV1]
    outputs: list[OutputV1]
    labels: list[LabelV1]
    label_set: str
    said: SaidV1 | None = None
    said_differs: bool | None = None


encode_explanation: Final = msgspec.json.Encoder().encode
_decode_explanation: Final = msgspec.json.Decoder(ExplanationV1).decode


def parse_explanation(raw: bytes) -> ExplanationV1:
    """Return an explanation from its JSON.

    Raises:
        MalformedMessage: it is none.
    """
    try:
        return _decode_explanation(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(f"expected an explanation: {error}") from error


def explanation_as_dict(explanation: ExplanationV1) -> dict[str, Any]:
    """Return an explanation as plain values."""
    plain: dict[str, Any] = msgspec.to_builtins(explanation)
    return plain
