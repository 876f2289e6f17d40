"""What the dashboard's types are made from: REST and the messages of the websocket in one document."""

import msgspec

from hydrophone.wire.openapi import describe_api
from hydrophone.wire.rest_paths import OPERATIONS
from hydrophone.wire.socket_v1 import encode_schema


def encode_page_schema() -> str:
    """Return an OpenAPI document with the messages among its schemas, so that one tool makes all types."""
    # Not the version of the program: a release alone changes no type.
    described = describe_api(OPERATIONS, version="1", is_open=True)
    messages = encode_schema().replace(b"#/$defs/", b"#/components/schemas/")
    described["components"]["schemas"].update(msgspec.json.decode(messages)["$defs"])
    return msgspec.json.format(msgspec.json.encode(described), indent=1).decode() + "\n"
