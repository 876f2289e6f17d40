"""The client's side of REST: parameters spelled, answers read, also those of a service of a later version."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
from msgspec import inspect

from hydrophone.errors import MalformedMessage
from hydrophone.wire.rest_queries import PredictionsQuery
from hydrophone.wire.rest_v1 import ErrorAnswerV1, RefusalV1

A = TypeVar("A")

_decode_refusal: Final = msgspec.json.Decoder(ErrorAnswerV1).decode


def spell_query(query: msgspec.Struct) -> dict[str, str]:
    """Return parameters by name as they stand in a URL; those that are not set are left out."""
    return {
        name: _spelled(value) for name, value in msgspec.to_builtins(query, builtin_types=(datetime,)).items()
    }


def older_than(query: PredictionsQuery, cursor: str) -> PredictionsQuery:
    """Return the question for the page that begins at a cursor."""
    return msgspec.structs.replace(query, cursor=cursor)


def _spelled(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def parse_answer(kind: type[A], body: bytes) -> A:
    """Return an answer in its struct; fields that a later version added are left out.

    Raises:
        MalformedMessage: it is none of that kind.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        pass  # perhaps only by a field too much
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MalformedMessage(f"expected JSON: {error}") from error
    try:
        return msgspec.convert(_without_more(msgspec.json.decode(body), inspect.type_info(kind)), kind)
    except msgspec.ValidationError as error:
        raise MalformedMessage(f"expected an answer as /openapi.json says: {error}") from error


def parse_refusal(status: int, body: bytes) -> RefusalV1:
    """Return why something was refused, also where that is not said as ours do."""
    try:
        return _decode_refusal(body).error
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        phrases = {known.value: known.phrase for known in HTTPStatus}
        return RefusalV1(str(status), phrases.get(status, "and does not say why"), "")


def _without_more(value: Any, info: inspect.Type) -> Any:  # noqa: ANN401 -- any JSON
    """Return JSON without the fields that a type does not have."""
    match info:
        case inspect.Metadata():
            return _without_more(value, info.type)
        case inspect.StructType() if isinstance(value, dict):
            fields = {field.encode_name: field.type for field in info.fields}
            return {name: _without_more(value[name], fields[name]) for name in value.keys() & fields.keys()}
        case inspect.ListType() if isinstance(value, list):
            return [_without_more(item, info.item_type) for item in value]
        case inspect.DictType() if isinstance(value, dict):
            return {name: _without_more(item, info.value_type) for name, item in value.items()}
        case inspect.UnionType():
            for possible in info.types:
                value = _without_more(value, possible)
            return value
        case _:
            return value
