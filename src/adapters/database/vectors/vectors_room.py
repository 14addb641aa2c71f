"""The room that matrices have in memory together: those that are kept, and those that are being read."""

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import NamedTuple

from adapters.database.vectors.vectors_matrix import Matrix
from adapters.database.vectors.vectors_stored import Key, Stamp


@dataclass(frozen=True, slots=True)
class Loaded:
    """Whatever was stored when the counters stood so, and perhaps some that came later."""

    stamp: Stamp
    matrix: Matrix


class NoRoom(Exception):
    """The vectors of the base take more bytes than there are for all bases together."""


class _Waiting(NamedTuple):
    key: Key
    size: int
    turn: asyncio.Future[None]


class Room:
    """Whoever is to be read has its room before: what was asked for longest ago leaves, and the next ones wait.

    Who waits holds nothing, so nobody waits in a circle; and all wait in turn, so that large ones come too.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._kept: OrderedDict[Key, Loaded] = OrderedDict()
        self._size = 0
        self._reserved: dict[Key, int] = {}
        self._waiting: deque[_Waiting] = deque()

    @property
    def size(self) -> int:
        """The bytes of all matrices that are kept."""
        return self._size

    @property
    def reserved(self) -> int:
        """The bytes of what is being read, with what is known of it."""
        return sum(self._reserved.values())

    def kept(self, key: Key) -> Loaded | None:
        return self._kept.get(key)

    def note_use(self, key: Key) -> None:
        if key in self._kept:
            self._kept.move_to_end(key)

    async def reserve(self, key: Key, size: int) -> None:
        """For all of its vectors, until it is kept or given up. Raises NoRoom."""
        if size > self.most_bytes:
            raise NoRoom
        if key in self._reserved:
            return
        if self._waiting or not self._fits(size):
            one = _Waiting(key, size, asyncio.get_running_loop().create_future())
            self._waiting.append(one)
            try:
                await one.turn
            except asyncio.CancelledError:
                self._leave(one)
                raise
        else:
            self._reserved[key] = size
            self._clear()

    def keep(self, key: Key, loaded: Loaded | None) -> None:
        """In the place of what was kept; None keeps nothing."""
        if before := self._kept.pop(key, None):
            self._size -= before.matrix.size
        if loaded is not None:
            self._kept[key] = loaded
            self._size += loaded.matrix.size
        self.give_up(key)

    def give_up(self, key: Key) -> None:
        """What was reserved. What is kept stays, as far as there is room."""
        self._reserved.pop(key, None)
        self._wake()

    def _fits(self, size: int) -> bool:
        return self.reserved + size <= self.most_bytes

    def _leave(self, one: _Waiting) -> None:
        if one in self._waiting:
            self._waiting.remove(one)
        self._reserved.pop(one.key, None)
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._fits(self._waiting[0].size):
            one = self._waiting.popleft()
            self._reserved[one.key] = one.size
            if not one.turn.done():
                one.turn.set_result(None)
        self._clear()

    def _clear(self) -> None:
        """What is being read stays: its room is reserved."""
        known = sum(self._kept[key].matrix.size for key in self._reserved if key in self._kept)
        over = self._size - known + self.reserved - self.most_bytes
        for key in [*self._kept] if over > 0 else ():
            if over <= 0:
                break
            if key not in self._reserved:
                size = self._kept.pop(key).matrix.size
                self._size -= size
                over -= size
