"""The API's own description, and a page to read and try it: nothing of it is loaded from another host."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Litestar, Response, Router, get
from litestar.exceptions import NotFoundException
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath
from litestar.routes import HTTPRoute
from litestar.types import ControllerRouterHandler

from entrypoints.http.envelope import ErrorEnvelope
from entrypoints.http.error_shapes import COMPATIBLE, OpenAIError, is_compatible
from entrypoints.http.openai.bodies import CompletionBody

STATIC: Final = Path(__file__).parent / "static" / "docs"
ASSETS: Final = {"openapi-explorer.min.js": "text/javascript", "docs.css": "text/css"}

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_LONG_NAME: Final = re.compile(rb"(\w*Envelope)_(?:[\w.]+\.)?(\w+)_(?=\")")
"""Litestar names a generic after the modules of what it holds; clients generated from that would not be pretty."""

_HEADERS: Final = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>agentchat API</title>
<link rel="stylesheet" href="docs/assets/docs.css">
<script type="module" src="docs/assets/openapi-explorer.min.js"></script>
</head>
<body>
<openapi-explorer spec-url="docs/openapi.json" hide-console></openapi-explorer>
<noscript>The description of the API: <a href="docs/openapi.json">openapi.json</a></noscript>
</body>
</html>
"""


def docs_router(described: Sequence[ControllerRouterHandler], version: str) -> Router:
    """`/docs`, its script and style, and `/docs/openapi.json`, which is made when first asked for."""

    @cache
    def description() -> bytes:
        return describe(described, version)

    @get("/", sync_to_thread=False)
    def show_page() -> Response[str]:
        return Response(_PAGE, media_type="text/html", headers=_HEADERS)

    @get("/openapi.json", sync_to_thread=False)
    def show_description() -> Response[bytes]:
        return Response(description(), media_type="application/json")

    @get("/assets/{name:str}", sync_to_thread=True)
    def show_asset(name: FromPath[str]) -> Response[bytes]:
        if name not in ASSETS:
            raise NotFoundException
        headers = _HEADERS | {"Cache-Control": "public, max-age=86400"}
        return Response((STATIC / name).read_bytes(), media_type=ASSETS[name], headers=headers)

    handlers = [show_page, show_description, show_asset]
    return Router("/docs", route_handlers=handlers, include_in_schema=False, opt={"public": True})


def describe(described: Sequence[ControllerRouterHandler], version: str) -> bytes:
    """An application of its own makes the description, so that the serving one carries no routes of Litestar's."""
    config = OpenAPIConfig(
        title="agentchat",
        version=version,
        description=_DESCRIPTION,
        security=[{"bearerAuth": []}],
        components=Components(security_schemes={"bearerAuth": _BEARER}),
        use_handler_docstrings=True,
    )
    app = Litestar(route_handlers=described, openapi_config=config, logging_config=None)
    document = app.openapi_schema.to_schema()
    public, for_people = _operations_with(app, "public"), _operations_with(app, "for_people")
    shown = [ErrorEnvelope, OpenAIError, CompletionBody]
    _, schemas = msgspec.json.schema_components(shown, ref_template="#/components/schemas/{name}")
    document["components"]["schemas"].update(schemas)
    document["components"]["responses"] = {
        "Error": _error_response("ErrorEnvelope"),
        "OpenAIError": _error_response("OpenAIError"),
    }
    for path, item in document["paths"].items():
        for verb, operation in item.items():
            if isinstance(operation, dict) and "responses" in operation:
                if (path, verb) in public:
                    operation["security"] = [{}]
                if (path, verb) in for_people:
                    operation["x-agentchat-for-people"] = True
                _describe_errors(operation, "OpenAIError" if is_compatible(path) else "Error")
                _allow_no_body(operation)
    _describe_completions(document)
    return _LONG_NAME.sub(rb"\1_\2", msgspec.json.encode(document))


_BEARER: Final = SecurityScheme(
    type="http", scheme="bearer", bearer_format="JWT", description="The access token of a login, or an API key."
)

_DESCRIPTION: Final = """Users, agents, dialogs with streamed answers, models.

Every answer is `{"status_code", "status_message", "data"}`. A failure adds `error`: its `code` is stable, its
`fields` name what was wrong. The body's `status_code` is 200, 401, 403, 404 or 500; the HTTP status is precise.
"""


def _operations_with(app: Litestar, opt: str) -> set[tuple[str, str]]:
    """Path and verb of what is `public`, and asks for no token, or `for_people`, and to be called by no model."""
    return {
        (route.path_format, method.lower())
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.opt.get(opt)
        for method in handler.http_methods
    }


def _describe_completions(document: dict[str, Any]) -> None:
    """Their handler reads its body itself, for it may be large."""
    operation = document["paths"].get(f"{COMPATIBLE}/chat/completions", {}).get("post")
    if operation is not None:
        schema = {"$ref": "#/components/schemas/CompletionBody"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}


def _error_response(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    headers = {"X-Request-ID": {"schema": {"type": "string"}, "description": "The request's id in the server's log"}}
    return {"description": "A refusal: `error.code` says which.", "content": content, "headers": headers}


def _describe_errors(operation: dict[str, Any], kind: str) -> None:
    """Litestar describes its own error bodies, which no client ever sees."""
    error = {"$ref": f"#/components/responses/{kind}"}
    responses = operation["responses"]
    responses.pop("400", None)
    if operation.get("security") != [{}]:
        responses["401"] = error
    if operation.get("parameters") or operation.get("requestBody"):
        responses["422"] = error
    responses["default"] = error


def _allow_no_body(operation: dict[str, Any]) -> None:
    """Litestar calls every body required, also one that may be left out."""
    body = operation.get("requestBody")
    if body and {"type": "null"} in body["content"].get("application/json", {}).get("schema", {}).get("oneOf", ()):
        body["required"] = False
