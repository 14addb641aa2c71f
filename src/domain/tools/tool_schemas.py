"""Schemas that strangers wrote for their tools, made such that every vendor takes them.

A vendor refuses the whole request for one schema that is not as it wants it. What is left out is left to the tool to
judge: the mended schema never asks for more than the given one.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from domain.tools.tools import JsonValue

Schema = dict[str, JsonValue]

TYPES: Final = ("string", "number", "integer", "boolean", "object", "array", "null")
_KEY: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_DEEPEST: Final = 40
_LONGEST_PATTERN: Final = 1_000
_AT_THE_TOP: Final = ("allOf", "anyOf", "oneOf", "enum", "not", "const", "if", "then", "else", "$ref")
"""Vendors want properties there, and nothing else."""


class CanNotBeMended(Exception):
    """Why, in words for the person whose tool it is."""


def mended(schema: Mapping[str, JsonValue]) -> Schema:
    """Raises CanNotBeMended."""
    if schema.get("type", "object") not in ("object", ["object"]):
        raise CanNotBeMended("its arguments are no object")
    whole = {**_schema(dict(schema), 0), "type": "object"}
    _spread(whole)
    for name in _AT_THE_TOP:
        whole.pop(name, None)
    if not isinstance(schema.get("properties", {}), dict):
        whole["properties"] = {}
    if unnamed := [name for name in _required(schema) if name in _given(schema) and not _KEY.fullmatch(name)]:
        raise CanNotBeMended(f"no model can be asked for an argument of the name {unnamed[0][:40]!r}")
    _without_lost_references(whole, whole)
    return whole


def _spread(whole: Schema) -> None:
    """What one of several forms has is what may be given; what all have stays required."""
    for keyword in ("allOf", "anyOf", "oneOf"):
        forms = whole.get(keyword)
        for form in forms if isinstance(forms, list) else ():
            if not isinstance(form, dict):
                continue
            properties = {**_given(form), **_given(whole)}
            if properties:
                whole["properties"] = properties
            if keyword == "allOf" and (needed := [*_required(whole), *_required(form)]):
                whole["required"] = list(dict.fromkeys(name for name in needed if name in properties))


def _given(schema: Mapping[str, JsonValue]) -> Schema:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def _required(schema: Mapping[str, JsonValue]) -> list[str]:
    required = schema.get("required")
    return [one for one in required if isinstance(one, str)] if isinstance(required, list) else []


def _schema(value: JsonValue, depth: int) -> Schema:
    if not isinstance(value, dict) or depth > _DEEPEST:
        return {"not": {}} if value is False else {}
    schema: Schema = {}
    for name, said in value.items():
        reader = _KEYWORDS.get(name)
        read = None if reader is None else reader(said, depth + 1)
        if read is not None or (name in ("const", "default") and said is None):
            schema[name] = read
    kind = schema.get("type")
    if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and "items" not in schema:
        schema["items"] = {}
    required: list[JsonValue] = [name for name in _required(schema) if name in _given(schema)]
    schema.pop("required", None)
    return {**schema, "required": required} if required else schema


def _without_lost_references(value: JsonValue, whole: Schema) -> None:
    """Only what leads to a schema within stays; it is looked up in what is sent."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and not _leads_somewhere(reference, whole):
            del value["$ref"]
        for one in value.values():
            _without_lost_references(one, whole)
    elif isinstance(value, list):
        for one in value:
            _without_lost_references(one, whole)


def _leads_somewhere(reference: str, whole: Schema) -> bool:
    top, _, path = reference.partition("/")
    found: JsonValue = whole
    steps = path.split("/")
    if top != "#" or steps[0] not in ("$defs", "definitions", "properties"):
        return False
    for step in steps:
        if not isinstance(found, dict):
            return False
        found = found.get(step.replace("~1", "/").replace("~0", "~"))
    # One reference to another may lead in a circle, which no value ever fits.
    return isinstance(found, dict) and "$ref" not in found


_Reader = Callable[[JsonValue, int], JsonValue]
"""None for what says nothing that a vendor would take."""


def _type(value: JsonValue, _: int) -> JsonValue:
    if isinstance(value, list):
        return list(dict.fromkeys(one for one in value if isinstance(one, str) and one in TYPES)) or None
    return value if isinstance(value, str) and value in TYPES else None


def _text(value: JsonValue, _: int) -> JsonValue:
    return value if isinstance(value, str) else None


def _pattern(value: JsonValue, _: int) -> JsonValue:
    return value if isinstance(value, str) and len(value) <= _LONGEST_PATTERN else None


def _number(value: JsonValue, _: int) -> JsonValue:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if good else None


def _above_0(value: JsonValue, depth: int) -> JsonValue:
    number = _number(value, depth)
    return number if isinstance(number, int | float) and number > 0 else None


def _count(value: JsonValue, _: int) -> JsonValue:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _flag(value: JsonValue, _: int) -> JsonValue:
    return value if isinstance(value, bool) else None


def _plain(value: JsonValue, _: int) -> JsonValue:
    return value


def _choices(value: JsonValue, _: int) -> JsonValue:
    return value if isinstance(value, list) and value else None


def _inner(value: JsonValue, depth: int) -> JsonValue:
    return _schema(value, depth) if isinstance(value, dict | bool) else None


def _closed_or_inner(value: JsonValue, depth: int) -> JsonValue:
    return value if isinstance(value, bool) else _inner(value, depth)


def _several(value: JsonValue, depth: int) -> JsonValue:
    forms = [_schema(one, depth) for one in value if isinstance(one, dict | bool)] if isinstance(value, list) else []
    return forms or None  # type: ignore[return-value]


def _properties(value: JsonValue, depth: int) -> JsonValue:
    if not isinstance(value, dict):
        return None
    return {name: _schema(one, depth) for name, one in value.items() if _KEY.fullmatch(name)}


def _named(value: JsonValue, depth: int) -> JsonValue:
    return {name: _schema(one, depth) for name, one in value.items()} if isinstance(value, dict) else None


def _names(value: JsonValue, _: int) -> JsonValue:
    return list(dict.fromkeys(_required({"required": value}))) or None


_KEYWORDS: Final[Mapping[str, _Reader]] = {
    "type": _type,
    "pattern": _pattern,
    "required": _names,
    "enum": _choices,
    "examples": _choices,
    "properties": _properties,
    "multipleOf": _above_0,
    "uniqueItems": _flag,
    **dict.fromkeys(("const", "default"), _plain),
    **dict.fromkeys(("title", "description", "format", "$ref"), _text),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _number),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _count),
    **dict.fromkeys(("items", "not", "contains", "if", "then", "else", "propertyNames"), _inner),
    "additionalProperties": _closed_or_inner,
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _several),
    **dict.fromkeys(("patternProperties", "$defs", "definitions"), _named),
}
