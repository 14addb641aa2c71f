"""What schemas weigh in a request to a model, and the same schemas, lighter."""

import json
from collections.abc import Iterable
from typing import Final

from adapters.openapi.limits import SCHEMA_TOKENS
from adapters.openapi.schemas import Schema
from domain.tokens import estimate
from domain.tools.tool_schemas import TYPES
from domain.tools.tools import JsonValue

MOST_DEPTH: Final = 6
_CHARACTERS: Final = 4 * SCHEMA_TOKENS
_BY_NAME: Final = ("properties", "patternProperties", "dependentSchemas")
_SEVERAL: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_ONE: Final = ("items", "additionalProperties")
_STRICTER: Final = (
    *("not", "if", "then", "else", "contains", "minContains", "maxContains", "propertyNames"),
    *("unevaluatedProperties", "unevaluatedItems"),
)


def fits(schemas: Iterable[Schema]) -> bool:
    left = SCHEMA_TOKENS
    for schema in schemas:
        text = json.dumps(schema, ensure_ascii=False)
        left -= estimate(text) if len(text) <= _CHARACTERS else SCHEMA_TOKENS + 1
        if left < 0:
            return False
    return True


def lighter(schema: Schema, depth: int) -> Schema:
    """To that depth the same; from there on types alone, so that a model may still write what belongs there.

    What would refuse more when schemas within it say less is left out.
    """
    if depth <= 0:
        return outline(schema)
    light: Schema = {}
    for name, value in schema.items():
        if name in _BY_NAME and isinstance(value, dict):
            light[name] = {key: _inner(one, depth) for key, one in value.items()}
        elif name in _SEVERAL and isinstance(value, list):
            light["anyOf" if name == "oneOf" else name] = [_inner(one, depth) for one in value]
        elif name in _ONE:
            light[name] = _inner(value, depth)
        elif name not in _STRICTER:
            light[name] = value
    return light


def _inner(value: JsonValue, depth: int) -> JsonValue:
    return lighter(value, depth - 1) if isinstance(value, dict) else value


def outline(schema: JsonValue) -> Schema:
    kind = schema.get("type") if isinstance(schema, dict) else None
    kinds = kind if isinstance(kind, list) else [kind]
    return {"type": kind} if kind and all(one in TYPES for one in kinds) else {}


def unique_values(schemas: Iterable[JsonValue]) -> int:
    """Values that are kept, the shared ones once."""
    seen = set[int]()
    count, todo = 0, list(schemas)
    while todo:
        one = todo.pop()
        count += 1
        if isinstance(one, dict | list) and id(one) not in seen:
            seen.add(id(one))
            todo.extend(one.values() if isinstance(one, dict) else one)
    return count
