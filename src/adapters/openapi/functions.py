"""An operation as a function: one schema of arguments, and which argument goes where."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from adapters.openapi.operations import In, Operation, Parameter
from adapters.openapi.schemas import Schema, shortened
from domain.ids import ToolId
from domain.tools.credentials import Credentials
from domain.tools.tool_names import numbered, tool_name
from domain.tools.tools import JsonValue, ToolSpec

Provided = tuple[frozenset[str], frozenset[str]]
"""Names of headers, in lower case, and of query parameters."""
_BODY: Final = "body"
_LIFTED: Final = frozenset({"type", "properties", "required", "description"})
"""What a body may say for its properties to be arguments themselves; more would be lost."""


@dataclass(frozen=True, slots=True)
class Function:
    """`parameters` and `lifted` by the name of the argument; `whole`: the argument that is the body."""

    spec: ToolSpec
    operation: Operation
    parameters: Mapping[str, Parameter]
    lifted: Mapping[str, str]
    whole: str | None


class _Arguments:
    """Names that nobody else has, and that both vendors take."""

    def __init__(self) -> None:
        self.properties: dict[str, JsonValue] = {}
        self.required: list[JsonValue] = []

    def add(self, name: str, where: str, schema: Schema, *, required: bool) -> str:
        offered = tool_name(name, otherwise=where)
        if offered in self.properties:
            offered = stem = tool_name(f"{offered[: 63 - len(where)]}_{where}")
            number = 2
            while offered in self.properties:
                offered, number = numbered(stem, number), number + 1
        if offered != name and tool_name(name, otherwise="") != name:
            schema = {**schema, "description": shortened(f"{name}: {schema.get('description', '')}".rstrip(": "))}
        self.properties[offered] = schema
        if required:
            self.required.append(offered)
        return offered


def function_of(operation: Operation, provided: Provided) -> Function:
    """Without what the credentials provide; of no tool yet."""
    arguments = _Arguments()
    parameters = {
        arguments.add(one.name, one.where, one.schema, required=one.required): one
        for one in operation.parameters
        if not (operation.proves and _provided(one, provided))
    }
    lifted: dict[str, str] = {}
    whole = None
    if operation.body is not None:
        body = _lifted(operation.body.schema, required=operation.body.required)
        if body is None:
            whole = arguments.add(_BODY, "json", operation.body.schema, required=operation.body.required)
        else:
            inner, needed = body
            for name, schema in inner.items():
                offered = arguments.add(name, _BODY, _schema(schema), required=name in needed)
                lifted[offered] = name
    spec = ToolSpec(
        tool_id=ToolId(""),
        name=operation.name,
        title=operation.title,
        description=shortened(operation.description or f"{operation.method} {operation.path}"),
        parameters={
            "type": "object",
            "properties": arguments.properties,
            "required": arguments.required,
            "additionalProperties": False,
        },
        origin=f"{operation.method} {operation.server}{operation.path}",
    )
    return Function(spec, operation, parameters, lifted, whole)


def provided_by(credentials: Credentials) -> Provided:
    """What functions differ by: the names alone."""
    headers = frozenset(name.lower() for name, _ in credentials.headers)
    return headers, frozenset(name for name, _ in credentials.query)


def _provided(parameter: Parameter, provided: Provided) -> bool:
    headers, query = provided
    match parameter.where:
        case In.HEADER:
            return parameter.name.lower() in headers
        case In.COOKIE:
            return "cookie" in headers
        case In.QUERY:
            return parameter.name in query
        case _:
            return False


def _lifted(schema: Schema, *, required: bool) -> tuple[Mapping[str, JsonValue], list[str]] | None:
    """The properties of a body, and those that it must have; None where the body must be one argument.

    A body that may be left out, but must be whole if it is there, is one argument too.
    """
    merged = _merged(schema if required else _not_null(schema))
    if merged is None or not merged[0] or (merged[1] and not required):
        return None
    return merged


def _not_null(schema: Schema) -> Schema:
    """Of a body that is an object or null, the object: null is then the body that is left out."""
    for word in ("oneOf", "anyOf"):
        parts = schema.get(word)
        if isinstance(parts, list) and schema.keys() <= {word, "description", "default"}:
            others = [part for part in parts if part != {"type": "null"}]
            if len(others) == 1 and len(parts) == 2:
                return _schema(others[0])
    return schema


def _merged(schema: Schema) -> tuple[dict[str, JsonValue], list[str]] | None:
    """An object's properties, those of several that it must be all of together."""
    parts = schema.get("allOf")
    if isinstance(parts, list) and schema.keys() <= {"allOf", *_LIFTED}:
        own = {name: value for name, value in schema.items() if name != "allOf"}
        return _together([*parts, own] if own.keys() & {"properties", "required"} else parts)
    closed = schema.get("additionalProperties", False) is False
    if not closed or not schema.keys() <= {*_LIFTED, "additionalProperties"}:
        return None
    if schema.get("type", "object") != "object" or not schema.keys() & {"properties", "required"}:
        return None
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        return None
    needed = list(map(str, required))
    return {**{name: {} for name in needed}, **properties}, needed


def _together(parts: list[JsonValue]) -> tuple[dict[str, JsonValue], list[str]] | None:
    properties: dict[str, JsonValue] = {}
    required: list[str] = []
    for part in parts:
        found = _merged(_schema(part))
        if found is None or (len(parts) > 1 and "additionalProperties" in _schema(part)):
            return None
        for name, schema in found[0].items():
            before = properties.get(name)
            # What only stands under `required` in one part is described in another.
            properties[name] = (
                {"allOf": [before, schema]} if before and schema and before != schema else before or schema
            )
        required.extend(name for name in found[1] if name not in required)
    return properties, required


def _schema(value: JsonValue) -> Schema:
    return value if isinstance(value, dict) else {}
