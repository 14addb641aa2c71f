"""The house stays as it was drawn: whose packages these are, how long anything may be, what a route must have."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_origin

import pytest
from dishka import make_async_container
from dishka.integrations.litestar import LitestarProvider
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from entrypoints.http.app import HttpConfig, create_app

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for path in (ROOT / "src").rglob("*.py") if "versions" not in path.parts)
"""Migrations aside: they spell whole tables out."""
MAX_FILE = 300
MAX_FUNCTION = 45


def handlers() -> list[tuple[str, HTTPRouteHandler]]:
    app = create_app(make_async_container(LitestarProvider()), HttpConfig())
    routes = [route for route in app.routes if isinstance(route, HTTPRoute)]
    found = [(route.path, handler) for route in routes for handler in route.route_handlers]
    shown = [(path, handler) for path, handler in found if handler.http_methods != {"OPTIONS"}]
    return sorted(shown, key=lambda one: (one[0], sorted(one[1].http_methods)))


HANDLERS = handlers()
API = [(path, handler) for path, handler in HANDLERS if not path.startswith("/docs")]


def named(one: tuple[str, HTTPRouteHandler]) -> str:
    return f"{'/'.join(sorted(one[1].http_methods))} {one[0]}"


@pytest.mark.parametrize("package", ["domain", "application", "adapters", "entrypoints"])
def test_the_packages_are_ours(package: str) -> None:
    """`domain` and `application` are names that a stranger's package could take."""
    found = importlib.import_module(package).__file__
    assert found is not None
    assert Path(found).is_relative_to(ROOT / "src")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    assert [name for name, length in functions(text) if length > MAX_FUNCTION] == []


def functions(text: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


@pytest.mark.parametrize("route", HANDLERS, ids=named)
def test_what_a_handler_asks_of_the_container_is_injected(route: tuple[str, HTTPRouteHandler]) -> None:
    """@inject sits below the route decorator: missing or above it, the first request is a 400."""
    left = [name for name, parameter in inspect.signature(route[1].fn).parameters.items() if is_asked(parameter)]
    assert left == []


def is_asked(parameter: inspect.Parameter) -> bool:
    return any(type(note).__name__ == "_FromComponent" for note in getattr(parameter.annotation, "__metadata__", ()))


def test_that_test_sees_a_handler_without_inject() -> None:
    from dishka import FromDishka

    def bare(create: FromDishka[Path]) -> None: ...

    assert is_asked(inspect.signature(bare).parameters["create"])


@pytest.mark.parametrize("route", API, ids=named)
def test_success_is_always_200(route: tuple[str, HTTPRouteHandler]) -> None:
    assert route[1].status_code == 200


@pytest.mark.parametrize("route", API, ids=named)
def test_every_route_is_described(route: tuple[str, HTTPRouteHandler]) -> None:
    assert route[1].summary
    assert route[1].resolve_include_in_schema()


@pytest.mark.parametrize("route", API, ids=named)
def test_no_handler_returns_an_entity(route: tuple[str, HTTPRouteHandler]) -> None:
    """msgspec encodes any dataclass: an entity that is returned would show its password hash."""
    answer: Any = route[1].parsed_return_field.annotation
    assert not (get_origin(answer) or answer).__module__.startswith(("domain", "application"))
    assert "domain." not in repr(answer)
