"""The guarded web: what is sent where, what comes back, and how long and large it may be."""

import asyncio
import gzip
import zlib
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.web.guarded_headers import USER_AGENT
from application.ports.guarded_web import WebFailed, WebLimits, WebRequest
from domain.tools.credentials import Credentials
from guarded_scene import Names, get, guarded, listening_at, saying, sending_to
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange

KEY = Credentials((("Authorization", "Bearer s3cret"), ("X-Key", "k")), (("api_key", "s3 cret&"),))
BOMB = gzip.compress(bytes(64 << 20))


def port_of(server: ByteServer) -> int:
    return int(server.url.rpartition(":")[2])


async def hang(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def drip(exchange: Exchange) -> None:
    await exchange.head()
    with suppress(ConnectionError):
        while True:
            await exchange.chunk(b".")
            await asyncio.sleep(0.05)


async def flood(exchange: Exchange) -> None:
    await exchange.head()
    with suppress(ConnectionError):
        while True:
            await exchange.chunk(bytes(65_536))


async def half(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    exchange.abort()


async def garbage(exchange: Exchange) -> None:
    await exchange.raw(b"\x00\x01 SSH-2.0 hello\r\n\r\n")


async def test_an_answer_comes_as_it_is_whatever_its_status() -> None:
    async with ByteServer(saying(b"gone", "X-Who: me\r\nX-who: too\r\n", 404)) as server, guarded() as web:
        answer = await web.send(WebRequest("POST", f"{server.url}/a?b=%2F", (("X-Mine", "é"),), b"body"))
    assert (answer.status, answer.body, answer.cut) == (404, b"gone", False)
    assert answer.url == f"{server.url}/a?b=%2F"
    assert [value for name, value in answer.headers if name == "x-who"] == ["me", "too"]
    assert answer.header("x-who") == "me"
    (asked,) = server.exchanges
    assert (asked.method, asked.path, asked.body) == ("POST", "/a?b=%2F", b"body")
    assert asked.headers["user-agent"] == USER_AGENT
    assert asked.headers["host"] == server.url.removeprefix("http://")
    assert "content-type" not in asked.headers
    assert "cookie" not in asked.headers


async def test_credentials_are_sent_and_shown_nowhere() -> None:
    async with ByteServer(saying(b"")) as server, guarded() as web:
        request = WebRequest("GET", f"{server.url}/?q=1", (("authorization", "mine"),), credentials=KEY)
        answer = await web.send(request)
    (asked,) = server.exchanges
    assert asked.path == "/?q=1&api_key=s3+cret%26"
    assert asked.headers["authorization"] == "Bearer s3cret"
    assert answer.url == f"{server.url}/?q=1"
    assert "s3" not in repr(request) + repr(answer)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_credentials_stay_at_their_origin(status: int) -> None:
    """Another port is another origin."""
    async with ByteServer(saying(b"end")) as home, ByteServer(sending_to(f"{home.url}/b", status)) as other:
        async with ByteServer(sending_to("/in", status), sending_to(other.url, status), saying(b"x")) as first:
            async with guarded() as web:
                headers = (("Cookie", "c"), ("X-Plain", "p"))
                request = WebRequest("POST", f"{first.url}/a", headers, b"body", KEY)
                assert (await web.send(request)).body == b"end"
    assert [one.headers.get("x-key") for one in first.exchanges] == ["k", "k"]
    assert first.exchanges[1].path == "/in?api_key=s3+cret%26"
    for server in (other, home):
        (asked,) = server.exchanges
        assert not asked.headers.keys() & {"authorization", "x-key", "cookie"}
        assert asked.headers["x-plain"] == "p"
        assert "s3" not in asked.path


async def test_credentials_do_not_come_back_with_a_redirect_home() -> None:
    """Somebody else chose what is asked there."""
    async with ByteServer(hang) as home, ByteServer(sending_to(f"{home.url}/delete-all")) as away:
        home._scripts = (sending_to(away.url), saying(b"home"))
        async with guarded() as web:
            assert (await web.send(replace(get(home.url), credentials=KEY))).body == b"home"
    assert [one.headers.get("x-key") for one in home.exchanges] == ["k", None]


async def test_a_server_that_repeats_a_key_in_its_redirect_gives_it_to_nobody() -> None:
    async with ByteServer(saying(b"end")) as other:
        async with ByteServer(sending_to(f"{other.url}/?api_key=s3%20cret%26&q=1&again=s3+cret%26")) as first:
            async with guarded() as web:
                answer = await web.send(replace(get(first.url), credentials=KEY))
    assert other.exchanges[0].path == "/?q=1"
    assert answer.url == f"{other.url}/?q=1"


async def test_another_name_of_the_same_server_is_another_origin() -> None:
    names = Names(a_example=[["127.0.0.1"]], b_example=[["127.0.0.1"]])
    async with ByteServer(hang) as server:
        port = port_of(server)
        server._scripts = (sending_to(f"http://b.example:{port}/"), saying(b"end"))
        async with guarded(names) as web:
            await web.send(replace(get(f"http://a.example:{port}/"), credentials=KEY))
    assert [one.headers.get("x-key") for one in server.exchanges] == ["k", None]
    assert [one.headers["host"] for one in server.exchanges] == [f"a.example:{port}", f"b.example:{port}"]


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        *((status, "POST", "GET") for status in (301, 302, 303)),
        *((status, "POST", "POST") for status in (307, 308)),
        *((status, "PUT", "PUT") for status in (301, 302, 307, 308)),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (302, "GET", "GET"),
    ],
)
async def test_methods_change_with_redirects_as_they_do_in_browsers(status: int, method: str, then: str) -> None:
    body = None if method in ("GET", "HEAD") else b"{}"
    headers = (("Content-Type", "application/json"), ("Accept", "text/html"))
    async with ByteServer(sending_to("/b", status), saying(b"")) as server, guarded() as web:
        await web.send(WebRequest(method, f"{server.url}/a", headers, body))
    asked = server.exchanges[1]
    assert (asked.method, asked.path, asked.headers["accept"]) == (then, "/b", "text/html")
    assert asked.body == (body or b"" if method == then else b"")
    assert ("content-type" in asked.headers) == (method == then)


async def test_redirects_end() -> None:
    async with ByteServer(sending_to("/again")) as server, guarded() as web:
        with pytest.raises(WebFailed, match="too often"):
            await web.send(replace(get(server.url), limits=WebLimits(redirects=3)))
        assert len(server.exchanges) == 4
        with pytest.raises(WebFailed, match="too often"):
            await web.send(replace(get(server.url), limits=WebLimits(redirects=0)))
        assert len(server.exchanges) == 5


@pytest.mark.parametrize("script", [hang, drip, sending_to("/again")])
async def test_no_server_takes_longer_than_it_may(script: object) -> None:
    assert callable(script)
    async with ByteServer(script) as server, guarded() as web:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(WebFailed):
                await web.send(replace(get(server.url), limits=WebLimits(seconds=0.3, redirects=10**6)))
            await server.exchanges[-1].closed.wait()


async def test_a_silent_name_server_takes_no_longer_either() -> None:
    async def silent(_host: str) -> list[str]:
        return await asyncio.Future()

    async with guarded(silent) as web:
        with pytest.raises(WebFailed, match=r"a\.example took longer than 0\.2 seconds"):
            await web.send(replace(get("http://a.example/"), limits=WebLimits(seconds=0.2)))


async def test_cancelling_a_request_closes_its_connection() -> None:
    async with ByteServer(drip) as server, guarded() as web:
        task = asyncio.create_task(web.send(get(server.url)))
        asked = await server.request()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(PATIENCE):
            await asked.closed.wait()


async def test_a_body_is_cut_where_it_becomes_too_long() -> None:
    async with ByteServer(flood) as server, guarded() as web:
        answer = await web.send(replace(get(server.url), limits=WebLimits(max_bytes=100_000)))
        assert (len(answer.body), answer.cut) == (100_000, True)
        async with asyncio.timeout(PATIENCE):
            await server.exchanges[0].closed.wait()


@settings(max_examples=25)
@given(st.binary(max_size=3000), st.integers(0, 3000))
async def test_cut_tells_whether_there_was_more(body: bytes, most: int) -> None:
    async with ByteServer(saying(body)) as server, guarded() as web:
        answer = await web.send(replace(get(server.url), limits=WebLimits(max_bytes=most)))
    assert (answer.body, answer.cut) == (body[:most], len(body) > most)


@pytest.mark.parametrize(
    ("name", "packed"), [("gzip", gzip.compress(b"text", mtime=0)), ("deflate", zlib.compress(b"text"))]
)
async def test_what_is_packed_is_unpacked(name: str, packed: bytes) -> None:
    async with ByteServer(saying(packed, f"content-encoding: {name}\r\n")) as server, guarded() as web:
        answer = await web.send(get(server.url))
    assert answer.body == b"text"
    assert not {"content-encoding", "content-length"} & {name for name, _ in answer.headers}


async def test_a_bomb_is_unpacked_no_further_than_it_is_wanted() -> None:
    async with ByteServer(saying(BOMB, "content-encoding: gzip\r\n")) as server, guarded() as web:
        answer = await web.send(replace(get(server.url), limits=WebLimits(max_bytes=1000)))
        assert (answer.body, answer.cut) == (bytes(1000), True)


@pytest.mark.parametrize("script", [half, garbage, saying(b"plain", "content-encoding: gzip\r\n")])
async def test_a_broken_answer_is_a_failure(script: object) -> None:
    assert callable(script)
    async with ByteServer(script) as server, guarded() as web:
        with pytest.raises(WebFailed):
            await web.send(get(server.url))


async def test_an_encoding_that_nobody_asked_for_is_a_failure() -> None:
    async with ByteServer(saying(b"\x8b\x01", "content-encoding: br\r\n")) as server, guarded() as web:
        with pytest.raises(WebFailed, match="can't be read"):
            await web.send(get(server.url))
    assert "br" not in server.exchanges[0].headers["accept-encoding"]


async def test_nobody_there_is_a_failure() -> None:
    async with listening_at("127.0.0.1") as (_, port):
        pass
    async with guarded(Names(empty_example=[[]])) as web:
        with pytest.raises(WebFailed, match="can't be reached"):
            await web.send(get(f"http://127.0.0.1:{port}/"))
        for name in ("nobody.example", "empty.example"):
            with pytest.raises(WebFailed, match=f"no host {name}"):
                await web.send(get(f"http://{name}/"))


async def test_a_server_that_does_not_speak_tls_is_a_failure() -> None:
    async with listening_at("127.0.0.1") as (_, port), guarded() as web:
        with pytest.raises(WebFailed, match=r"certificate|broke"):
            await web.send(get(f"https://127.0.0.1:{port}/"))


async def test_cookies_are_not_kept_and_no_connection_serves_two_requests() -> None:
    """By a name: for bare addresses nobody keeps any."""
    async with ByteServer(saying(b"", "set-cookie: a=b; Path=/\r\n")) as server:
        async with guarded(Names(a_example=[["127.0.0.1"]])) as web:
            for _ in range(2):
                await web.send(get(f"http://a.example:{port_of(server)}/"))
        assert server.connections == 2
    assert "cookie" not in server.exchanges[1].headers


async def test_many_at_once_do_not_wait_for_each_other() -> None:
    async with ByteServer(hang) as slow, ByteServer(saying(b"fast")) as fast, guarded() as web:
        waiting = [asyncio.create_task(web.send(get(slow.url))) for _ in range(200)]
        await slow.request(199)
        assert (await web.send(get(fast.url))).body == b"fast"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_headers_without_end_are_a_failure() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 200 OK\r\n")
        with suppress(ConnectionError):
            while True:
                await exchange.raw(b"X-More: and more\r\n" * 1000)

    async with ByteServer(endless) as server, guarded() as web:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(WebFailed, match="can't be read as HTTP"):
                await web.send(get(server.url))
