"""Lists in pages, by position and not by number: nothing is skipped or shown twice while objects come and go."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from domain.errors import InvalidValue

T = TypeVar("T")

MAX_LIMIT = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: an object's creation time and id."""

    created_at: datetime
    identifier: str


@dataclass(frozen=True, slots=True)
class Window:
    """`limit` None asks for the whole list."""

    limit: int | None = None
    after: Position | None = None

    @classmethod
    def parse(cls, limit: int | None, cursor: str | None) -> "Window":
        if limit is not None and not 1 <= limit <= MAX_LIMIT:
            raise InvalidValue("limit", f"must be 1 to {MAX_LIMIT}")
        return cls(limit, None if cursor is None else _decode(cursor))

    def at_most(self, items: int) -> "Window":
        return replace(self, limit=items if self.limit is None else min(items, self.limit))

    @property
    def fetch(self) -> int | None:
        """Rows to ask for: one more than shown, to know whether there is a next page."""
        return None if self.limit is None else self.limit + 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: Sequence[T]
    next_cursor: str | None = None

    @classmethod
    def cut(cls, rows: Sequence[T], window: Window, position: Callable[[T], Position]) -> "Page[T]":
        if window.limit is None or len(rows) <= window.limit:
            return cls(rows)
        shown = rows[: window.limit]
        return cls(shown, _encode(position(shown[-1])))


def _encode(position: Position) -> str:
    micros = (position.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros}:{position.identifier}".encode()).decode().rstrip("=")


def _decode(cursor: str) -> Position:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        micros, identifier = text.split(":", 1)
        if not identifier or "\x00" in identifier:
            raise ValueError("no database compares with that")  # noqa: TRY301
        return Position(_EPOCH + timedelta(microseconds=int(micros)), identifier)
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InvalidValue("cursor", "must be a next_cursor of this list") from error
