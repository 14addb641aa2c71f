"""What the doctor says of the address of an upload: whether all of it comes back, and what came instead."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.web.client import WebClient
from entrypoints.doctor.findings import Finding, Status
from entrypoints.doctor.remote import LONGEST_FETCHED, Remote
from entrypoints.doctor.subject import Subject
from entrypoints.doctor.uploads import opened
from entrypoints.settings.loading import Settings
from servers.byte_server import ByteServer, Exchange, Script

CONTENT = b"0123456789abcdef" * 4 + b"\n"


def gives(*pieces: bytes, status: int = 200) -> Script:
    """Each piece comes alone: the client's turn is between two."""

    async def script(exchange: Exchange) -> None:
        length = sum(map(len, pieces))
        await exchange.raw(b"HTTP/1.1 %d So\r\ncontent-length: %d\r\n\r\n" % (status, length))
        for piece in pieces:
            await asyncio.sleep(0)
            await exchange.raw(piece)

    return script


def found(script: Script) -> Finding:
    async def scene() -> Finding:
        async with ByteServer(script) as server, Remote(server.url) as remote:
            subject = Subject(Settings(), remote, WebClient(), AsyncExitStack())
            return await opened(subject, f"{server.url}/doctor.txt?signature=x", CONTENT, 0.1)

    return asyncio.run(scene())


@given(st.lists(st.integers(1, len(CONTENT) - 1), unique=True).map(sorted))
def test_a_file_that_comes_in_pieces_is_the_whole_file(cuts: list[int]) -> None:
    pieces = [CONTENT[start:stop] for start, stop in zip([0, *cuts], [*cuts, None], strict=True)]
    assert found(gives(*pieces)).status is Status.OK


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "else than was uploaded: an empty body"),
        (CONTENT[:10], "else than was uploaded: only the first 10 of 65 bytes"),
        (CONTENT + b"!", ": 66 bytes, where 65 were uploaded"),
        (b"\n<!DOCTYPE html><p>Log in", ": HTML of 25 bytes"),
        (b"<HTML><p>Log in", ": HTML of 15 bytes"),
        (b"<?xml version='1.0'?><Error/>", ": XML of 29 bytes"),
        (b'{"detail": 1}', ": JSON of 13 bytes"),
    ],
)
def test_what_comes_instead_of_the_file_is_told(body: bytes, word: str) -> None:
    finding = found(gives(body))
    assert finding.status is Status.FAIL
    assert word in finding.message
    assert "Log in" not in finding.message


def test_a_refusal_is_told_with_what_it_says_in_which_form() -> None:
    assert "answers with status 403: XML of 8 bytes" in found(gives(b"<Error/>", status=403)).message


def test_a_body_that_breaks_off_is_a_broken_connection() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(CONTENT) + CONTENT[:10])
        exchange.abort()

    assert "can't be reached" in found(script).message


def test_a_body_without_end_is_read_up_to_a_limit() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        while True:
            await exchange.chunk(bytes(1 << 16))

    assert f": {LONGEST_FETCHED} bytes" in found(script).message
