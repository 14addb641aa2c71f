"""Schemas of strangers become such that no vendor refuses a request for them, or are left out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from domain.tools.tool_schemas import CanNotBeMended, mended
from domain.tools.tools import JsonValue

KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["object", "array", "#", "x y"])
NAMES = st.sampled_from(
    (
        *(
            "type",
            "properties",
            "required",
            "items",
            "anyOf",
            "allOf",
            "oneOf",
            "not",
            "enum",
            "const",
            "$ref",
            "$defs",
        ),
        *("pattern", "minimum", "minLength", "default", "if", "additionalProperties", "patternProperties"),
        *("exclusiveMinimum", "multipleOf", "description", "format", "имя", "x", "$id", "dependencies"),
    )
)
SAID = st.recursive(
    LEAVES | st.sampled_from(["#/$defs/x", "#/properties/x", "https://example.org/schema", "#/$defs/gone"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


@given(st.dictionaries(NAMES, SAID, max_size=6))
def test_whatever_a_server_says_is_a_schema_that_vendors_take_or_is_left_out(said: dict[str, JsonValue]) -> None:
    try:
        schema = mended(said)
    except CanNotBeMended:
        return
    Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"
    assert not schema.keys() & {"allOf", "anyOf", "oneOf", "enum", "not"}
    check(schema, schema)
    assert mended(schema) == schema


def check(schema: JsonValue, whole: dict[str, JsonValue]) -> None:
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    if kinds == "array" or (isinstance(kinds, list) and "array" in kinds):
        assert isinstance(schema["items"], dict)
    reference = schema.get("$ref")
    assert reference is None or (isinstance(reference, str) and reference.startswith("#/"))
    for name in ("properties", "patternProperties", "$defs"):
        named = schema.get(name, {})
        assert isinstance(named, dict)
        assert name != "properties" or all(map(KEY.fullmatch, named))
        for one in named.values():
            check(one, whole)
    for name in ("anyOf", "allOf", "oneOf"):
        several = schema.get(name, [])
        assert isinstance(several, list)
        for one in several:
            check(one, whole)


def test_a_schema_as_it_should_be_stays() -> None:
    schema: dict[str, JsonValue] = {
        "type": "object",
        "title": "Arguments",
        "properties": {
            "place": {"$ref": "#/$defs/Place"},
            "days": {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 7},
            "unit": {"anyOf": [{"type": "string", "enum": ["c", "f"]}, {"type": "null"}], "default": None},
        },
        "required": ["place"],
        "additionalProperties": False,
        "$defs": {"Place": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    }
    assert mended(schema) == schema


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"properties": "nonsense", "required": 7}, {"properties": {}}),
        ({"properties": {"l": {"type": "array"}}}, {"properties": {"l": {"type": "array", "items": {}}}}),
        ({"properties": {"имя": {}, "a": {}}}, {"properties": {"a": {}}}),
        ({"properties": {"a": {"$ref": "https://example.org/a"}}}, {"properties": {"a": {}}}),
        ({"properties": {"a": {"minimum": 0, "exclusiveMinimum": True}}}, {"properties": {"a": {"minimum": 0}}}),
        (
            {"oneOf": [{"properties": {"a": {}}, "required": ["a"]}, {"properties": {"b": {}}}]},
            {"properties": {"a": {}, "b": {}}},
        ),
        ({"allOf": [{"properties": {"a": {}}, "required": ["a"]}]}, {"properties": {"a": {}}, "required": ["a"]}),
    ],
)
def test_what_vendors_refuse_is_mended(said: dict[str, JsonValue], expected: dict[str, JsonValue]) -> None:
    assert mended(said) == {"type": "object", **expected}


@pytest.mark.parametrize("said", [{"type": "array"}, {"properties": {"имя файла": {}}, "required": ["имя файла"]}])
def test_what_can_not_be_mended_says_why(said: dict[str, JsonValue]) -> None:
    with pytest.raises(CanNotBeMended, match=r"object|имя файла"):
        mended(said)


def test_what_is_nested_too_deeply_ends() -> None:
    deep: JsonValue = {}
    for _ in range(150):
        deep = {"properties": {"a": deep}}
    depth, found = 0, mended({"properties": {"a": deep}})
    while found.get("properties"):
        depth, found = depth + 1, found["properties"]["a"]  # type: ignore[index, call-overload, assignment]
    assert depth < 50
