"""A trouble that comes again and again is told of when it begins, then once a minute, and when it is over."""

import logging
import time
from collections.abc import Callable
from typing import Final

from domain.errors import DomainError

EVERY_SECONDS: Final = 60.0


class LastingTrouble:
    """Writes to a log: `event` with `times` and `seconds`, and at the end `over` with the `seconds` that it took.

    One that comes and goes within the minute is counted, and told of with the next line.
    """

    __slots__ = ("_clock", "_event", "_log", "_over", "_since", "_times", "_told", "_told_at")

    def __init__(
        self, log: logging.Logger, event: str, over: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._event = event
        self._over = over
        self._clock = clock
        self._since: float | None = None
        self._times = 0
        self._told = False
        self._told_at: dict[str, float] = {}

    def came(self, trouble: Exception, cause: str | None = None) -> None:
        """A trouble of another kind than those before is told of at once."""
        now = self._clock()
        if self._since is None:
            self._since = now
        self._times += 1
        kind = f"{type(trouble).__name__} {getattr(trouble, 'code', '')}"
        told_at = self._told_at.get(kind)
        if told_at is not None and now - told_at < EVERY_SECONDS:
            return
        expected = isinstance(trouble, DomainError | TimeoutError)
        self._log.warning(
            self._event,
            extra={
                "cause": cause or str(trouble) or type(trouble).__name__,
                "times": self._times,
                "seconds": round(now - self._since, 1),
            },
            # Ours say what is wrong; the place of anything else is worth knowing.
            exc_info=None if expected else trouble,
        )
        self._told_at[kind] = now
        self._told = True
        self._times = 0

    def passed(self) -> None:
        """Call it whenever all is well: it costs nothing then."""
        if self._since is None:
            return
        if self._told:
            self._log.info(self._over, extra={"seconds": round(self._clock() - self._since, 1)})
        self._since = None
        self._told = False
