"""Arguments against schemas: what is wrong is named precisely, and no schema takes long, fetches or breaks anything."""

import gc
import json
import time
import weakref
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.json_schema import JsonSchemaCheck

CHECK = JsonSchemaCheck()
LONGEST = 2.0
"""Seconds of CPU; the worst that is known takes a third of one."""

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([0.5, 1.0])
    | st.sampled_from(["", "a", "ab", "é"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)
small = st.integers(0, 3)
leaves = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["string", "number", "integer", "boolean", "object", "array"])}),
    st.fixed_dictionaries({"type": st.just(["string", "null"])}),
    st.fixed_dictionaries({"enum": st.lists(values, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": values}),
    st.fixed_dictionaries({"pattern": st.sampled_from(["^a", "b$", "^[a-c]+$", "é"])}),
    *(
        st.fixed_dictionaries({name: small})
        for name in ("minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "minItems", "maxItems")
    ),
    st.fixed_dictionaries({"maxProperties": small}),
    st.fixed_dictionaries({"uniqueItems": st.booleans()}),
    st.just({"multipleOf": 2}),
    st.booleans(),
)


def joined(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
    return st.one_of(
        *(st.fixed_dictionaries({word: several}) for word in ("anyOf", "oneOf", "allOf", "prefixItems")),
        *(st.fixed_dictionaries({word: inner}) for word in ("items", "not", "contains", "propertyNames")),
        st.fixed_dictionaries({"if": inner, "then": inner, "else": inner}),
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": named},
            optional={
                "required": st.lists(st.sampled_from("ab"), unique=True),
                "additionalProperties": inner,
                "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
                "dependentRequired": st.just({"a": ["b"]}),
            },
        ),
    )


schemas = st.recursive(leaves, joined, max_leaves=8)


@given(schemas, values)
@settings(max_examples=300)
def test_it_judges_as_the_standard_does(schema: Any, value: Any) -> None:
    """The library as it is, without our bounds and replacements, is the judge."""
    whole = {"type": "object", "properties": {"x": schema}}
    right = jsonschema.Draft202012Validator(whole).is_valid({"x": value})
    problems = CHECK.problems(whole, {"x": value})
    assert (not problems) == right
    assert all(text.startswith("x") and text.endswith(".") for text in problems)


@given(values.filter(lambda value: isinstance(value, dict)) | st.dictionaries(st.text(max_size=3), schemas), values)
def test_a_schema_of_any_shape_breaks_nothing(schema: Any, value: Any) -> None:
    for broken in (
        schema,
        {"properties": schema},
        dict.fromkeys(jsonschema.Draft202012Validator.VALIDATORS, schema),
    ):
        assert all(isinstance(text, str) for text in CHECK.problems(broken, {"a": value}))


CASES: list[tuple[dict[str, Any], Any, str]] = [
    ({"type": "integer"}, "3", 'x must be a whole number, not "3".'),
    ({"type": ["string", "null"]}, [1], "x must be a string or null, not a list."),
    ({"type": "number"}, True, "x must be a number, not true."),
    ({"enum": ["red", "green"]}, "blue", 'x must be one of "red", "green".'),
    ({"minimum": 5}, 3, "x must be at least 5."),
    ({"maxLength": 2}, "abc", "x must have at most 2 characters."),
    ({"pattern": "^a+$"}, "b", 'x must match "^a+$".'),
    ({"required": ["id"]}, {}, "x.id is missing."),
    ({"items": {"type": "string"}}, ["a", 1], "x[1] must be a string, not 1."),
    ({"properties": {"a": {}}, "additionalProperties": False}, {"b": 1}, "x.b is not known; known are a."),
    ({"oneOf": [{"type": "integer"}, {"minimum": 1}]}, 3, "x fits more than one of the forms that it may have."),
    (
        {"anyOf": [{"type": "object", "required": ["id"]}, {"type": "null"}]},
        {},
        "x fits none of the forms that it may have: x.id is missing.",
    ),
    (
        {"anyOf": [{"type": "string"}, {"type": "null"}]},
        3,
        "x fits none of the forms that it may have: x must be a string, not 3; or x must be null, not 3.",
    ),
    ({"uniqueItems": True}, [1, 1.0], "x must not have the same item twice."),
    ({"multipleOf": 0.01}, 0.075, "x must be a multiple of 0.01."),
    ({"const": "a"}, "b", 'x must be "a".'),
]


@pytest.mark.parametrize(("schema", "value", "sentence"), CASES, ids=lambda one: str(one)[:40])
def test_the_model_is_told_what_is_wrong_and_where(schema: dict[str, Any], value: Any, sentence: str) -> None:
    assert CHECK.problems({"properties": {"x": schema}}, {"x": value}) == [sentence]


def test_a_name_that_is_not_known_and_one_that_is_missing_are_both_named() -> None:
    schema: dict[str, Any] = {"properties": {"city": {}}, "required": ["city"], "additionalProperties": False}
    assert sorted(CHECK.problems(schema, {"town": "Bern"})) == [
        "city is missing.",
        "town is not known; known are city.",
    ]


def test_at_most_ten_things_are_named() -> None:
    schema: dict[str, Any] = {"additionalProperties": {"type": "string"}}
    assert len(CHECK.problems(schema, {f"p{number}": number for number in range(50)})) == 10


def test_a_price_is_a_multiple_of_a_cent() -> None:
    """0.07 / 0.01 is not 7 to a computer."""
    schema: dict[str, Any] = {"properties": {"x": {"multipleOf": 0.01}}}
    assert [x for x in (0.07, 1.1, 19.99) if CHECK.problems(schema, {"x": x})] == []


def nested(levels: int, word: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {word: [schema] if word == "allOf" else schema}
    return schema


def deep(levels: int) -> Any:
    return json.loads('{"a":' * levels + "1" + "}" * levels)


TWICE = {"$ref": "#/$defs/n"}
GROWING: dict[str, Any] = {
    "$defs": {"n": {"anyOf": [{"required": ["z"], "properties": {"a": TWICE}}] * 2}},
    "$ref": "#/$defs/n",
}
DIAMONDS = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
HOSTILE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "backtracking": ({"properties": {"a": {"pattern": "^(a+)+$"}}}, {"a": "a" * 4_000 + "b"}),
    "repetition": ({"properties": {"a": {"pattern": "(?:[ab]*a[ab]{0,300}c)+$"}}}, {"a": "ab" * 2_400}),
    "large class": ({"properties": {"a": {"pattern": r"^\p{L}{1,1000}$"}}}, {"a": "x"}),
    "many patterns": (
        {"patternProperties": {rf"^\p{{L}}{{1,{n}}}$": {} for n in range(900)}, "additionalProperties": False},
        {f"n{n}": 1 for n in range(900)},
    ),
    "names by pattern": ({"unevaluatedProperties": False, "patternProperties": {"^(a+)+$": {}}}, {"a" * 60 + "b": 1}),
    "growing": (GROWING, deep(60)),
    "diamonds": ({"$defs": {**DIAMONDS, "d40": {}}, "$ref": "#/$defs/d0"}, {}),
    "circle": ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, {}),
    "huge enum": ({"properties": {"a": {"items": {"enum": [[n] for n in range(9_000)]}}}}, {"a": [[-1]] * 9_000}),
    "repeated complaint": ({"properties": {"a": {"anyOf": [{"type": "null"}] * 9_000}}}, {"a": ["xyz"] * 20_000}),
    "names times items": (
        {"properties": {"a": {"items": {"properties": {f"p{n}": {} for n in range(9_000)}}}}},
        {"a": [{} for _ in range(9_000)]},
    ),
    "unique": ({"properties": {"a": {"uniqueItems": True}}}, {"a": [{"i": n} for n in range(20_000)]}),
    "anchors": (
        {
            "$defs": {f"d{n}": {"$anchor": f"a{n}"} for n in range(3_000)},
            "properties": {f"p{n}": {"$ref": f"#a{n}"} for n in range(3_000)},
        },
        {f"p{n}": 1 for n in range(3_000)},
    ),
    "addresses": (
        {
            "$defs": {f"d{n}": {"$id": f"urn:{n}"} for n in range(3_000)},
            "properties": {f"p{n}": {"$ref": f"urn:{n}"} for n in range(3_000)},
        },
        {f"p{n}": 1 for n in range(3_000)},
    ),
    "nested schema": (nested(3_000, "allOf"), {}),
    "nested items": ({"properties": {"a": nested(900, "items")}}, {"a": json.loads("[" * 900 + "]" * 900)}),
    "nested const": (
        {"properties": {"a": {"const": json.loads("[" * 900 + "]" * 900)}}},
        {"a": json.loads("[" * 900 + "]" * 900)},
    ),
    "digits": ({"properties": {"a": {"maximum": 1, "type": "string", "multipleOf": 7}}}, {"a": 10**5_000}),
    "half a character": ({"properties": {"a": {"pattern": "x", "type": "integer"}}}, {"a": "\ud800"}),
    "no number": ({"properties": {"a": {"minimum": 1, "multipleOf": 0}}}, {"a": float("nan")}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_schema_takes_long(name: str) -> None:
    schema, arguments = HOSTILE[name]
    begun = time.process_time()
    problems = JsonSchemaCheck().problems(schema, arguments)
    assert time.process_time() - begun < LONGEST
    assert all(len(text) <= 600 and text.encode() for text in problems)


@pytest.mark.parametrize("where", ["file:///etc/hostname", "http://127.0.0.1:{port}/x.json", "//127.0.0.1:{port}/x"])
def test_nothing_is_fetched(where: str) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = where.format(port=listening.getsockname()[1])
        for schema in (
            {"properties": {"a": {"$ref": address}}},
            {"properties": {"a": {"$dynamicRef": address}}},
            {"$schema": address, "properties": {"a": {"type": "string"}}},
            {"$id": address, "properties": {"a": {"$ref": "other.json"}}},
        ):
            assert_harmless(schema)
        with pytest.raises(BlockingIOError):
            listening.accept()


def assert_harmless(schema: Mapping[str, Any]) -> None:
    assert CHECK.problems(schema, {"a": "text"}) == []


def test_what_stands_beside_a_broken_rule_is_still_checked() -> None:
    schema: dict[str, Any] = {
        "properties": {"a": {"$ref": "#/nowhere", "minimum": "x", "maxLength": 2}},
        "required": ["b"],
    }
    assert sorted(CHECK.problems(schema, {"a": "abc"})) == ["a must have at most 2 characters.", "b is missing."]


def test_older_drafts_are_read_as_they_were_meant() -> None:
    old = "http://json-schema.org/draft-07/schema#"
    schema: dict[str, Any] = {"$schema": old, "properties": {"a": {"items": [{"type": "string"}, {"type": "integer"}]}}}
    assert CHECK.problems(schema, {"a": ["x", "y"]}) == ['a[1] must be a whole number, not "y".']
    # A flag where a number belongs, as 3.0 documents have it.
    assert CHECK.problems({"properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}}, {"a": 1}) == []


def test_no_schema_is_taken_for_another() -> None:
    check = JsonSchemaCheck()
    for number in range(600):
        schema = {"properties": {"a": {"const": number}}}
        assert check.problems(schema, {"a": number}) == []
        assert check.problems(schema, {"a": -1}) == [f"a must be {number}."]


def test_no_schema_is_kept_alive_by_its_check() -> None:
    class Schema(dict[str, Any]):
        """One that tells when it goes."""

    check = JsonSchemaCheck()
    schema = Schema(type="object", properties={"a": Schema(type="string")})
    gone = weakref.ref(schema), weakref.ref(schema["properties"]["a"])
    assert check.problems(schema, {"a": 1})
    del schema
    gc.collect()
    assert [one() for one in gone] == [None, None]
