"""How many calls of a model go on at once: what its provider, or its operator's purse, can bear."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from application.ports.chat_model import ChatModel
from domain.conversation import ModelEvent, ModelRequest
from domain.errors import TooManyRequests
from domain.ids import ModelId, UserId
from domain.models import ModelSpec

QUEUE_FACTOR: Final = 4
"""So many runs may wait for each call that goes on."""
RETRY_SECONDS: Final = 2.0


@dataclass(slots=True)
class _Line:
    """asyncio's semaphore is fair: who came first is served first."""

    places: asyncio.Semaphore
    runs: Counter[UserId] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _InLine:
    """A model whose every stream takes a place first and gives it back however the stream ends."""

    model: ChatModel
    line: _Line

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        async with self.line.places, aclosing(self.model.stream(request)) as events:
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

    def admit(self, spec: ModelSpec, user_id: UserId) -> Callable[[], None]:
        """Take a run on, until what is returned is called; calling it again does nothing.

        A limited model has so many runs, waiting ones included, and one user half of them: what all models share is
        not filled by those who wait for one. Raises TooManyRequests `model_busy`.
        """
        if spec.max_concurrent is None:
            return _nothing
        line = self._line(spec, spec.max_concurrent)
        most = spec.max_concurrent * (1 + QUEUE_FACTOR)
        if line.runs.total() >= most or line.runs[user_id] >= (most + 1) // 2:
            message = f"Too many questions are waiting for {spec.llm_id}."
            raise TooManyRequests("model_busy", message, retry_after=RETRY_SECONDS)
        line.runs[user_id] += 1
        return _Leave(line, user_id)

    def _line(self, spec: ModelSpec, places: int) -> _Line:
        line = self.lines.get(spec.llm_id)
        if line is None:
            line = self.lines[spec.llm_id] = _Line(asyncio.Semaphore(places))
        return line


@dataclass(slots=True)
class _Leave:
    line: _Line
    user_id: UserId
    left: bool = False

    def __call__(self) -> None:
        if not self.left:
            self.left = True
            runs = self.line.runs
            runs[self.user_id] -= 1
            if not runs[self.user_id]:
                del runs[self.user_id]


def _nothing() -> None:
    """A model without a limit keeps no account."""
