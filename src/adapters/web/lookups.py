"""Names looked up as the system does: in threads, of which nobody's silent names take more than a share."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from weakref import WeakValueDictionary

from application.acting_for import acting_for
from domain.ids import UserId

LOOKUPS: Final = 64
SHARE: Final = 8
"""Of one person: a name whose server is silent holds its thread for as long as the system waits, whoever gave up."""


class TooManyLookups(OSError):
    """Nobody is asked: every thread waits for an answer."""


class SystemResolve:
    """A Resolve. Who has their share at work waits; where all threads are taken TooManyLookups is raised."""

    def __init__(self, *, lookups: int = LOOKUPS, share: int = SHARE) -> None:
        self._threads = ThreadPoolExecutor(lookups, "guarded-lookup")
        self._free = lookups
        self._share = share
        self._shares: WeakValueDictionary[UserId | None, asyncio.Semaphore] = WeakValueDictionary()

    async def __call__(self, host: str) -> Sequence[str]:
        share = self._shares.setdefault(acting_for.get(), asyncio.Semaphore(self._share))
        await share.acquire()
        if not self._free:
            share.release()
            raise TooManyLookups
        self._free -= 1
        lookup = asyncio.get_running_loop().run_in_executor(self._threads, _looked_up, host)

        def ended(done: asyncio.Future[list[str]]) -> None:
            self._free += 1
            share.release()
            if not done.cancelled():
                done.exception()  # Nobody may be left who asks.

        lookup.add_done_callback(ended)
        # The thread goes on whoever gives up, and so does what it holds.
        return await asyncio.shield(lookup)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _looked_up(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in found))
