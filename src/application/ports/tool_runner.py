"""The conversation with a tool."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from domain.dialogs.messages import Citation
from domain.tools.tools import JsonValue, ToolSpec


class ToolFailed(Exception):
    """The tool could not do it. The message goes to the model, so that it can mend its call or tell the person."""


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a call gave: text for the model, and what the answer may cite of it that it could not before.

    `images` are for models that see: bytes that may be anything. The text tells of each, and numbers them from 1.
    """

    content: str
    citations: tuple[Citation, ...] = ()
    images: tuple[bytes, ...] = ()


class ToolRunner(Protocol):
    """One tool. Safe for any number of calls at once; cancelling a call stops its work."""

    @property
    def spec(self) -> ToolSpec: ...

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        """Raises ToolFailed; `arguments` may hold anything that a model writes."""
        ...
