"""A watch over the silence of a stream."""

import asyncio
from collections.abc import Callable


class SilenceWatch:
    """Calls `expire` once, when a wait lasts longer than `seconds`.

    A wait only notes its deadline: the one timer of the stream moves when it fires, not with every token.
    """

    __slots__ = ("_deadline", "_expire", "_loop", "_seconds", "_timer", "expired")

    def __init__(self, seconds: float, expire: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._expire = expire
        self._deadline: float | None = None
        self.expired = False
        self._timer = self._loop.call_later(seconds, self._tick)

    def waiting(self) -> None:
        self._deadline = self._loop.time() + self._seconds

    def received(self) -> None:
        self._deadline = None

    def shorten(self, seconds: float) -> None:
        """From now on silence may last only this long, the present one too."""
        self._seconds = min(seconds, self._seconds)
        self.waiting()
        self._timer.cancel()
        self._timer = self._loop.call_later(self._seconds, self._tick)

    def close(self) -> None:
        self._timer.cancel()

    def _tick(self) -> None:
        now = self._loop.time()
        deadline = self._deadline
        if deadline is not None and deadline <= now:
            self.expired = True
            self._expire()
        else:
            self._timer = self._loop.call_at(now + self._seconds if deadline is None else deadline, self._tick)
