"""Dialogs: ids unique per user, and the scene that a chat begins from."""

import asyncio
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.agents.agents import DEFAULT_AGENT
from domain.errors import Conflict, DomainError, NotFound, Unauthenticated
from domain.ids import AgentId, DialogId
from stored import DIALOG, NOBODY, agent, dialog, exchange, registered, seconds, with_dialog


async def test_a_dialog_id_is_unique_per_user(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await with_dialog(transactions)
    with pytest.raises(Conflict) as refused:
        async with transactions.begin() as tx:
            await tx.dialogs.add(dialog(owner))
    assert refused.value.code == "dialog_exists"
    async with transactions.begin() as tx:
        await tx.dialogs.remove(DIALOG, owner=owner)
        assert await tx.dialogs.get(DIALOG, owner=other) == dialog(other)


async def test_of_two_dialogs_of_one_id_at_once_one_is_made(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)

    async def make() -> None:
        async with transactions.begin() as tx:
            await tx.dialogs.add(dialog(owner))

    outcomes = await asyncio.gather(make(), make(), make(), return_exceptions=True)
    assert sorted(str(getattr(one, "code", "made")) for one in outcomes) == ["dialog_exists", "dialog_exists", "made"]


async def test_a_dialog_changes_but_not_its_birth(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    changed = replace(dialog(owner), name="新", agent_id=AgentId("gone"), agent_name="Z", logo_url="/z")
    changed = replace(changed, updated_at=seconds(5))
    async with transactions.begin() as tx:
        await tx.dialogs.save(replace(changed, created_at=seconds(7)))
        assert await tx.dialogs.get(DIALOG, owner=owner) == changed


async def test_removing_a_dialog_removes_its_messages(transactions: DatabaseTransactions) -> None:
    owner = await with_dialog(transactions)
    asked, _ = await exchange(transactions, owner)
    async with transactions.begin() as tx:
        await tx.dialogs.remove(DIALOG, owner=owner)
        with pytest.raises(NotFound):
            await tx.messages.get(asked.message_id, owner=owner)
        await tx.dialogs.add(dialog(owner))
        assert await tx.messages.history(DIALOG, Window(), owner=owner) == []


async def test_a_dialog_is_its_owners_alone(transactions: DatabaseTransactions) -> None:
    owner, other = await with_dialog(transactions), await registered(transactions)
    async with transactions.begin() as tx:
        for refused in (
            tx.dialogs.get(DIALOG, owner=other),
            tx.dialogs.save(dialog(other)),
            tx.dialogs.remove(DIALOG, owner=other),
        ):
            with pytest.raises(NotFound):
                await refused
        assert await tx.dialogs.list(Window(), owner=other) == []
        assert (await tx.dialogs.scene(DIALOG, None, owner=other)).dialog is None
        assert await tx.dialogs.list(Window(), owner=owner) == [dialog(owner)]


async def test_a_deleted_account_has_no_dialogs_and_gets_none(transactions: DatabaseTransactions) -> None:
    async with transactions.begin() as tx:
        for refused in (
            tx.dialogs.get(DIALOG, owner=NOBODY),
            tx.dialogs.list(Window(), owner=NOBODY),
            tx.dialogs.scene(DIALOG, None, owner=NOBODY),
            tx.dialogs.save(dialog(NOBODY)),
            tx.dialogs.remove(DIALOG, owner=NOBODY),
        ):
            with pytest.raises(Unauthenticated):
                await refused
    with pytest.raises(Unauthenticated):
        async with transactions.begin() as tx:
            await tx.dialogs.add(dialog(NOBODY))


async def test_the_scene_takes_the_agent_asked_for_else_the_dialogs_else_the_default(
    transactions: DatabaseTransactions, statements: list[str]
) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    own, second, foreign = agent(owner, "own"), agent(owner, "second"), agent(other, "foreign")
    theirs = dialog(owner, agent_id=own.agent_id, agent_name="own")
    async with transactions.begin() as tx:
        for one in (own, second, foreign):
            await tx.agents.add(one)
        await tx.dialogs.add(theirs)
        cases = [
            (DialogId("new"), None, None, DEFAULT_AGENT),
            (DialogId("new"), own.agent_id, None, own.agent_id),
            (DIALOG, None, theirs, own.agent_id),
            (DIALOG, second.agent_id, theirs, second.agent_id),
            (DIALOG, foreign.agent_id, theirs, None),
            (DIALOG, AgentId("unknown"), theirs, None),
        ]
        for dialog_id, asked, expected, agent_id in cases:
            statements.clear()
            scene = await tx.dialogs.scene(dialog_id, asked, owner=owner)
            assert len(statements) == 1
            assert scene.dialog == expected
            assert (scene.agent.agent_id if scene.agent else None) == agent_id


@pytest.mark.parametrize("odd", ["a\x00b", "\ud800", "a' OR 1=1 --", "x" * 100_000])
async def test_an_odd_id_is_refused_or_not_found(transactions: DatabaseTransactions, odd: str) -> None:
    owner = await registered(transactions)
    for transaction in (transactions.autocommit, transactions.begin):
        with pytest.raises(DomainError) as refused:
            async with transaction() as tx:
                await tx.dialogs.get(DialogId(odd), owner=owner)
        assert refused.value.code in {"dialog_not_found", "invalid_value"}
    async with transactions.autocommit() as tx:
        assert await tx.dialogs.list(Window(), owner=owner) == []
