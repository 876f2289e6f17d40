"""The OpenAPI document, made from the table of paths and from the structs that encode the answers.

Sources: OpenAPI 3.1.1, https://spec.openapis.org/oas/v3.1.1.html.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec

from hydrophone.domain.access import Scope
from hydrophone.wire.rest_queries import NoQuery, known_parameters
from hydrophone.wire.rest_v1 import ErrorAnswerV1

encode_answer: Final = msgspec.json.Encoder().encode
"""How every answer is spelled."""

S = TypeVar("S", bound=msgspec.Struct)


def shaped(kind: type[S], value: object) -> S:
    """Return an answer in its struct, so that what is sent is what is described.

    Raises:
        msgspec.ValidationError: it has another shape; a bug.
    """
    return msgspec.convert(value, kind, from_attributes=True)


_PLACE: Final = re.compile(r"{(\w+)}")
_ERRORS: Final[Mapping[HTTPStatus, str]] = {
    HTTPStatus.BAD_REQUEST: "It is not HTTP.",
    HTTPStatus.UNAUTHORIZED: "A token is needed, or the one shown is unknown, expired or revoked.",
    HTTPStatus.FORBIDDEN: "The token has another scope, or the origin or the Host header is foreign.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large; none is needed.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A parameter is unknown, there twice, or has no such value.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too much was asked; Retry-After says when to come back.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The request line or a header is too long.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "A fault of ours.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not now; Retry-After says when to come back.",
}
_ALWAYS: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One path and what is said there.

    Attributes:
        path: with `{name}` for what varies.
        name: of the operation; unique.
        summary: in a line.
        text: in full.
        answer: the struct that encodes it; None: it is no JSON.
        query: its parameters.
        scope: what a caller needs; None: anybody may ask.
        media: what else than JSON it can be.
        place: schema of what varies in the path.
        errors: statuses besides those of every path.
        example: an answer, ready for JSON.
        tag: the group it belongs to.
    """

    path: str
    name: str
    summary: str
    text: str
    answer: type[msgspec.Struct] | None
    query: type[Any] = NoQuery
    scope: Scope | None = Scope.READ
    media: tuple[str, ...] = ()
    place: Mapping[str, Any] = field(default_factory=dict)
    errors: tuple[HTTPStatus, ...] = ()
    example: object = None
    tag: str = "data"


def describe_api(operations: Sequence[Operation], *, version: str, is_open: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        operations: all of them.
        version: of the program.
        is_open: whether somebody may ask without a token.
    """
    answers = [op.answer for op in operations if op.answer is not None]
    queries = [op.query for op in operations]
    _, schemas = msgspec.json.schema_components(
        [*answers, *queries, ErrorAnswerV1], ref_template="#/components/schemas/{name}"
    )
    for schema in schemas.values():
        schema.pop("additionalProperties", None)  # fields may be added
    parameters = {form.__name__: schemas.pop(form.__name__) for form in queries if form.__name__ in schemas}
    paths: dict[str, Any] = {}
    for op in operations:
        paths[op.path] = {"get": _operation(op, parameters[op.query.__name__], is_open=is_open)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hydrophone",
            "version": version,
            "summary": "Bitcoin whales before they surface.",
            "description": (
                "Amounts are there twice, as exact `*_sat` and as `*_btc`; times are ISO 8601 in UTC; "
                "fee rates are in sat/vB. `null` means that we do not know. `unknown` is a normal answer. "
                "Nothing is a percentage without its n. "
                "Fields may be added; none is renamed or removed within v1."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This service."}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Made by `hydrophone token create --scope read` (or admin).",
                }
            },
            "responses": {
                status.name.title().replace("_", ""): {
                    "description": text,
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/ErrorAnswerV1"},
                            "example": {"error": {"code": status.name.lower(), "message": text, "hint": ""}},
                        }
                    },
                    **(_RETRY_AFTER if status in _LATER else {}),
                }
                for status, text in _ERRORS.items()
            },
        },
    }


_LATER: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_RETRY_AFTER: Final = {
    "headers": {"Retry-After": {"description": "In so many seconds.", "schema": {"type": "integer"}}}
}


def _operation(op: Operation, form: Mapping[str, Any], *, is_open: bool) -> dict[str, Any]:
    media: dict[str, Any] = {}
    if op.answer is not None:
        media["application/json"] = {"schema": {"$ref": f"#/components/schemas/{op.answer.__name__}"}}
        if op.example is not None:
            media["application/json"]["example"] = op.example
    for kind in op.media:
        media[kind] = {"schema": {"type": "string"}}
    errors = {*_ALWAYS, *op.errors}
    if op.scope is not None:
        errors |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS}
    errors.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    described: dict[str, Any] = {
        "operationId": op.name,
        "tags": [op.tag],
        "summary": op.summary,
        "description": op.text,
        "parameters": [*_places(op), *_parameters(op, form)],
        "responses": {
            "200": {"description": "The answer.", "content": media},
            "304": {"description": "It is as it was (If-None-Match)."},
            **{
                str(status.value): {"$ref": f"#/components/responses/{status.name.title().replace('_', '')}"}
                for status in sorted(errors)
            },
        },
        "security": [] if op.scope is None else [{"bearer": []}, {}] if is_open else [{"bearer": []}],
    }
    return described


def _places(op: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": dict(op.place)}
        for name in _PLACE.findall(op.path)
    ]


def _parameters(op: Operation, form: Mapping[str, Any]) -> list[dict[str, Any]]:
    parameters = []
    for name in known_parameters(op.query):
        schema = dict(form["properties"][name])
        text = schema.pop("description", "")
        parameters.append(
            {"name": name, "in": "query", "required": False, "description": text, "schema": schema}
        )
    return parameters
