"""How values stand in addresses, headers, cookies and bodies; and that none gets out of its place."""

import asyncio
import json
from typing import Any

import pytest

from adapters.openapi import OpenApiDocuments
from adapters.scripted.guarded_web import ScriptedWeb, answered
from application.ports.guarded_web import WebRequest
from application.ports.tool_runner import ToolFailed
from domain.ids import ToolId
from domain.tools.credentials import Credentials

BLUE = ["blue", "black"]
RGB = {"R": 100, "G": 200}


def document(path: str, method: str = "get", **operation: Any) -> str:
    return json.dumps(
        {"openapi": "3.1.0", "servers": [{"url": "https://api.example/v1/"}], "paths": {path: {method: operation}}}
    )


def sent(text: str, arguments: dict[str, Any], credentials: Credentials | None = None) -> WebRequest:
    web = ScriptedWeb(answered())
    runner = OpenApiDocuments(web).runners(ToolId("t"), text, credentials or Credentials())[0]
    asyncio.run(runner.run(arguments))
    return web.requests[0]


def one(where: str, value: Any, **parameter: Any) -> WebRequest:
    described = {"name": "c", "in": where, "schema": {}, "required": where == "path", **parameter}
    return sent(document("/{c}" if where == "path" else "/", parameters=[described]), {"c": value})


STYLES: list[tuple[str, str, bool, Any, str]] = [
    ("path", "simple", False, "blue", "/blue"),
    ("path", "simple", False, BLUE, "/blue,black"),
    ("path", "simple", False, RGB, "/R,100,G,200"),
    ("path", "simple", True, RGB, "/R=100,G=200"),
    ("path", "label", False, BLUE, "/.blue,black"),
    ("path", "label", True, BLUE, "/.blue.black"),
    ("path", "label", False, RGB, "/.R,100,G,200"),
    ("path", "label", True, RGB, "/.R=100.G=200"),
    ("path", "matrix", False, "blue", "/;c=blue"),
    ("path", "matrix", False, BLUE, "/;c=blue,black"),
    ("path", "matrix", True, BLUE, "/;c=blue;c=black"),
    ("path", "matrix", False, RGB, "/;c=R,100,G,200"),
    ("path", "matrix", True, RGB, "/;R=100;G=200"),
    ("query", "form", True, "a b&c=d", "/?c=a%20b%26c%3Dd"),
    ("query", "form", True, BLUE, "/?c=blue&c=black"),
    ("query", "form", False, [*BLUE, "a,b"], "/?c=blue,black,a%2Cb"),
    ("query", "form", True, RGB, "/?R=100&G=200"),
    ("query", "form", False, RGB, "/?c=R,100,G,200"),
    ("query", "spaceDelimited", False, BLUE, "/?c=blue%20black"),
    ("query", "pipeDelimited", False, BLUE, "/?c=blue%7Cblack"),
    ("query", "deepObject", True, RGB, "/?c%5BR%5D=100&c%5BG%5D=200"),
    ("query", "deepObject", True, {"a": {"b": [1, 2]}}, "/?c%5Ba%5D%5Bb%5D=1&c%5Ba%5D%5Bb%5D=2"),
    ("query", "form", True, [], "/"),
    ("query", "form", True, True, "/?c=true"),
    ("query", "form", True, 5.0, "/?c=5"),
    ("query", "form", True, 0.1, "/?c=0.1"),
    ("query", "form", True, [{"a": 1}], "/?c=%7B%22a%22%3A1%7D"),
]


@pytest.mark.parametrize(("where", "style", "explode", "value", "expected"), STYLES)
def test_values_stand_as_the_standard_says(where: str, style: str, explode: bool, value: Any, expected: str) -> None:
    assert one(where, value, style=style, explode=explode).url == f"https://api.example/v1{expected}"


def test_lists_and_objects_stand_in_headers_and_cookies() -> None:
    assert ("c", "blue,black") in one("header", BLUE).headers
    assert ("c", "R=100,G=200") in one("header", RGB, explode=True).headers
    assert ("Cookie", "c=a%3Bb") in one("cookie", "a;b").headers
    assert ("Cookie", "c=blue,black") in one("cookie", BLUE, explode=False).headers


def test_a_parameter_may_be_json() -> None:
    described = {"content": {"application/json": {"schema": {"type": "object"}}}, "schema": None}
    assert one("query", {"a": "b c"}, **described).url.endswith("/?c=%7B%22a%22%3A%22b%20c%22%7D")
    assert ("c", '{"a":"\\u00fc"}') in one("header", {"a": "ü"}, **described).headers


def test_reserved_characters_stay_where_they_may_but_part_nothing() -> None:
    assert one("query", "https://x/?a=1&b=2#c+d", allowReserved=True).url.endswith(
        "?c=https://x/?a%3D1%26b%3D2%23c%2Bd"
    )


@pytest.mark.parametrize(
    "value", ["", ".", "..", "../admin", "a/../../b", "..\\x", "a/..", "%2e%2e", "%252e%252e/x", "./x", []]
)
@pytest.mark.parametrize("style", ["simple", "label", "matrix"])
def test_no_value_leads_up_or_makes_the_address_another(value: Any, style: str) -> None:
    described = {"name": "c", "in": "path", "required": True, "schema": {}, "style": style}
    try:
        url = sent(document("/a/{c}/delete", parameters=[described]), {"c": value}).url
    except ToolFailed:
        return
    # Behind `.` or `;c=` a dot may be part of a name.
    assert style != "simple"
    assert url.count("/") == len(["https:", "", "api.example", "v1", "a", "x", "delete"]) - 1
    assert "/../" not in url
    assert "/./" not in url


def test_no_value_makes_a_step_of_the_dots_before_it() -> None:
    described = [{"name": "c", "in": "path", "required": True, "schema": {}}]
    assert sent(document("/x/..{c}", parameters=described), {"c": "a"}).url.endswith("/x/..a")
    with pytest.raises(ToolFailed, match="steps"):
        sent(document("/x/..{c}", parameters=described), {"c": "/admin"})


def test_two_values_together_make_no_step_either() -> None:
    described = [{"name": name, "in": "path", "required": True, "schema": {}} for name in ("a", "b")]
    for path in ("/x/{a}{b}", "/x/.{a}{b}"):
        with pytest.raises(ToolFailed, match="steps"):
            sent(document(path, parameters=described), {"a": ".", "b": "."})


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\x00", "é", "x" * 5_000, " a", "a ", " ", [" a"]])
def test_no_value_ends_a_header_or_loses_a_part_in_it(value: str) -> None:
    with pytest.raises(ToolFailed, match="c goes into a header"):
        one("header", value)


def test_the_names_of_an_object_can_not_pass_for_other_parameters() -> None:
    parameters = [{"name": name, "in": "query", "schema": {}} for name in ("filter", "admin")]
    text = document("/", parameters=parameters)
    assert sent(text, {"filter": {"a&b": "c"}}).url.endswith("/?a%26b=c")
    with pytest.raises(ToolFailed, match="'admin': that is a parameter of its own"):
        sent(text, {"filter": {"admin": True}})
    with pytest.raises(ToolFailed, match="'api_key': that is a parameter of its own"):
        sent(text, {"filter": {"api_key": "x"}}, Credentials(query=(("api_key", "secret"),)))


HEADERS = ["Host", "content-length", "Transfer-Encoding", "Authorization", "Cookie", "Proxy-Authorization", "Accept"]


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_say_whose_a_request_is_are_never_the_model_s(name: str) -> None:
    described = {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
    request = sent(document("/", parameters=[described]), {name: "evil"})
    assert "evil" not in repr(request)


def test_arguments_that_are_missing_or_impossible_are_named() -> None:
    path = document("/{id}", parameters=[{"name": "id", "in": "path", "required": True, "schema": {}}])
    for arguments, said in (
        ({}, "id is missing"),
        ({"id": None}, "id is missing"),
        ({"id": "\ud800"}, "half of a char"),
    ):
        with pytest.raises(ToolFailed, match=said):
            sent(path, arguments)
    whole = document("/", "post", requestBody={"required": True, "content": {"application/json": {"schema": {}}}})
    with pytest.raises(ToolFailed, match="body is missing"):
        sent(whole, {})
    with pytest.raises(ToolFailed, match="NaN"):
        sent(whole, {"body": float("nan")})
    with pytest.raises(ToolFailed, match="longer than 8000"):
        one("query", "x" * 9_000)


def body(schema: Any, arguments: dict[str, Any], *, required: bool = True, kind: str = "application/json") -> Any:
    request = sent(
        document("/", "post", requestBody={"required": required, "content": {kind: {"schema": schema}}}), arguments
    )
    return request.body, dict(request.headers).get("Content-Type")


NAMED = {"type": "object", "properties": {"name": {"type": "string"}, "城市": {"type": "string"}}}


def test_the_properties_of_a_body_are_arguments_themselves() -> None:
    assert body(NAMED, {"name": "Ann", "body": "Bern"}) == ('{"name":"Ann","城市":"Bern"}'.encode(), "application/json")
    assert body(NAMED, {}) == (b"{}", "application/json")
    assert body(NAMED, {}, required=False) == (None, None)
    both = {"allOf": [NAMED, {"required": ["age"], "properties": {"age": {"type": "integer"}}}]}
    assert body(both, {"name": "Ann", "age": 3})[0] == b'{"name":"Ann","age":3}'
    assert body({"oneOf": [NAMED, {"type": "null"}]}, {"name": "Ann"}, required=False)[0] == b'{"name":"Ann"}'


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {"type": "string"}},
        {"anyOf": [NAMED, {"type": "string"}]},
        {**NAMED, "minProperties": 1},
        {},
    ],
)
def test_any_other_body_is_one_argument(schema: Any) -> None:
    assert body(schema, {"body": ["x"]})[0] == b'["x"]'
    assert body(schema, {"body": None})[0] == b"null"


def test_a_body_that_must_be_whole_or_absent_is_one_argument() -> None:
    schema = {**NAMED, "required": ["name"]}
    assert body(schema, {"body": {"name": "Ann"}}, required=False)[0] == b'{"name":"Ann"}'
    assert body(schema, {}, required=False) == (None, None)


def test_a_form_is_written_as_one() -> None:
    form = {"type": "object", "properties": {"a": {}, "b": {"type": "array"}, "c": {"type": "object"}}}
    written = body(form, {"a": "x&y=z", "b": [1, 2], "c": {"d": 1}}, kind="application/x-www-form-urlencoded")
    assert written == (b"a=x%26y%3Dz&b=1&b=2&c=%7B%22d%22%3A1%7D", "application/x-www-form-urlencoded")


def test_an_operation_that_takes_only_files_is_left_out() -> None:
    files = {"required": True, "content": {"multipart/form-data": {"schema": {}}}}
    paths = {"/up": {"post": {"requestBody": files}}, "/a": {"get": {}}}
    text = json.dumps({"openapi": "3.0.0", "servers": [{"url": "https://x"}], "paths": paths})
    assert OpenApiDocuments(ScriptedWeb(answered())).read(text).operations == ("get_a",)


def test_the_nearest_server_is_asked_with_its_defaults() -> None:
    def server(url: str) -> list[Any]:
        return [{"url": url, "variables": {"v": {"default": "v2", "enum": ["v1", "v2"]}}}]

    item = {"servers": server("https://path.example/{v}"), "get": {}, "put": {"servers": server("https://own.example")}}
    text = json.dumps(
        {"openapi": "3.0.0", "servers": server("http://all.example/"), "paths": {"/a": item, "/b": {"get": {}}}}
    )
    web = ScriptedWeb(answered())
    for runner in OpenApiDocuments(web).runners(ToolId("t"), text, Credentials()):
        asyncio.run(runner.run({}))
    assert [one.url for one in web.requests] == [
        "https://path.example/v2/a",
        "https://own.example/a",
        "http://all.example/b",
    ]


def test_names_that_clash_are_told_apart() -> None:
    parameters = [{"name": "id", "in": where, "required": where == "path", "schema": {}} for where in ("query", "path")]
    parameters += [{"name": "id_query", "in": "query", "schema": {}}]
    content = {"application/json": {"schema": {"type": "object", "properties": {"id": {}, "body": {}}}}}
    text = document("/{id}", "put", parameters=parameters, requestBody={"required": True, "content": content})
    request = sent(text, {"id": 1, "id_query": 2, "id_query_query": 3, "id_body": 4, "body": 5})
    assert request.url == "https://api.example/v1/1?id=2&id_query=3"
    assert request.body == b'{"id":4,"body":5}'
