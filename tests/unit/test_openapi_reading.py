"""Documents, JSON or YAML: what they offer, and where they are wrong."""

import copy
import json
import time
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.openapi import OpenApiDocuments
from adapters.openapi.document_text import read_text
from adapters.openapi.limits import REMEMBERED
from adapters.scripted.guarded_web import ScriptedWeb, answered
from domain.errors import InvalidValue
from domain.ids import ToolId
from domain.tools.credentials import Credentials

DOCUMENTS = OpenApiDocuments(ScriptedWeb(answered()))
PETS: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Pets", "version": "1"},
    "servers": [{"url": "https://pets.example/v1"}],
    "paths": {
        "/pets": {"get": {"operationId": "list pets", "parameters": [{"name": "limit", "in": "query", "schema": {}}]}},
        "/pets/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "delete": {"summary": "Let a pet go"},
        },
    },
}


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(PETS), **changes}


def with_schema(schema: Any, version: str = "3.1.0", **more: Any) -> str:
    parameter = {"name": "x", "in": "query", "schema": schema}
    return json.dumps(changed(openapi=version, paths={"/a": {"get": {"parameters": [parameter]}}}, **more))


def offered(document: str, credentials: Credentials | None = None) -> list[dict[str, Any]]:
    runners = DOCUMENTS.runners(ToolId("t"), document, credentials or Credentials())
    return [json.loads(json.dumps(runner.spec.parameters)) for runner in runners]


def schema_of(schema: Any, version: str = "3.1.0", **more: Any) -> Any:
    return offered(with_schema(schema, version, **more))[0]["properties"]["x"]


def complaint(document: Any) -> str:
    with pytest.raises(InvalidValue) as caught:
        DOCUMENTS.read(document if isinstance(document, str) else json.dumps(document))
    assert caught.value.fields[0].name == "openapi_schema"
    return caught.value.fields[0].message


def test_an_operation_for_people_is_offered_to_no_model() -> None:
    document = changed()
    document["paths"]["/pets"]["get"]["x-agentchat-for-people"] = True
    assert DOCUMENTS.read(json.dumps(document)).operations == ("delete_pets_id",)
    document["paths"]["/pets/{id}"]["delete"]["x-agentchat-for-people"] = True
    assert "no operation that can be called" in complaint(document)


def test_each_operation_becomes_a_function() -> None:
    described = DOCUMENTS.read(json.dumps(PETS))
    assert (described.title, described.operations) == ("Pets", ("list_pets", "delete_pets_id"))


def test_json_and_yaml_say_the_same() -> None:
    assert DOCUMENTS.read(yaml.safe_dump(PETS)) == DOCUMENTS.read(json.dumps(PETS))
    assert offered(yaml.safe_dump(PETS)) == offered(json.dumps(PETS))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-1:#", max_size=3), inner, max_size=3),
        max_leaves=12,
    )
)  # fmt: skip
def test_yaml_gives_back_what_was_written(value: Any) -> None:
    written = yaml.safe_dump({"x": value}, allow_unicode=True)
    # Its writer has no sign before exponents as YAML 1.1 wants it, and all of it is in 1.2 as well.
    assert read_text(written) == {"x": value}


def test_words_of_yaml_1_1_are_words() -> None:
    text = "on: [yes, no, off, 2020-01-01, 010, 0o10, 0x1F, 12:30:45, 1_000, .5, 1e3, ~, Null, TRUE]"
    assert read_text(text) == {
        "on": ["yes", "no", "off", "2020-01-01", 10, 8, 31, "12:30:45", "1_000", 0.5, 1000.0, None, None, True]
    }


def test_anchors_and_merges_are_read() -> None:
    text = "base: &b {a: 1, b: 2}\none: {<<: *b, b: 3}\ntwo: *b\n"
    assert read_text(text) == {"base": {"a": 1, "b": 2}, "one": {"a": 1, "b": 3}, "two": {"a": 1, "b": 2}}


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
)
TEXTS = {
    "": "is empty",
    "\ufeff \n": "is empty",
    "[]": "must be an object",
    "just words": "must be an object",
    '{"openapi": }': "line 1, column 13",
    '{"a": 1, "a": 2}': "the name 'a' stands twice",
    "a: 1\na: 2\n": "line 2, column 1: 'a' stands here twice",
    "a: [": "line 2, column 1",
    "a: &x [*x]": "line 1, column 8: the alias *x stands for nothing",
    "a: !!python/object/apply:os.system [true]": "line 1, column 4: the tag",
    "a: !!binary aGk=": "the tag",
    "? [a]\n: b": "a name must be plain text",
    "a: 1\n---\nb: 2\n": "a second document",
    "a: .inf": "must be a version 3.0 or 3.1",
    "a: 1e999": "a number that is too large",
    "a: " + "9" * 5_000: "too many digits",
    '{"a": 1e999}': "a number that is too large",
    '{"a": NaN}': "a number that is too large or none",
    '{"a": "\\ud800"}': "a: holds half of a character",
    '{"a": ' + "9" * 5_000 + "}": "a number that is too large",
    '{"a":' * 50_000: "nested deeper",
    '{"a":' * 150 + "1" + "}" * 150: "nested deeper",
    "a: " + "[" * 50_000: "nested deeper",
    "a: " + "{a: " * 50_000: "nested deeper",
    "- " * 50_000: "nested deeper",
    BOMB: "more than 100000 values",
    "{" + ",".join(f'"{n}":0' for n in range(100_001)) + "}": "more than 100000 values",
    "x" * (2 << 20 | 1): "at most 2097152 characters",
    "a: \x07": "characters that YAML does not allow",
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:20])
def test_text_that_is_no_document_is_refused_quickly_in_words(text: str) -> None:
    begun = time.process_time()
    assert TEXTS[text] in complaint(text)
    assert time.process_time() - begun < 1.5


def parameters(*written: Any) -> dict[str, Any]:
    return changed(paths={"/a/{id}": {"get": {"parameters": list(written)}}})


ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
MISTAKES: list[tuple[Any, str]] = [
    ({"swagger": "2.0"}, "Swagger 2.0"),
    (changed(openapi="4.0.0"), "openapi: must be a version"),
    (changed(paths={}), "no operation"),
    (changed(paths=[]), "paths: must be an object"),
    (changed(paths={"pets": {}}), "paths.pets: a path begins with /"),
    (changed(paths={"/a/../b": {"get": {}}}), "paths./a/../b: a path must not hold"),
    (changed(paths={"/a": {"get": 3}}), "paths./a.get: must be an object"),
    (changed(paths={"/a": {"$ref": "#/components/pathItems/a"}}), "paths./a.$ref: there is no #/components"),
    (changed(servers=[]), "name the server"),
    (changed(servers=[{"url": "/v1"}]), "servers[0].url: '/v1' is relative"),
    (changed(servers=[{"url": "ftp://x"}]), "servers[0].url: must be an http"),
    (changed(servers=[{"url": "https://me:secret@x"}]), "servers[0].url: must not hold a name or password"),
    (changed(servers=[{"url": "https://x?a=1"}]), "servers[0].url: must not hold a query"),
    (changed(servers=[{"url": "https://x/../y"}]), "servers[0].url: must not hold . or .."),
    (changed(servers=[{"url": "https://x:99999"}]), "servers[0].url: is no address"),
    (changed(servers=[{"url": "https://x\r\ny"}]), "servers[0].url: is no address"),
    (changed(servers=[{"url": "https://{host}"}]), "servers[0]: there is no variable 'host'"),
    (changed(servers=[{"url": "https://{h}", "variables": {"h": {}}}]), "servers[0].variables.h: needs a default"),
    (changed(servers=3), "servers: must be a list"),
    (parameters(), "paths./a/{id}.get: parameters: there is no path parameter 'id'"),
    (parameters(ID, {**ID, "name": "x"}), "has no place for 'x'"),
    (parameters(ID, ID), "paths./a/{id}.get.parameters[1]: there is another path parameter 'id'"),
    (parameters({**ID, "in": "body"}), "paths./a/{id}.get.parameters[0]: in: must be one of path, query"),
    (parameters({"in": "query", "schema": {}}), "parameters[0]: name: is missing"),
    (parameters({"name": "a\r\nb", "in": "header", "schema": {}}), "parameters[0]: name: is missing, or no name"),
    (parameters({"name": "a", "in": "query"}), "parameters[0]: schema: is missing"),
    (parameters({**ID, "style": "form"}), "parameters[0]: style: in a path one of simple, label, matrix"),
    (parameters({**ID, "schema": 3}), "paths./a/{id}.get.parameters[0].schema: must be an object"),
    (parameters({**ID, "schema": {"type": "text"}}), "parameters[0].schema.type: must be one of string"),
    (parameters({**ID, "schema": {"enum": []}}), "schema.enum: must be a list of values"),
    (parameters({**ID, "schema": {"required": True}}), "schema.required: must be a list of names"),
    (parameters({**ID, "schema": {"minimum": "1"}}), "schema.minimum: must be a number"),
    (parameters({**ID, "schema": {"multipleOf": 0}}), "schema.multipleOf: must be above 0"),
    (parameters({**ID, "schema": {"maxLength": -1}}), "schema.maxLength: must be a whole number"),
    (parameters({**ID, "schema": {"anyOf": []}}), "schema.anyOf: must be a list of schemas"),
    (parameters({**ID, "schema": {"$ref": "http://x/y"}}), "schema.$ref: only references within the document"),
    (parameters({**ID, "schema": {"$ref": "file:///etc/passwd"}}), "schema.$ref: only references"),
    (parameters({**ID, "schema": {"$ref": "other.yaml#/a"}}), "schema.$ref: only references"),
    (parameters({**ID, "schema": {"$ref": 3}}), "schema.$ref: must be text"),
    (parameters({"$ref": "#/components/parameters/a"}), "parameters[0].$ref: there is no #/components/parameters/a"),
    (
        changed(paths={"/a": {"get": {"parameters": [{"$ref": "#/paths/~1a/get/parameters/0"}]}}}),
        "$ref leads to itself",
    ),
    (changed(paths={"/a": {"post": {"requestBody": []}}}), "paths./a.post.requestBody: must be an object"),
]


@pytest.mark.parametrize(("document", "said"), MISTAKES, ids=[said[:60] for _, said in MISTAKES])
def test_a_mistake_is_named_where_it_stands(document: Any, said: str) -> None:
    assert said in complaint(document)
    assert said in complaint(yaml.safe_dump(document))


def test_there_is_a_limit_of_operations_and_parameters() -> None:
    assert "at most 200 operations" in complaint(changed(paths={f"/{n}": {"get": {}} for n in range(201)}))
    many = [{"name": f"p{n}", "in": "query", "schema": {}} for n in range(201)]
    assert "at most 200 parameters" in complaint(changed(paths={"/a": {"get": {"parameters": many}}}))


NAMES = [
    *("$ref", "paths", "get", "parameters", "schema", "type", "items", "in", "name", "properties", "required"),
    *("requestBody", "content", "application/json", "servers", "url", "allOf", "enum", "/a", "/{a}", "variables"),
]
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["#/a", "#", "#/paths", "/{a}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=25,
)


@given(json_like, json_like, json_like)
@settings(max_examples=60)
def test_nothing_but_invalid_value_is_raised_for_any_values(paths: Any, item: Any, parameter: Any) -> None:
    wild = changed(paths={"/{a}": {"post": {"parameters": [parameter], "requestBody": item}, "get": item}}, a=item)
    for document in (changed(paths=paths), changed(servers=paths), wild, paths):
        for text in (json.dumps(document), yaml.safe_dump(document)):
            try:
                runners = DOCUMENTS.runners(ToolId("t"), text, Credentials())
            except InvalidValue:
                continue
            assert all(runner.spec.parameters["type"] == "object" for runner in runners)


@given(st.text() | st.text("{}[]:,&*!|>'\"-?#%@ \n\tabc<", max_size=60))
@settings(max_examples=300)
def test_nothing_but_invalid_value_is_raised_for_any_text(text: str) -> None:
    with pytest.raises(InvalidValue):
        DOCUMENTS.read(text)


def test_a_schema_that_holds_itself_is_cut_to_its_type() -> None:
    tree = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "inner": {"$ref": "#/components/schemas/Tree"}},
    }
    assert schema_of({"$ref": "#/components/schemas/Tree"}, components={"schemas": {"Tree": tree}}) == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "inner": {"type": "object"}},
    }


def test_schemas_that_grow_by_references_stay_small_and_quick() -> None:
    schemas: dict[str, Any] = {
        f"s{n}": {
            "type": "object",
            "properties": {f"p{i}": {"$ref": f"#/components/schemas/s{n + 1}"} for i in range(9)},
        }
        for n in range(20)
    }
    schemas["s20"] = {"type": "string"}
    paths = {
        f"/{n}": {"get": {"parameters": [{"name": "x", "in": "query", "schema": {"$ref": "#/components/schemas/s0"}}]}}
        for n in range(40)
    }
    begun = time.process_time()
    found = offered(json.dumps(changed(paths=paths, components={"schemas": schemas})))
    assert time.process_time() - begun < 4
    assert found[0]["properties"]["x"]["properties"]["p0"]["properties"]["p8"]["type"] == "object"
    assert all(one["properties"]["x"]["type"] == "object" for one in found)
    assert all(len(json.dumps(one)) < 100_000 for one in found)


def test_schemas_that_no_model_could_read_are_refused() -> None:
    assert "too large for a model" in complaint(with_schema({"enum": list(range(20_000))}))


def test_nullable_and_limits_of_3_0_become_those_of_today() -> None:
    assert schema_of({"type": "string", "nullable": True}, "3.0.3") == {"type": ["string", "null"]}
    assert schema_of({"type": "string", "enum": ["a"], "nullable": True}, "3.0.3")["enum"] == ["a", None]
    assert schema_of({"type": "number", "minimum": 1, "exclusiveMinimum": True}, "3.0.3") == {
        "type": "number",
        "exclusiveMinimum": 1,
    }
    reference = {"allOf": [{"$ref": "#/components/schemas/A"}], "nullable": True}
    assert schema_of(reference, "3.0.0", components={"schemas": {"A": {"type": "object"}}}) == {
        "anyOf": [{"allOf": [{"type": "object"}]}, {"type": "null"}]
    }


def test_what_a_model_has_no_use_for_is_left_out() -> None:
    schema = {
        "type": "object",
        "xml": {},
        "example": 1,
        "x-own": 2,
        "properties": {"id": {"type": "string", "readOnly": True}, "tags": {"type": "array"}},
        "required": ["id"],
    }
    assert schema_of(schema) == {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {}}},
        "required": [],
    }


def test_beside_a_reference_3_1_may_say_more() -> None:
    schemas = {"schemas": {"A": {"type": "string", "description": "old"}}}
    beside = {"$ref": "#/components/schemas/A", "description": "new", "maxLength": 3}
    assert schema_of({**beside, "maxLength": None}, components=schemas) == {"type": "string", "description": "new"}
    assert schema_of(beside, components=schemas)["allOf"][1] == {"description": "new", "maxLength": 3}
    assert schema_of(beside, "3.0.1", components=schemas) == {"type": "string", "description": "new"}


def test_names_in_references_may_be_escaped() -> None:
    assert schema_of(
        {"$ref": "#/components/schemas/a~1b%20c~0"}, components={"schemas": {"a/b c~": {"type": "null"}}}
    ) == {"type": "null"}


def test_what_was_read_is_remembered_but_not_without_end() -> None:
    documents = OpenApiDocuments(ScriptedWeb(answered()))
    for number in range(REMEMBERED + 6):
        documents.read(json.dumps(changed(info={"title": str(number)})))
    assert len(documents._known) == REMEMBERED
    assert documents.read(json.dumps(changed(info={"title": "0\n\x00x"}))).title == "0 x"
