"""What a model gets of the web: text as data, in a frame that no page can close, within a budget."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ports.document_parser import DocumentRefused
from application.ports.guarded_web import WebAnswer, WebFailed, WebRefused, WebRequest
from application.ports.tool_runner import ToolFailed
from application.ports.web_search import FoundPage, SearchFailed
from application.tools.web_pages import text_of
from application.tools.web_tools import MOST_CHARACTERS, MOST_RESULTS, WebFetch, WebSearch, web_tools
from domain.conversation.conversation import Image
from domain.errors import Unavailable
from domain.files.attachments import WARNING
from domain.files.documents import ParsedDocument
from domain.files.files import FileKind
from domain.tokens import estimate
from domain.tools.tools import JsonValue

URL = "https://example.org/page"


@dataclass
class Web:
    """Gives the same answer to all, or fails."""

    body: bytes = b""
    content_type: str = ""
    status: int = 200
    url: str = URL
    cut: bool = False
    trouble: Exception | None = None
    asked: list[WebRequest] = field(default_factory=list)

    async def send(self, request: WebRequest) -> WebAnswer:
        self.asked.append(request)
        if self.trouble:
            raise self.trouble
        return WebAnswer(self.status, self.url, (("content-type", self.content_type),), self.body, self.cut)


@dataclass
class Parser:
    """Tells the kind that it was asked for, and the content."""

    trouble: Exception | None = None
    version: str = "1"

    async def parse(self, kind: FileKind, content: AsyncIterator[bytes]) -> ParsedDocument:
        if self.trouble:
            raise self.trouble
        body = b"".join([piece async for piece in content])
        return ParsedDocument(f"parsed {kind}: {body.decode('utf-8-sig', 'replace')}")

    async def picture(self, kind: FileKind, content: AsyncIterator[bytes]) -> Image:
        raise NotImplementedError


async def fetched(web: Web, parser: Parser | None = None, *, tokens: int = 8000, **arguments: JsonValue) -> str:
    tool = WebFetch(web, parser or Parser(), tokens)
    return (await tool.run({"url": URL, **arguments})).content


async def refusal(web: Web, parser: Parser | None = None, **arguments: JsonValue) -> str:
    with pytest.raises(ToolFailed) as failed:
        await fetched(web, parser, **arguments)
    return str(failed.value)


def page(text: str, part: str = "") -> str:
    return f'{WARNING}\n<document name="{URL}"{part}>\n{text}\n</document>\n'


async def test_text_comes_as_it_is_and_pages_are_parsed() -> None:
    assert await fetched(Web(b'{"a": 1}', "application/json")) == page('{"a": 1}')
    assert await fetched(Web("héllo".encode(), "text/plain; charset=utf-8")) == page("héllo")
    assert await fetched(Web(b"<p>x", "text/html")) == page("parsed html: <p>x")
    assert await fetched(Web(b"%PDF-1.4 x", "application/pdf")) == page("parsed pdf: %PDF-1.4 x")


@pytest.mark.parametrize(
    ("charset", "text"),
    [("gb2312", "中文网页"), ("GBK", "中文"), ("Shift_JIS", "日本語"), ("windows-1251", "привет"), ("utf-16", "text")],
)
@pytest.mark.parametrize("media", ["text/plain", "text/html"])
async def test_the_servers_word_for_the_encoding_counts(charset: str, text: str, media: str) -> None:
    web = Web(text.encode(charset), f'{media}; charset="{charset}"')
    assert text in await fetched(web)


@pytest.mark.parametrize("charset", ["punycode", "zlib", "idna", "unicode-escape", "utf-9", "..", "utf-7"])
async def test_a_charset_of_no_page_is_not_believed(charset: str) -> None:
    assert await fetched(Web(b"plain\\u0041", f"text/plain; charset={charset}")) == page("plain\\u0041")


async def test_what_is_no_text_in_any_encoding_goes_to_the_parser() -> None:
    assert "parsed txt" in await fetched(Web("中文".encode("gbk"), "text/plain"))


async def test_a_text_that_was_cut_within_a_letter_is_shown_up_to_it() -> None:
    web = Web("aé".encode()[:2], "text/plain", cut=True)
    assert await fetched(web) == page("a", ' shown="only the beginning"')


@pytest.mark.parametrize(
    ("web", "said"),
    [
        (Web(b"\x89PNG\r\n\x1a\n", "image/png"), "is a picture"),
        (Web(b"\x00\x01\x02binary", "application/octet-stream"), "neither a page nor a document"),
        (Web(b"", "text/html"), "is empty"),
        (Web(b"  \n", "text/plain"), "has no text"),
        (Web(b"%PDF-1.4", "application/pdf", cut=True), "too large"),
        (Web(b"<h1>Not here</h1>", "text/html", status=404), "status 404"),
        (Web(b"", status=304), "status 304"),
        (Web(trouble=WebRefused("No.")), "No."),
        (Web(trouble=WebFailed("Too slow.")), "Too slow."),
    ],
)
async def test_what_cannot_be_read_is_said_in_one_sentence(web: Web, said: str) -> None:
    assert said in await refusal(web)


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (DocumentRefused("file_encrypted", "is encrypted"), f"{URL} is encrypted."),
        (Unavailable("parser_unavailable", "inner words"), "not available"),
    ],
)
async def test_a_parser_that_refuses_is_a_failure_of_the_tool(trouble: Exception, said: str) -> None:
    text = await refusal(Web(b"<p>", "text/html"), Parser(trouble))
    assert said in text
    assert "inner" not in text


@pytest.mark.parametrize(
    "arguments",
    [{"url": ""}, {"url": 7}, {"url": None}, {"url": ["x"]}, {"max_chars": 0}, {"max_chars": "9"}, {"max_chars": True}],
)
async def test_arguments_of_another_kind_ask_nobody(arguments: Mapping[str, JsonValue]) -> None:
    web = Web(b"x", "text/plain")
    await refusal(web, **arguments)
    assert web.asked == []


@given(st.integers(1, 10**9) | st.none(), st.integers(1, 300_000))
async def test_no_more_characters_are_shown_than_were_wanted(wanted: int | None, length: int) -> None:
    content = await fetched(Web(b"x" * length, "text/plain"), tokens=10**6, max_chars=wanted)
    most = min(wanted or 20_000, MOST_CHARACTERS)
    assert content.count("x") - page("").count("x") == min(most, length)
    assert ("only the beginning" in content) == (length > most)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1), st.integers(1, 50))
async def test_a_page_stays_within_its_budget(text: str, tokens: int) -> None:
    try:
        content = await fetched(Web(text.encode(), "text/plain; charset=utf-8"), tokens=tokens)
    except ToolFailed:
        assert not text.strip("\ufeff").strip()
        return
    assert estimate(content) <= tokens + estimate(page("", ' shown="only the beginning"')) + 1


@given(st.text("<>/document \n", max_size=60), st.text('"<>/\n', max_size=20))
async def test_no_page_closes_its_frame(text: str, path: str) -> None:
    web = Web(f"a</document>{text}".encode(), "text/plain", url=f"{URL}{path}")
    assert (await fetched(web)).count("</document>") == 1
    assert (await fetched(web)).count("<document") == 1


@dataclass
class SlowParser(Parser):
    at_once: int = 0
    most: int = 0

    async def parse(self, kind: FileKind, content: AsyncIterator[bytes]) -> ParsedDocument:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await asyncio.sleep(0)
            return await super().parse(kind, content)
        finally:
            self.at_once -= 1


@pytest.mark.parametrize("readers", [1, 3])
async def test_pages_take_no_more_parsers_than_they_may(readers: int) -> None:
    """And a page that was given up gives its place back."""
    parser = SlowParser()
    (tool,) = web_tools(Web(b"<p>x", "text/html"), parser, None, readers=readers)
    given_up = asyncio.create_task(tool.run({"url": URL}))
    while not parser.at_once:
        await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, *(tool.run({"url": URL}) for _ in range(9)), return_exceptions=True)
    assert parser.most == readers
    assert given_up.cancelled()
    assert "parsed html" in (await tool.run({"url": URL})).content


async def test_a_page_that_grows_in_its_frame_is_still_said_to_be_cut() -> None:
    content = await fetched(Web(b"</document>" * 9, "text/plain"), tokens=30)
    assert 'shown="only the beginning"' in content


@dataclass
class Engine:
    found: Sequence[FoundPage] = ()
    trouble: Exception | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def search(self, query: str, count: int) -> Sequence[FoundPage]:
        self.asked.append((query, count))
        if self.trouble:
            raise self.trouble
        return self.found


async def test_results_are_shown_each_in_its_frame() -> None:
    engine = Engine([FoundPage("One", "https://one.example/", "first"), FoundPage("", "http://two.example/", "")])
    content = (await WebSearch(engine).run({"query": " what ", "count": 3})).content
    assert engine.asked == [("what", 3)]
    assert content == (
        f'{WARNING}\n<document name="One">\nhttps://one.example/\nfirst\n</document>\n'
        '<document name="http://two.example/">\nhttp://two.example/\n\n</document>\n'
    )


async def test_what_is_no_address_of_the_web_is_left_out() -> None:
    bad = ["javascript:alert(1)", "https://a\nb", "https://a b", "", "https://" + "a" * 3000]
    engine = Engine([FoundPage("x", url, "x") for url in bad])
    assert (await WebSearch(engine).run({"query": "q"})).content == "Nothing was found."


@given(
    st.lists(st.builds(FoundPage, st.text(), st.just("https://a.example/"), st.text("</document>字 \n"))),
    st.integers(1, 400),
)
async def test_results_stay_within_their_budget_and_frames(found: list[FoundPage], tokens: int) -> None:
    content = (await WebSearch(Engine(found), tokens).run({"query": "q", "count": 10})).content
    shown = content.count("\n</document>\n")
    assert content.count("<document") == content.count("</document") == shown <= MOST_RESULTS
    assert shown == 0 or estimate(content) <= tokens


@pytest.mark.parametrize(
    "arguments", [{}, {"query": " "}, {"query": 1}, {"query": "q" * 401}, {"query": "q", "count": 0}]
)
async def test_a_query_of_another_kind_is_not_searched(arguments: Mapping[str, JsonValue]) -> None:
    engine = Engine()
    with pytest.raises(ToolFailed):
        await WebSearch(engine).run(arguments)
    assert engine.asked == []


async def test_an_engine_that_fails_says_why() -> None:
    with pytest.raises(ToolFailed, match="The quota"):
        await WebSearch(Engine(trouble=SearchFailed("The quota is used up."))).run({"query": "q"})


def test_without_an_engine_there_is_no_search() -> None:
    assert [tool.spec.name for tool in web_tools(Web(), Parser(), None)] == ["web_fetch"]
    assert [tool.spec.name for tool in web_tools(Web(), Parser(), Engine())] == ["web_fetch", "web_search"]


async def test_a_long_page_of_another_encoding_is_read_beside_the_loop() -> None:
    threads: list[threading.Thread] = []

    class Told(bytes):
        def startswith(self, *what: Any) -> bool:
            threads.append(threading.current_thread())
            return super().startswith(*what)

    for length in (10, 100_000):
        answer = WebAnswer(
            200, URL, (("content-type", "text/plain; charset=gb18030"),), Told("中".encode("gb18030") * length)
        )
        text = await text_of(answer, Parser(), asyncio.Semaphore(1))
        assert text == "中" * length
    short, *long = [one is threading.main_thread() for one in threads]
    assert short
    assert long
    assert not any(long)
