"""Troubles that the next try may mend, told to the operator: an outage in its sentence, a defect with its place."""

import logging
import time
from collections.abc import Callable
from typing import Final

from domain.errors import DomainError

AN_HOUR: Final = 3600.0


def tell(log: logging.Logger, event: str, trouble: BaseException, **more: object) -> None:
    """Ours say what is wrong, and most are somebody else's outage; anything else is a defect."""
    expected = isinstance(trouble, DomainError | TimeoutError)
    log.log(
        logging.WARNING if expected else logging.ERROR,
        event,
        extra={**more, "cause": str(trouble) or type(trouble).__name__},
        exc_info=None if expected else trouble,
    )


class Seldom:
    """A warning that lasts as long as the settings do: of each code once an hour, however often it comes."""

    __slots__ = ("_clock", "_event", "_log", "_told")

    def __init__(self, log: logging.Logger, event: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._event = event
        self._clock = clock
        self._told: dict[str, float] = {}

    def __call__(self, trouble: DomainError) -> None:
        now, told = self._clock(), self._told.get(trouble.code)
        if told is None or now - told >= AN_HOUR:
            self._told[trouble.code] = now
            tell(self._log, self._event, trouble)
