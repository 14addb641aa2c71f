"""Which part of a file a request asks for (RFC 9110, 14)."""

import re
from dataclasses import dataclass
from typing import Final

_ONE_RANGE: Final = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """From `start` up to `stop`, exclusive; never empty."""

    start: int
    stop: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{size}"


class Unsatisfiable(Exception):
    """The range begins after the end, or has no length."""


def parse_range(value: str | None, size: int) -> ByteRange | None:
    """None for the whole: also for several ranges, and for what can't be read, as the RFC allows and demands.

    Raises Unsatisfiable.
    """
    found = _ONE_RANGE.fullmatch(value) if value else None
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise Unsatisfiable
    return ByteRange(start, stop)
