"""How much the model may write in one run, over all its turns."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from application.ports.chat_model import ChatModel
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    request_tokens,
)
from domain.tokens import RunningEstimate

SLACK_FACTOR: Final = 2
SLACK_TOKENS: Final = 64
"""Estimates and counts differ: an answer is cut off only when it is past its limit beyond doubt."""


class LimitedOutput:
    """A model that writes at most so many tokens in all its answers together. One for each run.

    The provider is told what is left, and ends by itself. One that does not listen is cut off.
    """

    def __init__(self, model: ChatModel, tokens: int, context_window: int | None = None) -> None:
        self._model = model
        self._context_window = context_window
        self.left = tokens
        """As the last answer that ended leaves it; never below 0."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """The last event always tells the usage. It says LENGTH when calls were made and nothing is left."""
        asked = replace(
            request,
            max_output_tokens=min(self.left, request.max_output_tokens or self._room(request)),
            output_left=self.left,
        )
        written, called, most = RunningEstimate(), False, SLACK_FACTOR * self.left + SLACK_TOKENS
        async with aclosing(self._model.stream(asked)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta(text) | ReasoningDelta(text):
                        written.add(text)
                    case ToolCallDelta():
                        called = True
                        written.add(delta.name + delta.arguments)
                    case ModelFinished():
                        # Not the end of this loop: a stream that is left before its own end loses its connection.
                        delta = self._ended(delta, asked, written.tokens, called=called)
                yield delta
                if written.tokens > most:
                    break
            else:
                return
        self.left = 0
        yield ModelFinished(FinishReason.LENGTH, _estimated(asked, written.tokens))

    def _room(self, request: ModelRequest) -> int:
        """What the model can write at all: providers refuse to be asked for more."""
        if self._context_window is None:
            return self.left
        room = self._context_window - request_tokens(request)
        return room if room > 0 else self.left

    def _ended(self, finished: ModelFinished, asked: ModelRequest, written: int, *, called: bool) -> ModelFinished:
        usage = finished.usage or _estimated(asked, written)
        # Whatever it counted: a provider that stopped at our limit would write nothing more.
        stopped_by_us = finished.reason is FinishReason.LENGTH and asked.max_output_tokens == self.left
        self.left = 0 if stopped_by_us else max(0, self.left - usage.output_tokens)
        reason = FinishReason.LENGTH if called and not self.left else finished.reason
        return replace(finished, reason=reason, usage=usage)


def _estimated(asked: ModelRequest, written: int) -> Usage:
    return Usage(request_tokens(asked), written, estimated=True)
