"""What one person wants of what is scarce never keeps another from it, and there is never more of it in use."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.acting_for import acting_for
from application.fair_places import FairPlaces
from application.ports.guarded_web import WebAnswer, WebRequest
from application.tools.web_tools import FETCHES, FETCHES_OF_ONE, web_tools
from domain.conversation.conversation import Image
from domain.files.documents import ParsedDocument
from domain.files.files import FileKind
from domain.ids import UserId
from patience import PATIENCE

ANN, BOB = UserId("ann"), UserId("bob")


@dataclass
class Use:
    """Who has places now, and who got one, in order."""

    places: FairPlaces
    now: Counter[UserId] = field(default_factory=Counter)
    most: int = 0
    most_of_one: int = 0
    got: list[UserId] = field(default_factory=list)

    async def take(self, who: UserId, steps: int) -> None:
        acting_for.set(who)
        async with self.places.taken():
            self.got.append(who)
            self.now[who] += 1
            self.most = max(self.most, self.now.total())
            self.most_of_one = max(self.most_of_one, self.now[who])
            try:
                for _ in range(steps):
                    await asyncio.sleep(0)
            finally:
                self.now[who] -= 1


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.booleans()), max_size=30),
    st.integers(1, 4),
    st.integers(1, 3),
)
async def test_never_more_than_there_are_and_everybody_gets_one(
    wanted: Sequence[tuple[str, int, bool]], in_all: int, for_each: int
) -> None:
    """Also when some give up, while they wait or while they have it."""
    use = Use(FairPlaces(in_all, for_each))
    tasks = [asyncio.create_task(use.take(UserId(who), steps)) for who, steps, _ in wanted]
    for turn, (task, (*_, gives_up)) in enumerate(zip(tasks, wanted, strict=True)):
        if gives_up:
            await asyncio.sleep(0) if turn % 2 else None
            task.cancel()
    async with asyncio.timeout(PATIENCE):
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert use.most <= in_all
    assert use.most_of_one <= for_each
    assert all(end is None for end, (*_, gives_up) in zip(ended, wanted, strict=True) if not gives_up)
    for _ in range(in_all):
        async with asyncio.timeout(PATIENCE):
            await use.take(ANN, 0)


async def test_who_wants_much_is_passed_by_who_wants_little() -> None:
    use = Use(FairPlaces(2, 2))
    flood = [asyncio.create_task(use.take(ANN, 1)) for _ in range(50)]
    await asyncio.sleep(0)
    await use.take(BOB, 1)
    assert use.got.index(BOB) == 2
    await asyncio.gather(*flood)


@dataclass
class Site:
    """Answers with slow pages when it is told to, with others at once."""

    open: asyncio.Event = field(default_factory=asyncio.Event)
    now: int = 0
    most: int = 0
    asked: int = 0

    async def send(self, request: WebRequest) -> WebAnswer:
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if "slow" in request.url:
                await self.open.wait()
            return WebAnswer(200, request.url, (("content-type", "text/html"),), b"<p>x", cut=False)
        finally:
            self.now -= 1


@dataclass
class Parser:
    """Long pages are read when they may be."""

    version: str = "1"
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def parse(self, kind: FileKind, content: AsyncIterator[bytes]) -> ParsedDocument:
        self.asked += 1
        await self.open.wait()
        return ParsedDocument("page")

    async def picture(self, kind: FileKind, content: AsyncIterator[bytes]) -> Image:
        raise NotImplementedError


@pytest.fixture
def site() -> Site:
    return Site()


async def test_a_person_who_asks_for_hundreds_of_pages_holds_few_and_another_s_page_comes(site: Site) -> None:
    parser = Parser()
    parser.open.set()
    (fetch,) = web_tools(site, parser, None)

    async def page(who: UserId, url: str) -> str:
        acting_for.set(who)
        return (await fetch.run({"url": url})).content

    flood = [asyncio.create_task(page(ANN, f"https://example.org/slow/{at}")) for at in range(20 * 32)]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        assert "page" in await page(BOB, "https://example.org/quick")
    assert site.most <= FETCHES_OF_ONE + 1
    assert not any(one.done() for one in flood)
    site.open.set()
    assert all("page" in one for one in await asyncio.gather(*flood))


async def test_pages_of_many_people_are_bounded_in_a_process_also_while_they_wait_to_be_read(site: Site) -> None:
    parser = Parser()
    (fetch,) = web_tools(site, parser, None)
    held: list[int] = []

    async def page(who: int) -> None:
        acting_for.set(UserId(f"{who}"))
        await fetch.run({"url": "https://example.org/quick"})
        held.append(who)

    people = [asyncio.create_task(page(at)) for at in range(3 * FETCHES)]
    while not parser.asked:
        await asyncio.sleep(0)
    for _ in range(50):
        await asyncio.sleep(0)
    # Nobody's page was read yet, and those that are held are no more than there are places.
    assert (held, site.asked, parser.asked) == ([], FETCHES, 1)
    parser.open.set()
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*people)
    assert len(held) == site.asked == 3 * FETCHES
