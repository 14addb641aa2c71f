"""What surrounds every request: its id, the refusal while the server stops, its numbers, its line in the access log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http import access_log, request_ids
from entrypoints.http.error_shapes import shaped
from entrypoints.http.errors import INTERNAL, Refusal
from entrypoints.http.http_statistics import HttpStatistics

access = logging.getLogger(access_log.LOGGER)
log = logging.getLogger("agentchat.http")

ALWAYS_SERVED: Final = frozenset({"/health", "/health/ready"})
ENCODED_SLASH: Final = "\ue000"
"""Stands for %2F in scope["path"], where ids may hold one: a private-use character, which no id holds."""

_SHUTTING_DOWN: Final = Refusal(
    503,
    "shutting_down",
    "The server is stopping: try again after Retry-After.",
    headers={"Retry-After": "1", "Connection": "close"},
)


class Drain:
    """Once active, new requests are refused; those that run go on."""

    def __init__(self) -> None:
        self.active = False
        self._unanswered = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    def begins(self) -> None:
        self._unanswered += 1
        self._quiet.clear()

    def answers(self) -> None:
        """One of the requests that began has the beginning of its answer, or came to nothing."""
        self._unanswered -= 1
        if not self._unanswered:
            self._quiet.set()

    async def answered(self, patience: float) -> None:
        """Until every request has the beginning of its answer; at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._quiet.wait()


@dataclass(frozen=True, slots=True)
class Front:
    """Pure ASGI, and cheap: it wraps `send` once, and adds nothing to the chunks of a stream but one comparison."""

    app: ASGIApp
    drain: Drain
    statistics: HttpStatistics = field(default_factory=HttpStatistics)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        started_at = perf_counter()
        request_id = request_ids.bind(scope["headers"])
        answer = _Answer(scope, send, (b"x-request-id", request_id.encode()), self._begun_after(scope, started_at))
        _keep_encoded_slashes(scope)
        self.drain.begins()
        try:
            await self._answered(scope, receive, answer, request_id)
        finally:
            if not answer.status:
                answer.on_begin(0)
            if access.isEnabledFor(logging.INFO):
                _log_access(scope, answer.status, started_at, request_id)

    def _begun_after(self, scope: Any, started_at: float) -> Callable[[int], None]:
        def begun(status: int) -> None:
            self.drain.answers()
            seconds = perf_counter() - started_at
            self.statistics.answered(scope["method"], scope.get("path_template"), status, seconds)

        return begun

    async def _answered(self, scope: Scope, receive: Receive, answer: "_Answer", request_id: str) -> None:
        try:
            if self.drain.active and scope["path"] not in ALWAYS_SERVED:
                await _refuse(_SHUTTING_DOWN, answer, scope["path"])
            else:
                await self.app(scope, receive, answer)
        except asyncio.CancelledError:
            # The server cancels what its grace was too short for.
            if answer.status or not self.drain.active:
                raise
            await _refuse(_SHUTTING_DOWN, answer, scope["path"])
        except Exception:
            if answer.status:
                raise
            log.exception("unhandled", extra={"request_id": request_id})
            await _refuse(Refusal(500, *INTERNAL), answer, scope["path"])


class _Answer:
    """`send` with our header; it knows the status that was sent, 0 before, and tells it to `on_begin` once."""

    __slots__ = ("_header", "_scope", "_send", "on_begin", "status")

    def __init__(self, scope: Any, send: Send, header: tuple[bytes, bytes], on_begin: Callable[[int], None]) -> None:
        self._scope, self._send, self._header, self.on_begin = scope, send, header, on_begin
        self.status = 0

    def __call__(self, message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            self._begin(message)
        return self._send(message)

    def _begin(self, message: Any) -> None:
        if not self.status:
            self.on_begin(message["status"])
        self.status = message["status"]
        if self._scope["method"] == HttpMethod.OPTIONS:
            _tell_all_methods(self._scope, message["headers"])
        message["headers"] = [*message["headers"], self._header]


def _tell_all_methods(scope: Any, headers: Any) -> None:
    """Litestar's own answer to OPTIONS knows the methods of a path's first handler only."""
    routes = (route for route in scope["litestar_app"].routes if route.path_format == scope.get("path_template"))
    if route := next(routes, None):
        allowed = ", ".join(sorted(route.methods)).encode()
        headers[:] = [(name, allowed if name == b"allow" else value) for name, value in headers]


def _keep_encoded_slashes(scope: Any) -> None:
    raw = scope.get("raw_path") or b""
    if b"%" in raw and b"%2f" in raw.lower():
        scope["path"] = _unquoted(raw)


def _unquoted(raw: bytes) -> str:
    text = raw.split(b"?", 1)[0].decode("latin-1")
    return unquote(text.replace("%2F", "\x00").replace("%2f", "\x00")).replace("\x00", ENCODED_SLASH)


async def _refuse(refusal: Refusal, send: Any, path: str) -> None:
    status, shown = shaped(path, refusal.status, refusal.envelope())
    body = msgspec.json.encode(shown)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _log_access(scope: Any, status: int, started_at: float, request_id: str) -> None:
    """The path's template and not the path: ids stay out of the line, as do queries, bodies and tokens."""
    access.info(
        "request",
        extra={
            "method": scope["method"],
            "path": scope.get("path_template") or "-",
            "status": status,
            "duration_ms": round((perf_counter() - started_at) * 1000, 1),
            "request_id": request_id,
            "user_id": scope.get("user_id"),
        },
    )
