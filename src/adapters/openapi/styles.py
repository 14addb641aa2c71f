"""How values stand in addresses, headers and cookies: the styles of OpenAPI (those of RFC 6570)."""

import json
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

from adapters.openapi.operations import Parameter
from domain.tools.tools import JsonValue

_RESERVED: Final = ":/?@!$'()*,;"
"""What may stay as it is in a query where the document says so; never what parts it, nor `+`, which is a blank."""
_EXACT: Final = 1 << 53
_DEEPEST: Final = 20

Pairs = list[tuple[str, str]]
Encode = Callable[[str], str]


def text_of(value: JsonValue) -> str:
    """A single value; one within another as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    return compact(value)


def compact(value: JsonValue) -> str:
    """Raises ValueError for what JSON can't say."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def encoded(text: str) -> str:
    """Raises UnicodeEncodeError for half a character."""
    return quote(text, safe="")


def in_path(parameter: Parameter, value: JsonValue) -> str:
    if parameter.as_json:
        return encoded(compact(value))
    name = encoded(parameter.name)
    match parameter.style:
        case "label":
            return "." + _joined(value, encoded, "." if parameter.explode else ",", explode=parameter.explode)
        case "matrix" if isinstance(value, list | dict) and parameter.explode:
            pairs = value.items() if isinstance(value, dict) else ((parameter.name, one) for one in value)
            return "".join(f";{encoded(inner)}={encoded(text_of(one))}" for inner, one in pairs)
        case "matrix":
            return f";{name}={_joined(value, encoded, ',', explode=False)}"
        case _:
            return _joined(value, encoded, ",", explode=parameter.explode)


def in_header(parameter: Parameter, value: JsonValue) -> str:
    if parameter.as_json:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    return _joined(value, str, ",", explode=parameter.explode)


def in_query(parameter: Parameter, value: JsonValue) -> Pairs:
    """Names and values, encoded. A list or object that is empty is not there."""

    def encode(text: str) -> str:
        return quote(text, safe=_RESERVED if parameter.reserved else "")

    if parameter.as_json:
        return [(parameter.name, encoded(compact(value)))]
    if not isinstance(value, list | dict):
        return [(parameter.name, encode(text_of(value)))]
    if not value:
        return []
    if parameter.style == "deepObject":
        return [(name, encode(text_of(one))) for name, one in _deep(parameter.name, value, 0)]
    if parameter.explode:
        pairs = value.items() if isinstance(value, dict) else ((parameter.name, one) for one in value)
        return [(name, encode(text_of(one))) for name, one in pairs]
    separator = {"spaceDelimited": "%20", "pipeDelimited": "%7C"}.get(parameter.style, ",")
    # A comma within a value must not part it, whatever else may stay as it is.
    return [(parameter.name, _joined(value, encoded, separator, explode=False))]


def in_form(value: JsonValue) -> str:
    """A body as a form has it: lists as repeated fields, what is within as JSON."""
    pairs: Pairs = []
    for name, one in value.items() if isinstance(value, dict) else ():
        pairs += [(name, text_of(inner)) for inner in (one if isinstance(one, list) else [one])]
    return "&".join(f"{encoded(name)}={encoded(text)}" for name, text in pairs)


def _joined(value: JsonValue, encode: Encode, separator: str, *, explode: bool) -> str:
    if isinstance(value, dict):
        between = "=" if explode else separator
        return separator.join(f"{encode(name)}{between}{encode(text_of(one))}" for name, one in value.items())
    if isinstance(value, list):
        return separator.join(encode(text_of(one)) for one in value)
    return encode(text_of(value))


def _deep(name: str, value: JsonValue, depth: int) -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, dict) and depth < _DEEPEST:
        for inner, one in value.items():
            yield from _deep(f"{name}[{inner}]", one, depth + 1)
    elif isinstance(value, list):
        yield from ((name, one) for one in value)
    else:
        yield name, value
