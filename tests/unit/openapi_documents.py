"""Documents with operations of every kind, and a reader of requests that knows nothing of how they were made."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema
from hypothesis import strategies as st

from application.ports.guarded_web import WebRequest

Json = Any
WHERE = ("path", "query", "header", "cookie")
names = st.sampled_from(["id", "body", "name", "user.id", "page-size", "城市", "a b", "x[y]", "id_query", "q" * 70])
tokens = st.sampled_from(["id", "X-Trace", "body", "name", "id_query"])
plain = st.one_of(
    st.just({"type": "string"}),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(-3, 3)}),
    st.just({"type": "boolean"}),
    st.just({"type": "string", "enum": ["a b", "c&d=e", "ü/?#", "x"]}),
    st.just({"type": "string", "minLength": 2, "default": "no"}),
)


def requiring(schema: Json) -> st.SearchStrategy[Json]:
    choices = st.sets(st.sampled_from(sorted(schema["properties"]))) if schema["properties"] else st.just(set[str]())
    return choices.map(lambda chosen: {**schema, "required": sorted(chosen)})


def heirs(inner: Json) -> st.SearchStrategy[Json]:
    """All that another schema says, and properties of one's own."""
    own = requiring({"type": "object", "properties": {"own": inner, "b c": {"type": "boolean"}}})
    return own.map(lambda more: {"allOf": [{"$ref": "#/components/schemas/Named"}, more]})


def tagged(inner: Json) -> st.SearchStrategy[Json]:
    """One of several that a tag tells apart, or none of them."""
    forms = [
        {"type": "object", "properties": {"tag": {"enum": [tag]}, "of it": inner}, "required": ["tag"]}
        for tag in ("cat", "dog")
    ]
    return st.sampled_from([forms, [*forms, {"type": "null"}]]).map(lambda several: {"oneOf": several})


schemas = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}, optional={"maxItems": st.just(3)}),
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(names, inner, max_size=3)},
            optional={"additionalProperties": st.just(False)},
        ).flatmap(requiring),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=1)}),
        inner.flatmap(heirs),
        inner.flatmap(tagged),
        st.just({"$ref": "#/components/schemas/Named"}),
    ),
    max_leaves=4,
)


def parameters(where: str) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(
        {
            "in": st.just(where),
            "name": tokens if where in ("header", "cookie") else names,
            "required": st.just(True) if where == "path" else st.booleans(),
            "schema": plain,
        }
    )


@st.composite
def operations(draw: st.DrawFn) -> tuple[str, Json]:
    found = draw(
        st.lists(
            st.sampled_from(WHERE).flatmap(parameters),
            max_size=5,
            unique_by=lambda one: (one["in"], one["name"].lower()),
        )
    )
    holes = [one["name"] for one in found if one["in"] == "path"]
    operation: Json = {"parameters": found}
    if draw(st.booleans()):
        operation["requestBody"] = {
            "required": draw(st.booleans()),
            "content": {"application/json": {"schema": draw(schemas)}},
        }
    if draw(st.booleans()):
        operation["operationId"] = draw(st.sampled_from(["same", "查询", "a" * 80, "x y"]))
    return "".join(f"/p{{{name}}}" for name in holes) or "/p", operation


@st.composite
def documents(draw: st.DrawFn) -> Json:
    paths = {
        f"/{number}{path}": {draw(st.sampled_from(["post", "put", "delete"])): operation}
        for number, (path, operation) in enumerate(draw(st.lists(operations(), min_size=1, max_size=3)))
    }
    return {
        "openapi": draw(st.sampled_from(["3.0.3", "3.1.0"])),
        "info": {"title": "t"},
        "servers": [{"url": "https://api.example/v1"}],
        "paths": paths,
        "components": {"schemas": {"Named": {"type": "object", "properties": {"id": {"type": "string"}}}}},
    }


def wrongs(document: Json, request: WebRequest) -> list[str]:
    """Whatever of the request the document does not allow: read back from the wire, without our code."""
    url = urlsplit(request.url)
    assert f"{url.scheme}://{url.netloc}" == "https://api.example"
    assert url.path.startswith("/v1/")
    template, values = route(document, url.path.removeprefix("/v1"))
    operation = document["paths"][template][request.method.lower()]
    query = dict(parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query)))
    headers = {name.lower(): value for name, value in request.headers}
    cookies = dict(one.split("=", 1) for one in headers.pop("cookie", "").split("; ") if one)
    sent = {"path": values, "query": query, "header": headers, "cookie": {n: unquote(v) for n, v in cookies.items()}}
    found = []
    for parameter in operation["parameters"]:
        name, place = parameter["name"], sent[parameter["in"]]
        value = place.pop(name.lower() if parameter["in"] == "header" else name, None)
        if value is None:
            found += [f"{name} is missing"] if parameter["required"] else []
        elif not valid(document, parameter["schema"], typed(value, parameter["schema"])):
            found.append(f"{name} is {value!r}")
    body = operation.get("requestBody")
    if request.body is not None:
        schema = body["content"][headers["content-type"]]["schema"]
        found += [] if valid(document, schema, json.loads(request.body)) else [f"the body is {request.body!r}"]
    elif body and body["required"]:
        found.append("the body is missing")
    for known in ("accept", "content-type"):
        sent["header"].pop(known, None)
    return [*found, *(f"{place} has {left}" for place, left in sent.items() if left)]


def route(document: Json, path: str) -> tuple[str, dict[str, str]]:
    for template in document["paths"]:
        parts = re.split(r"\{([^{}]*)\}", template)
        pattern = "".join("([^/]+)" if at % 2 else re.escape(part) for at, part in enumerate(parts))
        if match := re.fullmatch(pattern, path):
            return template, dict(zip(parts[1::2], map(unquote, match.groups()), strict=True))
    raise AssertionError(f"no path is {path}")


def typed(text: str, schema: Json) -> Json:
    return text if schema["type"] == "string" else json.loads(text)


def valid(document: Json, schema: Json, value: Json) -> bool:
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]}).is_valid(value)


def arguments(schema: Json) -> st.SearchStrategy[Json]:
    """Values that the function's own schema allows."""
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return st.sampled_from(schema[word]).flatmap(arguments)
    if "allOf" in schema:
        return st.tuples(*map(arguments, schema["allOf"])).map(together)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema.get("type"):
        case "object":
            properties = {name: arguments(inner) for name, inner in schema.get("properties", {}).items()}
            needed = {name: properties.pop(name) for name in schema.get("required", []) if name in properties}
            return st.fixed_dictionaries(needed, optional=properties)
        case "array":
            return st.lists(arguments(schema["items"]), max_size=3)
        case "integer":
            return st.integers(schema.get("minimum", -5), 2**60)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return hostile_text(schema.get("minLength", 0))


def together(parts: tuple[Json, ...]) -> Json:
    """What fits the only schema, or the properties that each of several wants."""
    return parts[0] if len(parts) == 1 else {name: value for part in parts for name, value in part.items()}


def hostile_text(least: int) -> st.SearchStrategy[str]:
    special = st.sampled_from(
        ["a/b", "?x=1&y=2", "#f", "a b", " x ", "%2e%2e", "é城", "a;b=c, d", '"', "+", "&id=2", "..x", "true"]
    )
    return (special | st.text(st.characters(codec="utf-8"), max_size=8)).map(lambda text: text.ljust(least, "z"))
