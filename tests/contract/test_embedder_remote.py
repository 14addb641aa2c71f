"""Embeddings over HTTP: whatever the server says, vectors are right or an error says what is wrong."""

import asyncio
import base64
import math
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from adapters.openai import OpenAIEmbedder, Pace
from adapters.web import Posting, WebClient
from domain.errors import ModelError
from domain.knowledge.embeddings import EmbeddingModel
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange, Script
from servers.embedding_scripts import (
    Item,
    cut,
    embeddings,
    floats,
    refusing,
    saying,
    silence,
    vector_of,
)

DIMENSIONS = 8
MODEL = EmbeddingModel("openai/some-model", DIMENSIONS)
KEY = "sk-secret-key"
NAN_IN_BASE64 = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *[math.nan] * DIMENSIONS)).decode()
NO_ANSWERS = [b"", b"{", b"[]", b"<html>three wise men</html>", b"\xff", b'{"data": 5}', b"[" * 9999]
TEXTS = ["one", "two", "三"]


@asynccontextmanager
async def scene(
    *scripts: Script, pace: Pace | None = None, retries: int = 2, **options: Any
) -> AsyncIterator[tuple[ByteServer, OpenAIEmbedder]]:
    web = WebClient()
    async with ByteServer(*scripts) as server:
        post = Posting(web, f"{server.url}/v1/embeddings", KEY, 5, retries=retries, pause_seconds=0.01)
        yield server, OpenAIEmbedder(post, MODEL, "some-model", pace or Pace(at_once=2), **options)
        await web.aclose()


async def refusal(*scripts: Script, **options: Any) -> ModelError:
    async with scene(*scripts, **options) as (_, embedder):
        with pytest.raises(ModelError) as refused:
            await embedder.passages(TEXTS)
    assert KEY not in refused.value.message
    assert "three wise men" not in refused.value.message
    return refused.value


async def test_each_text_gets_its_own_vector_of_length_one() -> None:
    async with scene(embeddings(DIMENSIONS)) as (server, embedder):
        vectors = await embedder.passages(TEXTS)
        assert await embedder.query("two") == vectors[1]
    for text, vector in zip(TEXTS, vectors, strict=True):
        raw = vector_of(text, DIMENSIONS)
        size = sum(number * number for number in raw) ** 0.5
        assert floats(vector) == pytest.approx([number / size for number in raw], abs=1e-6)
    (asked, _) = server.exchanges
    assert asked.path == "/v1/embeddings"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.json == {"model": "some-model", "input": TEXTS, "encoding_format": "base64"}


async def test_a_compatible_server_is_asked_for_nothing_that_it_may_not_know() -> None:
    async with scene(embeddings(DIMENSIONS), compatible=True) as (server, embedder):
        vectors = await embedder.passages(TEXTS)
    assert server.exchanges[0].json == {"model": "some-model", "input": TEXTS}
    async with scene(embeddings(DIMENSIONS), asked_dimensions=DIMENSIONS) as (server, embedder):
        assert await embedder.passages(TEXTS) == vectors
    assert server.exchanges[0].json["dimensions"] == DIMENSIONS


async def test_vectors_are_put_into_the_order_of_their_texts() -> None:
    def without_index(items: list[Item]) -> list[Item]:
        return [{"embedding": item["embedding"]} for item in items]

    async with scene(embeddings(DIMENSIONS)) as (_, embedder):
        expected = await embedder.passages(TEXTS)
    for change in (lambda items: items[::-1], without_index):
        async with scene(embeddings(DIMENSIONS, change)) as (_, embedder):
            assert await embedder.passages(TEXTS) == expected


async def test_many_texts_go_in_batches_and_none_in_no_request() -> None:
    async with scene(embeddings(DIMENSIONS), batch=4) as (server, embedder):
        assert await embedder.passages([]) == []
        vectors = await embedder.passages([str(number) for number in range(10)])
    assert [len(one.json["input"]) for one in server.exchanges] == [4, 4, 2]
    assert len(set(vectors)) == 10


SPOILED: dict[str, Callable[[list[Item]], list[Item]]] = {
    "one too few": lambda items: items[1:],
    "one too many": lambda items: [*items, items[0]],
    "one twice": lambda items: [items[0], *items[:-1]],
    "an index that is none": lambda items: [*items[:-1], {**items[-1], "index": 9}],
    "a negative index": lambda items: [*items[:-1], {**items[-1], "index": -1}],
    "too short": lambda items: [*items[:-1], {"index": 2, "embedding": [1.0] * (DIMENSIONS - 1)}],
    "empty": lambda items: [*items[:-1], {"index": 2, "embedding": []}],
    "nothing but zeros": lambda items: [*items[:-1], {"index": 2, "embedding": [0.0] * DIMENSIONS}],
    "no base64": lambda items: [*items[:-1], {"index": 2, "embedding": "*"}],
    "half a float": lambda items: [*items[:-1], {"index": 2, "embedding": "AAA="}],
    "NaN in base64": lambda items: [
        *items[:-1],
        {"index": 2, "embedding": "AADAfwAAwH8AAMB/AADAfwAAwH8AAMB/AADAfwAAwH8="},
    ],
    "NaN in numbers": lambda items: [*items[:-1], {"index": 2, "embedding": [math.nan] * DIMENSIONS}],
    "null": lambda items: [*items[:-1], {"index": 2, "embedding": [None] * DIMENSIONS}],
}


@pytest.mark.parametrize("change", SPOILED.values(), ids=SPOILED)
async def test_vectors_that_are_not_ours_are_refused(change: Callable[[list[Item]], list[Item]]) -> None:
    error = await refusal(embeddings(DIMENSIONS, change))
    assert (error.code, error.retryable) == ("model_bad_response", False)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"<html>three wise men</html>", b"\xff", b'{"data": 5}', b"[" * 9999]
)
async def test_an_answer_that_is_none_is_refused(body: bytes) -> None:
    assert (await refusal(saying(body))).code == "model_bad_response"


async def test_an_answer_without_end_is_not_taken_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.web.posting.LONGEST_ANSWER", 1 << 16)

    async def endless(exchange: Exchange) -> None:
        await exchange.head()
        with suppress(ConnectionError):
            while True:
                await exchange.chunk(b" " * (1 << 14))

    assert (await refusal(endless)).code == "model_bad_response"


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "model_bad_request", False),
        (401, "model_auth_failed", False),
        (403, "model_auth_failed", False),
        (404, "model_not_found", False),
        (429, "model_rate_limited", True),
        (500, "model_unavailable", True),
        (503, "model_unavailable", True),
        (504, "model_timeout", True),
        (301, "model_bad_response", False),
    ],
)
async def test_a_refusal_is_told_in_our_words(status: int, code: str, *, retryable: bool) -> None:
    body = {"error": {"message": f"{KEY}: three wise men"}}
    error = await refusal(refusing(status, body, "location: http://elsewhere/\r\n"), retries=0)
    assert (error.code, error.retryable) == (code, retryable)


@pytest.mark.parametrize("fault", [refusing(500, {}), refusing(429, {}, "retry-after: 0\r\n"), cut])
async def test_what_passes_is_tried_again(fault: Script) -> None:
    async with scene(fault, fault, embeddings(DIMENSIONS)) as (server, embedder):
        assert len(await embedder.passages(TEXTS)) == 3
        assert len(server.exchanges) == 3
    error = await refusal(fault)
    assert error.retryable


async def test_a_pause_that_is_asked_for_is_kept_or_told() -> None:
    loop = asyncio.get_running_loop()
    async with scene(refusing(429, {}, "retry-after-ms: 300\r\n"), embeddings(DIMENSIONS)) as (_, embedder):
        begun = loop.time()
        await embedder.query("one")
        assert loop.time() - begun >= 0.3
    error = await refusal(refusing(429, {}, "retry-after: 3600\r\n"))
    assert (error.code, error.retry_after) == ("model_rate_limited", 3600)


async def test_a_quota_that_is_used_up_does_not_pass() -> None:
    error = await refusal(refusing(429, {"error": {"code": "insufficient_quota"}}))
    assert (error.code, error.retryable) == ("model_rate_limited", False)


async def test_a_silent_server_is_not_waited_for() -> None:
    async with scene(silence, query_seconds=0.2) as (server, embedder):
        with pytest.raises(ModelError) as late:
            await embedder.query("one")
        assert (late.value.code, late.value.retryable) == ("model_timeout", True)
        await asyncio.wait_for(server.exchanges[0].closed.wait(), PATIENCE)


async def test_nobody_there_is_an_error_that_may_pass() -> None:
    async with scene(silence, retries=0) as (server, embedder):
        server._server.close()
        await server._server.wait_closed()
        with pytest.raises(ModelError) as refused:
            await embedder.query("one")
    assert (refused.value.code, refused.value.retryable) == ("model_unavailable", True)


async def test_texts_that_are_too_long_for_the_server_are_cut_until_it_takes_them() -> None:
    async def at_most_300(exchange: Exchange) -> None:
        if max(map(len, exchange.json["input"])) > 300:
            message = "This model's maximum context length is 100 tokens"
            await exchange.refuse(400, {"error": {"message": message}})
        else:
            await embeddings(DIMENSIONS)(exchange)

    async with scene(at_most_300) as (server, embedder):
        assert len(await embedder.passages(["short", "x" * 1000])) == 2
    assert [[len(text) for text in one.json["input"]] for one in server.exchanges] == [[5, 1000], [5, 500], [5, 250]]


async def test_what_is_always_too_long_ends_in_an_error() -> None:
    async with scene(refusing(413, {})) as (server, embedder):
        with pytest.raises(ModelError, match="longer than the model can read"):
            await embedder.query("x" * 100_000)
    assert len(server.exchanges) < 12


async def test_any_text_is_sent_as_one_that_the_server_takes() -> None:
    async with scene(embeddings(DIMENSIONS)) as (server, embedder):
        await embedder.passages(["", "\0", "\ud800", "中" * 1_000_000])
    empty, nul, surrogate, long = server.exchanges[0].json["input"]
    assert (empty, nul, surrogate) == (" ", " ", " ")
    assert long == "中" * 8191


async def test_only_so_many_requests_go_on_at_once_and_a_question_is_not_kept() -> None:
    release, here, most = asyncio.Event(), 0, 0

    async def held(exchange: Exchange) -> None:
        nonlocal here, most
        if exchange.json["input"] != ["question"]:
            here, most = here + 1, max(most, here + 1)
            await release.wait()
            here -= 1
        await embeddings(DIMENSIONS)(exchange)

    async with scene(held) as (server, embedder):
        passages = [asyncio.ensure_future(embedder.passages([str(number)])) for number in range(5)]
        await server.request(1)
        await asyncio.wait_for(embedder.query("question"), PATIENCE)
        release.set()
        assert len(await asyncio.gather(*passages)) == 5
    assert most == 2


async def test_no_more_requests_begin_in_a_minute_than_were_allowed() -> None:
    pace = Pace(at_once=5, per_minute=600)
    begun = []

    async def noted(exchange: Exchange) -> None:
        begun.append(asyncio.get_running_loop().time())
        await embeddings(DIMENSIONS)(exchange)

    async with scene(noted, pace=pace) as (_, embedder):
        start = asyncio.get_running_loop().time()
        await embedder.query("a question is counted")
        await asyncio.gather(*(embedder.passages([str(number)]) for number in range(4)))
    assert begun[-1] - start >= 0.39


async def test_a_call_that_is_given_up_frees_its_place() -> None:
    async with scene(silence, embeddings(DIMENSIONS), pace=Pace(at_once=1)) as (server, embedder):
        given_up = asyncio.ensure_future(embedder.passages(["one"]))
        exchange = await server.request(0)
        given_up.cancel()
        assert len(await asyncio.wait_for(embedder.passages(["two"]), PATIENCE)) == 1
        await asyncio.wait_for(exchange.closed.wait(), PATIENCE)
