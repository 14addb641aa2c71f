"""What a model may call, what it called, and what came back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from domain.ids import ToolId
from domain.tokens import estimate

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


class ToolType(StrEnum):
    TOOL = "tool"
    MCP = "mcp"
    KNOWLEDGE = "knowledge"
    MODEL = "model"
    """No tool: a model that failed, and another goes on."""


@dataclass(frozen=True)
class ToolSpec:
    """A tool as it is offered to a model. `parameters` is a JSON Schema of type object."""

    tool_id: ToolId
    name: str
    title: str
    description: str
    parameters: Mapping[str, JsonValue]
    type: ToolType = ToolType.TOOL
    origin: str = ""
    """What a call reaches: of two tools of one name and id, whether they do the same. Not for the model."""

    @cached_property
    def tokens(self) -> int:
        """An estimate of what offering the tool costs."""
        return estimate(self.name + self.description) + estimate(json.dumps(dict(self.parameters)))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A complete call. `arguments` is the JSON text that the model wrote, which may be invalid JSON."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave: text for the model. `is_error` tells the model that the call failed."""

    call_id: str
    name: str
    content: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class ToolRound:
    """One turn of the agent loop: what the model said before, what it called, and every result, in call order."""

    text: str
    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...]
