"""uvicorn's HTTP/1.1 protocol with what it lacks: limits on a request's head and on a body that nobody reads, refusals
in the envelope, and requests that offer an upgrade (RFC 9110, 7.8: the offer is ignored, the request is served)."""

import asyncio
import contextvars
import logging
from typing import Final

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from entrypoints.http import request_ids
from entrypoints.http.envelope import ErrorDetail, ErrorEnvelope

MAX_HEAD_BYTES: Final = 64 * 1024
HEAD_SECONDS: Final = 30.0
UNREAD_BODY_SECONDS: Final = 30.0
"""For the rest of a body whose request is answered already."""
LINGER_SECONDS: Final = 1.0
"""A refused client may still be sending: closing at once would reset the connection before it reads why."""

MALFORMED: Final = 400, "malformed_request", "The request is not well-formed HTTP/1.1."
HEAD_TOO_LARGE: Final = (
    431,
    "malformed_request",
    f"The request line and headers are too large: at most {MAX_HEAD_BYTES:,} bytes are taken.",
)
CUT_OFF: Final = 400, "body_cut_off", "The body ended before its announced length."

log = logging.getLogger("agentchat.http")


class HeadTooLarge(Exception):
    """Raised inside the parser, which makes it the context of its own error."""


class NoProxy(Exception):
    """CONNECT asks for a tunnel: nothing that follows its head would be HTTP."""


class BoundedHttp(HttpToolsProtocol):
    """Closes a connection whose requests are malformed, too large in the head, or come too slowly."""

    head_bytes = 0
    in_head = True
    in_body = False
    head_timer: asyncio.TimerHandle | None = None
    body_timer: asyncio.TimerHandle | None = None
    refusal: bytes | None = None
    """Once set, nothing more is read; it is sent after the answers to the requests before."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_done()
        self._body_done()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refusal is not None:
            return
        self._unset_keepalive_if_required()
        try:
            self._feed(memoryview(data))
        except httptools.HttpParserError as error:
            self._refuse(*(HEAD_TOO_LARGE if isinstance(error.__context__, HeadTooLarge) else MALFORMED))
            return
        if self.in_head:
            self.head_bytes += len(data)
            if self.head_bytes > MAX_HEAD_BYTES:
                self._refuse(*HEAD_TOO_LARGE)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whoever says no more may still listen: a body that ends too early is answered."""
        if not self.in_body or self.refusal is not None:
            return False
        self._refuse(*CUT_OFF)
        return True

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            raise HeadTooLarge
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise NoProxy
            return
        self._head_done()
        super().on_headers_complete()
        self.in_body = True

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            self._body_done()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        if self.refusal is not None and not self.pipeline and not self.transport.is_closing():
            self._send_refusal(self.refusal)
            return
        super().on_response_complete()
        if self.in_body and self.cycle.response_complete and not self.transport.is_closing():
            self.body_timer = self.loop.call_later(UNREAD_BODY_SECONDS, self.transport.close)

    def _feed(self, data: memoryview) -> None:
        """The parser stops after a head with an upgrade, without the body: another one reads it without the offer."""
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                head = self._head_without_upgrade()
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
                data = data[upgrade.args[0] :]

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % header for header in self.headers if header[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._head_done()
        self.refusal = self._refusal(status, code, message)
        waiting = self.cycle is not None and not self.cycle.response_complete
        if self.in_body and self.pipeline:
            self.pipeline.popleft()
        elif self.in_body and (self.cycle.response_started or self.cycle.response_complete):
            self.transport.close()
        elif self.in_body or not waiting:
            self._send_refusal(self.refusal)

    def _send_refusal(self, refusal: bytes) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(refusal)
        self.transport.write_eof()
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _refusal(self, status: int, code: str, message: str) -> bytes:
        request_id = contextvars.copy_context().run(request_ids.bind, self.headers or ())
        log.info(code, extra={"status": status, "request_id": request_id})
        error = ErrorDetail(code, [], request_id)
        body = msgspec.json.encode(ErrorEnvelope(status_code=500, status_message=message, error=error))
        head = (
            f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\nconnection: close\r\n"
        )
        given = b"".join(b"%s: %s\r\n" % header for header in self.server_state.default_headers)
        return STATUS_LINE[status] + given + head.encode() + b"\r\n" + body

    def _expect_head(self) -> None:
        self.in_head = True
        self.head_bytes = 0
        if self.head_timer is None:
            self.head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _head_done(self) -> None:
        self.in_head = False
        self.head_bytes = 0
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _body_done(self) -> None:
        self.in_body = False
        if self.body_timer is not None:
            self.body_timer.cancel()
            self.body_timer = None
