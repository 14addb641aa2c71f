"""What is opened with a client of its own: kept while it is used, and closed when it is not."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from adapters.web.client import WebClient

IDLE_SECONDS: Final = 300.0
MOST: Final = 200

T = TypeVar("T")


@dataclass(slots=True)
class _Kept(Generic[T]):
    client: WebClient
    opened: T
    users: int = 0
    closing: asyncio.TimerHandle | None = None


class KeptClients(Generic[T]):
    """One client for a key, never shared with another key.

    More than `most` are there only while more are in use at once.
    """

    def __init__(self, make: Callable[[], WebClient], *, idle_seconds: float = IDLE_SECONDS, most: int = MOST) -> None:
        self._make = make
        self._idle_seconds = idle_seconds
        self._most = most
        self._kept: dict[str, _Kept[T]] = {}
        """In the order of their last use."""
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._kept)

    @contextmanager
    def lease(self, key: str, open_with: Callable[[WebClient], T]) -> Iterator[T]:
        """What was opened under the key, for as long as it is needed."""
        kept = self._kept.pop(key, None)
        if kept is None:
            client = self._make()
            kept = _Kept(client, open_with(client))
        self._kept[key] = kept
        kept.users += 1
        self._wake(kept)
        self._make_room()
        try:
            yield kept.opened
        finally:
            kept.users -= 1
            if not kept.users:
                self._rest(key, kept)

    async def forget(self, key: str) -> None:
        """What is in use is closed by its last user; who comes next gets a new one."""
        kept = self._kept.pop(key, None)
        if kept is not None and not kept.users:
            self._wake(kept)
            await kept.client.aclose()

    async def aclose(self) -> None:
        for key in list(self._kept):
            kept = self._kept.pop(key)
            self._wake(kept)
            await kept.client.aclose()
        await asyncio.gather(*self._closing)

    def _rest(self, key: str, kept: _Kept[T]) -> None:
        if self._kept.get(key) is not kept:
            self._close(kept)
            return
        loop = asyncio.get_running_loop()
        kept.closing = loop.call_later(self._idle_seconds, self._expire, key, kept)
        self._make_room()

    def _wake(self, kept: _Kept[T]) -> None:
        if kept.closing is not None:
            kept.closing.cancel()
            kept.closing = None

    def _expire(self, key: str, kept: _Kept[T]) -> None:
        if self._kept.get(key) is kept and not kept.users:
            del self._kept[key]
            self._close(kept)

    def _make_room(self) -> None:
        for key in [key for key, kept in self._kept.items() if not kept.users][: max(0, len(self._kept) - self._most)]:
            kept = self._kept.pop(key)
            self._wake(kept)
            self._close(kept)

    def _close(self, kept: _Kept[T]) -> None:
        task = asyncio.create_task(kept.client.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
