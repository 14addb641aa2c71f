"""The operations of a document: what is sent where, in which form."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from adapters.openapi.addresses import is_step, origin_of, server_of
from adapters.openapi.limits import ALL_NODES, FOLLOWED_NODES, LARGEST_SCHEMA, OPERATIONS, PARAMETERS, SCHEMA_NODES
from adapters.openapi.places import Node
from adapters.openapi.schemas import Schema, SchemaReader, Seen, TooManyNodes, shortened
from adapters.openapi.weights import MOST_DEPTH, fits, lighter
from domain.errors import InvalidValue
from domain.tools.header_rules import is_header_name, is_reserved
from domain.tools.tool_names import tool_name, unique_names

METHODS: Final = ("get", "post", "put", "patch", "delete", "head", "options")
_WITHOUT_BODY: Final = ("get", "head", "options")
_VERSION: Final = re.compile(r"3\.[01](\.[0-9]{1,4})?(-[\w.-]{1,40})?")
HOLE: Final = re.compile(r"\{([^{}]*)\}")
_LONGEST_NAME: Final = 200
_FOLLOWED: Final = (10, 4, 2, 1, 0)
"""How deep references are followed: as deep as the budget allows."""
FOR_PEOPLE: Final = "x-agentchat-for-people"
"""Set on an operation that no model may call, such as giving a person's word on a call."""
FORM: Final = "application/x-www-form-urlencoded"
_JSON: Final = re.compile(r"application/([\w.+-]{1,100}\+)?json|\*/\*|application/\*")
_OURS: Final = (*("accept", "authorization", "content-encoding", "content-type", "cookie", "forwarded", "via"),)
"""Headers that the request has by itself, or that say whose it is: no model writes them, nor the connection's own."""


class In(StrEnum):
    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    COOKIE = "cookie"


_STYLES: Final = {
    In.PATH: ("simple", "label", "matrix"),
    In.QUERY: ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    In.HEADER: ("simple",),
    In.COOKIE: ("form",),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """`as_json`: its value is written as JSON text. `reserved`: its `/`, `:` and the like stay as they are."""

    name: str
    where: In
    required: bool
    schema: Schema
    style: str
    explode: bool
    reserved: bool = False
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    media_type: str
    required: bool
    schema: Schema


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` has holes in braces, `server` no slash at its end. `proves`: the credentials are for this one too."""

    name: str
    title: str
    description: str
    method: str
    server: str
    path: str
    parameters: tuple[Parameter, ...]
    body: Body | None = None
    proves: bool = True


class OperationReader:
    """Of one document."""

    def __init__(self, document: Node) -> None:
        self._document = document
        version = document.mapping.get("openapi")
        if document.mapping.get("swagger") is not None:
            raise document.wrong("this is Swagger 2.0: convert it to OpenAPI 3.0 or 3.1")
        # YAML reads an unquoted 3.1 as a number.
        if isinstance(version, bool) or not _VERSION.fullmatch(str(version)):
            raise document.wrong("openapi: must be a version 3.0 or 3.1")
        self._of_3_0 = str(version).startswith("3.0")
        self._left = ALL_NODES
        self._seen: Seen = {}

    def operations(self) -> tuple[Operation, ...]:
        """Those that can be called, with unique names; the first says whose the credentials are. Raises InvalidValue.

        A document may name servers of others for single paths: what its owner gave us is for its main server alone.
        """
        found: list[Operation] = []
        for place, item, node, method, path in self._places():
            if len(found) >= OPERATIONS:
                raise place.wrong(f"at most {OPERATIONS} operations")
            operation = self._operation(item, node, method, path)
            if operation is not None:
                found.append(operation)
        if not found:
            raise self._document.wrong("paths: there is no operation that can be called")
        home = self.home(found)
        return _renamed(replace(one, proves=one.proves and origin_of(one.server) == home) for one in found)

    def home(self, found: Sequence[Operation]) -> str:
        """The origin that the credentials are for: the document's own, else that of its first operation."""
        try:
            return origin_of(server_of(self._document))
        except InvalidValue:
            return origin_of(found[0].server)

    def _places(self) -> Iterator[tuple[Node, Node, Node, str, str]]:
        paths = self._document.child("paths")
        for path, place in paths.children() if paths else ():
            if path.startswith("x-"):
                continue
            if not path.startswith("/"):
                raise place.wrong("a path begins with /")
            if any(map(is_step, path.split("/"))):
                raise place.wrong("a path must not hold the steps . or ..")
            item = place.followed()
            for method in METHODS:
                node = item.child(method)
                if node is not None and node.mapping.get(FOR_PEOPLE) is not True:
                    yield place, item, node, method, path

    def _operation(self, item: Node, node: Node, method: str, path: str) -> Operation | None:
        thrifty = self._left < ALL_NODES - FOLLOWED_NODES
        for follow in _FOLLOWED[-2:] if thrifty else _FOLLOWED:
            most = SCHEMA_NODES if follow else LARGEST_SCHEMA
            reader = SchemaReader(of_3_0=self._of_3_0, follow=follow, budget=min(most, self._left), seen=self._seen)
            try:
                operation = self._read(reader, item, node, method, path)
            except TooManyNodes:
                continue
            finally:
                self._left -= reader.looked_at
            if operation is None or fits(schemas_of(operation)):
                return operation
            if follow <= 1:
                return _lightened(operation)
        raise node.wrong("its parameters and body, or those of all operations together, are too large for a model")

    def _read(self, reader: SchemaReader, item: Node, node: Node, method: str, path: str) -> Operation | None:
        parameters = _parameters(reader, item, node, path)
        body = None if method in _WITHOUT_BODY else _body(reader, node)
        if body is _UNKNOWN_BODY:
            return None
        summary = node.text("summary").strip() or item.text("summary").strip()
        about = node.text("description").strip() or item.text("description").strip()
        title = " ".join(summary.split())[:200] or f"{method.upper()} {path}"
        return Operation(
            name=tool_name(node.text("operationId"), otherwise=tool_name(f"{method} {path}")),
            title=title,
            description=about if about.startswith(summary) else f"{summary}\n{about}".strip(),
            method=method.upper(),
            server=server_of(node, item, self._document),
            path=path,
            parameters=parameters,
            body=body,
            # An empty list is how a document says that an operation asks for no proof.
            proves=node.mapping.get("security") != [],
        )


def schemas_of(operation: Operation) -> list[Schema]:
    own = [one.schema for one in operation.parameters]
    return own if operation.body is None else [*own, operation.body.schema]


def _lightened(operation: Operation) -> Operation:
    """As deep as there is room for."""
    for depth in range(MOST_DEPTH, -1, -1):
        parameters = tuple(replace(one, schema=lighter(one.schema, depth)) for one in operation.parameters)
        body = operation.body and replace(operation.body, schema=lighter(operation.body.schema, depth))
        light = replace(operation, parameters=parameters, body=body)
        if fits(schemas_of(light)):
            break
    return light


def _parameters(reader: SchemaReader, item: Node, node: Node, path: str) -> tuple[Parameter, ...]:
    """Those of the operation, which stand in for the path's of the same name and place."""
    found: dict[tuple[In, str], Parameter] = {}
    for level in (item, node):
        here = set[tuple[In, str]]()
        for place in level.items("parameters")[: PARAMETERS + 1]:
            parameter = _parameter(reader, place.followed(), place)
            key = parameter.where, parameter.name
            if key in here:
                raise place.wrong(f"there is another {parameter.where} parameter {parameter.name[:80]!r}")
            here.add(key)
            found[key] = parameter
        if len(found) > PARAMETERS:
            raise level.wrong(f"at most {PARAMETERS} parameters")
    holes = set(HOLE.findall(path))
    declared = {name for where, name in found if where is In.PATH}
    for name in sorted(holes ^ declared):
        missing = "parameters: there is no path parameter" if name in holes else f"{path[:200]} has no place for"
        raise node.wrong(f"{missing} {name[:80]!r}")
    kept = (one for one in found.values() if one.where is not In.HEADER or not _is_ours(one.name.lower()))
    return tuple(sorted(kept, key=lambda one: list(In).index(one.where)))


def _is_ours(header: str) -> bool:
    return header in _OURS or is_reserved(header)


def _parameter(reader: SchemaReader, node: Node, place: Node) -> Parameter:
    name, where = node.text("name"), node.text("in")
    if where not in list(In):
        raise place.wrong(f"in: must be one of {', '.join(In)}")
    at = In(where)
    if not name or (at in (In.HEADER, In.COOKIE) and not (len(name) <= _LONGEST_NAME and is_header_name(name))):
        raise place.wrong("name: is missing, or no name that a header or cookie can have")
    style = node.text("style", _STYLES[at][0])
    if style not in _STYLES[at]:
        raise place.wrong(f"style: in a {at} one of {', '.join(_STYLES[at])}")
    content = node.child("content")
    media_type, value = next(content.children(), ("", None)) if content else ("", node)
    schema = value.child("schema") if value else None
    if schema is None and content is None:
        raise place.wrong("schema: is missing")
    read = reader.read(schema) if schema else {}
    description = node.text("description").strip()
    return Parameter(
        name=name,
        where=at,
        required=at is In.PATH or node.flag("required"),
        schema={**read, "description": shortened(description)} if description else read,
        style=style,
        explode=node.flag("explode", style in ("form", "deepObject")),
        reserved=node.flag("allowReserved"),
        as_json=_JSON.fullmatch(_bare(media_type)) is not None,
    )


_UNKNOWN_BODY: Final = Body("", required=True, schema={})
"""Of a kind that no model can write, such as an uploaded file."""


def _body(reader: SchemaReader, node: Node) -> Body | None:
    """As JSON if it may be, else as a form. None: the operation takes none, or does without."""
    declared = node.child("requestBody")
    if declared is None:
        return None
    declared = declared.followed()
    kinds = dict(declared.child("content").children()) if declared.child("content") else {}  # type: ignore[union-attr]
    chosen = [kind for kind in kinds if _JSON.fullmatch(_bare(kind))] or [kind for kind in kinds if _bare(kind) == FORM]
    required = declared.flag("required")
    if not chosen:
        return _UNKNOWN_BODY if required else None
    schema = kinds[chosen[0]].child("schema")
    read = reader.read(schema) if schema else {}
    description = declared.text("description").strip()
    if description:
        read = {**read, "description": shortened(description)}
    written = _bare(chosen[0])
    return Body(written if "*" not in written else "application/json", required, read)


def _bare(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _renamed(found: Iterable[Operation]) -> tuple[Operation, ...]:
    operations = list(found)
    names = unique_names(one.name for one in operations)
    return tuple(replace(one, name=name) for one, name in zip(operations, names, strict=True))
