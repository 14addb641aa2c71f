"""The client that the SDKs are given: what it sends, and what it leaves out."""

import asyncio

import httpx2
import pytest

from adapters.web import WebClient
from contract.chat_model_fixtures import collect_until_error, question, refusing, scene
from servers.byte_server import ByteServer, Exchange

PATIENCE = httpx2.Timeout(None, connect=5)


async def plain(exchange: Exchange) -> None:
    await exchange.refuse(200, {"ok": True}, "set-cookie: a=b\r\n")


def exchanged(*requests: dict[str, object]) -> tuple[list[httpx2.Response], list[Exchange]]:
    async def act() -> tuple[list[httpx2.Response], list[Exchange]]:
        web = WebClient()
        async with ByteServer(plain) as server:
            try:
                client = web()
                built = [client.build_request(url=f"{server.url}/x", **fields) for fields in requests]  # type: ignore
                return [await client.send(request) for request in built], server.exchanges
            finally:
                await web.aclose()

    return asyncio.run(act())


def test_ready_bytes_are_sent_with_their_length_and_host() -> None:
    fields = {"method": "POST", "content": b'{"a":1}', "headers": {"x-key": "k"}, "timeout": PATIENCE}
    [response], [sent] = exchanged(fields)
    assert response.json() == {"ok": True}
    assert (sent.method, sent.path, sent.body) == ("POST", "/x", b'{"a":1}')
    assert sent.headers["content-length"] == "7"
    assert sent.headers["host"].startswith("127.0.0.1:")
    assert (sent.headers["x-key"], sent.headers["accept-encoding"]) == ("k", "identity")


@pytest.mark.parametrize(
    ("fields", "path", "body"),
    [
        ({"method": "GET", "params": {"page": "2"}}, "/x?page=2", b""),
        ({"method": "POST", "json": {"a": 1}}, "/x", b'{"a":1}'),
        ({"method": "POST", "content": "text"}, "/x", b"text"),
    ],
)
def test_every_other_request_is_built_as_usual(fields: dict[str, object], path: str, body: bytes) -> None:
    [response], [sent] = exchanged(fields)
    assert response.status_code == 200
    assert (sent.path, sent.body, sent.headers["accept-encoding"]) == (path, body, "identity")


def test_no_cookie_is_kept() -> None:
    fields: dict[str, object] = {"method": "POST", "content": b"x", "timeout": PATIENCE}
    _, sent = exchanged(fields, fields)
    assert [exchange.headers.get("cookie") for exchange in sent] == [None, None]


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("charset", ["base64", "zlib", "rot13", "no-such", "utf-16"])
def test_an_error_is_understood_in_any_charset(protocol: str, charset: str) -> None:
    async def script(exchange: Exchange) -> None:
        head = f"HTTP/1.1 401 No\r\ncontent-type: application/json; charset={charset}\r\ncontent-length: 2\r\n\r\n{{}}"
        await exchange.raw(head.encode())

    async def act() -> None:
        async with scene(script, protocol=protocol) as (_, model):
            _, error = await collect_until_error(model, question())
        assert error.code == "model_auth_failed"

    asyncio.run(act())


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("body", [b"[" * 200_000, b"9" * 5000, b'{"error":{"code":%b}}' % (b"9" * 5000), b"\xff"])
def test_an_error_of_any_body_is_a_model_error(protocol: str, body: bytes) -> None:
    async def act() -> None:
        async with scene(refusing(400, body), protocol=protocol) as (_, model):
            _, error = await collect_until_error(model, question())
        assert error.code == "model_bad_request"

    asyncio.run(act())


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_a_redirect_is_not_followed(protocol: str) -> None:
    async def act() -> None:
        async with scene(refusing(307, {}, "location: /elsewhere\r\n"), protocol=protocol) as (server, model):
            _, error = await collect_until_error(model, question())
            assert len(server.exchanges) == 1
        assert error.code == "model_bad_response"

    asyncio.run(act())
