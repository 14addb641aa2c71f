"""Agents: own and built-in ones, names, versions, search, and dialogs that outlive their agent."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import DEFAULT_AGENT, AgentDraft
from domain.errors import Conflict, Forbidden, NotFound, Unauthenticated
from domain.ids import AgentId, ModelId, ToolId, UserId
from domain.text import search_key
from stored import NOBODY, agent, dialog, registered, seconds

EVERY_FIELD = {
    "description": "d",
    "logo_url": "/x.png",
    "system_prompt": "p" * 100_000,
    "llm_id": ModelId("gpt-4"),
    "tool_ids": (ToolId("t1"), ToolId('t"2')),
    "mcp_ids": ("m",),
    "knowledge_ids": ("k", "张"),
    "enable_memory": True,
}


async def names(transactions: DatabaseTransactions, owner: UserId, part: str | None = None) -> list[str]:
    async with transactions.autocommit() as tx:
        return [one.name for one in await tx.agents.list(Window(), owner=owner, name_part=part)]


async def test_an_agent_comes_back_as_stored(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    plain, full = agent(owner, "plain"), agent(owner, "full", **EVERY_FIELD)
    async with transactions.begin() as tx:
        await tx.agents.add(plain)
        await tx.agents.add(full)
    async with transactions.autocommit() as tx:
        assert await tx.agents.get(plain.agent_id, owner=owner) == plain
        assert await tx.agents.get(full.agent_id, owner=owner) == full


async def test_everyone_has_the_default_agent_and_nobody_changes_it(transactions: DatabaseTransactions) -> None:
    for owner in (await registered(transactions), await registered(transactions)):
        async with transactions.begin() as tx:
            default = await tx.agents.get(DEFAULT_AGENT, owner=owner)
            assert await tx.agents.list(Window(), owner=owner) == [default]
            assert not default.is_custom
            assert default.tool_ids == ("current_time", "calculator", "web_fetch")
            with pytest.raises(Forbidden):
                await tx.agents.remove(default)
            with pytest.raises(Forbidden):
                await tx.agents.save(replace(default, version=2))


async def test_names_are_unique_per_user(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    taken, free = agent(owner, "Ada"), agent(owner, "Bob")
    async with transactions.begin() as tx:
        await tx.agents.add(taken)
        await tx.agents.add(free)
        await tx.agents.add(agent(other, "Ada"))
    with pytest.raises(Conflict) as refused:
        async with transactions.begin() as tx:
            await tx.agents.add(agent(owner, "ADA"))
    assert refused.value.code == "agent_name_taken"
    with pytest.raises(Conflict) as refused:
        async with transactions.begin() as tx:
            await tx.agents.save(free.change(AgentDraft(name="ada"), seconds(1)))
    assert refused.value.code == "agent_name_taken"


async def test_of_two_changes_at_once_one_is_stale(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    one = agent(owner)
    async with transactions.begin() as tx:
        await tx.agents.add(one)

    async def change(description: str) -> None:
        async with transactions.begin() as tx:
            await tx.agents.save(one.change(AgentDraft(description=description), seconds(1)))

    outcomes = await asyncio.gather(change("a"), change("b"), change("c"), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Conflict)]
    assert [one.code for one in refused] == ["agent_version_stale"] * 2
    async with transactions.autocommit() as tx:
        assert (await tx.agents.get(one.agent_id, owner=owner)).version == 2


async def test_an_agent_is_its_owners_alone(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    one = agent(owner)
    async with transactions.begin() as tx:
        await tx.agents.add(one)
        stolen = replace(one, user_id=other)
        for refused in (
            tx.agents.get(one.agent_id, owner=other),
            tx.agents.save(replace(stolen, version=2)),
            tx.agents.remove(stolen),
            tx.agents.get(AgentId("unknown"), owner=owner),
        ):
            with pytest.raises(NotFound):
                await refused
        assert await tx.agents.get(one.agent_id, owner=owner) == one
    assert await names(transactions, other) == ["Assistant"]


@settings(max_examples=25)
@given(st.lists(st.text("aA%_/张\u00df", min_size=1, max_size=3), max_size=5), st.text("aAsS%_/张", max_size=3))
async def test_agents_are_found_by_the_whole_of_their_name_alone(
    transactions: DatabaseTransactions, theirs: list[str], asked: str
) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    own = {search_key(name): name for name in theirs}
    async with transactions.begin() as tx:
        for name in own.values():
            await tx.agents.add(agent(owner, name))
            await tx.agents.add(agent(other, name))
    async with transactions.autocommit() as tx:
        for key in {*own, search_key(asked)}:
            found = await tx.agents.named(key, owner=owner)
            assert [(one.name, one.user_id) for one in found] == ([(own[key], owner)] if key in own else [])
        [default] = await tx.agents.named("assistant", owner=owner)
        assert default.agent_id == DEFAULT_AGENT


async def test_a_deleted_account_has_no_agents_and_gets_none(transactions: DatabaseTransactions) -> None:
    async with transactions.begin() as tx:
        for refused in (
            tx.agents.get(DEFAULT_AGENT, owner=NOBODY),
            tx.agents.list(Window(), owner=NOBODY),
            tx.agents.list(Window(limit=5), owner=NOBODY, name_part="a"),
            tx.agents.named("assistant", owner=NOBODY),
            tx.agents.save(agent(NOBODY, version=2)),
            tx.agents.remove(agent(NOBODY)),
        ):
            with pytest.raises(Unauthenticated) as gone:
                await refused
            assert gone.value.code == "account_gone"
    with pytest.raises(Unauthenticated):
        async with transactions.begin() as tx:
            await tx.agents.add(agent(NOBODY))


async def test_dialogs_keep_the_last_name_and_logo_of_their_agent(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    one = agent(owner, "Ada", logo_url="/1.png")
    async with transactions.begin() as tx:
        await tx.agents.add(one)
        await tx.dialogs.add(dialog(owner, agent_id=one.agent_id, agent_name="Ada", logo_url="/1.png"))
        renamed = one.change(AgentDraft(name="Bea", logo_url="/2.png"), seconds(1))
        await tx.agents.save(renamed)
        seen = [await tx.dialogs.get(dialog(owner).dialog_id, owner=owner)]
        await tx.agents.remove(renamed)
        seen += await tx.dialogs.list(Window(), owner=owner)
        scene = await tx.dialogs.scene(dialog(owner).dialog_id, None, owner=owner)
    assert [(it.agent_id, it.agent_name, it.logo_url) for it in seen] == [(one.agent_id, "Bea", "/2.png")] * 2
    assert scene.dialog == seen[1]
    assert scene.agent is None


async def test_a_name_is_searched_literally(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    every = ["50% off", "snake_case", "back\\slash", "a/b", "it's", "smile 🙂", "我的助手", "Straße"]
    async with transactions.begin() as tx:
        for number, name in enumerate(every):
            await tx.agents.add(agent(owner, name, created_at=seconds(number)))
    for part, found in {
        "%": ["50% off"],
        "_": ["snake_case"],
        "\\": ["back\\slash"],
        "/": ["a/b"],
        "'": ["it's"],
        "🙂": ["smile 🙂"],
        "助手": ["我的助手"],
        "ß": ["Straße", "Assistant"],
        "STRASSE": ["Straße"],
        "": [*reversed(every), "Assistant"],
        "x" * 60_000: [],
        "%" * 60_000: [],
    }.items():
        assert await names(transactions, owner, search_key(part)) == found


@settings(max_examples=25)
@given(name=st.text("ab%_/\\'é🙂", min_size=1, max_size=6), part=st.text("ab%_/\\'é🙂", max_size=3))
@example(name="//", part="/")
async def test_search_agrees_with_the_substring(transactions: DatabaseTransactions, name: str, part: str) -> None:
    owner = await registered(transactions)
    async with transactions.begin() as tx:
        await tx.agents.add(agent(owner, name))
    assert (name in await names(transactions, owner, part)) is (part in search_key(name))
