"""What an answer reads of a person's documents: no more than a model can be offered, and one answer after the other."""

import asyncio
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.openapi.documents import OpenApiDocuments
from adapters.scripted import ScriptedWeb, answered
from application.chat.toolbox import MOST_TOOLS, AtHand
from application.paging import Window
from application.ports.api_documents import ApiDescription
from application.ports.tool_runner import ToolRunner
from application.tools.own_tools import MOST_CHARACTERS, TOLD, Room, fitting
from application.tools.tools import ListOwnTools, ListTools
from domain.agents.agents import Agent
from domain.ids import AgentId, ToolId, UserId, new_id
from domain.tools.credentials import Credentials
from domain.tools.user_tools import DOCUMENT_MAX, DOCUMENTS_MAX, SHOWN_MAX, ApiDocument, UserTool
from stored import NOW, registered, seconds
from tool_desk import BUILT_IN, CALCULATOR, user_tool
from toolboxes import toolbox


def described(operations: int, words: str = "", padding: int = 0) -> ApiDocument:
    paths = {
        f"/{at}": {"get": {"operationId": f"look{at}", "description": words, "responses": {}}}
        for at in range(operations)
    }
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Weather", "version": "1", "description": "x" * padding},
        "servers": [{"url": "https://weather.example.org"}],
        "paths": paths,
    }
    return ApiDocument(json.dumps(document))


@dataclass
class Watched:
    """Real documents, and how many were wanted, at once and in all."""

    inner: OpenApiDocuments = field(default_factory=lambda: OpenApiDocuments(ScriptedWeb(answered())))
    wanted: list[ToolId] = field(default_factory=list)
    most_at_once: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    held: threading.Event | None = None
    holds: UserTool | None = None
    entered: threading.Event = field(default_factory=threading.Event)

    def read(self, document: str) -> ApiDescription:
        return self.inner.read(document)

    def runners(self, tool_id: ToolId, document: str, credentials: Credentials) -> Sequence[ToolRunner]:
        with self._lock:
            self.wanted.append(tool_id)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        if self.held is not None and (self.holds is None or self.holds.tool_id == tool_id):
            self.entered.set()
            assert self.held.wait(10)
        made = self.inner.runners(tool_id, document, credentials)
        with self._lock:
            self._now -= 1
        return made


@dataclass
class Scene:
    transactions: DatabaseTransactions
    documents: Watched = field(default_factory=Watched)

    def __post_init__(self) -> None:
        self.box = toolbox(self.transactions, {}, documents=self.documents)

    async def keep(self, owner: UserId, documents: Sequence[ApiDocument]) -> list[UserTool]:
        made = [
            replace(user_tool(owner, f"tool{at}"), document=one, created_at=seconds(at))
            for at, one in enumerate(documents)
        ]
        async with self.transactions.begin() as tx:
            for one in made:
                await tx.tools.add(one)
        return made

    async def at_hand(self, owner: UserId, tools: Sequence[UserTool], window: int = 10_000_000) -> AtHand:
        ids = tuple(one.tool_id for one in tools)
        return await self.box(owner, Agent(AgentId(new_id()), owner, "Ada", NOW, NOW, tool_ids=ids), window)


@pytest.fixture
def scene(transactions: DatabaseTransactions) -> Scene:
    return Scene(transactions)


async def test_when_a_model_takes_no_more_functions_no_further_document_is_read(scene: Scene) -> None:
    owner = await registered(scene.transactions)
    tools = await scene.keep(owner, [described(100, f"{at}") for at in range(5)])
    at_hand = await scene.at_hand(owner, tools)
    assert len(at_hand.runners) == MOST_TOOLS
    assert scene.documents.wanted == [one.tool_id for one in tools[:2]]
    assert [one.title for one in at_hand.troubles] == ["Tools"]
    assert f"the first {MOST_TOOLS}" in at_hand.troubles[0].message


async def test_when_the_window_has_no_more_room_no_further_document_is_read(scene: Scene) -> None:
    owner = await registered(scene.transactions)
    tools = await scene.keep(owner, [described(4, f"{at} " + "word " * 150) for at in range(6)])
    at_hand = await scene.at_hand(owner, tools, window=4_000)
    assert 0 < sum(runner.spec.tokens for runner in at_hand.runners) <= 1_000
    assert len(scene.documents.wanted) < len(tools)
    assert f"the first {len(at_hand.runners)}" in at_hand.troubles[0].message


async def test_of_documents_that_are_too_long_together_the_first_are_read_and_the_others_named(
    scene: Scene, statements: list[str]
) -> None:
    owner = await registered(scene.transactions)
    share = MOST_CHARACTERS // 4
    lengths = [share * 2, share, share * 2, 10]
    tools = await scene.keep(owner, [described(1, f"{at}", padding) for at, padding in enumerate(lengths)])
    statements.clear()
    at_hand = await scene.at_hand(owner, tools)
    assert scene.documents.wanted == [one.tool_id for one in tools[:2]]
    assert len(at_hand.runners) == 2
    (told,) = at_hand.troubles
    assert "2,000,000 characters" in told.message
    assert "tool2, tool3" in told.message
    assert len(statements) == 2


async def test_documents_that_may_be_read_together_are_loaded_in_one_statement_and_up_to_the_last_character(
    scene: Scene, statements: list[str]
) -> None:
    owner = await registered(scene.transactions)
    first, second = described(1, "a", 900_000), described(1, "b")
    last = described(1, "c", MOST_CHARACTERS - len(first.text) - len(second.text) - len(described(1, "c").text) - 1)
    tools = await scene.keep(owner, [first, second, last])
    assert sum(len(one.text) for one in (first, second, last)) == MOST_CHARACTERS - 1
    statements.clear()
    at_hand = await scene.at_hand(owner, tools)
    assert (len(at_hand.runners), at_hand.troubles, len(statements)) == (3, (), 1)


async def test_few_of_many_left_out_are_named(scene: Scene) -> None:
    owner = await registered(scene.transactions)
    padding = DOCUMENT_MAX - 500
    tools = await scene.keep(owner, [described(1, f"{at}", padding) for at in range(3 + TOLD)])
    (told,) = (await scene.at_hand(owner, tools)).troubles
    assert "tool6, and 1 more" in told.message
    assert "tool7" not in told.message


async def test_one_of_a_person_s_answers_reads_at_a_time_and_others_read_beside_it(scene: Scene) -> None:
    flooder, other = await registered(scene.transactions), await registered(scene.transactions)
    documents = scene.documents
    heavy = await scene.keep(flooder, [described(1, "heavy")])
    light = await scene.keep(other, [described(1, "light")])
    documents.held, documents.holds = threading.Event(), heavy[0]
    flood = [asyncio.create_task(scene.at_hand(flooder, heavy)) for _ in range(20)]
    try:
        await asyncio.to_thread(documents.entered.wait, 10)
        assert len((await scene.at_hand(other, light)).runners) == 1
        assert [one for one in documents.wanted if one == heavy[0].tool_id] == [heavy[0].tool_id]
        assert not any(one.done() for one in flood)
    finally:
        documents.held.set()
    assert {len(one.runners) for one in await asyncio.gather(*flood)} == {1}
    assert documents.most_at_once == 2


async def test_a_list_is_cut_where_its_documents_are_long_and_reading_on_gives_all(scene: Scene) -> None:
    owner = await registered(scene.transactions)
    tools = await scene.keep(owner, [ApiDocument("x" * (DOCUMENT_MAX - 1))] * (DOCUMENTS_MAX // DOCUMENT_MAX))
    for listed, built_in in ((ListOwnTools(scene.transactions), 0), (ListTools(scene.transactions, BUILT_IN), 1)):
        for limit in (None, 1, 3, 200):
            seen: list[ToolId] = []
            cursor: str | None = None
            while True:
                page = await listed(owner, Window.parse(limit, cursor))
                sizes = [one.size for one in page.items if isinstance(one, UserTool)]
                assert page.items
                assert sum(sizes) <= SHOWN_MAX
                assert len(page.items) <= (limit or 200)
                seen += [one.tool_id for one in page.items]
                if (cursor := page.next_cursor) is None:
                    break
            assert seen == [one.tool_id for one in reversed(tools)] + [CALCULATOR] * built_in


async def test_short_lists_come_whole(scene: Scene) -> None:
    owner = await registered(scene.transactions)
    await scene.keep(owner, [ApiDocument("x" * 1_000)] * 50)
    page = await ListTools(scene.transactions, BUILT_IN)(owner, Window())
    assert (len(page.items), page.next_cursor) == (51, None)


async def test_what_has_no_room_is_not_weighed() -> None:
    weighed: list[int] = []

    @dataclass
    class Spec:
        number: int

        @property
        def tokens(self) -> int:
            weighed.append(self.number)
            return 10

    @dataclass
    class Runner:
        spec: Spec

    runners = [Runner(Spec(at)) for at in range(100)]
    assert fitting(runners, Room(100, 35)) == runners[:3]  # type: ignore[arg-type]
    assert weighed == [0, 1, 2, 3]
    assert fitting(runners, Room(2, 1_000)) == runners[:2]  # type: ignore[arg-type]
    assert fitting(runners, Room(-1, 1_000)) == []  # type: ignore[arg-type]
