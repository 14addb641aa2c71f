"""HTTP/1.1 at its edges, over raw sockets: offers of an upgrade, bodies that stall, what the parser refuses."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import Struct

from entrypoints.http import bodies
from entrypoints.http.bodies import JsonRequest
from entrypoints.http.errors import answer
from entrypoints.serving import server_protocol
from entrypoints.serving.server import BoundedHttp, bind
from live.live_server import Live

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"
LOGIN = b'{"user_name": "nobody"}'
"""Answered 422 for what is missing: so it was read."""
HEALTH = b"GET /health HTTP/1.1\r\nHost: h\r\n"
LAST = HEALTH + b"Connection: close\r\n\r\n"
NEVER = 5.0


def login(extra: bytes = b"") -> bytes:
    head = b"POST /api/v1/user/login HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
    return head + extra + b"Content-Length: %d\r\n\r\n" % len(LOGIN) + LOGIN


def exchange(live: Live, *pieces: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", live.server.port), NEVER) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            sock.sendall(piece)
        received = b""
        while block := sock.recv(65536):
            received += block
        return received


def statuses(received: bytes) -> list[int]:
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


def refused(received: bytes, status: int, code: str, request_id: str = "") -> None:
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0].startswith(f"http/1.1 {status} ")
    assert (headers["content-type"], headers["connection"]) == ("application/json", "close")
    said = json.loads(body)
    assert (said["status_code"], said["data"], said["error"]["code"]) == (500, None, code)
    if "x-request-id" in headers or request_id:
        assert headers["x-request-id"] == said["error"]["request_id"]
        assert said["error"]["request_id"] == (request_id or said["error"]["request_id"])


def test_an_offer_of_an_upgrade_is_ignored_and_the_body_read(live: Live) -> None:
    known = exchange(live, login(), LAST)
    assert statuses(known) == [422, 200]
    assert b"user_password: is required" in known
    for pieces in (
        [login(OFFER) + LAST],
        [bytes([byte]) for byte in login(OFFER)] + [LAST],
        [login(OFFER) + login() + HEALTH + OFFER + b"\r\n" + login(OFFER) + LAST],
    ):
        received = exchange(live, *pieces)
        assert set(statuses(received)) == {422, 200}
        assert received.count(b"HTTP/1.1 422") == b"".join(pieces).count(b"POST")
        assert received.count(b"HTTP/1.1 200") == b"".join(pieces).count(b"/health")
    assert b"upgrade request" not in (live.server.data_dir / "server.log").read_bytes()


def test_a_chunked_body_behind_an_offer_is_read(live: Live) -> None:
    head = b"POST /api/v1/user/login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n" + OFFER + b"\r\n"
    chunks = b"%x\r\n%s\r\n" % (len(LOGIN), LOGIN), b"0\r\n\r\n"
    assert b"user_password: is required" in exchange(live, head, *chunks, LAST)


@pytest.mark.parametrize("before", [b"", HEALTH + b"\r\n"])
@pytest.mark.parametrize("framing", [b"Content-Length: 5000\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"])
def test_a_body_that_ends_too_early_is_answered(live: Live, before: bytes, framing: bytes) -> None:
    head = b"POST /api/v1/user/login HTTP/1.1\r\nHost: h\r\nX-Request-Id: cut-1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", live.server.port), NEVER) as sock:
        sock.sendall(before + head + framing)
        sock.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    assert statuses(received) == [200, 400][not before :]
    refused(received[received.index(b"HTTP/1.1 400") :], 400, "body_cut_off", "cut-1")


@pytest.mark.parametrize("kind", [b"websocket", b"h2c, websocket", b"TLS/1.0"])
def test_no_protocol_is_switched_to(live: Live, kind: bytes) -> None:
    offer = HEALTH + b"Connection: upgrade\r\nUpgrade: " + kind + b"\r\n\r\n"
    assert statuses(exchange(live, offer, LAST)) == [200, 200]


MALFORMED = {
    "method": b"BREW / HTTP/1.1\r\n\r\n",
    "line": b"hello\r\n\r\n",
    "version": b"GET / HTTP/9.9\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "tunnel": b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "lengths": HEALTH + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "negative": HEALTH + b"Content-Length: -1\r\n\r\n",
    "nul": HEALTH + b"X-A: a\0b\r\n\r\n",
    "chunks": b"POST /api/v1/user/login HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
def test_what_the_parser_refuses_is_answered_in_the_envelope(live: Live, sent: bytes) -> None:
    received = exchange(live, sent)
    refused(received, 400, "malformed_request")
    assert b"x-request-id: " in received


def test_a_refusal_has_the_request_id_that_was_sent(live: Live) -> None:
    refused(exchange(live, HEALTH + b"X-Request-ID: mine\r\nX-A: a\0b\r\n\r\n"), 400, "malformed_request", "mine")


@pytest.mark.parametrize("extra", [b"X: %s\r\n" % (b"a" * 400_000), b"X: y\r\n" * 30_000], ids=["one", "many"])
def test_a_head_that_is_too_large_is_told_so(live: Live, extra: bytes) -> None:
    refused(exchange(live, HEALTH + extra + b"\r\n"), 431, "malformed_request")


def test_answers_to_the_requests_before_come_first(live: Live) -> None:
    received = exchange(live, login() + HEALTH + b"\r\n" + b"BREW / HTTP/1.1\r\n\r\n")
    assert statuses(received) == [422, 200, 400]
    refused(received[received.index(b"HTTP/1.1 400") :], 400, "malformed_request")
    broken = exchange(live, login() + MALFORMED["chunks"])
    assert statuses(broken) == [422, 400]


class Named(Struct):
    name: str


@post("/")
async def read_body(data: JSONBody[Named]) -> str:
    return data.name


@get("/")
async def ignore_body() -> str:
    return "early"


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    handlers: Any = {Exception: answer}
    app = Litestar(
        [read_body, ignore_body],
        request_class=JsonRequest,
        exception_handlers=handlers,
        state=State({"max_body_bytes": 1000}),
    )
    server = uvicorn.Server(uvicorn.Config(app, http=BoundedHttp, ws="none", log_config=None))
    sock = bind("127.0.0.1", 0)
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, NEVER)


async def until_closed(sent: bytes, drip: bytes = b"") -> bytes:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        received = b""
        while True:
            try:
                block = await asyncio.wait_for(reader.read(65536), 0.05 if drip else NEVER)
            except TimeoutError:
                writer.write(drip)
                continue
            if not block:
                writer.close()
                return received
            received += block


@pytest.mark.parametrize("drip", [b"", b" "])
@pytest.mark.parametrize("sent", [b"", b'{"na'])
def test_a_body_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch, sent: bytes, drip: bytes) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.3)
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n"
    refused(asyncio.run(asyncio.wait_for(until_closed(head + sent, drip), NEVER)), 408, "body_timeout")


@pytest.mark.parametrize("drip", [b"", b" "])
def test_the_rest_of_a_body_that_nobody_reads_is_not_awaited_for_ever(
    monkeypatch: pytest.MonkeyPatch, drip: bytes
) -> None:
    monkeypatch.setattr(server_protocol, "UNREAD_BODY_SECONDS", 0.3)
    head = b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 900\r\n\r\n"
    received = asyncio.run(asyncio.wait_for(until_closed(head, drip), NEVER))
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"early")


def test_a_connection_lives_on_after_a_body_that_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_protocol, "UNREAD_BODY_SECONDS", 0.3)
    body = b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"
    last = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    assert statuses(asyncio.run(asyncio.wait_for(until_closed(body + last), NEVER))) == [200, 200]
