"""A file as an HTTP response: whole, in part, or not at all when the client has it. A plain ASGI app."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import aclosing
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from litestar.types import Receive, Scope, Send

from application.files.file_headers import disposition, shown_type
from application.files.files import ServedFile
from domain.files.files import FileKind, StoredFile
from entrypoints.http.byte_ranges import ByteRange, Unsatisfiable, parse_range
from entrypoints.http.client_watch import STALLED_SECONDS, first_of, watched
from entrypoints.http.errors import Refusal, Refused

SENT_AT_ONCE: Final = 32 * 1024
"""Bytes: storages read in larger pieces, and a slow client would seem to take nothing of such a one."""


class FileStream:
    """`headers` are the request's, with names in lower case."""

    def __init__(
        self, served: ServedFile, headers: Mapping[str, str], now: datetime, *, patience: float = STALLED_SECONDS
    ) -> None:
        self._served, self._wanted, self._patience = served, headers, patience
        self._seconds_left = max(0, int((served.expires_at - now).total_seconds()))
        self._sent, self._seen = 0, -1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        file = self._served.file
        if self._is_known(file):
            await _send_empty(send, 304, self._headers_of_answer(file))
        elif scope.get("method") == "HEAD":
            async with aclosing(self._served.content(0, 0)) as nothing:
                # A content that is lost is told as it is to who asks for the whole.
                await anext(nothing, b"")
            await _send_empty(send, 200, self._headers_of_answer(file) | _headers_of_content(file, None))
        else:
            part = self._part(file)
            await self._send_while_there(self._write(file, part, send), receive)

    def _is_known(self, file: StoredFile) -> bool:
        """Whether the client's copy is the same (RFC 9110, 13.2.2)."""
        if (tags := self._wanted.get("if-none-match")) is not None:
            known = (tag.strip().removeprefix("W/") for tag in tags.split(","))
            return tags.strip() == "*" or etag(file) in known
        return self._wanted.get("if-modified-since") == last_modified(file)

    def _part(self, file: StoredFile) -> ByteRange | None:
        condition = self._wanted.get("if-range")
        if condition is not None and condition not in (etag(file), last_modified(file)):
            return None
        try:
            return parse_range(self._wanted.get("range"), file.size)
        except Unsatisfiable as error:
            message = f"range: the file has {file.size:,} bytes, and this range is not within them."
            headers = {"Content-Range": f"bytes */{file.size}"}
            raise Refused(Refusal(416, "range_not_satisfiable", message, headers=headers)) from error

    def _headers_of_answer(self, file: StoredFile) -> dict[str, str]:
        return {
            "etag": etag(file),
            "last-modified": last_modified(file),
            "cache-control": f"private, max-age={self._seconds_left}",
            "accept-ranges": "bytes",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        }

    async def _write(self, file: StoredFile, part: ByteRange | None, send: Send) -> None:
        headers = self._headers_of_answer(file) | _headers_of_content(file, part)
        wanted = part or ByteRange(0, file.size)
        async with aclosing(self._served.content(wanted.start, wanted.stop)) as content:
            # Before the status: of a content that can't be read the client is told in the envelope.
            first = await anext(content, b"")
            await send({"type": "http.response.start", "status": 206 if part else 200, "headers": _raw(headers)})
            await self._send(first, send)
            async for piece in content:
                await self._send(piece, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, piece: bytes, send: Send) -> None:
        for at in range(0, len(piece), SENT_AT_ONCE):
            part = piece[at : at + SENT_AT_ONCE]
            await send({"type": "http.response.body", "body": part, "more_body": True})
            self._sent += 1

    async def _send_while_there(self, work: Coroutine[Any, Any, None], receive: Receive) -> None:
        writing, gone = asyncio.create_task(work), watched(receive)
        try:
            while not await first_of(writing, gone, self._patience) and self._goes_on():
                pass
        finally:
            writing.cancel()
            gone.cancel()
            await asyncio.wait({writing, gone})
        if not writing.cancelled():
            writing.result()

    def _goes_on(self) -> bool:
        """Whether the client took anything since the last look."""
        before, self._seen = self._seen, self._sent
        return self._sent != before


def etag(file: StoredFile) -> str:
    return f'"{file.sha256}"'


def last_modified(file: StoredFile) -> str:
    return format_datetime(file.created_at, usegmt=True)


def _headers_of_content(file: StoredFile, part: ByteRange | None) -> dict[str, str]:
    headers = {
        "content-type": shown_type(file),
        "content-length": str(part.stop - part.start if part else file.size),
        "content-disposition": disposition(file),
    }
    if file.kind is not FileKind.PDF:
        # Viewers of PDF need scripts of their own, which a sandbox forbids.
        headers["content-security-policy"] = "default-src 'none'; sandbox"
    if part:
        headers["content-range"] = part.content_range(file.size)
    return headers


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


async def _send_empty(send: Send, status: int, headers: Mapping[str, str]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
