"""Models of people in the database: their owner's alone, and as they were stored."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.database.transactions import DatabaseTransactions
from application.paging import Position, Window
from application.ports.own_models import SealedKind, SealedText
from domain.errors import NotFound, Unauthenticated
from domain.ids import ModelId
from domain.models.models import ModelKind, Prices, Provider
from model_desk import own_model
from stored import NOBODY, agent, registered, seconds
from tool_desk import stored_server, user_tool

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
WHOLE = st.integers(1, 1_000_000)
PRICE = st.floats(0, 1e6, allow_nan=False)
CHANGES = st.fixed_dictionaries(
    {
        "model": TEXTS,
        "provider": st.sampled_from([one for one in Provider if one is not Provider.OFFLINE]),
        "base_url": st.none() | TEXTS,
        "kind": st.sampled_from(ModelKind),
        "context_window": st.integers(1, 100_000_000),
        "max_output_tokens": st.none() | WHOLE,
        "vision": st.booleans(),
        "tools": st.booleans(),
        "prices": st.none() | st.builds(Prices, PRICE, PRICE, st.none() | PRICE, st.sampled_from(["USD", "EUR"])),
        "fallbacks": st.lists(TEXTS.map(ModelId), max_size=4).map(tuple),
        "max_concurrent": st.none() | WHOLE,
        "requests_a_minute": st.none() | WHOLE,
        "sealed_key": TEXTS,
    }
)


@settings(max_examples=15)
@given(first=CHANGES, second=CHANGES)
async def test_they_come_back_as_stored_and_as_saved(
    transactions: DatabaseTransactions, first: dict[str, Any], second: dict[str, Any]
) -> None:
    owner = await registered(transactions)
    model = replace(own_model(owner), **first)
    async with transactions.begin() as tx:
        await tx.models.add(model)
        assert await tx.models.get(model.llm_id, owner=owner) == model
        model = replace(model, **second, updated_at=seconds(1))
        await tx.models.save(model)
    async with transactions.autocommit() as tx:
        assert await tx.models.get(model.llm_id, owner=owner) == model
        assert await tx.models.list(Window(), owner=owner) == [model]
        assert await tx.models.count(owner=owner) == 1
        answers = {model.llm_id} if model.kind is ModelKind.LLM else set()
        assert await tx.models.held([model.llm_id, ModelId("gone")], owner=owner) == answers


async def test_lists_are_newest_first_and_pages_miss_nothing(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    models = [replace(own_model(owner), created_at=seconds(number // 2)) for number in range(5)]
    async with transactions.begin() as tx:
        for model in models:
            await tx.models.add(model)
    models.sort(key=lambda one: (one.created_at, one.llm_id), reverse=True)
    async with transactions.autocommit() as tx:
        assert await tx.models.list(Window(), owner=owner) == models
        behind = Window(2, Position(models[1].created_at, models[1].llm_id))
        assert await tx.models.list(behind, owner=owner) == models[2:5]


async def test_a_stranger_finds_and_changes_nothing(transactions: DatabaseTransactions) -> None:
    owner, stranger = await registered(transactions), await registered(transactions)
    model = own_model(owner)
    linked = agent(owner, llm_id=model.llm_id)
    borrowed = agent(stranger, llm_id=model.llm_id)
    async with transactions.begin() as tx:
        await tx.models.add(model)
        await tx.agents.add(linked)
        await tx.agents.add(borrowed)
    async with transactions.autocommit() as tx:
        assert await tx.models.list(Window(), owner=stranger) == []
        assert await tx.models.held([model.llm_id], owner=stranger) == frozenset()
        assert await tx.models.count(owner=stranger) == 0
        for act in (
            lambda: tx.models.get(model.llm_id, owner=stranger),
            lambda: tx.models.save(replace(model, user_id=stranger, model="stolen")),
            lambda: tx.models.remove(model.llm_id, seconds(1), owner=stranger),
        ):
            with pytest.raises(NotFound):
                await act()
        assert await tx.models.get(model.llm_id, owner=owner) == model
        dialog: Any = "d"
        assert (await tx.dialogs.scene(dialog, linked.agent_id, owner=owner)).model == model
        scene = await tx.dialogs.scene(dialog, borrowed.agent_id, owner=stranger)
        assert (scene.agent, scene.model) == (borrowed, None)


async def test_a_deleted_account_is_told_so_and_leaves_nothing(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    model = replace(own_model(owner), sealed_key="sealed")
    async with transactions.begin() as tx:
        await tx.models.add(model)
        await tx.users.remove(owner)
    async with transactions.autocommit() as tx:
        assert await tx.sealed.portion(SealedKind.MODELS, "", 10) == []
        for gone in (owner, NOBODY):
            for act in (
                lambda gone=gone: tx.models.add(replace(model, user_id=gone)),
                lambda gone=gone: tx.models.get(model.llm_id, owner=gone),
                lambda gone=gone: tx.models.list(Window(), owner=gone),
                lambda gone=gone: tx.models.held([model.llm_id], owner=gone),
                lambda gone=gone: tx.models.count(owner=gone),
                lambda gone=gone: tx.models.save(replace(model, user_id=gone)),
                lambda gone=gone: tx.models.remove(model.llm_id, seconds(1), owner=gone),
            ):
                with pytest.raises(Unauthenticated):
                    await act()


async def test_of_two_who_change_one_model_neither_undoes_the_other_s_change(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    model = own_model(owner)
    async with transactions.begin() as tx:
        await tx.models.add(model)

    async def change(**said: Any) -> None:
        async with transactions.begin() as tx:
            await tx.models.save(replace(await tx.models.get(model.llm_id, owner=owner), **said))

    await asyncio.gather(change(model="new"), change(vision=True), change(tools=False))
    async with transactions.autocommit() as tx:
        kept = await tx.models.get(model.llm_id, owner=owner)
    assert (kept.model, kept.vision, kept.tools) == ("new", True, False)


async def test_sealed_texts_come_in_portions_and_are_replaced_only_as_they_were_read(
    transactions: DatabaseTransactions,
) -> None:
    owner = await registered(transactions)
    models = [replace(own_model(owner), sealed_key=f"old {number}") for number in range(5)]
    bare = own_model(owner)
    async with transactions.begin() as tx:
        for model in (*models, bare):
            await tx.models.add(model)
        await tx.tools.add(user_tool(owner))
        await tx.mcp_servers.add(stored_server(owner))
    async with transactions.autocommit() as tx:
        first = await tx.sealed.portion(SealedKind.MODELS, "", 3)
        rest = await tx.sealed.portion(SealedKind.MODELS, first[-1].identifier, 3)
        ordered = sorted(models, key=lambda one: one.llm_id)
        assert [*first, *rest] == [SealedText(one.llm_id, one.sealed_key) for one in ordered]
        assert await tx.sealed.portion(SealedKind.TOOLS, "", 3) == []
        assert [one.sealed for one in await tx.sealed.portion(SealedKind.MCP_SERVERS, "", 3)] == ["sealed"]
        assert await tx.sealed.replace(SealedKind.MODELS, first[0], "new")
        assert not await tx.sealed.replace(SealedKind.MODELS, first[0], "newer")
        assert not await tx.sealed.replace(SealedKind.MODELS, SealedText("gone", "old"), "new")
        assert not await tx.sealed.replace(SealedKind.TOOLS, first[1], "new")
        kept = {one.llm_id: one.sealed_key for one in await tx.models.list(Window(), owner=owner)}
    assert kept == {one.llm_id: one.sealed_key for one in (*models, bare)} | {first[0].identifier: "new"}
