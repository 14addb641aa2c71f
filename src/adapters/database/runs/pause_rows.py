"""Pauses as bytes: pure translation. MessagePack, the version of its form first."""

from datetime import datetime
from typing import Any, Final

import msgspec

from domain.agents.agents import Agent
from domain.conversation.conversation import (
    AssistantTurn,
    Image,
    ModelRequest,
    ReasoningBlock,
    ToolTurn,
    Turn,
    UserTurn,
)
from domain.errors import Conflict
from domain.files.files import Attachment
from domain.ids import FileId, ModelId, ToolId
from domain.runs.pauses import Approval, LoopPause, RunPause, ShownPlace
from domain.tools.tools import ToolCall, ToolResult, ToolSpec, ToolType

FORM: Final = 3
"""Raise it when the form changes: what waits in an older one can't go on then, and says so."""


class _Image(msgspec.Struct, array_like=True):
    media_type: str
    data: bytes
    file_id: str | None


class _User(msgspec.Struct, array_like=True, tag="user"):
    text: str
    images: tuple[_Image, ...]


class _Assistant(msgspec.Struct, array_like=True, tag="assistant"):
    text: str
    tool_calls: tuple[ToolCall, ...]
    reasoning: tuple[ReasoningBlock, ...]


class _Tool(msgspec.Struct, array_like=True, tag="tool"):
    results: tuple[ToolResult, ...]


_Turn = _User | _Assistant | _Tool


class _Spec(msgspec.Struct, array_like=True):
    tool_id: str
    name: str
    title: str
    description: str
    parameters: dict[str, Any]
    type: ToolType
    origin: str


class _Request(msgspec.Struct, array_like=True):
    model: str
    system: str
    turns: tuple[_Turn, ...]
    tools: tuple[_Spec, ...]
    max_output_tokens: int | None


class _Loop(msgspec.Struct, array_like=True):
    request: _Request
    turn: _Assistant
    results: tuple[ToolResult, ...]
    pending: tuple[ToolCall, ...]
    turns_left: int
    output_left: int | None
    calls_made: int
    failures: dict[str, int]
    refused_turns: int


class _Pause(msgspec.Struct, array_like=True):
    form: int
    loop: _Loop
    llm_id: str
    agent: Agent
    attached: tuple[Attachment, ...]
    shown: tuple[ShownPlace, ...]
    approvals: tuple[Approval, ...]
    number: int
    depth: int
    models_waiting: tuple[str, ...]
    models_tried: tuple[str, ...]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Pause).decode


def from_pause(pause: RunPause) -> bytes:
    loop = pause.loop
    kept = _Loop(
        _from_request(loop.request),
        _Assistant(loop.turn.text, loop.turn.tool_calls, loop.turn.reasoning),
        loop.results,
        loop.pending,
        loop.turns_left,
        loop.output_left,
        loop.calls_made,
        loop.failures,
        loop.refused_turns,
    )
    beside = pause.attached, pause.shown, pause.approvals, pause.number, pause.depth
    route = pause.models_waiting, pause.models_tried
    whole = _Pause(FORM, kept, pause.llm_id, pause.agent, *beside, *route)
    try:
        return _encode(whole)
    except UnicodeEncodeError:
        # UTF-8 holds no unpaired surrogates: each becomes "?", as in the log.
        return _encode(_writable(msgspec.to_builtins(whole, builtin_types=(bytes, datetime))))


def to_pause(state: bytes) -> RunPause:
    """Raises Conflict `approval_outdated` for one of another form."""
    kept = _decoded(state)
    loop = kept.loop
    return RunPause(
        LoopPause(
            _to_request(loop.request),
            _to_assistant(loop.turn),
            loop.results,
            loop.pending,
            loop.turns_left,
            loop.output_left,
            loop.calls_made,
            loop.failures,
            loop.refused_turns,
        ),
        ModelId(kept.llm_id),
        kept.agent,
        kept.attached,
        kept.shown,
        kept.approvals,
        kept.number,
        kept.depth,
        tuple(map(ModelId, kept.models_waiting)),
        tuple(map(ModelId, kept.models_tried)),
    )


def _writable(value: Any) -> Any:
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case list() | tuple():
            return [_writable(one) for one in value]
        case dict():
            return {_writable(key): _writable(one) for key, one in value.items()}
    return value


def _decoded(state: bytes) -> _Pause:
    try:
        kept = _decode(state)
    except msgspec.MsgspecError:
        kept = None
    if kept is None or kept.form != FORM:
        message = "The answer waited while the server was changed, and can't go on: stop it, and ask again."
        raise Conflict("approval_outdated", message)
    return kept


def _from_request(request: ModelRequest) -> _Request:
    tools = tuple(
        _Spec(one.tool_id, one.name, one.title, one.description, dict(one.parameters), one.type, one.origin)
        for one in request.tools
    )
    turns = tuple(map(_from_turn, request.turns))
    return _Request(request.model, request.system, turns, tools, request.max_output_tokens)


def _to_request(kept: _Request) -> ModelRequest:
    tools = tuple(
        ToolSpec(ToolId(one.tool_id), one.name, one.title, one.description, one.parameters, one.type, one.origin)
        for one in kept.tools
    )
    return ModelRequest(kept.model, kept.system, tuple(map(_to_turn, kept.turns)), tools, kept.max_output_tokens)


def _from_turn(turn: Turn) -> _Turn:
    match turn:
        case UserTurn(text, images):
            return _User(text, tuple(_Image(one.media_type, one.data, one.file_id) for one in images))
        case AssistantTurn(text, calls, reasoning):
            return _Assistant(text, calls, reasoning)
        case ToolTurn(results):
            return _Tool(results)


def _to_turn(kept: _Turn) -> Turn:
    match kept:
        case _User():
            return UserTurn(kept.text, tuple(_to_image(one) for one in kept.images))
        case _Assistant():
            return _to_assistant(kept)
        case _Tool():
            return ToolTurn(kept.results)


def _to_image(kept: _Image) -> Image:
    return Image(kept.media_type, kept.data, None if kept.file_id is None else FileId(kept.file_id))


def _to_assistant(kept: _Assistant) -> AssistantTurn:
    return AssistantTurn(kept.text, kept.tool_calls, kept.reasoning)
