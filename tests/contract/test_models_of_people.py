"""Models of people in use: who finds them, what becomes of agents, and that no key lies open in the database."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from adapters.database.tables import metadata
from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import Agent, AgentDraft
from domain.errors import Conflict, InvalidValue, NotFound
from domain.ids import DialogId, ModelId, UserId
from domain.models.models import ModelKind, Provider
from domain.models.own_models import MODELS_MAX, ModelDraft
from knowledge_desk import Watched
from model_desk import EMBEDDER, KEY, MASKED, SYSTEM, URL, ModelDesk
from patience import PATIENCE
from stored import registered
from tool_desk import ToolDesk


@pytest.fixture
async def desk(transactions: DatabaseTransactions) -> ModelDesk:
    return ModelDesk(transactions)


@pytest.fixture
async def ann(transactions: DatabaseTransactions) -> UserId:
    return await registered(transactions)


@pytest.fixture
async def bob(transactions: DatabaseTransactions) -> UserId:
    return await registered(transactions)


async def agent_with(desk: ModelDesk, owner: UserId, llm_id: ModelId, name: str = "a") -> Agent:
    return await ToolDesk(desk.transactions).create_agent()(owner, AgentDraft(name=name, llm_id=llm_id))


async def everything(transactions: DatabaseTransactions) -> str:
    """All that the database holds."""

    def dump() -> str:
        with transactions.database.writer.connect() as connection:
            tables = [connection.execute(select(table)).fetchall() for table in metadata.sorted_tables]
            return repr(tables)

    return await transactions.database.run(dump)


async def test_an_own_model_answers_for_its_owner_alone(desk: ModelDesk, ann: UserId, bob: UserId) -> None:
    made = await desk.create(ann, vision=True, max_concurrent=2)
    spec = await desk.find(ann, made.llm_id)
    assert (spec.owner, spec.model, spec.vision, spec.max_concurrent) == (ann, "gpt-4", True, 2)
    assert spec.available
    for who, named in ((bob, made.llm_id), (ann, ModelId("gone")), (ann, EMBEDDER)):
        with pytest.raises(NotFound) as refused:
            await desk.find(who, named)
        assert refused.value.code == "llm_not_found"
    embedding = await desk.create(ann, kind=ModelKind.EMBEDDING)
    with pytest.raises(NotFound):
        await desk.find(ann, embedding.llm_id)
    for who in (ann, bob):
        assert (await desk.find(who, None)).llm_id == (await desk.find(who, SYSTEM)).llm_id == SYSTEM
    assert [one.spec.llm_id for one in await desk.every(ann)] == [embedding.llm_id, made.llm_id, SYSTEM, EMBEDDER]
    assert [one.spec.llm_id for one in await desk.every(bob)] == [SYSTEM, EMBEDDER]
    assert await desk.own(bob) == []


async def test_the_system_s_models_cost_no_statement_and_an_agent_s_own_comes_with_the_scene(
    desk: ModelDesk, ann: UserId, statements: list[str]
) -> None:
    made = await desk.create(ann)
    agents = await agent_with(desk, ann, SYSTEM, "s"), await agent_with(desk, ann, made.llm_id, "o")
    statements.clear()
    await desk.find(ann, None)
    await desk.find(ann, SYSTEM)
    assert statements == []
    for agent in agents:
        statements.clear()
        async with desk.transactions.autocommit() as tx:
            scene = await tx.dialogs.scene(DialogId("d"), agent.agent_id, owner=ann)
        spec = await desk.find.in_scene(ann, agent.llm_id, scene)
        assert (spec.llm_id, len(statements)) == (agent.llm_id, 1)
    assert spec == await desk.find(ann, made.llm_id)


async def test_keys_are_shown_masked_and_lie_sealed(desk: ModelDesk, ann: UserId) -> None:
    keys = [KEY, "sk-ant-0123456789-secret", "short"]
    made = [await desk.create(ann, api_key=key) for key in keys]
    await desk.change(ann, made[0].llm_id, api_key="sk-a-changed-key-0001")
    shown = {one.spec.llm_id: one.api_key for one in await desk.own(ann)}
    assert [shown[one.llm_id] for one in made] == ["sk-…0001", "sk-…cret", "…"]
    dump = await everything(desk.transactions)
    for key in (*keys[:2], "sk-a-changed-key-0001", "api_key=short", "'short'"):
        assert key not in dump
    assert made[1].llm_id in dump


async def test_a_change_holds_from_the_next_call_and_closes_what_was_open(desk: ModelDesk, ann: UserId) -> None:
    made = await desk.create(ann)
    before = await desk.find(ann, made.llm_id)
    await desk.change(ann, made.llm_id, api_key=MASKED, model="gpt-5")
    after = await desk.find(ann, made.llm_id)
    assert (after.model, after.key_id) == ("gpt-5", before.key_id)
    await desk.change(ann, made.llm_id, api_key="sk-another-key-abcdef")
    assert (await desk.find(ann, made.llm_id)).key_id != before.key_id
    await desk.delete(ann, made.llm_id)
    assert desk.connections.keys[:2] == [before.key_id] * 2
    assert len(set(desk.connections.keys)) == 2


async def test_a_model_that_goes_leaves_its_agents_with_the_default_one(desk: ModelDesk, ann: UserId) -> None:
    made, other = await desk.create(ann), await desk.create(ann)
    has, has_not = await agent_with(desk, ann, made.llm_id), await agent_with(desk, ann, other.llm_id, "b")
    second = await desk.create(ann, fallbacks=(made.llm_id, other.llm_id, SYSTEM))
    await desk.delete(ann, made.llm_id)
    async with desk.transactions.autocommit() as tx:
        left, same = [await tx.agents.get(one.agent_id, owner=ann) for one in (has, has_not)]
        scene = await tx.dialogs.scene(DialogId("d"), has.agent_id, owner=ann)
    assert (left.llm_id, left.version) == (None, has.version + 1)
    assert same == has_not
    assert (await desk.find.in_scene(ann, left.llm_id, scene)).llm_id == SYSTEM
    assert (await desk.show(ann, second.llm_id)).spec.fallbacks == (other.llm_id, SYSTEM)
    with pytest.raises(NotFound):
        await desk.delete(ann, made.llm_id)
    with pytest.raises(NotFound):
        await desk.find(ann, made.llm_id)


@pytest.mark.parametrize("field", ["llm_id", "fallbacks"])
async def test_what_is_gone_somebody_else_s_or_answers_nobody_is_named(
    desk: ModelDesk, ann: UserId, bob: UserId, field: str
) -> None:
    hers, mute = await desk.create(bob), await desk.create(ann, kind=ModelKind.EMBEDDING)
    mine = await desk.create(ann)
    agent = await agent_with(desk, ann, mine.llm_id)
    tools = ToolDesk(desk.transactions)
    for named in (hers.llm_id, mute.llm_id, ModelId("gone"), EMBEDDER):
        acts: Any = (
            (
                tools.create_agent()(ann, AgentDraft(name="b", llm_id=named)),
                tools.change_agent()(ann, agent.agent_id, AgentDraft(llm_id=named)),
            )
            if field == "llm_id"
            else (
                desk.create(ann, fallbacks=(SYSTEM, mine.llm_id, named)),
                desk.change(ann, mine.llm_id, fallbacks=(named,)),
            )
        )
        for act in acts:
            with pytest.raises(NotFound, match=named) as refused:
                await act
            assert refused.value.code == "llm_not_found"
    assert len(await desk.own(ann)) == 2
    assert (await desk.show(ann, mine.llm_id)).spec.fallbacks == ()


@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_a_model_that_goes_while_an_agent_is_saved_leaves_no_reference(
    desk: ModelDesk, ann: UserId, at: int
) -> None:
    """Whoever comes first: the agent is refused, or saved and then stripped."""
    made = await desk.create(ann)
    agent = await agent_with(desk, ann, SYSTEM)
    removals: list[asyncio.Task[None]] = []

    async def remove() -> None:
        removals.append(asyncio.create_task(desk.delete(ann, made.llm_id)))
        await asyncio.sleep(0.02)

    database: Any = Watched(desk.transactions, at, remove, inside=True)
    with suppress(Conflict, NotFound):
        change = ToolDesk(desk.transactions).change_agent(database)
        await change(ann, agent.agent_id, AgentDraft(llm_id=made.llm_id))
    assert len(removals) == 1
    await asyncio.gather(*removals)
    async with desk.transactions.autocommit() as tx:
        assert (await tx.agents.get(agent.agent_id, owner=ann)).llm_id in (None, SYSTEM)


async def test_an_account_has_so_many_models_and_no_more_however_many_come_at_once(
    desk: ModelDesk, ann: UserId, bob: UserId
) -> None:
    first = await desk.create(ann)
    async with desk.transactions.begin() as tx:
        for number in range(MODELS_MAX - 3):
            await tx.models.add(replace(first, llm_id=ModelId(f"m{number}")))
    answers = await asyncio.gather(*(desk.create(ann) for _ in range(6)), return_exceptions=True)
    refused = [one for one in answers if isinstance(one, Conflict)]
    assert [one.code for one in refused] == ["too_many_models"] * 4
    assert len(await desk.own(ann)) == MODELS_MAX
    await desk.create(bob)


async def test_models_that_fall_back_on_each_other_are_changed_and_removed_at_once(
    desk: ModelDesk, ann: UserId
) -> None:
    pairs = [await desk.create(ann) for _ in range(4)]
    for one in pairs:
        await desk.change(ann, one.llm_id, fallbacks=tuple(two.llm_id for two in pairs if two != one))
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(
            *(desk.change(ann, one.llm_id, fallbacks=(pairs[0].llm_id,)) for one in pairs[1:]),
            *(desk.delete(ann, one.llm_id) for one in pairs),
            return_exceptions=True,
        )
    assert await desk.own(ann) == []


async def test_a_refused_change_changes_nothing(desk: ModelDesk, ann: UserId) -> None:
    made = await desk.create(ann, provider=Provider.OPENAI_COMPATIBLE, base_url=URL)
    for said in ({"base_url": "https://thief.example.org"}, {"model": ""}, {"api_key": "…"}, {"context_window": 0}):
        with pytest.raises(InvalidValue):
            await desk.change(ann, made.llm_id, **said)
    async with desk.transactions.autocommit() as tx:
        assert await tx.models.list(Window(), owner=ann) == [made]
    assert desk.connections.keys == []
    assert repr(ModelDraft(api_key=KEY)).find(KEY) == -1
