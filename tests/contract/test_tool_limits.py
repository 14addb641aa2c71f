"""How many tools a person may have, and how long their documents may be."""

import asyncio
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from application.ports.tools import Stock
from domain.errors import Conflict, InvalidValue, NotFound, Unauthenticated
from domain.ids import UserId
from domain.tools.user_tools import DOCUMENT_MAX, DOCUMENTS_MAX, TOOLS_MAX, ApiDocument, AuthDraft, AuthType, UserTool
from knowledge_desk import Watched
from stored import NOBODY, registered
from tool_desk import ToolDesk, user_tool


@pytest.fixture
async def owner(transactions: DatabaseTransactions) -> UserId:
    return await registered(transactions)


@pytest.fixture
def desk(transactions: DatabaseTransactions) -> ToolDesk:
    return ToolDesk(transactions)


@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_of_two_at_once_for_the_last_place_one_is_refused(desk: ToolDesk, owner: UserId, at: int) -> None:
    async with desk.transactions.begin() as tx:
        for _ in range(TOOLS_MAX - 1):
            await tx.tools.add(user_tool(owner))
    others: list[asyncio.Task[UserTool]] = []

    async def begin_another() -> None:
        others.append(asyncio.create_task(desk.create_tool(owner)))
        await asyncio.sleep(0.02)

    database = Watched(desk.transactions, at, begin_another, inside=True)
    first: list[Any] = await asyncio.gather(desk.create_tool(owner, database), return_exceptions=True)
    made = [*first, *await asyncio.gather(*others, return_exceptions=True)]
    assert sorted(getattr(one, "code", "made") for one in made) == ["made", "too_many_tools"]
    async with desk.transactions.autocommit() as tx:
        assert await tx.tools.stock(owner=owner) == Stock(TOOLS_MAX, 0)
    assert (await desk.create_tool(await registered(desk.transactions))).en_name == "weather"


async def test_documents_take_room_and_give_it_back(desk: ToolDesk, owner: UserId) -> None:
    async with desk.transactions.begin() as tx:
        for _ in range(DOCUMENTS_MAX // DOCUMENT_MAX):
            await tx.tools.add(user_tool(owner, document=ApiDocument("x" * (DOCUMENT_MAX - 1))))
        tool = (await tx.tools.list(Window(1), owner=owner))[0]
    bare = await desk.create_tool(owner)
    document = ApiDocument("x" * 30)
    for act in (
        lambda: desk.create_tool(owner, document=document),
        lambda: desk.change_tool(owner, bare.tool_id, document=document),
    ):
        with pytest.raises(Conflict, match="20,000,000") as refused:
            await act()
        assert refused.value.code == "tools_too_large"
    await desk.change_tool(owner, tool.tool_id, document=ApiDocument("x"))
    assert (await desk.change_tool(owner, bare.tool_id, document=document)).is_executable
    await desk.change_tool(owner, bare.tool_id, document=ApiDocument(""))
    async with desk.transactions.autocommit() as tx:
        assert (await tx.tools.stock(owner=owner)).characters == (DOCUMENTS_MAX // DOCUMENT_MAX - 1) * (
            DOCUMENT_MAX - 1
        ) + 1


async def test_a_document_that_is_not_understood_changes_nothing(desk: ToolDesk, owner: UserId) -> None:
    tool = await desk.create_tool(owner, document=ApiDocument("now"), auth=AuthDraft(AuthType.BEARER, token="t0ken"))
    for act in (
        lambda: desk.create_tool(owner, document=ApiDocument("now\nno name")),
        lambda: desk.change_tool(owner, tool.tool_id, en_name="new", document=ApiDocument("no name")),
        lambda: desk.change_tool(owner, tool.tool_id, en_name="new", auth=AuthDraft(AuthType.BEARER)),
    ):
        with pytest.raises(InvalidValue):
            await act()
    async with desk.transactions.autocommit() as tx:
        assert await tx.tools.list(Window(), owner=owner) == [tool]


async def test_writing_costs_few_statements(desk: ToolDesk, owner: UserId, statements: list[str]) -> None:
    statements.clear()
    tool = await desk.create_tool(owner, document=ApiDocument("now"))
    assert len(statements) == 3
    statements.clear()
    await desk.change_tool(owner, tool.tool_id, en_name="new")
    assert len(statements) == 4
    statements.clear()
    await desk.change_tool(owner, tool.tool_id, document=ApiDocument("now\nlater"))
    assert len(statements) == 6
    statements.clear()
    await desk.delete_tool(owner, tool.tool_id)
    assert len(statements) == 2


async def test_a_stranger_and_nobody_change_nothing(desk: ToolDesk, owner: UserId) -> None:
    tool = await desk.create_tool(owner)
    with pytest.raises(NotFound):
        await desk.change_tool(await registered(desk.transactions), tool.tool_id, en_name="stolen")
    for act in (
        lambda: desk.create_tool(NOBODY),
        lambda: desk.change_tool(NOBODY, tool.tool_id, en_name="stolen"),
        lambda: desk.delete_tool(NOBODY, tool.tool_id),
    ):
        with pytest.raises(Unauthenticated):
            await act()


async def test_another_server_is_not_told_what_a_tool_proves_itself_with(desk: ToolDesk, owner: UserId) -> None:
    bearer = AuthDraft(AuthType.BEARER, token="t0ken")
    here, there = ApiDocument("at_home\nnow"), ApiDocument("at_evil\nnow")
    tool = await desk.create_tool(owner, document=here, auth=bearer)
    with pytest.raises(InvalidValue) as refused:
        await desk.change_tool(owner, tool.tool_id, document=there)
    assert (refused.value.code, refused.value.fields[0].name) == ("auth_needed_again", "auth_config")
    assert (await desk.change_tool(owner, tool.tool_id, document=ApiDocument("at_home\nmore"))).auth == tool.auth
    assert (await desk.change_tool(owner, tool.tool_id, document=there, no_auth=True)).auth is None
    assert (await desk.change_tool(owner, tool.tool_id, document=here)).auth is None
    again = await desk.change_tool(owner, tool.tool_id, document=there, auth=bearer)
    assert again.auth is not None
    assert again.document == there


async def test_nor_by_way_of_no_document_at_all(desk: ToolDesk, owner: UserId) -> None:
    tool = await desk.create_tool(
        owner, document=ApiDocument("at_home"), auth=AuthDraft(AuthType.BEARER, token="t0ken")
    )
    bare = await desk.change_tool(owner, tool.tool_id, document=ApiDocument(""))
    assert bare.document is None
    with pytest.raises(InvalidValue, match="send it again"):
        await desk.change_tool(owner, tool.tool_id, document=ApiDocument("at_evil"))
