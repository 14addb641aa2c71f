"""The one shape of every JSON answer: status_code, status_message, data."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from application.paging import Page

T = TypeVar("T")
S = TypeVar("S")

_encode = msgspec.json.Encoder().encode
_WITH_MICROSECONDS = len('"2026-01-31T23:59:59.123456Z"')


class Envelope(Struct, Generic[T], kw_only=True):
    status_code: int = 200
    status_message: str = "SUCCESS"
    data: T


class PageEnvelope(Struct, Generic[T], kw_only=True):
    """A list. `next_cursor` is there only when there is more."""

    status_code: int = 200
    status_message: str = "SUCCESS"
    data: list[T]
    next_cursor: str | UnsetType = UNSET


class FieldNote(Struct):
    """A field and what would be right for it."""

    name: str
    message: str


class ErrorDetail(Struct):
    """`code` is stable; `fields` names what was wrong in the request."""

    code: str
    fields: list[FieldNote]
    request_id: str


class ErrorEnvelope(Struct, kw_only=True):
    """`status_code` is 401, 403, 404, or 500 for every other failure; the HTTP status is the precise one.

    `data` is null, but for the readiness check.
    """

    status_code: int
    status_message: str
    data: Any = None
    error: ErrorDetail


def ok(data: T) -> Envelope[T]:
    return Envelope(data=data)


def page(items: Iterable[T], cursor: str | None = None) -> PageEnvelope[T]:
    return PageEnvelope(data=list(items), next_cursor=UNSET if cursor is None else cursor)


def page_of(found: Page[S], view: Callable[[S], T]) -> PageEnvelope[T]:
    """The page of a use case, each item as its view."""
    return page(map(view, found.items), found.next_cursor)


def rfc3339(moment: datetime) -> str:
    """UTC with milliseconds: 2026-01-31T23:59:59.123Z. A list has 40 of them: isoformat() takes four times as long."""
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    quoted = _encode(utc).decode()
    return quoted[1:24] + "Z" if len(quoted) == _WITH_MICROSECONDS else quoted[1:20] + ".000Z"
