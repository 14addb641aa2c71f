"""Whose question is embedded next: users take turns, and who measures a base waits behind all who ask."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from application.ports.embedder import Embedder
from domain.errors import TooManyRequests
from domain.ids import UserId

MOST_WAITING: Final = 24
"""Questions of one user, at least. `beside` makes it more than the answers that may be in the making for them."""
_BESIDE_ANSWERS: Final = 4
RETRY_SECONDS: Final = 2.0

_Waiting = dict[UserId, deque[asyncio.Future[None]]]
"""The first user is the next one, and goes to the end then."""


@dataclass(slots=True)
class _Line:
    """While a place is free, nobody waits."""

    free: int
    asking: _Waiting = field(default_factory=dict)
    measuring: _Waiting = field(default_factory=dict)

    async def enter(self, owner: UserId, *, patient: bool) -> None:
        if self.free:
            self.free -= 1
            return
        waiting = self.measuring if patient else self.asking
        turn = asyncio.get_running_loop().create_future()
        waiting.setdefault(owner, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                _forget(waiting, owner, turn)
            else:
                # The turn came in the same moment: it is the next one's.
                self.leave()
            raise

    def leave(self) -> None:
        for waiting in (self.asking, self.measuring):
            while waiting:
                turn = _next(waiting)
                if not turn.done():
                    turn.set_result(None)
                    return
        self.free += 1


@dataclass(frozen=True, slots=True)
class QueryTurns:
    """The places at every embedding model. One object for the process: the places are its own."""

    lines: dict[str, _Line] = field(default_factory=dict)
    most_waiting: int = MOST_WAITING

    @classmethod
    def beside(cls, most_answers: int) -> "QueryTurns":
        """For users who may have so many answers in the making: the question of each may wait, and some others."""
        return cls(most_waiting=max(MOST_WAITING, most_answers + _BESIDE_ANSWERS))

    @asynccontextmanager
    async def place(self, embedder: Embedder, owner: UserId, *, patient: bool = False) -> AsyncGenerator[None, None]:
        """Wait as long as it takes. Whoever is `patient` comes when nobody else waits.

        Raises TooManyRequests `too_many_requests` when too many of the owner's wait, patient ones not counted.
        """
        name = embedder.model.name
        line = self.lines.get(name)
        if line is None:
            line = self.lines[name] = _Line(embedder.queries_at_once)
        if not patient:
            self.refuse_full(name, owner)
        await line.enter(owner, patient=patient)
        try:
            yield
        finally:
            line.leave()

    def refuse_full(self, model: str, owner: UserId) -> None:
        """Raises TooManyRequests, before any work is done in vain."""
        line = self.lines.get(model)
        if line is not None and len(line.asking.get(owner, ())) >= self.most_waiting:
            message = f"At most {self.most_waiting} questions of one user wait for the embedding model."
            raise TooManyRequests("too_many_requests", message, retry_after=RETRY_SECONDS)


def _next(waiting: _Waiting) -> asyncio.Future[None]:
    owner = next(iter(waiting))
    turns = waiting.pop(owner)
    turn = turns.popleft()
    if turns:
        waiting[owner] = turns
    return turn


def _forget(waiting: _Waiting, owner: UserId, turn: asyncio.Future[None]) -> None:
    """It may have been passed over already."""
    turns = waiting.get(owner)
    if turns is not None and turn in turns:
        turns.remove(turn)
        if not turns:
            del waiting[owner]
