import json
from typing import Any

import pytest

from hydrophone.wire.openapi import Operation, describe_api, encode_answer
from hydrophone.wire.rest_paths import OPERATIONS
from hydrophone.wire.rest_queries import known_parameters


def described(*, is_open: bool = True) -> Any:  # noqa: ANN401
    return json.loads(encode_answer(describe_api(OPERATIONS, version="1.2.3", is_open=is_open)))


def references(part: object) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if "$ref" in part else set()
        return own.union(*(references(value) for value in part.values()))
    if isinstance(part, list):
        return set().union(*map(references, part))
    return set()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda op: op.name)
def test_every_path_is_described_with_its_parameters_answers_and_refusals(operation: Operation) -> None:
    said = described()["paths"][operation.path]["get"]
    assert said["operationId"] == operation.name
    in_query = [p["name"] for p in said["parameters"] if p["in"] == "query"]
    assert in_query == list(known_parameters(operation.query))
    in_path = [p["name"] for p in said["parameters"] if p["in"] == "path"]
    assert all(f"{{{name}}}" in operation.path for name in in_path)
    assert len(in_path) == operation.path.count("{")
    content = said["responses"]["200"]["content"]
    assert content
    if operation.answer is not None:
        reference = content["application/json"]["schema"]["$ref"]
        assert reference.endswith(f"/{operation.answer.__name__}")
    assert {"400", "403", "422", "500", "503"} <= said["responses"].keys()
    assert ("401" in said["responses"]) == ("429" in said["responses"]) == (operation.scope is not None)
    assert said["summary"]
    assert said["description"]


def test_nothing_else_is_described_and_every_reference_leads_somewhere() -> None:
    document = described()
    assert document["openapi"] == "3.1.0"
    assert document["paths"].keys() == {op.path for op in OPERATIONS}
    assert len({op.name for op in OPERATIONS}) == len(OPERATIONS)
    for reference in references(document):
        place = document
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]


def test_a_token_is_optional_only_where_it_is_open() -> None:
    needed: list[dict[str, list[str]]] = [{"bearer": []}]
    for is_open, expected in ((True, [*needed, {}]), (False, needed)):
        paths = described(is_open=is_open)["paths"]
        assert paths["/api/v1/predictions"]["get"]["security"] == expected
        assert paths["/healthz"]["get"]["security"] == []


def test_fields_may_be_added() -> None:
    schemas = described()["components"]["schemas"]
    assert all(schema.get("additionalProperties") is not False for schema in schemas.values())


def test_amounts_are_described_with_their_unit() -> None:
    fields = described()["components"]["schemas"]["PredictionV1"]["properties"]
    for name, schema in fields.items():
        if name.endswith(("_sat", "_btc", "_s", "fee_rate")):
            assert "escription" in json.dumps(schema), name
