"""What a filter asks about a public message, read from its bytes.

From the bytes, because they are what there is: of a message that is being said, and of one in the record.
Neither service nor client can so disagree with what a subscriber sees in `data`.
"""

from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from hydrophone.domain.entity_names import entity_key
from hydrophone.wire.socket_v1 import FiltersV1

_REMEMBERED: Final = 1_024
"""Sets of exchanges. # chosen: far more than alerts of a week name."""


class AlertFacts(NamedTuple):
    """What an alert says, as far as filters ask; None: it does not say.

    Attributes:
        seq: index in the record of the message that said it; 0: it has none.
        btc_value: sum of the outputs.
        moved_btc: net of change and of what stays inside one exchange.
        flow_type: as published.
        urgency: in [0, 1].
        confidence: in [0, 1].
        exchanges: keys of those on either side.
    """

    seq: int
    btc_value: float | None
    moved_btc: float | None
    flow_type: str | None
    urgency: float | None
    confidence: float | None
    exchanges: frozenset[str]


class Kind(Enum):
    """Who gets a message."""

    NOTICE = "for everybody, whatever was asked for"
    ALERT = "for whoever asked for such alerts"
    UPDATE = "for whoever asked for updates of such alerts"


class Reading(NamedTuple):
    """What a message is about.

    Attributes:
        kind: who gets it.
        seq: its index in the record; None: it is in none.
        prediction_id: which prediction it is about; None: about none, or it does not say.
        facts: what it says of it; None: nothing that a filter asks about.
        is_first: whether it is the first that was said of it.
    """

    kind: Kind
    seq: int | None = None
    prediction_id: str | None = None
    facts: AlertFacts | None = None
    is_first: bool = False


class _Entity(msgspec.Struct, gc=False):
    name: str


class _Alert(msgspec.Struct):
    prediction_id: str | None = None
    btc_value: float | None = None
    moved_btc: float | None = None
    flow_type: str | None = None
    urgency_score: float | None = None
    confidence_score: float | None = None
    was_modified: bool = False
    entities: list[_Entity] = []


class _Update(msgspec.Struct):
    prediction_id: str | None = None
    amendment: _Alert | None = None


class _Message(msgspec.Struct):
    type: str
    seq: int | None = None
    data: msgspec.Raw = msgspec.Raw()


_decode_message: Final = msgspec.json.Decoder(_Message).decode
_decode_alert: Final = msgspec.json.Decoder(_Alert).decode
_decode_update: Final = msgspec.json.Decoder(_Update).decode


def read_message(message: bytes) -> Reading:
    """Return what a public message is about.

    A program may broadcast alerts of its own: what they do not say no filter lets through, and of what cannot
    be read nothing is known, so that it is for everybody.
    """
    try:
        envelope = _decode_message(message)
        match envelope.type:
            case "whale_alert":
                alert = _decode_alert(envelope.data)
                return Reading(
                    Kind.ALERT,
                    envelope.seq,
                    alert.prediction_id,
                    _facts(alert, envelope.seq),
                    is_first=not alert.was_modified,
                )
            case "status_update":
                update = _decode_update(envelope.data)
                facts = None if update.amendment is None else _facts(update.amendment, envelope.seq)
                return Reading(Kind.UPDATE, envelope.seq, update.prediction_id, facts)
            case _:
                return Reading(Kind.NOTICE)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Reading(Kind.NOTICE)


def meets(filters: FiltersV1, facts: AlertFacts) -> bool:
    """Return whether an alert meets every condition; what is not known meets none.

    Args:
        filters: in their normal form.
        facts: of the alert.
    """
    return (
        _reaches(facts.btc_value, filters.min_btc_value)
        and _reaches(facts.moved_btc, filters.min_moved_btc)
        and (filters.flow_types is None or facts.flow_type in filters.flow_types)
        and _reaches(facts.urgency, filters.min_urgency)
        and _reaches(facts.confidence, filters.min_confidence)
        and (filters.exchanges is None or not facts.exchanges.isdisjoint(filters.exchanges))
    )


def _reaches(value: float | None, least: float | None) -> bool:
    return least is None or (value is not None and value >= least)


def _facts(alert: _Alert, seq: int | None) -> AlertFacts:
    return AlertFacts(
        seq or 0,
        alert.btc_value,
        alert.moved_btc,
        alert.flow_type,
        alert.urgency_score,
        alert.confidence_score,
        _one_set(tuple([entity_key(entity.name) for entity in alert.entities])),
    )


@lru_cache(_REMEMBERED)
def _one_set(keys: tuple[str, ...]) -> frozenset[str]:
    """Return the set of some keys: the same one each time, as thousands of alerts name the same few."""
    return frozenset(keys)
