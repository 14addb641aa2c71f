"""One file out of a multipart form, straight from the socket: what is not taken yet is not read yet."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from litestar import Request
from litestar.types import Receive, ReceiveMessage, Scope
from multipart import (  # type: ignore[import-untyped]
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from domain.errors import InvalidValue
from entrypoints.http.errors import FRAMEWORK, Refusal, Refused
from entrypoints.http.last_words import mark_body

FIELD: Final = "file"
SILENT_SECONDS: Final = 30.0
"""Of a client that announced more."""
UPLOAD_SECONDS: Final = 45 * 60.0
"""For a whole upload, less than the upkeep of files waits for its row (application/files/file_upkeep.py)."""
LEAST_BYTES_A_SECOND: Final = 8192
"""On the whole of an upload so far: one that drips would hold its place for as long as it likes."""
PATIENCE_SECONDS: Final = 30.0
"""Of waiting before the rate is looked at."""
BESIDE_FILE: Final = 256 * 1024
"""Bytes of a form that are not the file: heads of parts, and other fields, which are skipped."""
MOST_PARTS: Final = 64
MOST_HEAD_BYTES: Final = 8192

_BOUNDARY: Final = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{1,200}")
_EXTENDED_NAME: Final = re.compile(r";\s*filename\*\s*=\s*\"?([\w-]+)'[\w-]*'([^\s;\"]+)", re.IGNORECASE)


class MultipartFile:
    """The part named `file` of a form (application/files/uploads.py, Incoming)."""

    def __init__(self, request: Request[Any, Any, Any]) -> None:
        self._body = _Body(request.scope, request.receive)
        self._parser = _parser_of(request.headers.get("content-type", ""))
        self._announced = request.content_length or 0
        self._events = self._parsed()
        self._taken = 0

    @property
    def at_least(self) -> int:
        return max(0, self._announced - BESIDE_FILE)

    async def begin(self) -> str:
        """The name as the client sent it; empty without one."""
        async for event in self._events:
            if isinstance(event, MultipartSegment) and event.name == FIELD:
                return name_of(event)
        raise InvalidValue(FIELD, "is required: a multipart form with the file in the field `file`")

    async def content(self) -> AsyncIterator[bytes]:
        async for event in self._events:
            if event is None:
                break
            if isinstance(event, bytes):
                self._taken += len(event)
                yield event
        await self._finish()

    async def _finish(self) -> None:
        """The rest of the form must be well formed, and hold no other file."""
        async for event in self._events:
            if isinstance(event, MultipartSegment) and event.name == FIELD:
                raise InvalidValue(FIELD, "must be one: upload several files one after the other")

    async def _parsed(self) -> AsyncGenerator[MultipartSegment | bytes | None, None]:
        try:
            async for piece in self._body.pieces():
                for event in self._parser.parse(piece):
                    yield bytes(event) if isinstance(event, bytearray) else event
                if self._body.read - self._taken > BESIDE_FILE:
                    raise _beside_too_large()
            self._parser.close()
        except ParserLimitReached as error:
            raise _beside_too_large() from error
        except MultipartError as error:
            raise _malformed() from error


class _Body:
    """The body in pieces as they arrive, each waited for with patience that ends.

    A client answers for the time that it is waited for, not for the time that the storage takes.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive
        mark_body(scope, unread=True)
        self.read, self._waited = 0, 0.0

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        end = asyncio.get_running_loop().time() + UPLOAD_SECONDS
        more = True
        while more:
            message = await self._next(end)
            if message["type"] != "http.request":
                raise Refused(Refusal(400, "body_cut_off", "The body ended before its announced length."))
            piece, more = message["body"], message["more_body"]
            mark_body(self._scope, unread=more)
            self.read += len(piece)
            if piece:
                yield piece

    async def _next(self, end: float) -> ReceiveMessage:
        loop = asyncio.get_running_loop()
        began, allowed = loop.time(), max(PATIENCE_SECONDS, self.read / LEAST_BYTES_A_SECOND)
        try:
            async with asyncio.timeout_at(min(end, began + SILENT_SECONDS, began + allowed - self._waited)):
                return await self._receive()
        except TimeoutError as error:
            raise Refused(Refusal(408, *FRAMEWORK[408])) from error
        finally:
            self._waited += loop.time() - began


def name_of(part: MultipartSegment) -> str:
    """The file's name, whichever way it is written: `filename*` (RFC 5987), UTF-8, GB18030, %22 for a quote."""
    if found := _EXTENDED_NAME.search(part.header("Content-Disposition", "")):
        charset, raw = found[1].lower(), unquote_to_bytes(found[2])
        return raw.decode("latin-1") if charset == "iso-8859-1" else _decoded(raw)
    return _decoded((part.filename or "").encode("latin-1"))


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("gb18030", "replace")


def _parser_of(content_type: str) -> PushMultipartParser:
    kind, options = parse_options_header(content_type)
    if kind != "multipart/form-data":
        message = "Send the file as multipart/form-data, in the field `file`."
        raise Refused(Refusal(415, FRAMEWORK[415][0], message))
    boundary = options.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed()
    # Heads are read as Latin-1, which can't fail: in which encoding a name is shows when it is looked at.
    return PushMultipartParser(
        boundary, max_header_size=MOST_HEAD_BYTES, max_segment_count=MOST_PARTS, header_charset="latin-1"
    )


def _malformed() -> Refused:
    return Refused(Refusal(400, "multipart_malformed", "The body must be a well-formed multipart form."))


def _beside_too_large() -> Refused:
    message = f"Beside the file a form takes at most {MOST_PARTS} parts and {BESIDE_FILE:,} bytes."
    return Refused(Refusal(413, FRAMEWORK[413][0], message))
