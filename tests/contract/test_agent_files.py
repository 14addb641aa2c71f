"""Agents as documents: out and in again they are the same, for anybody, whole or not at all."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from adapters.database.transactions import DatabaseTransactions
from agent_file_desk import FILES, AgentFileDesk, without
from application.paging import Window
from application.ports.secret_box import SecretBroken
from domain.agents.agent_files import AgentFile, KnowledgeEntry, ServerEntry, ToolEntry
from domain.agents.agents import AgentDraft
from domain.errors import Conflict, InvalidValue, NotFound
from domain.ids import ToolId, UserId
from domain.models.models import ModelKind
from domain.tools.mcp_servers import McpTransport
from domain.tools.user_tools import DOCUMENTS_MAX, ApiDocument, AuthDraft, AuthType
from meddled import Meddled
from model_desk import own_model
from stored import NOW, registered
from stored_knowledge import with_base
from tool_desk import CATALOGUE

SECRET = "s3cret"
FULL = AgentFile(
    "A",
    tools=(
        ToolEntry("t", document=ApiDocument("one"), auth_type=AuthType.BEARER, require_approval=True),
        ToolEntry("t", document=ApiDocument("one"), auth_type=AuthType.BASIC),
        ToolEntry("calculator", built_in=True),
    ),
    mcp_servers=(ServerEntry("s", McpTransport.SSE, "https://x.org", headers=("X-Key",), require_approval=True),),
    knowledge=(KnowledgeEntry("k"),),
)


@pytest.fixture
async def desk(transactions: DatabaseTransactions) -> AgentFileDesk:
    return AgentFileDesk(transactions)


async def counts(desk: AgentFileDesk, owner: UserId) -> tuple[int, int, int]:
    async with desk.transactions.autocommit() as tx:
        agents = [one for one in await tx.agents.list(Window(), owner=owner) if one.is_custom]
        servers = await tx.mcp_servers.list(Window(), owner=owner)
        return len(agents), (await tx.tools.stock(owner=owner)).tools, len(servers)


@settings(max_examples=12)
@given(file=FILES)
async def test_out_and_in_and_out_again_is_the_same_document(desk: AgentFileDesk, file: AgentFile) -> None:
    first, other = await registered(desk.transactions), await registered(desk.transactions)
    for entry in file.knowledge:
        await with_base(desk.transactions, first, name=entry.name, description=entry.description)
    made = await desk.take(first, file)
    assert made.missing == ()
    assert await desk.export(first, made.agent) == file
    before = await counts(desk, first)
    copy = await desk.take(first, file, "copy of it")
    assert copy.created == copy.missing == ()
    assert await desk.export(first, copy.agent) == replace(file, name="copy of it")
    assert await counts(desk, first) == (before[0] + 1, *before[1:])
    theirs = await desk.take(other, file)
    assert {one.kind for one in theirs.missing} <= {"knowledge"}
    assert await desk.export(other, theirs.agent) == without(file, theirs.missing)


async def test_secrets_stay_where_they_are(desk: AgentFileDesk) -> None:
    owner = await registered(desk.transactions)
    sealed = desk.seals.auth(AuthDraft(AuthType.BEARER, token=SECRET))
    mine = await desk.tool(owner, "t", document=ApiDocument("one"), auth=sealed)
    server = await desk.server(
        owner, name="s", transport=McpTransport.SSE, url=f"https://x.org?key={SECRET}", headers=(("X-Key", SECRET),)
    )
    done = await desk.take(owner, FULL)
    file = await desk.export(owner, done.agent)
    assert SECRET not in repr(file)
    assert sealed.sealed not in repr(file)
    # The one that is the same in its type serves for the one, and the other is made: never one for both.
    assert [one.identifier for one in done.reused] == [mine.tool_id, server.server_id]
    assert [one.name for one in done.created] == ["t"]
    assert [(one.part.kind, one.what) for one in done.needs] == [("tool", "auth_config of the type Basic")]
    assert done.agent.require_approval == (mine.tool_id, server.server_id)
    assert done.agent.tool_ids == (mine.tool_id, ToolId(done.created[0].identifier), "calculator")


async def test_a_tool_without_its_secret_is_offered_to_no_model(desk: AgentFileDesk) -> None:
    owner = await registered(desk.transactions)
    done = await desk.take(owner, FULL)
    loaded, _ = await desk.load_tools()(owner, done.agent.tool_ids, 1_000_000)
    assert [one.credentials for one in loaded] == [None, None]
    servers, left_out = await desk.load_servers()(owner, [done.agent.mcp_ids[0]])
    assert servers == []
    assert "X-Key" in left_out[0].reason
    async with desk.transactions.autocommit() as tx:
        stored = await tx.tools.get(done.agent.tool_ids[0], owner=owner)
    with pytest.raises(SecretBroken):
        desk.seals.credentials(stored.auth)


async def test_imports_at_once_make_nothing_twice(desk: AgentFileDesk) -> None:
    owner, other = await registered(desk.transactions), await registered(desk.transactions)
    copies = (desk.take(owner, FULL, f"copy {number}") for number in range(4))
    done = await asyncio.gather(*copies, desk.take(other, FULL))
    assert await counts(desk, owner) == (4, 2, 1)
    assert await counts(desk, other) == (1, 2, 1)
    assert sorted(len(one.created) for one in done[:4]) == [0, 0, 0, 3]
    same = await asyncio.gather(*(desk.take(owner, FULL, "same") for _ in range(3)), return_exceptions=True)
    assert sorted(isinstance(one, Conflict) for one in same) == [False, True, True]


async def test_what_is_removed_meanwhile_is_made_anew(desk: AgentFileDesk) -> None:
    """Between the look for what is alike and the hold on it."""
    owner = await registered(desk.transactions)
    await with_base(desk.transactions, owner, name="k")
    first = await desk.take(owner, FULL)
    assert first.missing == ()

    async def none_left(_held: Any, ids: Sequence[str], *, owner: UserId) -> frozenset[str]:
        assert ids
        assert owner
        return frozenset()

    names = ("tools.held", "mcp_servers.held", "knowledge.these")
    second = await desk.take(owner, FULL, "second", Meddled(desk.transactions, instead=dict.fromkeys(names, none_left)))
    assert second.reused == ()
    assert [one.name for one in second.created] == ["t", "t", "s"]
    assert [(one.kind, one.name) for one in second.missing] == [("knowledge", "k")]
    assert not {one.identifier for one in second.created} & {one.identifier for one in first.created}


async def test_all_or_nothing(desk: AgentFileDesk) -> None:
    owner = await registered(desk.transactions)
    await desk.create_agent()(owner, AgentDraft(name="a"))
    with pytest.raises(Conflict) as taken:
        await desk.take(owner, FULL)
    assert taken.value.code == "agent_name_taken"
    with pytest.raises(InvalidValue) as broken:
        await desk.take(owner, replace(FULL, tools=(*FULL.tools, ToolEntry("u", document=ApiDocument("not one")))), "b")
    assert broken.value.fields[0].name == "tools[3].openapi_schema"
    assert await counts(desk, owner) == (1, 0, 0)


async def test_documents_count_towards_what_an_account_may_have(desk: AgentFileDesk) -> None:
    owner = await registered(desk.transactions)
    long = ApiDocument("a" * 1_000_000)
    for number in range(DOCUMENTS_MAX // 1_000_000 - 1):
        await desk.tool(owner, f"t{number}", document=long)
    new, newer, old = (ToolEntry(name, document=long) for name in ("new", "newer", "t0"))
    with pytest.raises(Conflict) as full:
        await desk.take(owner, AgentFile("A", tools=(new, newer)))
    assert full.value.code == "tools_too_large"
    # What is reused needs no room.
    done = await desk.take(owner, AgentFile("A", tools=(old, new)))
    assert (len(done.reused), len(done.created)) == (1, 1)


async def test_programs_are_reused_by_whoever_may_start_them(desk: AgentFileDesk) -> None:
    owner = await registered(desk.transactions)
    await desk.server(owner, name="p", transport=McpTransport.STDIO, command="run", env=(("KEY", SECRET),))
    file = AgentFile("A", mcp_servers=(ServerEntry("p", McpTransport.STDIO), ServerEntry("q", McpTransport.STDIO)))
    done = await desk.take(owner, file)
    assert [one.name for one in done.missing] == ["p", "q"]
    assert "mcp.allow_stdio" in done.missing[0].why
    assert done.agent.mcp_ids == ()


async def test_a_model_is_found_by_its_name_among_one_s_own(desk: AgentFileDesk) -> None:
    owner, other = await registered(desk.transactions), await registered(desk.transactions)
    mine = own_model(owner, model="my-model")
    embedding = own_model(owner, model="embeds", kind=ModelKind.EMBEDDING)
    async with desk.transactions.begin() as tx:
        await tx.models.add(mine)
        await tx.models.add(embedding)
    agent = await desk.create_agent()(owner, AgentDraft(name="A", llm_id=mine.llm_id))
    file = await desk.export(owner, agent)
    assert file.model == "my-model"
    assert mine.llm_id not in repr(file)
    again = await desk.take(owner, file, "again")
    assert again.agent.llm_id == mine.llm_id
    for who, name in ((other, "my-model"), (owner, "embeds"), (owner, "gpt-none")):
        done = await desk.take(who, replace(file, name=name, model=name))
        assert done.agent.llm_id is None
        assert [(one.kind, one.name) for one in done.missing] == [("model", name)]


async def test_a_model_of_one_s_own_comes_back_though_the_system_has_one_of_its_name(desk: AgentFileDesk) -> None:
    owner, other = await registered(desk.transactions), await registered(desk.transactions)
    system = CATALOGUE.default_id
    mine = own_model(owner, model=system)
    async with desk.transactions.begin() as tx:
        await tx.models.add(mine)
    own = await desk.create_agent()(owner, AgentDraft(name="own", llm_id=mine.llm_id))
    theirs = await desk.create_agent()(owner, AgentDraft(name="system", llm_id=system))
    for agent in (own, theirs):
        file = await desk.export(owner, agent)
        assert (file.model, file.own_model) == (system, agent is own)
        again = await desk.take(owner, file, f"{agent.name} again")
        assert again.agent.llm_id == agent.llm_id
        assert await desk.export(owner, again.agent) == replace(file, name=again.agent.name)
        elsewhere = await desk.take(other, file, f"{agent.name} there")
        assert (elsewhere.agent.llm_id, elsewhere.missing) == (system, ())


async def test_going_back_to_a_model_that_is_gone_takes_the_default_one(desk: AgentFileDesk) -> None:
    owner = await registered(desk.transactions)
    mine = own_model(owner, model="my-model")
    async with desk.transactions.begin() as tx:
        await tx.models.add(mine)
    agent = await desk.create_agent()(owner, AgentDraft(name="A", llm_id=mine.llm_id))
    async with desk.transactions.begin() as tx:
        await tx.models.remove(mine.llm_id, NOW, owner=owner)
    async with desk.transactions.autocommit() as tx:
        kept = await tx.agent_versions.get(agent.agent_id, 2, owner=owner)
        assert kept == await tx.agents.get(agent.agent_id, owner=owner)
        assert kept.llm_id is None
        listed = await tx.agent_versions.list(agent.agent_id, 9, 9, owner=owner)
    assert [one.changed for one in listed] == [("llm_id",), ()]
    back = await desk.roll_back(owner, agent.agent_id, 1)
    assert (back.agent.llm_id, back.agent.version) == (None, 3)
    assert [(one.kind, one.name) for one in back.missing] == [("model", mine.llm_id)]


async def test_of_two_who_go_back_at_once_one_is_stale(desk: AgentFileDesk) -> None:
    owner, other = await registered(desk.transactions), await registered(desk.transactions)
    agent = await desk.create_agent()(owner, AgentDraft(name="A"))
    outcomes = await asyncio.gather(
        *(desk.roll_back(owner, agent.agent_id, 1) for _ in range(3)), return_exceptions=True
    )
    done = [one for one in outcomes if not isinstance(one, Conflict)]
    async with desk.transactions.autocommit() as tx:
        assert (await tx.agents.get(agent.agent_id, owner=owner)).version == 1 + len(done)
    with pytest.raises(NotFound):
        await desk.roll_back(other, agent.agent_id, 1)


async def test_an_import_asks_as_often_whatever_is_reused(desk: AgentFileDesk, statements: list[str]) -> None:
    owner = await registered(desk.transactions)
    tools = tuple(ToolEntry(f"t{number}") for number in range(40))
    await desk.take(owner, AgentFile("A", tools=tools))
    sent = []
    for number, some in enumerate((tools[:2], tools)):
        statements.clear()
        await desk.take(owner, AgentFile(f"B{number}", tools=some))
        sent.append(len(statements))
    assert sent[0] == sent[1]
