"""How many requests go on at once, and how many in a minute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

AHEAD_SECONDS: Final = 6.0
"""How far before its place a question may go: a tenth of a minute's requests beside those that are in their place."""


class Pace:
    """Of one process. Passages wait for their place in the minute; questions, for which a person waits, go before them.

    They take places all the same, and when they are too far ahead they wait too: else many of them would put off the
    passages without end, and go beyond what the provider allows.
    """

    def __init__(self, *, at_once: int, per_minute: int | None = None) -> None:
        self.at_once = at_once
        self._passages = asyncio.Semaphore(at_once)
        self._questions = asyncio.Semaphore(at_once)
        self._line = asyncio.Lock()
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._placed = 0
        """Passages that have their place, and wait for it."""

    @asynccontextmanager
    async def question(self) -> AsyncIterator[None]:
        async with self._questions:
            # One after the other, so that the first to come is the first to go; who gives up leaves no trace.
            async with self._line:
                await asyncio.sleep(max(0.0, self._ahead() - AHEAD_SECONDS))
                self._take()
            yield

    @asynccontextmanager
    async def passages(self) -> AsyncIterator[None]:
        async with self._passages:
            wait = self._take()
            self._placed += 1
            try:
                await asyncio.sleep(wait)
            finally:
                self._placed -= 1
            yield

    def _ahead(self) -> float:
        """The seconds by which a question that went now would be before its place: passages don't hold it up."""
        return self._next - asyncio.get_running_loop().time() - self._placed * self._interval

    def _take(self) -> float:
        """The next place in the minute; the seconds until it comes."""
        now = asyncio.get_running_loop().time()
        place = max(self._next, now)
        self._next = place + self._interval
        return place - now
