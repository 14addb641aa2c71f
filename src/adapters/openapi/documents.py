"""Reads documents, and remembers what it read."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from threading import Lock
from typing import Final

from adapters.openapi.document_text import read_text
from adapters.openapi.functions import Function, Provided, function_of, provided_by
from adapters.openapi.limits import REMEMBERED, REMEMBERED_NODES
from adapters.openapi.operations import Operation, OperationReader, schemas_of
from adapters.openapi.places import Node
from adapters.openapi.runner import OperationRunner
from adapters.openapi.secrets import mask_of
from adapters.openapi.weights import unique_values
from application.ports.api_documents import ApiDescription
from application.ports.guarded_web import GuardedWeb
from application.ports.tool_runner import ToolRunner
from domain.ids import ToolId
from domain.tools.credentials import Credentials

_LONGEST_TITLE: Final = 200
_SETS: Final = 4
"""Of functions of one document: tools of several people may differ in what their credentials provide."""


@dataclass(frozen=True, slots=True)
class _Read:
    """`functions` are made once for all answers."""

    title: str
    operations: tuple[Operation, ...]
    origin: str
    nodes: int
    functions: dict[Provided, tuple[Function, ...]] = field(default_factory=dict)

    def functions_for(self, credentials: Credentials) -> tuple[Function, ...]:
        provided = provided_by(credentials)
        known = self.functions.get(provided)
        if known is None:
            known = tuple(function_of(one, provided) for one in self.operations)
            if len(self.functions) < _SETS:
                self.functions[provided] = known
        return known


class OpenApiDocuments:
    """May be used by several threads."""

    def __init__(self, web: GuardedWeb) -> None:
        self._web = web
        self._known: OrderedDict[bytes, _Read] = OrderedDict()
        self._lock = Lock()
        self._nodes = 0

    def read(self, document: str) -> ApiDescription:
        found = self._read(document)
        return ApiDescription(found.title, tuple(one.name for one in found.operations), found.origin)

    def runners(self, tool_id: ToolId, document: str, credentials: Credentials) -> Sequence[ToolRunner]:
        mask = mask_of(credentials)
        return [
            OperationRunner(
                replace(one, spec=replace(one.spec, tool_id=tool_id)),
                self._web,
                credentials if one.operation.proves else Credentials(),
                mask,
            )
            for one in self._read(document).functions_for(credentials)
        ]

    def _read(self, document: str) -> _Read:
        key = sha256(document.encode(errors="surrogatepass")).digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = _described(document)
        with self._lock:
            if key not in self._known:
                self._known[key] = found
                self._nodes += found.nodes
            while len(self._known) > REMEMBERED or self._nodes > REMEMBERED_NODES:
                self._nodes -= self._known.popitem(last=False)[1].nodes
        return found


def _described(document: str) -> _Read:
    values = read_text(document)
    root = Node(values, "", values)
    reader = OperationReader(root)
    operations = reader.operations()
    info = root.child("info")
    title = info.text("title") if info else ""
    shown = "".join(one if one.isprintable() else " " for one in title[: 2 * _LONGEST_TITLE])
    nodes = unique_values(schema for one in operations for schema in schemas_of(one))
    return _Read(" ".join(shown.split())[:_LONGEST_TITLE], operations, reader.home(operations), nodes)
