"""What may be asked for: the parameters of each path, and how they are read from a query string."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hydrophone.errors import MalformedMessage
from hydrophone.wire.rest_v1 import FLOW_TYPES, STATUSES

Q = TypeVar("Q")

MAX_LIMIT: Final = 1_000
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ].*")
_SEEN_AT_MOST: Final = 60
_FIRST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 30, tzinfo=UTC)
"""Within a day of the ends of the calendar a time has no name in UTC in some zones."""

_From = Annotated[datetime, Meta(tz=True, description="Detected at or after it (RFC 3339).")]
_To = Annotated[datetime, Meta(tz=True, description="Detected before it (RFC 3339).")]
_Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="At most so many.")]
_Exchange = Annotated[
    str, Meta(min_length=1, max_length=100, description="An exchange; spellings of one name are one.")
]
_Amount = Annotated[float, Meta(ge=0, le=21_000_000)]
_Days = Annotated[float, Meta(gt=0, le=3650, description="So many days, back from the newest.")]
_Format = Annotated[Literal["json", "csv"], Meta(description="Accept: text/csv asks for CSV too.")]


class PredictionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which predictions."""

    status: STATUSES | UnsetType = UNSET
    flow_type: FLOW_TYPES | UnsetType = UNSET
    exchange: _Exchange | UnsetType = UNSET
    min_btc: Annotated[_Amount, Meta(description="Outputs sum to at least so many BTC.")] | UnsetType = UNSET
    min_moved_btc: (
        Annotated[_Amount, Meta(description="At least so many BTC moved, net of change.")] | UnsetType
    ) = UNSET
    min_urgency: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    from_: _From | UnsetType = msgspec.field(default=UNSET, name="from")
    to: _To | UnsetType = UNSET
    cursor: (
        Annotated[
            str,
            Meta(
                pattern=r"^[0-9]{1,16}\.([0-9a-f]{2}){0,64}$",
                description="`next_cursor` of the page before.",
            ),
        ]
        | UnsetType
    ) = UNSET
    limit: _Limit = 100
    format: _Format | UnsetType = UNSET


class NetflowQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which flows."""

    interval: Literal["hour", "day"] = "day"
    exchange: _Exchange | UnsetType = UNSET
    from_: _From | UnsetType = msgspec.field(default=UNSET, name="from")
    to: _To | UnsetType = UNSET
    cursor: (
        Annotated[
            str,
            Meta(
                pattern=r"^[0-9]{1,16}\.([0-9a-f]{2}){0,400}\.[01]$",
                description="`next_cursor` of the page before.",
            ),
        ]
        | UnsetType
    ) = UNSET
    limit: _Limit = 100
    format: _Format | UnsetType = UNSET


class StatisticsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which statistics."""

    period: Literal["daily", "weekly", "monthly", "quarterly"] = "daily"
    from_: _From | UnsetType = msgspec.field(default=UNSET, name="from")
    to: _To | UnsetType = UNSET
    limit: _Limit = 100
    format: _Format | UnsetType = UNSET


class DaysQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which days."""

    days: _Days = 90.0


class RecordQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries of the record."""

    since: Annotated[int, Meta(ge=0, le=2**62, description="Entries after this index.")] = 0
    limit: Annotated[int, Meta(ge=1, le=100, description="At most so many.")] = 100


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing can be asked for."""


def parse_query(form: type[Q], pairs: Iterable[tuple[str, str]]) -> Q:
    """Return what a query string asks for.

    Args:
        form: its parameters.
        pairs: names and values, decoded.

    Raises:
        MalformedMessage: a parameter is unknown, there twice, or has no such value.
    """
    values: dict[str, str] = {}
    for name, value in pairs:
        if name in values:
            raise MalformedMessage(f"expected {_shown(name)} once, found it more often")
        values[name] = value
    for name in _instants(form) & values.keys():
        if not _DATE_TIME.fullmatch(values[name]):
            raise MalformedMessage(
                f"expected {name} as a time such as 2026-11-26T00:00:00Z, found {_shown(values[name])}"
            )
    try:
        asked = msgspec.convert(values, form, strict=False)
    except msgspec.ValidationError as error:
        raise MalformedMessage(str(error)[:300]) from error
    for name, moment in (("from", getattr(asked, "from_", UNSET)), ("to", getattr(asked, "to", UNSET))):
        if isinstance(moment, datetime) and not _FIRST <= moment <= _LAST:
            raise MalformedMessage(f"expected {name} in the years 1 to 9999, found {_shown(values[name])}")
    return asked


def known_parameters(form: type[Any]) -> Mapping[str, msgspec.structs.FieldInfo]:
    """Return the parameters by name."""
    return {field.encode_name: field for field in msgspec.structs.fields(form)}


def _instants(form: type[Any]) -> set[str]:
    return {"from", "to"} & known_parameters(form).keys()


def _shown(text: str) -> str:
    return repr(text[:_SEEN_AT_MOST])
