"""The guarded web for SDKs: streams, keeps its connections, and follows redirects within one origin."""

import asyncio
import gzip

import httpx2
import pytest

from application.ports.guarded_web import WebRefused
from guarded_scene import guarded, saying, sending_to
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange


async def test_a_stream_comes_as_it_is_sent() -> None:
    async def two(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.events({"n": 1})
        await exchange.heard.wait()
        await exchange.events({"n": 2})
        await exchange.end()

    async with ByteServer(two) as server, guarded() as web, web.client() as client:
        async with client.stream("POST", server.url, json={"a": 1}) as response:
            lines = response.aiter_lines()
            assert await anext(lines) == 'data: {"n": 1}'
            server.exchanges[0].heard.set()
            assert [line async for line in lines if line] == ['data: {"n": 2}']
    assert server.exchanges[0].json == {"a": 1}


async def test_leaving_a_stream_closes_its_connection() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.events(1)
        await exchange.closed.wait()

    async with ByteServer(endless) as server, guarded() as web, web.client() as client:
        async with client.stream("GET", server.url) as response:
            assert await anext(response.aiter_bytes())
        async with asyncio.timeout(PATIENCE):
            await server.exchanges[0].closed.wait()


async def test_a_connection_is_kept_for_the_next_request_of_the_same_client_only() -> None:
    async with ByteServer(saying(b"x", "set-cookie: a=b\r\n")) as server, guarded() as web:
        async with web.client() as one, web.client() as other:
            for client in (one, one, other):
                assert (await client.get(server.url)).content == b"x"
            assert server.connections == 2
    assert all("cookie" not in asked.headers for asked in server.exchanges)


async def test_an_answer_of_more_than_a_megabyte_comes_whole() -> None:
    body = bytes(3 << 20)
    async with ByteServer(saying(body)) as server, guarded() as web, web.client() as client:
        assert (await client.get(server.url)).content == body


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_without_end_is_broken_off(packed: bool) -> None:
    body = gzip.compress(bytes(8 << 20)) if packed else bytes(8 << 20)
    headers = "content-encoding: gzip\r\n" if packed else ""
    async with ByteServer(saying(body, headers)) as server, guarded() as web:
        async with web.client(max_bytes=1 << 20) as client:
            with pytest.raises(httpx2.ReadError):
                await client.get(server.url)


async def test_redirects_within_the_origin_are_followed_with_all_that_was_sent() -> None:
    async with ByteServer(sending_to("/b/", 307), saying(b"end")) as server, guarded() as web:
        async with web.client() as client:
            response = await client.post(f"{server.url}/b", content=b"body", headers={"x-key": "k"})
    assert response.content == b"end"
    assert [(one.path, one.body, one.headers["x-key"]) for one in server.exchanges] == [
        ("/b", b"body", "k"),
        ("/b/", b"body", "k"),
    ]


async def test_redirects_within_the_origin_end() -> None:
    async with ByteServer(sending_to("/again")) as server, guarded() as web:
        async with web.client(redirects=3) as client:
            with pytest.raises(httpx2.TooManyRedirects):
                await client.get(server.url)
        assert len(server.exchanges) == 4


async def test_redirects_elsewhere_are_refused() -> None:
    async with ByteServer(saying(b"other")) as other, ByteServer(sending_to(other.url, 307)) as first:
        async with guarded() as web, web.client() as client:
            with pytest.raises(httpx2.ConnectError, match="redirects to another address") as failed:
                await client.post(first.url, content=b"body", headers={"x-key": "k"})
        assert isinstance(failed.value.__cause__, WebRefused)
        assert other.exchanges == []


async def test_headers_of_framing_are_made_anew() -> None:
    async with ByteServer(saying(b"")) as server, guarded() as web, web.client() as client:
        await client.post(server.url, content=b"1234", headers={"Host": "metadata", "Connection": "x", "TE": "y"})
    (asked,) = server.exchanges
    assert asked.headers["host"] == server.url.removeprefix("http://")
    assert (asked.body, asked.headers["content-length"]) == (b"1234", "4")
    assert "te" not in asked.headers
    assert asked.headers.get("connection") != "x"


async def test_silence_is_a_time_out() -> None:
    async def hang(exchange: Exchange) -> None:
        await exchange.closed.wait()

    async with ByteServer(hang) as server, guarded() as web, web.client() as client:
        with pytest.raises(httpx2.TransportError):
            await client.get(server.url, timeout=0.2)
