"""Search engines: each is asked in its own words, and whatever it says there are results or a reason."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.web import WebClient
from adapters.web_search import Asking, Bocha, Searxng, Tavily
from application.ports.web_search import FoundPage, SearchEngine, SearchFailed
from servers.byte_server import ByteServer, Exchange, Script

KEY = "tvly-secret"
Made = Callable[[Asking, str], SearchEngine]
ENGINES: list[Made] = [Searxng, Tavily, Bocha]
ITEMS = [{"title": "A", "url": "https://a.example/", "content": "first"}, {"title": "B", "url": "https://b.example/"}]
BOCHA_ITEMS = [
    {"id": "1", "name": "A", "url": "https://a.example/", "snippet": "short", "summary": "first"},
    {"id": "2", "name": "B", "url": "https://b.example/", "snippet": "", "summary": None},
]
FOUND = [FoundPage("A", "https://a.example/", "first"), FoundPage("B", "https://b.example/", "")]
ANSWERS: dict[Made, Any] = {
    Searxng: {"query": "q", "number_of_results": 0, "results": ITEMS},
    Tavily: {"query": "q", "answer": None, "results": ITEMS, "response_time": 0.4},
    Bocha: {"code": 200, "msg": None, "data": {"_type": "SearchResponse", "webPages": {"value": BOCHA_ITEMS}}},
}
EACH = pytest.mark.parametrize("made", ENGINES)


def telling(answer: object, status: int = 200) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(status, answer)

    return script


async def cut(exchange: Exchange) -> None:
    exchange.abort()


async def hang(exchange: Exchange) -> None:
    await exchange.closed.wait()


@asynccontextmanager
async def scene(
    made: Made, script: Script, *, key: str = KEY, seconds: float = 5
) -> AsyncIterator[tuple[ByteServer, SearchEngine]]:
    web = WebClient()
    async with ByteServer(script) as server:
        yield server, made(Asking(web, key, seconds), f"{server.url}/base/")
        await web.aclose()


@EACH
async def test_results_come_in_order_and_no_more_than_are_wanted(made: Made) -> None:
    async with scene(made, telling(ANSWERS[made])) as (_, engine):
        assert list(await engine.search("q", 5)) == FOUND
        assert list(await engine.search("q", 1)) == FOUND[:1]


async def test_each_engine_is_asked_in_its_own_words() -> None:
    asked = []
    for made in ENGINES:
        async with scene(made, telling(ANSWERS[made])) as (server, engine):
            await engine.search("what's 新 & old?", 3)
            asked.append(server.exchanges[0])
    searxng, tavily, bocha = asked
    assert searxng.method == "GET"
    path, _, words = searxng.path.partition("?")
    assert (path, parse_qs(words)) == ("/base/search", {"q": ["what's 新 & old?"], "format": ["json"]})
    assert (tavily.method, tavily.path) == ("POST", "/base/search")
    assert tavily.json == {"query": "what's 新 & old?", "max_results": 3}
    assert (bocha.method, bocha.path) == ("POST", "/base/v1/web-search")
    assert (bocha.json["query"], bocha.json["count"], bocha.json["summary"]) == ("what's 新 & old?", 3, True)
    assert {one.headers["authorization"] for one in asked} == {f"Bearer {KEY}"}


async def test_without_a_key_none_is_sent() -> None:
    async with scene(Searxng, telling(ANSWERS[Searxng]), key="") as (server, engine):
        await engine.search("q", 1)
    assert "authorization" not in server.exchanges[0].headers


@EACH
async def test_nothing_found_is_no_failure(made: Made) -> None:
    empty = {"results": [], "code": 200, "data": {"webPages": {"value": []}}}
    async with scene(made, telling(empty)) as (_, engine):
        assert list(await engine.search("q", 5)) == []


@EACH
@pytest.mark.parametrize(
    "script",
    [
        *(telling({"detail": KEY}, status) for status in (301, 400, 401, 403, 429, 432, 500)),
        *(
            telling(answer)
            for answer in (b"<html>", b"", b"[]", b"null", b"[" * 9000, b"\xff", {"results": 7, "code": 500})
        ),
        telling({"results": "x" * (2 << 20), "code": 403}),
        cut,
    ],
)
async def test_every_failure_is_a_reason_without_the_key(made: Made, script: Script) -> None:
    async with scene(made, script) as (_, engine):
        with pytest.raises(SearchFailed, match="search engine") as failed:
            await engine.search("q", 5)
    assert KEY not in str(failed.value)


@EACH
async def test_a_silent_engine_is_given_up(made: Made) -> None:
    async with scene(made, hang, seconds=0.2) as (_, engine):
        with pytest.raises(SearchFailed, match="too long"):
            await engine.search("q", 5)


@pytest.mark.parametrize("made", [Tavily, Bocha])
async def test_a_query_that_is_no_text_is_not_sent(made: Made) -> None:
    async with scene(made, telling(ANSWERS[made])) as (server, engine):
        with pytest.raises(SearchFailed, match="can't be asked"):
            await engine.search("\ud800", 5)
    assert server.exchanges == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "x", "https://a.example/"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["results", "data", "webPages", "value", "title", "name", "url", "content", "summary", "code"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@EACH
@settings(max_examples=40)
@given(answer=JSON)
async def test_whatever_comes_there_are_pages_or_a_reason(made: Made, answer: object) -> None:
    async def given_answer(_method: str, _address: str, _body: object = None) -> object:
        return answer

    try:
        found = await made(given_answer, "https://x").search("q", 5)  # type: ignore[arg-type]
    except SearchFailed:
        return
    assert all(isinstance(text, str) for page in found for text in (page.title, page.url, page.snippet))
    assert len(found) <= 5
