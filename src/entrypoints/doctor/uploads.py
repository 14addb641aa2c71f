"""Is what is uploaded kept, and does the address that comes back open it for a client?"""

import secrets
from collections.abc import Sequence
from typing import Final

from entrypoints.doctor.findings import Finding, fail, milliseconds, ok
from entrypoints.doctor.remote import Answer, Unreachable
from entrypoints.doctor.subject import Subject
from entrypoints.settings.loading import Settings

NAME: Final = "upload"
FILE: Final = "doctor.txt"
LONGEST_SHOWN: Final = 80
KINDS: Final = {b"<!doctype html": "HTML of ", b"<html": "HTML of ", b"<": "XML of ", b"{": "JSON of "}
LONGEST_MARK: Final = max(map(len, KINDS))


async def comes_back(subject: Subject) -> Sequence[Finding]:
    token = subject.guest.token
    content = f"{secrets.token_hex(2048)}\n".encode()
    try:
        answer = await subject.remote.upload(FILE, content, token)
        if answer.status != 200:
            return [refused(answer)]
        address = str((answer.envelope or {}).get("data"))
        try:
            return [await opened(subject, address, content, answer.seconds)]
        finally:
            await removed(subject, token)
    except Unreachable as error:
        return [fail(NAME, f"the connection broke: {error}", "look into the server's and the proxy's log")]


async def opened(subject: Subject, address: str, content: bytes, seconds: float) -> Finding:
    host = address.split("?", 1)[0][:LONGEST_SHOWN]
    try:
        status, body = await subject.remote.fetch(address)
    except Unreachable as error:
        return fail(NAME, f"the address that comes back, {host}, can't be reached: {error}", mend(subject.settings))
    if status != 200 or body != content:
        what = f"answers with status {status}" if status != 200 else "gives something else than was uploaded"
        what = f"{what}: {description(body, content)}"
        return fail(NAME, f"the address that comes back, {host}, {what}", mend(subject.settings))
    return ok(NAME, f"a file is taken within {milliseconds(seconds)}, and its address opens it")


def description(body: bytes, content: bytes) -> str:
    """What came instead of the content, for who must guess who sent it: no word of it is repeated."""
    if not body:
        return "an empty body"
    if content.startswith(body):
        return f"only the first {len(body)} of {len(content)} bytes"
    begin = body.lstrip()[:LONGEST_MARK].lower()
    kind = next((kind for mark, kind in KINDS.items() if begin.startswith(mark)), "")
    return f"{kind}{len(body)} bytes, where {len(content)} were uploaded"


async def removed(subject: Subject, token: str) -> None:
    """The temporary account has no other file."""
    listed = await subject.remote.get("/api/v1/files", token)
    files = (listed.envelope or {}).get("data")
    for file in files if isinstance(files, list) else []:
        await subject.remote.delete(f"/api/v1/files?file_id={file['file_id']}", token)


def refused(answer: Answer) -> Finding:
    message = f"an upload is refused (status {answer.status} {answer.code})".rstrip()
    if answer.code == "storage_unavailable":
        return fail(NAME, message, "see the check storage")
    return fail(NAME, message, "look into the server's and the proxy's log")


def mend(settings: Settings) -> str:
    if settings.storage.kind == "minio":
        return "set [storage] public_endpoint to the address under which clients reach the storage"
    return (
        "set public_url to the address under which clients reach the server; "
        "if several machines serve, all need the same secret_keys and [storage] kind = minio"
    )
