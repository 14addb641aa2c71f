"""How fast a server may talk."""

from collections.abc import Callable


class Bucket:
    """Filled at a steady pace; who takes more than is in it talks too fast."""

    def __init__(self, size: float, a_second: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._pace = a_second
        self._clock = clock
        self._held = size
        self._at = clock()

    def take(self, amount: float = 1) -> bool:
        now = self._clock()
        self._held = min(self._size, self._held + (now - self._at) * self._pace) - amount
        self._at = now
        return self._held >= 0
