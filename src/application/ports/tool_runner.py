"""The conversation with a tool."""

from collections.abc import Mapping
from typing import Protocol

from domain.tools import JsonValue, ToolSpec


class ToolFailed(Exception):
    """The tool could not do it. The message goes to the model, so that it can mend its call or tell the person."""


class ToolRunner(Protocol):
    """One tool. Safe for any number of calls at once; cancelling a call stops its work."""

    @property
    def spec(self) -> ToolSpec: ...

    async def run(self, arguments: Mapping[str, JsonValue]) -> str:
        """The result as text for the model. Raises ToolFailed; `arguments` may hold anything that a model writes."""
        ...
