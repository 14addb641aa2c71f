"""Does a proxy let through what the server takes? Their limits are apart, and a proxy's answer is not our envelope."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from entrypoints.doctor.findings import Finding, fail, ok, skip, warn
from entrypoints.doctor.remote import Unreachable, envelope_of
from entrypoints.doctor.subject import Subject

UPLOADS: Final = "body limit"
INPUT: Final = "input limit"
SILENT: Final = 0
CONTINUE: Final = 100
TOO_LARGE: Final = 413
EXPECTATION_FAILED: Final = 417
LONGEST_ANSWER: Final = 64 * 1024
READ_SECONDS: Final = 3.0
MOST_CHARS: Final = 1_000_000
"""Sent at most: enough for every proxy's limit that was left as it was."""
WIDE: Final = "\N{GRINNING FACE}"
"""A character of four bytes, the most that one takes in UTF-8."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    ours: bool


async def uploads_pass(subject: Subject) -> Sequence[Finding]:
    size = subject.settings.max_upload_bytes
    try:
        reply = await reply_to_head(subject.remote.url, size)
    except (OSError, EOFError, ValueError):
        reply = None
    return [upload_verdict(reply, size)]


def upload_verdict(reply: Reply | None, size: int) -> Finding:
    """None: the connection was closed, or nothing came that is HTTP."""
    announced = f"an upload of {size:,} bytes"
    if reply is not None and reply.status == TOO_LARGE and not reply.ours:
        return fail(UPLOADS, f"{announced} is refused on the way (status 413)", larger(size))
    if reply is not None and (reply.status in (SILENT, CONTINUE) or reply.ours):
        return ok(UPLOADS, f"{announced} gets through to the server")
    if reply is not None and reply.status == EXPECTATION_FAILED:
        return skip(
            UPLOADS, "the proxy takes no `Expect: 100-continue`, so its limit can't be tried without sending all"
        )
    what = "the connection was closed" if reply is None else f"status {reply.status}, not the server's"
    return warn(UPLOADS, f"{announced}: {what}", larger(size))


def larger(size: int) -> str:
    megabytes = -(-size // (1 << 20)) + 1
    return (
        f"nginx: client_max_body_size {megabytes}m; Caddy: request_body max_size {megabytes}MB; "
        "or lower max_upload_bytes to the proxy's limit"
    )


async def reply_to_head(url: str, size: int) -> Reply:
    """To the head of an upload alone. Raises OSError, EOFError, ValueError."""
    parts = urlsplit(url)
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=secure)
    head = (
        f"POST {parts.path}/api/v1/upload HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Length: {size}\r\n"
        "Content-Type: multipart/form-data; boundary=doctor\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    try:
        writer.write(head.encode())
        status = await status_in(reader)
        return Reply(status, status > CONTINUE and envelope_of(object_in(await body_in(reader))) is not None)
    finally:
        writer.transport.abort()


async def status_in(reader: asyncio.StreamReader) -> int:
    """SILENT when the other side waits for the body, as it may."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            line = await reader.readline()
    except TimeoutError:
        return SILENT
    words = line.split(b" ")
    if len(words) < 2 or not line.startswith(b"HTTP/"):
        raise ValueError("not HTTP")
    return int(words[1])


async def body_in(reader: asyncio.StreamReader) -> bytes:
    """What follows the headers, to its length or as far as it comes."""
    length = LONGEST_ANSWER
    while line := (await reader.readline()).strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = min(int(value), LONGEST_ANSWER)
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await reader.readexactly(length)
    except asyncio.IncompleteReadError as error:
        return error.partial
    except TimeoutError:
        return b""


def object_in(body: bytes) -> bytes:
    """Without the sizes of chunks, in which a proxy may have sent it."""
    return body[body.find(b"{") : body.rfind(b"}") + 1]


async def questions_pass(subject: Subject) -> Sequence[Finding]:
    """A login without its password: refused by the shape of its body, so that it counts as nobody's failure."""
    chars = min(subject.settings.max_input_chars, MOST_CHARS)
    try:
        answer = await subject.remote.post("/api/v1/user/login", {"user_name": WIDE * chars})
    except Unreachable:
        return [input_verdict(None, chars)]
    return [input_verdict(Reply(answer.status, answer.envelope is not None), chars)]


def input_verdict(reply: Reply | None, chars: int) -> Finding:
    size = chars * len(WIDE.encode())
    sent = f"a question of {chars:,} characters ({size:,} bytes)"
    if reply is not None and reply.ours:
        return ok(INPUT, f"{sent} gets through to the server")
    mend = larger(size).replace("max_upload_bytes", "max_input_chars")
    if reply is None:
        return fail(INPUT, f"{sent}: the connection was closed on the way", mend)
    return fail(INPUT, f"{sent} is refused on the way (status {reply.status})", mend)
