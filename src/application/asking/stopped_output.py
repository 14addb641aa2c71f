"""A model whose text ends before words that its caller named, whatever its provider does."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from application.ports.chat_model import ChatModel
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
)
from domain.conversation.stop_words import StopSearch


class StoppedOutput:
    """The provider is not told of the words: some models refuse a request that has any."""

    def __init__(self, model: ChatModel, words: Sequence[str]) -> None:
        self._model = model
        self._words = words

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """What was used is not known of an answer that was ended here."""
        search, called = StopSearch(self._words), False
        async with aclosing(self._model.stream(request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta(text):
                        if shown := search.take(text):
                            yield TextDelta(shown)
                    case ReasoningDelta():
                        yield delta
                    case _:
                        called = called or isinstance(delta, ToolCallDelta)
                        if rest := search.rest():
                            yield TextDelta(rest)
                        yield delta
                # A call that has begun is not cut off: half of one is of use to nobody.
                if search.found and not called:
                    break
            else:
                return
        yield ModelFinished(FinishReason.STOP)
