"""What happens to one account at the same moment in two processes. On Postgres: SQLite writes one after another."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from account_desk import HOME, AccountDesk
from adapters.database.transactions import DatabaseTransactions
from application.accounts.sessions import Caller, Tokens
from application.ports.persistence import Transaction
from domain.accounts.users import User
from domain.errors import Conflict, DomainError
from domain.ids import FamilyId
from patience import PATIENCE
from stored import refresh_token

WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


class Desk(AccountDesk):
    transactions: DatabaseTransactions

    async def waits(self) -> None:
        """Until a statement waits for a lock."""

        def count() -> int:
            with self.transactions.database.reader.connect() as connection:
                return int(connection.execute(WAITING).scalar_one())

        async with asyncio.timeout(PATIENCE):
            while not await self.transactions.database.run(count):
                await asyncio.sleep(0.01)

    async def renew(self, tx: Transaction, tokens: Tokens) -> Tokens:
        """A refresh, cut in two: the token is spent, and then waits until somebody waits for it."""
        now = self.clock.now()
        spent = await tx.refresh_tokens.spend(self.tokens.fingerprint(tokens.refresh_token), now)
        assert spent is not None
        await self.waits()
        return await self.refresh.issue_tokens(tx, spent.user_id, spent.family_id, now)


@pytest.fixture
async def desk(postgres_url: str) -> AsyncIterator[Desk]:
    transactions = DatabaseTransactions.open(postgres_url)
    yield Desk(transactions)
    await transactions.aclose()


@pytest.fixture
async def ann(desk: Desk) -> User:
    return await desk.enrol()


async def code_of(awaitable: object) -> str:
    with pytest.raises(DomainError) as refused:
        await awaitable  # type: ignore[misc]
    return refused.value.code


async def test_a_profile_that_was_read_before_undoes_no_new_password(desk: Desk, ann: User) -> None:
    async with desk.transactions.begin() as tx:
        read = await tx.users.caller(ann.user_id)
        await desk.change_password(Caller(ann.user_id), "test", "better", HOME)
        await tx.users.save_profile(replace(read, description="changed"))
    assert await code_of(desk.enter()) == "login_failed"
    await desk.enter(password="better")
    assert (await desk.show_user(ann.user_id, None)).description == "changed"


async def test_of_two_new_passwords_the_second_is_told(desk: Desk, ann: User) -> None:
    async with desk.transactions.begin() as tx:
        stored = await tx.users.caller(ann.user_id)
        assert await tx.users.set_password(ann.user_id, "v1:first", stored.password_hash)
        second = asyncio.create_task(desk.change_password(Caller(ann.user_id), "test", "second", HOME))
        await desk.waits()
    with pytest.raises(Conflict) as refused:
        await second
    assert refused.value.code == "password_changed"
    await desk.enter(password="first")


async def test_a_refresh_at_the_moment_of_a_new_password_keeps_nobody_in(desk: Desk, ann: User) -> None:
    tokens = await desk.enter()
    async with desk.transactions.begin() as tx:
        change = asyncio.create_task(desk.change_password(Caller(ann.user_id), "test", "better", HOME))
        renewed = await desk.renew(tx, tokens)
    await change
    assert await code_of(desk.refresh(renewed.refresh_token)) == "refresh_token_invalid"


async def test_a_refresh_that_comes_during_a_new_password_is_refused(desk: Desk, ann: User) -> None:
    tokens = await desk.enter()
    async with desk.transactions.begin() as tx:
        assert await tx.users.set_password(ann.user_id, "v1:better", ann.password_hash)
        refresh = asyncio.create_task(desk.refresh(tokens.refresh_token))
        await desk.waits()
        await tx.refresh_tokens.remove_all(ann.user_id)
    assert await code_of(refresh) == "refresh_token_invalid"


async def test_a_login_at_the_moment_of_a_new_password_keeps_nobody_in(desk: Desk, ann: User) -> None:
    token = refresh_token(ann.user_id)
    async with desk.transactions.begin() as tx:
        await tx.users.locked(ann.user_id)
        change = asyncio.create_task(desk.change_password(Caller(ann.user_id), "test", "better", HOME))
        await desk.waits()
        await tx.refresh_tokens.add(token)
    await change
    async with desk.transactions.begin() as tx:
        assert await tx.refresh_tokens.spend(token.token_hash, desk.clock.now()) is None


async def test_a_login_with_the_old_password_that_comes_during_the_change_is_refused(desk: Desk, ann: User) -> None:
    async with desk.transactions.begin() as tx:
        assert await tx.users.set_password(ann.user_id, "v1:better", ann.password_hash)
        login = asyncio.create_task(desk.enter())
        await desk.waits()
    assert await code_of(login) == "login_failed"


async def test_a_refresh_at_the_moment_of_a_logout_keeps_nobody_in(desk: Desk, ann: User) -> None:
    tokens = await desk.enter()
    caller = await desk.caller(tokens)
    async with desk.transactions.begin() as tx:
        leave = asyncio.create_task(desk.log_out(caller, None))
        renewed = await desk.renew(tx, tokens)
    await leave
    assert await code_of(desk.refresh(renewed.refresh_token)) == "refresh_token_invalid"


async def test_an_api_key_is_not_made_at_the_moment_of_a_logout(desk: Desk, ann: User) -> None:
    caller = await desk.caller(await desk.enter())
    async with desk.transactions.begin() as tx:
        await tx.users.locked(ann.user_id)
        await tx.refresh_tokens.remove_family(caller.family_id or FamilyId(""))
        key = asyncio.create_task(desk.create_key(caller, "laptop", None))
        await desk.waits()
    assert await code_of(key) == "session_ended"
