"""Schemas of a document as JSON Schema 2020-12 without references: what both vendors take.

Every keyword is looked at, so that a mistake is named where it stands. What says nothing about values is left out.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final

from adapters.openapi.limits import DEPTH, DESCRIPTION
from adapters.openapi.places import Node
from domain.tools.tool_schemas import TYPES
from domain.tools.tools import JsonValue

Schema = dict[str, JsonValue]
Seen = dict[tuple[int, ...], tuple[Schema, int, int]]
"""What was read behind references, what it cost and how deep it lay, by how it was come to: operations share it."""

_LONGEST_PATTERN: Final = 1_000


class TooManyNodes(Exception):
    """The schema is larger than its budget."""


class SchemaReader:
    """Of one operation. References are followed `follow` deep, and never into themselves.

    `of_3_0`: `nullable` and flags that 3.1 has no more. Beyond the depth a schema says no more than its type, so
    that the model still may write what belongs there.
    """

    def __init__(self, *, of_3_0: bool, follow: int, budget: int, seen: Seen) -> None:
        self.of_3_0 = of_3_0
        self._follow = follow
        self._left = budget
        self._budget = budget
        self._depth = 0
        self._open: list[int] = []
        self._seen = seen

    @property
    def looked_at(self) -> int:
        return self._budget - self._left

    def read(self, node: Node) -> Schema:
        """Raises InvalidValue and TooManyNodes."""
        self._spend(1)
        if self._depth > DEPTH:
            raise TooManyNodes
        if isinstance(node.value, bool):
            return {} if node.value else {"not": {}}
        self._depth += 1
        schema = self._keywords(node) if node.reference is None else self._referred(node)
        self._depth -= 1
        return schema

    def _keywords(self, node: Node) -> Schema:
        schema: Schema = {}
        for name, value in node.mapping.items():
            reader = _KEYWORDS.get(name)
            if reader is not None and not (value is None and name not in ("const", "default")):
                schema[name] = reader(self, Node(value, f"{node.place}.{name}", node.root))
        self._without_read_only(node, schema)
        return _mended(_of_3_0(node, schema) if self.of_3_0 else schema)

    def _referred(self, node: Node) -> Schema:
        target = node.target()
        if id(target.value) in self._open or len(self._open) >= self._follow:
            found = _outline(target)
        else:
            found = self._shared(target)
        beside = {name: value for name, value in node.mapping.items() if name != "$ref"}
        if self.of_3_0:
            beside = {name: value for name, value in beside.items() if name == "description"}
        more = self.read(Node(beside, node.place, node.root)) if beside else {}
        if more.keys() <= {"description", "default"}:
            return {**found, **more}
        return {"allOf": [found, more]}

    def _shared(self, target: Node) -> Schema:
        self._open.append(id(target.value))
        # What is open bounds how deep is followed within, and where it ends.
        key = (self._follow, *self._open)
        found, cost, depth = self._seen.get(key, ({}, 0, -1))
        if self._depth <= depth:
            self._spend(cost)
        else:
            before = self._left
            found = self.read(target)
            self._seen[key] = found, before - self._left, self._depth
        self._open.pop()
        return found

    def _without_read_only(self, node: Node, schema: Schema) -> None:
        """What only answers hold is not asked for."""
        properties, declared = schema.get("properties"), node.mapping.get("properties")
        if not isinstance(properties, dict) or not isinstance(declared, dict):
            return
        shown = [name for name, value in declared.items() if not (isinstance(value, dict) and value.get("readOnly"))]
        schema["properties"] = {name: properties[name] for name in shown}
        required = schema.get("required")
        if isinstance(required, list):
            schema["required"] = [name for name in required if name in shown or name not in declared]

    def schema(self, node: Node) -> JsonValue:
        return self.read(node)

    def closed_or_schema(self, node: Node) -> JsonValue:
        return node.value if isinstance(node.value, bool) else self.read(node)

    def several(self, node: Node) -> JsonValue:
        if not isinstance(node.value, list) or not node.value:
            raise node.wrong("must be a list of schemas")
        return [self.read(Node(one, f"{node.place}[{at}]", node.root)) for at, one in enumerate(node.value)]

    def named(self, node: Node) -> JsonValue:
        return {name: self.read(child) for name, child in node.children()}

    def plain(self, node: Node) -> JsonValue:
        """A value that stands for itself."""
        self._spend(_size(node.value))
        return node.value

    def _spend(self, nodes: int) -> None:
        self._left -= nodes
        if self._left < 0:
            raise TooManyNodes


def _size(value: JsonValue) -> int:
    count, todo = 0, [value]
    while todo:
        one = todo.pop()
        count += 1
        if isinstance(one, dict):
            todo.extend(one.values())
        elif isinstance(one, list):
            todo.extend(one)
    return count


def _type(node: Node) -> JsonValue:
    wanted = node.value if isinstance(node.value, list) else [node.value]
    if not wanted or any(one not in TYPES for one in wanted):
        raise node.wrong(f"must be one of {', '.join(TYPES)}")
    return node.value if isinstance(node.value, str) else list(dict.fromkeys(map(str, wanted)))


def _enum(reader: SchemaReader, node: Node) -> JsonValue:
    if not isinstance(node.value, list) or not node.value:
        raise node.wrong("must be a list of values")
    return reader.plain(node)


def _names(node: Node) -> JsonValue:
    if not isinstance(node.value, list) or not all(isinstance(one, str) for one in node.value):
        # A flag here is the commonest mistake: `required: true` beside a property's type.
        raise node.wrong("must be a list of names of properties")
    return list(dict.fromkeys(map(str, node.value)))


def _names_by_name(node: Node) -> JsonValue:
    return {name: _names(child) for name, child in node.children()}


def _text(node: Node) -> JsonValue:
    if not isinstance(node.value, str):
        raise node.wrong("must be text")
    return node.value


def _description(node: Node) -> JsonValue:
    return shortened(str(_text(node)))


def _number(reader: SchemaReader, node: Node) -> JsonValue:
    # 3.0 has flags where 3.1 has numbers: `_of_3_0` sees to these.
    flag = reader.of_3_0 and node.place.endswith((".exclusiveMinimum", ".exclusiveMaximum"))
    if flag and isinstance(node.value, bool):
        return node.value
    if isinstance(node.value, bool) or not isinstance(node.value, int | float) or not math.isfinite(node.value):
        raise node.wrong("must be a number")
    if node.place.endswith(".multipleOf") and node.value <= 0:
        raise node.wrong("must be above 0")
    return node.value


def _count(node: Node) -> JsonValue:
    value = node.value
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not isinstance(value, int | float) or not whole or value < 0:
        raise node.wrong("must be a whole number, 0 or more")
    return value


def _flag(node: Node) -> JsonValue:
    if not isinstance(node.value, bool):
        raise node.wrong("must be true or false")
    return node.value


_Reader = Callable[[SchemaReader, Node], JsonValue]


def _alone(read: Callable[[Node], JsonValue]) -> _Reader:
    """Of a keyword with no schema within."""
    return lambda _, node: read(node)


_KEYWORDS: Final[Mapping[str, _Reader]] = {
    "type": _alone(_type),
    "description": _alone(_description),
    "enum": _enum,
    "required": _alone(_names),
    "dependentRequired": _alone(_names_by_name),
    "uniqueItems": _alone(_flag),
    **dict.fromkeys(("pattern", "format"), _alone(_text)),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), _number),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _alone(_count)
    ),
    **dict.fromkeys(("minContains", "maxContains"), _alone(_count)),
    **dict.fromkeys(("const", "default"), SchemaReader.plain),
    **dict.fromkeys(("items", "not", "contains", "propertyNames", "if", "then", "else"), SchemaReader.schema),
    **dict.fromkeys(("additionalProperties", "unevaluatedProperties"), SchemaReader.closed_or_schema),
    "unevaluatedItems": SchemaReader.closed_or_schema,
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), SchemaReader.several),
    **dict.fromkeys(("properties", "patternProperties", "dependentSchemas"), SchemaReader.named),
}


def shortened(text: str) -> str:
    text = text.strip()
    return text if len(text) <= DESCRIPTION else f"{text[: DESCRIPTION - 1]}…"


def _outline(target: Node) -> Schema:
    """The type alone, of a schema that is not followed."""
    node = target.followed()
    if not isinstance(node.value, dict):
        return {}
    kind = node.value.get("type")
    return {"type": kind} if isinstance(kind, str) and kind in TYPES else {}


def _of_3_0(node: Node, schema: Schema) -> Schema:
    """`nullable`, and limits that are flags."""
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and limit in schema:
            schema[exclusive] = schema.pop(limit)
    if not node.flag("nullable"):
        return schema
    kind, choices = schema.get("type"), schema.get("enum")
    if isinstance(choices, list) and None not in choices:
        schema["enum"] = [*choices, None]
    if isinstance(kind, str) and not schema.keys() & {"allOf", "anyOf", "oneOf", "not", "const"}:
        schema["type"] = list(dict.fromkeys([kind, "null"]))
        return schema
    about: Schema = {name: schema.pop(name) for name in ("description", "default") if name in schema}
    return {**about, "anyOf": [schema, {"type": "null"}]} if schema else about


def _mended(schema: Schema) -> Schema:
    """OpenAI refuses a list that says nothing about its items; a pattern that is too long is left to the server."""
    kind = schema.get("type")
    if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and "items" not in schema:
        schema["items"] = {}
    if len(str(schema.get("pattern", ""))) > _LONGEST_PATTERN:
        del schema["pattern"]
    return schema
