"""One answer on its way: from network reads to events, until it is complete, cut, or silent for too long."""

import asyncio
from typing import TYPE_CHECKING, Self

from adapters.web.endpoint import AnswerReader
from adapters.web.sse import EventSplitter
from adapters.web.watch import SilenceWatch
from domain.conversation.conversation import FinishReason, ModelEvent, ModelFinished, TextDelta, ToolCallDelta
from domain.errors import ModelError

if TYPE_CHECKING:
    import httpx2

USAGE_GRACE_SECONDS = 2.0
"""How long after the reason to stop the usage, or the end of the stream, may come."""
HANG_UP_GRACE_SECONDS = 0.05
"""How long to wait for the end of a complete answer, so that its connection can serve the next one."""


class IncomingAnswer:
    """Owns the connection of its response: close it, which never waits."""

    def __init__(self, response: "httpx2.Response", reader: AnswerReader, idle_seconds: float) -> None:
        import httpx2

        from adapters.web.body import body_of

        self._lost = httpx2.ReadError
        self._body = body_of(response)
        self._reader = reader
        self._splitter = EventSplitter()
        self._watch = SilenceWatch(idle_seconds, self._body.close)
        self._spoke = False
        self._at_end = False
        self._failure: ModelError | None = None
        self._begun = False
        """Until the first event the patience is the caller's."""
        self._empty = True
        self.complete = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def next(self) -> list[ModelEvent]:
        """The events of the next network read that has any; the last ones end with ModelFinished."""
        if self._failure is not None:
            raise self._failure
        watch = self._watch
        if self._begun:
            watch.waiting()
        while True:
            try:
                data = await self._body.read()
            except self._lost:
                data = self._lost_data()
            events: list[ModelEvent] = []
            try:
                self._understand(data, events)
            except ModelError as error:
                if not events:
                    raise
                self._failure = error
            if events:
                watch.received()
                self._begun = True
                return events

    async def hang_up(self) -> None:
        """After a complete answer: read to the end, so that the connection can be used again."""
        try:
            async with asyncio.timeout(HANG_UP_GRACE_SECONDS):
                while not self._at_end:
                    self._at_end = not await self._body.read()
        except (TimeoutError, self._lost):
            pass

    def close(self) -> None:
        self._watch.close()
        self._body.close()

    def _lost_data(self) -> bytes:
        """After a cut: a complete answer needs no more; for any other this raises what happened."""
        if self._reader.stopped:
            return b""
        if self._watch.expired:
            raise ModelError("model_stalled", "The model stopped sending in the middle of its answer.", retryable=True)
        raise _cut()

    def _understand(self, data: bytes, events: list[ModelEvent]) -> None:
        reader = self._reader
        stopped = reader.stopped
        if not data:
            self._at_end = True
        try:
            payloads = self._splitter.feed(data) if data else self._splitter.end()
            self._empty = self._empty and not payloads
            reader.read(payloads, events)
        except ModelError as error:
            # After the reason to stop only counts can be lost; at the end, half an event means a cut.
            if not reader.stopped:
                raise (_cut() if self._at_end and error.code == "model_bad_response" else error) from None
        if not self._spoke:
            self._spoke = any(isinstance(event, TextDelta | ToolCallDelta) for event in events)
        if self._at_end or reader.ended:
            events.append(self._last())
        elif reader.stopped and not stopped:
            self._watch.shorten(USAGE_GRACE_SECONDS)

    def _last(self) -> ModelFinished:
        self._watch.close()
        if not self._reader.stopped:
            raise _silence() if self._empty or (self._reader.ended and not self._spoke) else _cut()
        last = self._reader.finished()
        if not self._spoke:
            raise _refusal() if last.reason is FinishReason.CONTENT_FILTER else _silence()
        self.complete = True
        return last


def _cut() -> ModelError:
    return ModelError("model_stream_cut", "The connection to the model was cut in mid-answer.", retryable=True)


def _silence() -> ModelError:
    return ModelError("model_empty_answer", "The model ended its answer without saying anything.", retryable=True)


def _refusal() -> ModelError:
    return ModelError("content_refused", "The model's provider refused to answer this.")
