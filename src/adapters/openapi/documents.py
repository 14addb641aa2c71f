"""Reads documents, and remembers what it read."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from typing import Final

from adapters.openapi.document_text import read_text
from adapters.openapi.functions import function_of
from adapters.openapi.operations import Operation, OperationReader
from adapters.openapi.places import Node
from adapters.openapi.runner import OperationRunner
from adapters.openapi.secrets import Mask
from application.ports.api_documents import ApiDescription
from application.ports.guarded_web import GuardedWeb
from application.ports.tool_runner import ToolRunner
from domain.credentials import Credentials
from domain.ids import ToolId

_REMEMBERED: Final = 64
_LONGEST_TITLE: Final = 200


@dataclass(frozen=True, slots=True)
class _Read:
    title: str
    operations: tuple[Operation, ...]


class OpenApiDocuments:
    """May be used by several threads."""

    def __init__(self, web: GuardedWeb) -> None:
        self._web = web
        self._known: OrderedDict[bytes, _Read] = OrderedDict()
        self._lock = Lock()

    def read(self, document: str) -> ApiDescription:
        found = self._read(document)
        return ApiDescription(found.title, tuple(one.name for one in found.operations))

    def runners(self, tool_id: ToolId, document: str, credentials: Credentials) -> Sequence[ToolRunner]:
        mask = Mask(credentials)
        return [
            OperationRunner(function_of(one, tool_id, credentials), self._web, credentials, mask)
            for one in self._read(document).operations
        ]

    def _read(self, document: str) -> _Read:
        key = sha256(document.encode(errors="surrogatepass")).digest()
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        found = _described(document)
        with self._lock:
            self._known[key] = found
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return found


def _described(document: str) -> _Read:
    values = read_text(document)
    root = Node(values, "", values)
    operations = OperationReader(root).operations()
    info = root.child("info")
    title = info.text("title") if info else ""
    shown = "".join(one if one.isprintable() else " " for one in title[: 2 * _LONGEST_TITLE])
    return _Read(" ".join(shown.split())[:_LONGEST_TITLE], operations)
