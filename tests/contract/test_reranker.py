"""Reranking over HTTP: a score for each text, or an error, whatever the server says."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.rerank import HttpReranker
from adapters.rerank.wire import MOST_QUERY, MOST_TEXT, in_range, scores_in
from adapters.web import Posting, WebClient
from application.ports.reranker import Reranker
from domain.errors import ModelError
from patience import PATIENCE
from servers.byte_server import ByteServer, Exchange, Script
from servers.embedding_scripts import cut, refusing, saying, scores, silence

KEY = "sk-secret-key"
TEXTS = ["first", "second", "third"]


@asynccontextmanager
async def scene(
    *scripts: Script, model: str | None = "judge", seconds: float = 10
) -> AsyncIterator[tuple[ByteServer, Reranker]]:
    web = WebClient()
    async with ByteServer(*scripts) as server:
        post = Posting(web, f"{server.url}/v1/rerank", KEY, 5, retries=1, pause_seconds=0.01)
        yield server, HttpReranker(post, model=model, seconds=seconds)
        await web.aclose()


async def refusal(*scripts: Script, seconds: float = 10) -> ModelError:
    async with scene(*scripts, seconds=seconds) as (_, reranker):
        with pytest.raises(ModelError) as refused:
            await reranker.scores("what", TEXTS)
    assert KEY not in refused.value.message
    return refused.value


async def test_each_text_gets_its_own_score() -> None:
    async with scene(scores([0.1, 0.9, 0.5])) as (server, reranker):
        assert await reranker.scores("what", TEXTS) == [0.1, 0.9, 0.5]
    (asked,) = server.exchanges
    assert asked.path == "/v1/rerank"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.json == {"model": "judge", "query": "what", "documents": TEXTS, "top_n": 3}


async def test_nothing_is_asked_about_no_texts() -> None:
    async with scene(silence) as (server, reranker):
        assert await reranker.scores("what", []) == []
    assert server.exchanges == []


async def test_logits_become_scores_of_the_same_order() -> None:
    async with scene(scores([-3.0, 12.0, 0.5])) as (_, reranker):
        low, high, middle = await reranker.scores("what", TEXTS)
    assert 0 <= low < middle < high <= 1


async def test_a_server_that_wants_texts_is_asked_in_its_own_words_from_then_on() -> None:
    """As Text Embeddings Inference, which answers with a bare list."""

    async def inference(exchange: Exchange) -> None:
        if "texts" in exchange.json:
            await exchange.refuse(200, [{"index": place, "score": 0.5} for place in range(3)])
        else:
            await exchange.refuse(422, b"missing field `texts`")

    async with scene(inference, model=None) as (server, reranker):
        assert await reranker.scores("what", TEXTS) == [0.5] * 3
        assert await reranker.scores("what", TEXTS) == [0.5] * 3
    assert ["texts" in one.json for one in server.exchanges] == [False, True, True]
    assert "model" not in server.exchanges[0].json


async def test_long_and_odd_texts_are_sent_as_what_the_server_takes() -> None:
    async with scene(scores([0.1, 0.2, 0.3])) as (server, reranker):
        await reranker.scores("\0" + "q" * 1_000_000, ["", "\ud800", "x" * 1_000_000])
    asked = server.exchanges[0].json
    assert asked["query"] == " " + "q" * (MOST_QUERY - 1)
    assert asked["documents"] == [" ", " ", "x" * MOST_TEXT]


@pytest.mark.parametrize(
    "results",
    [
        [],
        [{"index": 0, "relevance_score": 1}],
        [{"index": place, "relevance_score": 1} for place in (0, 1, 1)],
        [{"index": place, "relevance_score": 1} for place in (0, 1, 3)],
        [{"index": place, "relevance_score": 1} for place in (0, 1, 2, 2)],
        [{"index": place} for place in range(3)],
        [{"index": place, "relevance_score": None} for place in range(3)],
        [{"index": place, "relevance_score": math.nan} for place in range(3)],
    ],
)
async def test_scores_that_are_not_those_of_the_texts_are_refused(results: list[object]) -> None:
    assert (await refusal(saying(json.dumps({"results": results}).encode()))).code == "model_bad_response"


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"null", b"[" * 9999])
async def test_an_answer_that_is_none_is_refused(body: bytes) -> None:
    assert (await refusal(saying(body))).code == "model_bad_response"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (refusing(401, {"message": KEY}), "model_auth_failed"),
        (refusing(400, {"message": KEY}), "model_bad_request"),
        (refusing(429, {}), "model_rate_limited"),
        (refusing(500, {}), "model_unavailable"),
        (cut, "model_unavailable"),
    ],
)
async def test_a_refusal_is_told_in_our_words(fault: Script, code: str) -> None:
    assert (await refusal(fault)).code == code


async def test_what_passes_is_tried_once_more() -> None:
    async with scene(refusing(500, {}), scores([0.1, 0.2, 0.3])) as (_, reranker):
        assert await reranker.scores("what", TEXTS) == [0.1, 0.2, 0.3]


async def test_a_silent_server_is_not_waited_for() -> None:
    async with asyncio.timeout(PATIENCE):
        assert (await refusal(silence, seconds=0.2)).code == "model_timeout"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_scores_are_in_range_and_keep_their_order(told: list[float]) -> None:
    found = in_range(told)
    assert all(0 <= score <= 1 for score in found)
    ranked = [score for _, score in sorted(zip(told, found, strict=True))]
    assert ranked == sorted(found)


@given(st.lists(st.floats(0, 1), min_size=1), st.randoms())
def test_scores_are_put_into_the_order_of_the_texts(told: list[float], random: Random) -> None:
    results = [{"index": place, "relevance_score": score} for place, score in enumerate(told)]
    random.shuffle(results)
    assert scores_in(json.dumps({"results": results}).encode(), len(told)) == told
