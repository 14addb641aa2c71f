"""What is scarce in a process, shared out between people: whoever wants much of it waits behind their own work."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from application.acting_for import acting_for
from domain.ids import UserId


class FairPlaces:
    """`in_all` at once, `for_each` of one person: so many of theirs, and no more, stand in everybody's row."""

    def __init__(self, in_all: int, for_each: int) -> None:
        self._row = asyncio.Semaphore(in_all)
        self._for_each = for_each
        self._shares: WeakValueDictionary[UserId | None, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        share = self._shares.setdefault(acting_for.get(), asyncio.Semaphore(self._for_each))
        async with share, self._row:
            yield
