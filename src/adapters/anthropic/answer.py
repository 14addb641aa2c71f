"""From the events of a streamed message to the domain's events."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from adapters.anthropic.errors import error_in_stream
from adapters.anthropic.wire import NOT_UNDERSTOOD, Block, Delta, Event, WireError, decode_event
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
from domain.tokens import reported

_REASONS = {
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.CONTENT_FILTER,
}
_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class _Call:
    number: int
    input: dict[str, object]
    in_pieces: bool = False


@dataclass(slots=True)
class _Thought:
    text: str = ""
    signature: str = ""
    redacted: bool = False


class AnthropicAnswer:
    """Reads one answer. What is put into the tool `answer_tool` is its text."""

    def __init__(self, answer_tool: str | None = None) -> None:
        self._answer_tool = answer_tool
        self._answers: dict[int, _Call] = {}
        self.stopped = False
        self.ended = False
        self._reason = FinishReason.STOP
        self._counts: dict[str, int] = {}
        self._calls: dict[int, _Call] = {}
        self._thoughts: dict[int, _Thought] = {}

    def read(self, payloads: Sequence[bytes], events: list[ModelEvent]) -> None:
        text: list[str] = []
        try:
            for payload in payloads:
                event = self._decoded(payload)
                delta = event.delta
                if delta is not None and delta.text:
                    text.append(delta.text)
                    continue
                before = len(events)
                self._read_rest(event, events)
                if text and len(events) > before:
                    events.insert(before, TextDelta("".join(text)))
                    text.clear()
        finally:
            if text:
                events.append(TextDelta("".join(text)))

    def finished(self) -> ModelFinished:
        blocks = tuple(
            ReasoningBlock(thought.text, thought.signature, thought.redacted)
            for _, thought in sorted(self._thoughts.items())
            if thought.signature
        )
        reason = self._reason
        if reason is FinishReason.TOOL_CALLS and self._answers and not self._calls:
            reason = FinishReason.STOP
        return ModelFinished(reason, self._usage(), blocks)

    def _decoded(self, payload: bytes) -> Event:
        try:
            event = decode_event(payload)
        except NOT_UNDERSTOOD:
            raise ModelError(
                "model_bad_response", "The model's provider sent something that is no message event."
            ) from None
        if event.type == "error" or event.error is not None:
            raise error_in_stream(event.error or WireError())
        return event

    def _read_rest(self, event: Event, events: list[ModelEvent]) -> None:
        match event.type:
            case "content_block_delta" if event.delta is not None:
                self._continue_block(event.index, event.delta, events)
            case "content_block_start" if event.content_block is not None:
                self._begin_block(event.index, event.content_block, events)
            case "content_block_stop":
                self._end_block(event.index, events)
            case "message_start" if event.message is not None:
                self._count(event.message.usage)
            case "message_delta":
                self._count(event.usage)
                if event.delta is not None and event.delta.stop_reason:
                    self.stopped = True
                    self._reason = _REASONS.get(event.delta.stop_reason, FinishReason.STOP)
            case "message_stop":
                self.ended = True

    def _begin_block(self, index: int, block: Block, events: list[ModelEvent]) -> None:
        match block.type:
            case "tool_use" if self._answer_tool is not None and block.name == self._answer_tool:
                self._answers[index] = _Call(0, block.input or {})
            case "tool_use":
                call = self._calls[index] = _Call(len(self._calls), block.input or {})
                events.append(ToolCallDelta(call.number, block.id or "", block.name or ""))
            case "redacted_thinking":
                self._thoughts[index] = _Thought(signature=block.data or "", redacted=True)
            case "thinking":
                self._thoughts[index] = _Thought()
                self._think(index, block.thinking, block.signature, events)
            case _ if block.text:
                events.append(TextDelta(block.text))

    def _continue_block(self, index: int, delta: Delta, events: list[ModelEvent]) -> None:
        call = self._calls.get(index)
        if delta.partial_json and index in self._answers:
            self._answers[index].in_pieces = True
            events.append(TextDelta(delta.partial_json))
        elif delta.partial_json and call is not None:
            call.in_pieces = True
            events.append(ToolCallDelta(call.number, arguments=delta.partial_json))
        elif delta.thinking or delta.signature:
            self._think(index, delta.thinking, delta.signature, events)

    def _end_block(self, index: int, events: list[ModelEvent]) -> None:
        """Some servers send a call's whole input with its beginning, and no pieces."""
        call = self._calls.get(index)
        answer = self._answers.get(index)
        if answer is not None and answer.input and not answer.in_pieces:
            events.append(TextDelta(_encode(answer.input).decode()))
        if call is not None and call.input and not call.in_pieces:
            events.append(ToolCallDelta(call.number, arguments=_encode(call.input).decode()))

    def _think(self, index: int, text: str | None, signature: str | None, events: list[ModelEvent]) -> None:
        thought = self._thoughts.setdefault(index, _Thought())
        thought.signature += signature or ""
        if text:
            thought.text += text
            events.append(ReasoningDelta(text))

    def _count(self, usage: object) -> None:
        """Counts are totals so far: the later ones, where given, replace the earlier."""
        if isinstance(usage, dict):
            for name in _COUNTS:
                if (count := reported(usage.get(name))) is not None:
                    self._counts[name] = count

    def _usage(self) -> Usage | None:
        """The protocol counts cached tokens apart from the input."""
        sent, cached, stored, written = map(self._counts.get, _COUNTS)
        whole = (sent or 0) + (cached or 0) + (stored or 0)
        return Usage.reported(whole, written, cached) if self._counts else None
