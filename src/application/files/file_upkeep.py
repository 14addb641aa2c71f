"""What is left over of files: contents that nobody finds any more, rows and readings that nobody needs."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final, TypeVar

from application.ports.clock import Clock
from application.ports.file_storage import FileStorage
from application.ports.persistence import Transactions
from domain.files.files import UPLOAD_WINDOW
from domain.ids import FileId

T = TypeVar("T")

AT_ONCE: Final = 100
ROUNDS: Final = 100
"""Of one look; what is left waits for the next one."""
UNDER_WAY: Final = timedelta(hours=6)
"""No upload takes so long (entrypoints/http/multipart_form.py), also when the clocks of two machines differ by hours:
a content that is older and has no row gets none."""
LOOKED_BACK: Final = timedelta(hours=48)
LOOKED_BACK_AT_FIRST: Final = timedelta(days=30)
"""For nobody may have looked for a while."""
EVERY_SECONDS: Final = 600.0
RETRY_SECONDS: Final = 30.0

OnTrouble = Callable[[Exception], None]


class Troubles:
    """What went wrong, of which the first tells most."""

    def __init__(self) -> None:
        self._first: Exception | None = None

    def note(self, trouble: Exception) -> None:
        self._first = self._first or trouble

    def raise_first(self) -> None:
        if self._first is not None:
            raise self._first


@dataclass(frozen=True, slots=True)
class SweepFiles:
    """Any number of processes may do this at once: each step can be done twice, and undone by nobody."""

    transactions: Transactions
    storage: FileStorage
    clock: Clock
    on_trouble: OnTrouble

    async def once(self, back: timedelta = LOOKED_BACK) -> None:
        """Raises the first trouble, and does not let it keep the rest from being done."""
        troubles = Troubles()
        orphans = partial(self._remove_orphans, back)
        for step in (self._empty_removed, self._forget, orphans, self._remove_readings):
            try:
                await step()
            except Exception as trouble:  # noqa: BLE001 - raised below
                troubles.note(trouble)
        troubles.raise_first()

    async def forever(self) -> None:
        back, soon = LOOKED_BACK_AT_FIRST, RETRY_SECONDS
        while True:
            try:
                await self.once(back)
                back, soon, pause = LOOKED_BACK, RETRY_SECONDS, EVERY_SECONDS
            except Exception as trouble:  # noqa: BLE001 - the next look may find storage and database in order
                self.on_trouble(trouble)
                # A trouble that lasts is looked at less and less often.
                pause, soon = soon, min(2 * soon, EVERY_SECONDS)
            # Not all processes at the same moment, also when they were started together.
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311

    async def _empty_removed(self) -> None:
        last, troubles = None, Troubles()
        for _ in range(ROUNDS):
            async with self.transactions.autocommit() as tx:
                file_ids = await tx.files.removed(AT_ONCE, last)
            gone = await self._without_content(file_ids, troubles)
            async with self.transactions.autocommit() as tx:
                await tx.files.emptied(gone)
            if len(file_ids) < AT_ONCE:
                break
            last = file_ids[-1]
        troubles.raise_first()

    async def _forget(self) -> None:
        """The uploads of the last hour are counted, also when the files are gone."""
        before = self.clock.now() - UPLOAD_WINDOW
        async with self.transactions.autocommit() as tx:
            await _in_batches(lambda: tx.files.forget(before, AT_ONCE))

    async def _remove_orphans(self, back: timedelta) -> None:
        """What an upload left whose process died between the content and the row."""
        now = self.clock.now()
        written = self.storage.written_between(now - back, now - UNDER_WAY)
        troubles = Troubles()
        async with aclosing(_batches(written)) as batches:
            async for file_ids in batches:
                async with self.transactions.autocommit() as tx:
                    known = await tx.files.known(file_ids)
                await self._without_content([one for one in file_ids if one not in known], troubles)
        troubles.raise_first()

    async def _without_content(self, file_ids: Sequence[FileId], troubles: "Troubles") -> Sequence[FileId]:
        """Those whose contents are gone now. One that stays keeps no other, unless the whole storage is away."""
        gone = []
        for file_id in file_ids:
            try:
                await self.storage.remove(file_id)
                gone.append(file_id)
            except Exception as trouble:  # noqa: BLE001 - raised by the step, after the others
                troubles.note(trouble)
                await self.storage.check()
        return gone

    async def _remove_readings(self) -> None:
        async with self.transactions.autocommit() as tx:
            await _in_batches(lambda: tx.readings.remove_unused(AT_ONCE))


async def _in_batches(remove: Callable[[], Awaitable[int]]) -> None:
    for _ in range(ROUNDS):
        if await remove() < AT_ONCE:
            return


async def _batches(found: AsyncGenerator[FileId, None]) -> AsyncGenerator[list[FileId], None]:
    batch: list[FileId] = []
    async with aclosing(found):
        async for file_id in found:
            batch.append(file_id)
            if len(batch) == AT_ONCE:
                yield batch
                batch = []
    if batch:
        yield batch
