"""The conversation with what understands descriptions of HTTP interfaces (OpenAPI)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from application.ports.tool_runner import ToolRunner
from domain.ids import ToolId
from domain.tools.credentials import Credentials


@dataclass(frozen=True, slots=True)
class ApiDescription:
    """What a document offers. `operations` are the names of the functions, unique, in the document's order."""

    title: str
    operations: tuple[str, ...]
    origin: str = ""
    """Scheme, host and port that credentials go to, and nowhere else."""


class ApiDocuments(Protocol):
    """OpenAPI 3.0 and 3.1, JSON or YAML, local references only."""

    def read(self, document: str) -> ApiDescription:
        """Raises InvalidValue `openapi_schema` that names the place in the document. Bounded in time: milliseconds."""
        ...

    def runners(self, tool_id: ToolId, document: str, credentials: Credentials) -> Sequence[ToolRunner]:
        """One runner for each operation of a document that was read before; what was read is remembered."""
        ...
