"""Versions of agents: each save is kept, the newest of them, for their owner alone."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from domain.agents.agents import DEFAULT_AGENT, KEPT_VERSIONS, Agent, AgentDraft, AgentVersion
from domain.errors import Conflict, NotFound, Unauthenticated
from domain.ids import AgentId, ModelId, ToolId, UserId
from stored import NOBODY, agent, registered, seconds
from stored_knowledge import knowledge
from tool_desk import stored_server, user_tool

ALL = 10_000


async def added(transactions: DatabaseTransactions, owner: UserId, **fields: Any) -> Agent:
    one = agent(owner, **fields)
    async with transactions.begin() as tx:
        await tx.agents.add(one)
    return one


async def saved(transactions: DatabaseTransactions, before: Agent, **said: Any) -> Agent:
    changed = before.change(AgentDraft(**said), seconds(before.version))
    async with transactions.begin() as tx:
        await tx.agents.save(changed)
    return changed


async def listed(transactions: DatabaseTransactions, one: Agent, owner: UserId) -> list[AgentVersion]:
    async with transactions.autocommit() as tx:
        return [*await tx.agent_versions.list(one.agent_id, ALL, ALL, owner=owner)]


async def test_each_save_is_kept_as_it_was(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    every = [await added(transactions, owner)]
    every.append(await saved(transactions, every[-1], system_prompt="p" * 100_000, name="名字"))
    every.append(await saved(transactions, every[-1], llm_id=ModelId("gpt-4"), enable_memory=True))
    every.append(await saved(transactions, every[-1], llm_id=ModelId("")))
    every.append(await saved(transactions, every[-1]))
    changed = [("llm_id", "enable_memory"), ("name", "system_prompt"), ()]
    assert await listed(transactions, every[0], owner) == [
        AgentVersion(5, every[4].updated_at),
        AgentVersion(4, every[3].updated_at, ("llm_id",)),
        *(AgentVersion(one.version, one.updated_at, said) for one, said in zip(every[2::-1], changed, strict=True)),
    ]
    async with transactions.autocommit() as tx:
        assert [await tx.agent_versions.get(one.agent_id, one.version, owner=owner) for one in every] == every


async def test_what_was_refused_is_no_version(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    one = await added(transactions, owner)
    await saved(transactions, one, name="other")
    for stale in (one, replace(one, version=7)):
        with pytest.raises(Conflict):
            await saved(transactions, stale, name="late")
    with pytest.raises(Conflict):
        await added(transactions, owner, name="other")
    assert [it.version for it in await listed(transactions, one, owner)] == [2, 1]


async def test_what_was_rolled_back_is_no_version(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    one = await added(transactions, owner)

    async def save_and_fail() -> None:
        async with transactions.begin() as tx:
            await tx.agents.save(one.change(AgentDraft(name="b"), seconds(1)))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await save_and_fail()
    assert [it.version for it in await listed(transactions, one, owner)] == [1]


async def test_the_newest_are_kept(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    one, other = await added(transactions, owner), await added(transactions, owner, name="other")
    async with transactions.begin() as tx:
        for number in range(KEPT_VERSIONS + 3):
            one = one.change(AgentDraft(description=str(number)), seconds(number))
            await tx.agents.save(one)
    kept = await listed(transactions, one, owner)
    assert [it.version for it in kept] == [*range(one.version, one.version - KEPT_VERSIONS, -1)]
    assert [it.changed for it in kept] == [("description",)] * (KEPT_VERSIONS - 1) + [()]
    async with transactions.autocommit() as tx:
        with pytest.raises(NotFound) as gone:
            await tx.agent_versions.get(one.agent_id, 1, owner=owner)
    assert gone.value.code == "agent_version_not_found"
    assert [it.version for it in await listed(transactions, other, owner)] == [1]


async def test_pages_together_are_the_list(transactions: DatabaseTransactions, statements: list[str]) -> None:
    owner = await registered(transactions)
    one = await added(transactions, owner)
    for number in range(4):
        one = await saved(transactions, one, description=str(number))
    whole, pages, before = await listed(transactions, one, owner), list[AgentVersion](), ALL
    async with transactions.autocommit() as tx:
        while page := await tx.agent_versions.list(one.agent_id, before, 2, owner=owner):
            pages, before = [*pages, *page], page[-1].version
        assert pages == whole
        statements.clear()
        await tx.agent_versions.list(one.agent_id, ALL, 2, owner=owner)
        await tx.agent_versions.get(one.agent_id, 1, owner=owner)
    assert len(statements) == 2


async def test_versions_are_seen_by_whoever_sees_the_agent(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    one = await added(transactions, owner)
    async with transactions.autocommit() as tx:
        for who, what in ((other, one.agent_id), (owner, AgentId("unknown"))):
            for refused in (tx.agent_versions.list(what, ALL, 9, owner=who), tx.agent_versions.get(what, 1, owner=who)):
                with pytest.raises(NotFound) as missing:
                    await refused
                assert missing.value.code == "agent_not_found"
        for gone in (
            tx.agent_versions.list(one.agent_id, ALL, 9, owner=NOBODY),
            tx.agent_versions.get(DEFAULT_AGENT, 1, owner=NOBODY),
        ):
            with pytest.raises(Unauthenticated):
                await gone
        for number in (0, -1, 2, 2**31 - 1):
            with pytest.raises(NotFound) as missing:
                await tx.agent_versions.get(one.agent_id, number, owner=owner)
            assert missing.value.code == "agent_version_not_found"
        default = await tx.agents.get(DEFAULT_AGENT, owner=other)
        assert await tx.agent_versions.get(DEFAULT_AGENT, default.version, owner=other) == default


async def test_versions_go_with_the_agent_and_with_the_account(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    one, theirs = await added(transactions, owner), await added(transactions, other)
    async with transactions.begin() as tx:
        await tx.agents.remove(one)
        await tx.users.remove(other)
        # Under the same ids nothing is left of them.
        await tx.agents.add(replace(one, version=5))
        await tx.agents.add(replace(theirs, user_id=owner, name="b", version=5))
    assert [it.version for it in await listed(transactions, one, owner)] == [5]
    assert [it.version for it in await listed(transactions, theirs, owner)] == [5]


async def test_a_link_that_is_removed_makes_a_version(transactions: DatabaseTransactions) -> None:
    """Its number counts on then, and an answer may name it."""
    owner = await registered(transactions)
    tool, server, base = user_tool(owner), stored_server(owner), knowledge(owner)
    async with transactions.begin() as tx:
        await tx.tools.add(tool)
        await tx.mcp_servers.add(server)
        await tx.knowledge.add(base)
    one = await added(
        transactions,
        owner,
        tool_ids=(tool.tool_id,),
        mcp_ids=(server.server_id,),
        knowledge_ids=(base.knowledge_id,),
        require_approval=(tool.tool_id,),
    )
    without = await added(transactions, owner, name="without")
    async with transactions.autocommit() as tx:
        await tx.tools.remove(tool.tool_id, seconds(1), owner=owner)
        await tx.mcp_servers.remove(server.server_id, seconds(2), owner=owner)
        await tx.knowledge.remove(base.knowledge_id, seconds(3), owner=owner)
        assert await tx.agents.get(one.agent_id, owner=owner) == await tx.agent_versions.get(
            one.agent_id, 4, owner=owner
        )
    assert [(it.version, it.saved_at, it.changed) for it in await listed(transactions, one, owner)] == [
        (4, seconds(3), ("knowledge_ids",)),
        (3, seconds(2), ("mcp_ids",)),
        (2, seconds(1), ("tool_ids", "require_approval")),
        (1, one.updated_at, ()),
    ]
    assert [it.version for it in await listed(transactions, without, owner)] == [1]


async def test_of_changes_at_once_each_that_counts_is_kept(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    tool = user_tool(owner)
    async with transactions.begin() as tx:
        await tx.tools.add(tool)
    one = await added(transactions, owner, tool_ids=(tool.tool_id,))

    async def unlink() -> None:
        async with transactions.autocommit() as tx:
            await tx.tools.remove(tool.tool_id, seconds(9), owner=owner)

    changes = (saved(transactions, one, description=str(number)) for number in range(4))
    outcomes = await asyncio.gather(*changes, unlink(), return_exceptions=True)
    refused = [it for it in outcomes if isinstance(it, Conflict)]
    async with transactions.autocommit() as tx:
        newest = await tx.agents.get(one.agent_id, owner=owner)
        assert newest == await tx.agent_versions.get(one.agent_id, newest.version, owner=owner)
    numbers = [it.version for it in await listed(transactions, one, owner)]
    assert numbers == [*range(1 + len(outcomes) - len(refused), 0, -1)]


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]),
        "description": st.sampled_from(["", "d", "D"]),
        "system_prompt": st.sampled_from(["", "p"]),
        "llm_id": st.sampled_from([ModelId(""), ModelId("gpt-4")]),
        "tool_ids": st.sampled_from([(), (ToolId("t"),), (ToolId("t"), ToolId("u"))]),
        "enable_memory": st.booleans(),
    },
)


@settings(max_examples=15)
@given(saves=st.lists(FIELDS, max_size=6))
async def test_what_changed_is_what_differs_from_the_version_before(
    transactions: DatabaseTransactions, saves: list[dict[str, Any]]
) -> None:
    owner = await registered(transactions)
    every = [await added(transactions, owner, name="a")]
    for said in saves:
        every.append(await saved(transactions, every[-1], **said))
    told = {it.version: set(it.changed) for it in await listed(transactions, every[0], owner)}
    for before, after in pairwise(every):
        assert told[after.version] == {name for name in saves[before.version - 1] if differs(before, after, name)}


def differs(before: Agent, after: Agent, name: str) -> bool:
    return bool(getattr(before, name) != getattr(after, name))
