"""How many calls of a model go on at once: what its provider, or its operator's purse, can bear."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from application.ports.chat_model import ChatModel
from domain.conversation import ModelEvent, ModelRequest
from domain.errors import TooManyRequests
from domain.ids import ModelId
from domain.models import ModelSpec

QUEUE_FACTOR: Final = 4
"""So many calls may wait for each that goes on."""
RETRY_SECONDS: Final = 2.0


@dataclass(slots=True)
class _Line:
    """asyncio's semaphore is fair: who came first is served first."""

    places: asyncio.Semaphore
    waiting: int = 0

    @asynccontextmanager
    async def place(self) -> AsyncGenerator[None, None]:
        self.waiting += 1
        try:
            await self.places.acquire()
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self.places.release()


@dataclass(frozen=True, slots=True)
class _InLine:
    """A model whose every stream takes a place first and gives it back however the stream ends."""

    model: ChatModel
    line: _Line

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        async with self.line.place(), aclosing(self.model.stream(request)) as events:
            async for event in events:
                yield event


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """The places at every model that has a `max_concurrent`. One object for the process: the places are its own.

    A place is held for one call of the model, not for a run: nobody waits for somebody else's tools.
    """

    lines: dict[ModelId, _Line] = field(default_factory=dict)

    def limited(self, spec: ModelSpec, model: ChatModel) -> ChatModel:
        """`model` itself where nothing limits it. Who reads the stream waits, as long as it takes."""
        return model if spec.max_concurrent is None else _InLine(model, self._line(spec, spec.max_concurrent))

    def admit(self, spec: ModelSpec) -> None:
        """Raises TooManyRequests `model_busy` when the line is long: waiting runs hold what all models share.

        It takes no place in the line: calls that were admitted and have not come yet are not counted.
        """
        most = spec.max_concurrent
        if most is not None and self._line(spec, most).waiting >= QUEUE_FACTOR * most:
            raise TooManyRequests(
                "model_busy", f"Too many questions are waiting for {spec.llm_id}.", retry_after=RETRY_SECONDS
            )

    def _line(self, spec: ModelSpec, places: int) -> _Line:
        line = self.lines.get(spec.llm_id)
        if line is None:
            line = self.lines[spec.llm_id] = _Line(asyncio.Semaphore(places))
        return line
