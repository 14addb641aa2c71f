"""The documentation's page of the API names every address and every error code that the source has."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()
SOURCE = sorted((ROOT / "src").rglob("*.py"))
VERBS = {"get", "post", "put", "delete"}
REFUSALS = {
    "Conflict",
    "Forbidden",
    "Unauthenticated",
    "TooManyRequests",
    "Unavailable",
    "ModelError",
    "RunFailed",
    "UpstreamFailed",
}


@cache
def calls() -> list[tuple[str, ast.Call]]:
    nodes = (node for path in SOURCE for node in ast.walk(ast.parse(path.read_text())))
    return [(node.func.id, node) for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]


def words(node: ast.expr | None) -> list[str]:
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [word for item in items for word in words(item)]
        case _:
            return []


def codes() -> Iterator[str]:
    for name, call in calls():
        first = call.args[0] if call.args else None
        if name in REFUSALS:
            yield from words(first)
        if name == "NotFound":
            yield from (f"{word}_not_found" for word in words(first))
        if name == "Refusal" and len(call.args) > 1:
            yield from words(call.args[1])
        for keyword in call.keywords:
            if keyword.arg == "code":
                yield from words(keyword.value)


def addresses() -> Iterator[tuple[str, str]]:
    for name, call in calls():
        if name in VERBS and call.args:
            yield from ((name.upper(), re.sub(r":\w+", "", path).rstrip("/")) for path in words(call.args[0]))


@pytest.mark.parametrize("code", sorted(set(codes())))
def test_every_error_code_is_on_the_page(code: str) -> None:
    assert f"`{code}`" in PAGE


@pytest.mark.parametrize(("verb", "path"), sorted(set(addresses())))
def test_every_address_is_on_the_page(verb: str, path: str) -> None:
    assert re.search(rf"`{verb} (/api/v1|/docs)?{re.escape(path)}[`?]", PAGE), f"{verb} {path}"


def test_every_page_is_in_the_navigation_and_every_decision_is_named_by_its_number() -> None:
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text())) == pages
    for path in (ROOT / "docs" / "adr").glob("*.md"):
        assert path.read_text().startswith(f"# {path.name[:4]}: ")
