"""What documents may cost: in requests to the model, and in memory."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.json_schema import JsonSchemaCheck
from adapters.openapi import OpenApiDocuments
from adapters.openapi.limits import REMEMBERED_NODES, SCHEMA_TOKENS
from adapters.openapi.weights import MOST_DEPTH, lighter, outline, unique_values
from adapters.scripted.guarded_web import ScriptedWeb, answered
from domain.ids import ToolId
from domain.tokens import estimate
from domain.tools.credentials import Credentials
from domain.tools.tools import JsonValue
from unit.openapi_documents import schemas

Json = Any


def fat(number: int, *, operations: int = 60, properties: int = 390, description: str = "") -> str:
    """Operations that refer to one large schema."""
    about = {"description": description} if description else {}
    names = {f"p{i}": {"anyOf": [{"type": "string"}, {"type": "integer"}], **about} for i in range(properties)}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S"}}}}
    return json.dumps(
        {
            "openapi": "3.0.0",
            "info": {"title": str(number)},
            "servers": [{"url": "https://x.example"}],
            "paths": {f"/p{i}": {"post": {"operationId": f"o{i}", "requestBody": body}} for i in range(operations)},
            "components": {"schemas": {"S": {"type": "object", "properties": names}}},
        },
        ensure_ascii=False,
    )


def parameters_of(document: str, documents: OpenApiDocuments | None = None) -> list[Json]:
    documents = documents or OpenApiDocuments(ScriptedWeb(answered()))
    return [one.spec.parameters for one in documents.runners(ToolId("t"), document, Credentials())]


@pytest.mark.parametrize("description", ["", "d" * 900, "中" * 900])
def test_the_schema_of_an_operation_takes_some_4_000_tokens_at_most(description: str) -> None:
    for properties in (3, 30, 300, 1_000):
        for one in parameters_of(fat(0, operations=3, properties=properties, description=description)):
            assert estimate(json.dumps(one, ensure_ascii=False)) <= SCHEMA_TOKENS + 100


def test_what_is_too_large_for_a_request_is_cut_to_types_and_may_still_be_written() -> None:
    [one] = parameters_of(fat(0, operations=1, properties=50, description="d" * 900))
    assert one["properties"].keys() == {f"p{i}" for i in range(50)}
    assert all(schema == {} for schema in one["properties"].values())


def test_what_fits_is_shown_whole() -> None:
    [one] = parameters_of(fat(0, operations=1, properties=20, description="d" * 100))
    assert all(len(schema["anyOf"]) == 2 and schema["description"] for schema in one["properties"].values())


values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a b", "x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "name"]), inner, max_size=2),
    max_leaves=4,
)


@given(schemas, values, st.integers(0, MOST_DEPTH))
def test_a_lighter_schema_refuses_nothing_that_the_whole_one_takes(schema: Json, value: Json, depth: int) -> None:
    schema = json.loads(json.dumps(schema).replace('{"$ref": "#/components/schemas/Named"}', '{"type": "string"}'))
    check = JsonSchemaCheck()
    whole: Json = {"type": "object", "properties": {"x": schema}}
    if not check.problems(whole, {"x": value}):
        assert check.problems({"properties": {"x": lighter(schema, depth)}}, {"x": value}) == []


def test_rules_that_would_refuse_more_when_they_say_less_are_left_out() -> None:
    narrow: Json = {"type": "string", "const": "no"}
    assert lighter({"not": narrow, "if": narrow, "contains": narrow, "maxContains": 1, "type": "string"}, 1) == {
        "type": "string"
    }
    assert lighter({"oneOf": [narrow, narrow]}, 1) == {"anyOf": [{"type": "string"}] * 2}
    assert outline({"type": ["string", "null"], "enum": ["a"]}) == {"type": ["string", "null"]}
    assert outline(True) == outline({}) == {}


def test_what_many_operations_refer_to_is_kept_once() -> None:
    found = parameters_of(fat(0, operations=50, properties=100))
    assert len({id(one["properties"]["p0"]) for one in found}) == 1
    assert unique_values(found) < 10_000


def test_documents_that_hold_much_push_others_out() -> None:
    documents = OpenApiDocuments(ScriptedWeb(answered()))
    for number in range(8):
        # Nothing is shared: each operation writes its body out.
        whole = json.loads(fat(number, operations=100, properties=90))
        schema = whole["components"].pop("schemas")["S"]
        for path in whole["paths"].values():
            path["post"]["requestBody"]["content"]["application/json"]["schema"] = schema
        documents.read(json.dumps(whole))
    assert 0 < sum(one.nodes for one in documents._known.values()) == documents._nodes <= REMEMBERED_NODES
    assert 1 <= len(documents._known) < 8


def test_functions_are_made_once_for_all_answers() -> None:
    documents = OpenApiDocuments(ScriptedWeb(answered()))
    document = fat(0, operations=2)
    first, again = (documents.runners(ToolId(name), document, Credentials()) for name in "ab")
    for one, other in zip(first, again, strict=True):
        assert one.spec.parameters is other.spec.parameters
        assert (one.spec.tool_id, other.spec.tool_id) == ("a", "b")


def test_each_persons_functions_lack_what_their_own_credentials_provide() -> None:
    document = json.dumps(
        {
            "openapi": "3.1.0",
            "servers": [{"url": "https://x.example"}],
            "paths": {"/": {"get": {"parameters": [{"name": f"k{n}", "in": "query", "schema": {}} for n in range(9)]}}},
        }
    )
    documents = OpenApiDocuments(ScriptedWeb(answered()))
    for _ in range(2):
        for number in range(9):
            [one] = documents.runners(ToolId("t"), document, Credentials(query=((f"k{number}", "secret"),)))
            assert f"k{number}" not in one.spec.parameters["properties"]  # type: ignore[operator]
            assert len(one.spec.parameters["properties"]) == 8  # type: ignore[arg-type]
    assert all(len(one.functions) <= 4 for one in documents._known.values())


def test_reading_deep_schemas_through_many_references_ends() -> None:
    def nested(levels: int, within: Json) -> Json:
        for _ in range(levels):
            within = {"items": within}
        return within

    schemas_: Json = {f"s{n}": nested(90, {"$ref": f"#/components/schemas/s{n + 1}"}) for n in range(12)}
    schemas_["s12"] = {"type": "string"}
    paths = {
        f"/{n}": {
            "get": {"parameters": [{"name": "x", "in": "query", "schema": {"$ref": f"#/components/schemas/s{n}"}}]}
        }
        for n in reversed(range(12))
    }
    begun = time.process_time()
    document = {
        "openapi": "3.1.0",
        "servers": [{"url": "https://x.example"}],
        "paths": paths,
        "components": {"schemas": schemas_},
    }
    assert len(parameters_of(json.dumps(document))) == 12
    assert time.process_time() - begun < 4
