"""Documents of one line for each operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from application.ports.api_documents import ApiDescription
from application.ports.tool_runner import ToolOutput
from domain.errors import InvalidValue
from domain.ids import ToolId
from domain.tools.credentials import Credentials
from domain.tools.tools import JsonValue, ToolSpec


@dataclass(frozen=True, slots=True)
class ScriptedOperation:
    """Gives back what it was called with; `credentials` are what it would send."""

    spec: ToolSpec
    credentials: Credentials

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        return ToolOutput(f"{self.spec.name}: {dict(arguments)}")


def _origin(operations: Sequence[str]) -> str:
    """`at_…` as the first operation says where the document's server is."""
    return operations[0] if operations and operations[0].startswith("at_") else ""


class ScriptedApiDocuments:
    def read(self, document: str) -> ApiDescription:
        for number, line in enumerate(document.splitlines(), 1):
            if not line.isidentifier():
                raise InvalidValue("openapi_schema", f"line {number} is no name of an operation")
        operations = tuple(document.splitlines())
        return ApiDescription("scripted", operations, _origin(operations))

    def runners(self, tool_id: ToolId, document: str, credentials: Credentials) -> Sequence[ScriptedOperation]:
        names = self.read(document).operations
        return [
            ScriptedOperation(ToolSpec(tool_id, name, name, name, {"type": "object"}), credentials) for name in names
        ]
