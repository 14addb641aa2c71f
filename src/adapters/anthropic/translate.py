"""From a question in the domain's words to the body of a messages request."""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import msgspec

from domain.conversation.answer_schemas import AnswerSchema
from domain.conversation.conversation import (
    AssistantTurn,
    Image,
    ModelRequest,
    ReasoningBlock,
    ToolTurn,
    Turn,
    UserTurn,
)
from domain.conversation.tool_choice import ChoiceKind, ToolChoice
from domain.tools.tools import JsonValue, ToolCall, ToolResult, ToolSpec

Json = dict[str, JsonValue]

NOTHING_SAID = "(nothing)"
"""The protocol refuses empty text."""

_THE_ANSWER: Final = "Takes your answer. Its input is the whole of it."

LEAST_THINKING: Final = 1024
"""The protocol refuses a smaller budget, and one that is not below `max_tokens`."""


def body_of(request: ModelRequest, *, max_tokens: int, thinking_tokens: int | None = None) -> Json:
    """`max_tokens` is for a request that names no limit; what the model may think comes on top of the answer.

    Where what is left to the run is less than both, the model thinks less, and not at all when too little is left.
    """
    limit, budget = _room(request, max_tokens, thinking_tokens if thinking_tokens and _may_think(request) else 0)
    # Thoughts of earlier turns are refused by the protocol once thinking is switched off.
    forgotten = thinking_tokens is not None and not budget
    body: Json = {
        "model": request.model,
        "max_tokens": limit,
        "messages": list(_messages(tuple(map(_thoughtless, request.turns)) if forgotten else request.turns)),
        "stream": True,
    }
    if request.system.strip():
        body["system"] = request.system
    if request.tools:
        body["tools"] = [_tool(spec) for spec in request.tools]
        if request.tool_choice.kind is not ChoiceKind.AUTO:
            body["tool_choice"] = _choice(request.tool_choice)
    if request.answer_schema is not None:
        body |= _forced(request.answer_schema)
    if budget:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return body


def _may_think(request: ModelRequest) -> bool:
    """The protocol refuses thoughts beside a forced call, and wants those back that led to the calls under way."""
    if request.tool_choice.forces or request.answer_schema is not None:
        return False
    asked = max((place for place, turn in enumerate(request.turns) if isinstance(turn, UserTurn)), default=0)
    under_way = [turn for turn in request.turns[asked:] if isinstance(turn, AssistantTurn) and turn.tool_calls]
    return not under_way or any(block.signature for block in under_way[-1].reasoning)


def _forced(wanted: AnswerSchema) -> Json:
    """The one tool that the model has and must call: what it puts in is the answer."""
    tool: Json = {"name": wanted.name, "description": _THE_ANSWER, "input_schema": dict(wanted.schema)}
    return {"tools": [tool], "tool_choice": {"type": "tool", "name": wanted.name}}


def _choice(choice: ToolChoice) -> Json:
    match choice.kind:
        case ChoiceKind.NAMED:
            return {"type": "tool", "name": choice.name}
        case ChoiceKind.REQUIRED:
            return {"type": "any"}
        case kind:
            return {"type": kind.value}


def _room(request: ModelRequest, max_tokens: int, thinking_tokens: int) -> tuple[int, int]:
    """Tokens for everything, and those of them to think with. Half at least of what is short is for the answer."""
    answer = request.max_output_tokens or max_tokens
    left = request.output_left
    if left is None or left >= answer + thinking_tokens:
        return answer + thinking_tokens, thinking_tokens
    budget = min(thinking_tokens, max(left - answer, left // 2))
    return (left, budget) if budget >= LEAST_THINKING else (min(answer, left), 0)


def _thoughtless(turn: Turn) -> Turn:
    return replace(turn, reasoning=()) if isinstance(turn, AssistantTurn) else turn


def _messages(turns: tuple[Turn, ...]) -> Iterator[Json]:
    for turn in turns:
        match turn:
            case UserTurn():
                yield {"role": "user", "content": [*map(_image, turn.images), *_text(turn)]}
            case AssistantTurn():
                yield {"role": "assistant", "content": _said(turn)}
            case ToolTurn():
                yield {"role": "user", "content": [_result(result, turn) for result in turn.results]}


def _text(turn: UserTurn) -> list[JsonValue]:
    if turn.text.strip():
        return [_words(turn.text)]
    return [] if turn.images else [_words(NOTHING_SAID)]


def _words(text: str) -> Json:
    return {"type": "text", "text": text}


def _said(turn: AssistantTurn) -> list[JsonValue]:
    """Reasoning first: the protocol wants it back before the calls that it led to."""
    blocks: list[JsonValue] = [_reasoning(block) for block in turn.reasoning if block.signature]
    if turn.text.strip():
        blocks.append(_words(turn.text))
    blocks.extend(_call(call) for call in turn.tool_calls)
    if not turn.text.strip() and not turn.tool_calls:
        blocks.append(_words(NOTHING_SAID))
    return blocks


def _reasoning(block: ReasoningBlock) -> Json:
    if block.redacted:
        return {"type": "redacted_thinking", "data": block.signature}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature}


def _call(call: ToolCall) -> Json:
    return {"type": "tool_use", "id": call.call_id, "name": call.name, "input": _input(call.arguments)}


def _input(arguments: str) -> Json:
    """The protocol wants an object back, also where the model wrote none."""
    try:
        value = msgspec.json.decode(arguments)
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {"invalid_arguments": arguments}


def _result(result: ToolResult, turn: ToolTurn) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": result.call_id, "content": result.content}
    if images := turn.images_of(result):
        shown = [part for one in images for part in (_words(f"Image {one.number}:"), _image(one.image))]
        block["content"] = [*([_words(result.content)] if result.content.strip() else []), *shown]
    if result.is_error:
        block["is_error"] = True
    return block


def _image(image: Image) -> Json:
    data = b64encode(image.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": image.media_type, "data": data}}


def _tool(spec: ToolSpec) -> Json:
    return {"name": spec.name, "description": spec.description, "input_schema": dict(spec.parameters)}
