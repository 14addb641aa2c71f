"""The id of a request: taken from its X-Request-ID when that is well formed, else made."""

import os
import re
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,128}")

OUTSIDE: Final = "-"

_current: ContextVar[str] = ContextVar("request_id", default=OUTSIDE)


def current() -> str:
    """The id of the request being served, for error bodies and log lines; OUTSIDE outside of one."""
    return _current.get()


def bind(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Choose the request's id and make it the current one of this task and of those that it starts."""
    sent = next((value for name, value in headers if name == b"x-request-id"), b"")
    chosen = sent.decode() if _WELL_FORMED.fullmatch(sent) else os.urandom(16).hex()
    _current.set(chosen)
    return chosen
