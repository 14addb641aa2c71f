"""The text of a document, JSON or YAML, as values of bounded size."""

import json
import math
from typing import Final

from adapters.openapi.limits import CHARACTERS, DEPTH, NODES
from adapters.openapi.places import FIELD, wrong
from adapters.openapi.yaml_text import BadYaml, read_yaml
from domain.errors import InvalidValue
from domain.tools.tools import JsonValue

_WHITE: Final = " \t\r\n\ufeff"


class _Twice(Exception):
    """A name that an object has twice: two readers may see two documents."""


def read_text(text: str) -> dict[str, JsonValue]:
    """Raises InvalidValue `openapi_schema`."""
    if len(text) > CHARACTERS:
        raise InvalidValue(FIELD, f"at most {CHARACTERS} characters")
    text = text.lstrip(_WHITE)
    if not text:
        raise InvalidValue(FIELD, "is empty")
    document = _json(text) if text.startswith("{") else _yaml(text)
    if not isinstance(document, dict):
        raise InvalidValue(FIELD, "must be an object with `openapi`, `info` and `paths`")
    _measure(document)
    return document


def _yaml(text: str) -> JsonValue:
    try:
        return read_yaml(text)
    except BadYaml as problem:
        raise InvalidValue(FIELD, str(problem)) from problem


def _json(text: str) -> JsonValue:
    try:
        document: JsonValue = json.loads(text, object_pairs_hook=_once, parse_float=_finite, parse_constant=_finite)
    except json.JSONDecodeError as problem:
        raise InvalidValue(FIELD, f"line {problem.lineno}, column {problem.colno}: {problem.msg}") from problem
    except _Twice as problem:
        raise InvalidValue(FIELD, f"the name {problem} stands twice in one object") from problem
    except RecursionError as problem:
        raise InvalidValue(FIELD, f"nested deeper than {DEPTH} levels") from problem
    except ValueError as problem:
        raise InvalidValue(FIELD, "it holds a number that is too large or none") from problem
    return document


def _once(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen = set[str]()
        raise _Twice(repr(next(name for name, _ in pairs if name in seen or seen.add(name))[:80]))  # type: ignore[func-returns-value]
    return made


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _measure(document: JsonValue) -> None:
    """Not more, and not deeper, than allowed; no text that can't be sent on."""
    left = NODES
    todo: list[tuple[JsonValue, str, int]] = [(document, "", 0)]
    while todo:
        value, place, depth = todo.pop()
        left -= 1
        if left < 0:
            raise InvalidValue(FIELD, f"the document has more than {NODES} values, repeated ones included")
        if depth > DEPTH:
            raise wrong(place, f"nested deeper than {DEPTH} levels")
        if isinstance(value, dict):
            for name, inner in value.items():
                _check_text(name, place)
                todo.append((inner, f"{place}.{name}" if depth < 8 else place, depth + 1))
        elif isinstance(value, list):
            todo.extend((inner, place, depth + 1) for inner in value)
        elif isinstance(value, str):
            _check_text(value, place)


def _check_text(text: str, place: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise wrong(place, "holds half of a character") from problem
