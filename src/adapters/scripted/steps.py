"""The words of a script."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ReasoningBlock,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from domain.errors import ModelError
from domain.tools.tools import JsonValue


@dataclass(frozen=True, slots=True)
class Hold:
    """The model says nothing until `gate` is set; `reached` tells that it got here."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self.gate.set()


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Call:
    """A whole call; the model gives it the next index of the turn."""

    name: str
    arguments: str
    call_id: str | None


Step = ModelEvent | ModelError | Hold | Pause | Call
Turn = Sequence[Step]


def delta(text: str) -> TextDelta:
    return TextDelta(text)


def think(text: str) -> ReasoningDelta:
    return ReasoningDelta(text)


def call(tool: str, /, *, call_id: str | None = None, **arguments: JsonValue) -> Call:
    """`call("search", query="x")`."""
    return Call(tool, json.dumps(arguments, ensure_ascii=False), call_id)


def call_piece(index: int, *, call_id: str = "", name: str = "", arguments: str = "") -> ToolCallDelta:
    """A piece of a call, for scripts in which arguments come bit by bit, or broken."""
    return ToolCallDelta(index, call_id, name, arguments)


def finished(
    reason: FinishReason | None = None, usage: Usage | None = None, reasoning: tuple[ReasoningBlock, ...] = ()
) -> ModelFinished:
    """Without a reason: a stop. The model turns it into TOOL_CALLS where the turn called a tool."""
    return ModelFinished(reason or FinishReason.STOP, usage, reasoning)


def fail(
    code: str = "model_unavailable", message: str = "The model failed, as scripted.", *, retryable: bool = False
) -> ModelError:
    return ModelError(code, message, retryable=retryable)


def hold() -> Hold:
    return Hold()


def pause(seconds: float) -> Pause:
    return Pause(seconds)
