"""Answers and refusals, as every path gives them."""

from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from aiohttp.web import BaseRequest, Response

from hydrophone.wire.openapi import encode_answer
from hydrophone.wire.rest_v1 import ErrorAnswerV1, RefusalV1

JSON: Final = "application/json"
CSV: Final = "text/csv; charset=utf-8"
_TAG_DIGITS: Final = 32


class Refused(Exception):
    """A request that gets no answer.

    Attributes:
        status: of HTTP.
        code: for programs.
        hint: what to do about it.
        headers: further ones of the answer.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        hint: str = "",
        *,
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.hint = hint
        self.headers = dict(headers or {})
        if retry_after_s is not None:
            self.headers["Retry-After"] = str(retry_after_s)
        if status is HTTPStatus.UNAUTHORIZED:
            self.headers["WWW-Authenticate"] = 'Bearer realm="hydrophone"'


def refusal(refused: Refused) -> Response:
    """Return a refusal as it is sent."""
    said = ErrorAnswerV1(RefusalV1(refused.code, str(refused), refused.hint))
    return reply(encode_answer(said), status=refused.status, headers=refused.headers)


def reply(
    body: bytes,
    content_type: str = JSON,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an answer as it is sent; nobody keeps it unless told otherwise."""
    return Response(
        body=body,
        status=status.value,
        reason=status.phrase,
        headers={"Content-Type": content_type, "Cache-Control": "no-store", **(headers or {})},
    )


def tagged(request: BaseRequest, body: bytes, content_type: str, headers: Mapping[str, str]) -> Response:
    """Return an answer that may be kept and asked for again: 304 and no body where it is still the same."""
    tag = f'"{sha256(body).hexdigest()[:_TAG_DIGITS]}"'
    kept = {"Cache-Control": "private, no-cache", "ETag": tag, **headers}
    if is_known(request, tag):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers=kept)
    return reply(body, content_type, headers=kept)


def is_known(request: BaseRequest, tag: str) -> bool:
    """Return whether who asks has what is tagged so already, as If-None-Match says."""
    asked = request.headers.get("If-None-Match", "")
    return asked == "*" or tag in (part.strip().removeprefix("W/") for part in asked.split(","))
