"""From the chunks of a streamed chat completion to the domain's events."""

from collections.abc import Sequence

from adapters.openai.calls import CallPieces
from adapters.openai.errors import error_in_stream
from adapters.openai.wire import NOT_UNDERSTOOD, Choice, Chunk, Delta, decode_chunk
from domain.conversation.conversation import FinishReason, ModelEvent, ModelFinished, ReasoningDelta, TextDelta, Usage
from domain.errors import ModelError

_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
}


class OpenAIAnswer:
    """Reads one answer."""

    def __init__(self) -> None:
        self.stopped = False
        self.ended = False
        self._reason = FinishReason.STOP
        self._usage: Usage | None = None
        self._calls = CallPieces()
        self._refused = False

    def read(self, payloads: Sequence[bytes], events: list[ModelEvent]) -> None:
        text: list[str] = []
        try:
            for payload in payloads:
                chunk = self._decoded(payload)
                if chunk is not None:
                    self._read_chunk(chunk, text, events)
        finally:
            if text:
                events.append(TextDelta("".join(text)))

    def finished(self) -> ModelFinished:
        reason = self._reason
        if self._refused:
            reason = FinishReason.CONTENT_FILTER
        elif reason is FinishReason.STOP and len(self._calls):
            reason = FinishReason.TOOL_CALLS
        return ModelFinished(reason, self._usage)

    def _decoded(self, payload: bytes) -> Chunk | None:
        try:
            chunk = decode_chunk(payload)
        except NOT_UNDERSTOOD:
            if payload.strip() == b"[DONE]":
                self.ended = True
            elif payload.strip():
                raise ModelError(
                    "model_bad_response", "The model's provider sent something that is no chat completion."
                ) from None
            return None
        if chunk.error:
            raise error_in_stream(chunk.error)
        return chunk

    def _read_chunk(self, chunk: Chunk, text: list[str], events: list[ModelEvent]) -> None:
        if chunk.choices:
            choice = chunk.choices[0]
            delta = choice.delta
            if delta is not None:
                if delta.content:
                    text.append(delta.content)
                if delta.tool_calls or delta.reasoning_content or delta.reasoning or delta.refusal:
                    self._read_rest(delta, text, events)
            if choice.finish_reason:
                self._stop(choice)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage) or self._usage

    def _read_rest(self, delta: Delta, text: list[str], events: list[ModelEvent]) -> None:
        """Everything but plain text; what was said before it stays before it."""
        reasoning = delta.reasoning_content or delta.reasoning
        if delta.refusal:
            self._refused = True
            text.append(delta.refusal)
        if not reasoning and not delta.tool_calls:
            return
        said = text[:-1] if delta.content and reasoning else text[:]
        del text[: len(said)]
        if said:
            events.append(TextDelta("".join(said)))
        if reasoning:
            events.append(ReasoningDelta(reasoning))
        if delta.tool_calls and text:
            events.append(TextDelta("".join(text)))
            text.clear()
        events.extend(self._calls.delta(piece) for piece in delta.tool_calls or ())

    def _stop(self, choice: Choice) -> None:
        self.stopped = True
        self._reason = _REASONS.get(choice.finish_reason or "", FinishReason.STOP)


def _usage(wire: object) -> Usage | None:
    if not isinstance(wire, dict):
        return None
    details = wire.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    # The second name is DeepSeek's.
    cached = cached or wire.get("prompt_cache_hit_tokens")
    return Usage.reported(wire.get("prompt_tokens"), wire.get("completion_tokens"), cached)
