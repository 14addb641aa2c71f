"""Sealing anew: everything under the first key, once, beside whoever changes it meanwhile."""

from dataclasses import replace
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.security import FernetBox
from application import sealed_upkeep
from application.ports.own_models import SealedKind
from application.ports.secret_box import SecretBroken
from application.sealed_upkeep import SealAnew, Sealed
from application.sealing import Seals
from domain.ids import ModelId, UserId
from domain.tools.user_tools import AuthDraft, AuthType
from knowledge_desk import Watched
from model_desk import KEY, ModelDesk
from stored import registered
from tool_desk import ToolDesk, user_tool

OLD = "the-old-secret-that-is-long-enough-0123456789"
NEW = "the-new-secret-that-is-long-enough-0123456789"
LOST = "a-lost-secret-that-is-long-enough-0123456789"
TOKEN = "token-of-a-tool-0123456789"


async def with_secrets(transactions: DatabaseTransactions, secret: str) -> tuple[UserId, ModelId]:
    """A person with a tool, an MCP server and a model, sealed under this secret."""
    owner, seals = await registered(transactions), Seals(FernetBox((secret,)))
    tools = ToolDesk(transactions, secrets=(secret,))
    auth = seals.auth(AuthDraft(AuthType.BEARER, token=TOKEN))
    async with transactions.begin() as tx:
        await tx.tools.add(replace(user_tool(owner), auth=auth))
        await tx.tools.add(user_tool(owner, "bare"))
    await tools.server(owner, headers=(("x-key", TOKEN),))
    return owner, (await ModelDesk(transactions, (secret,)).create(owner)).llm_id


def sealing(database: Any, *secrets: str) -> SealAnew:
    return SealAnew(database, FernetBox(secrets))


async def opened(transactions: DatabaseTransactions, owner: UserId, *secrets: str) -> list[str]:
    """The secrets of a person, as they open under these keys. Raises SecretBroken."""
    seals, found = Seals(FernetBox(secrets)), []
    async with transactions.autocommit() as tx:
        for kind in SealedKind:
            found += [seals.box.open(one.sealed) for one in await tx.sealed.portion(kind, "", 1000)]
        models = [
            await tx.models.get(ModelId(one.identifier), owner=owner)
            for one in await tx.sealed.portion(SealedKind.MODELS, "", 1)
        ]
    return [*found, *map(seals.key, models)]


async def test_under_the_first_key_everything_opens_and_the_old_one_is_not_needed(
    transactions: DatabaseTransactions,
) -> None:
    owner, _ = await with_secrets(transactions, OLD)
    before = await opened(transactions, owner, NEW, OLD)
    done = await sealing(transactions, NEW, OLD)()
    assert done == {kind: Sealed(renewed=1) for kind in SealedKind}
    assert await opened(transactions, owner, NEW) == before
    assert before[-1] == KEY
    with pytest.raises(SecretBroken):
        await opened(transactions, owner, OLD)
    again = await sealing(transactions, NEW, OLD)()
    assert again == {kind: Sealed(current=1) for kind in SealedKind}


async def test_what_was_begun_goes_on_and_what_can_t_be_opened_is_told_and_stays(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_upkeep, "PORTION", 2)
    people = [await with_secrets(transactions, OLD) for _ in range(5)]
    _, lost = await with_secrets(transactions, LOST)
    async with transactions.autocommit() as tx:
        kept = [one for one in await tx.sealed.portion(SealedKind.MODELS, "", 100) if one.identifier == lost]
    stopped = Watched(transactions, 9, _stop)
    with pytest.raises(ConnectionAbortedError):
        await sealing(stopped, NEW, OLD)()
    done = await sealing(transactions, NEW, OLD)()
    assert sum(one.renewed for one in done.values()) < 3 * len(people)
    assert all((one.renewed + one.current, one.broken) == (len(people), 1) for one in done.values())
    assert done[SealedKind.MODELS].names == [lost]
    async with transactions.autocommit() as tx:
        assert [one for one in await tx.sealed.portion(SealedKind.MODELS, "", 100) if one.identifier == lost] == kept


async def _stop() -> None:
    raise ConnectionAbortedError


async def test_what_is_changed_meanwhile_is_not_overwritten(transactions: DatabaseTransactions) -> None:
    """Whenever it is changed: the change stays, and whoever asks again finds nothing under the old key."""
    desk, changed = ModelDesk(transactions, (NEW, OLD)), 0
    owner, llm_id = await with_secrets(transactions, OLD)

    async def change() -> None:
        await desk.change(owner, llm_id, api_key="sk-changed-meanwhile-01")

    for at in range(1, 15):
        await sealing(transactions, OLD, NEW)()
        await desk.change(owner, llm_id, api_key=KEY)
        await sealing(transactions, OLD, NEW)()
        done = await sealing(Watched(transactions, at, change), NEW, OLD)()
        changed += done[SealedKind.MODELS].changed
        async with transactions.autocommit() as tx:
            stored = await tx.models.get(llm_id, owner=owner)
        assert Seals(FernetBox((NEW,))).key(stored) == "sk-changed-meanwhile-01"
    assert changed > 0
