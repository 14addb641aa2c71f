"""Refresh tokens, API keys and failed logins."""

import asyncio
from dataclasses import replace

import pytest

from adapters.database.transactions import DatabaseTransactions
from application.paging import Window
from domain.accounts.users import FailedLogins, RefreshToken
from domain.errors import NotFound, Unauthenticated
from domain.ids import ApiKeyId, FamilyId
from stored import NOBODY, NOW, api_key, refresh_token, registered, seconds


async def spend(transactions: DatabaseTransactions, token: RefreshToken, at: float = 0) -> RefreshToken | None:
    async with transactions.begin() as tx:
        return await tx.refresh_tokens.spend(token.token_hash, seconds(at))


async def test_a_refresh_token_is_given_as_it_was_before_it_was_spent(transactions: DatabaseTransactions) -> None:
    token = refresh_token(await registered(transactions))
    assert await spend(transactions, token) is None
    async with transactions.begin() as tx:
        await tx.refresh_tokens.add(token)
    assert await spend(transactions, token, at=1) == token
    assert await spend(transactions, token, at=2) == replace(token, spent_at=seconds(1))


async def test_of_many_spenders_at_once_one_sees_it_unspent(transactions: DatabaseTransactions) -> None:
    token = refresh_token(await registered(transactions))
    async with transactions.begin() as tx:
        await tx.refresh_tokens.add(token)
    seen = await asyncio.gather(*(spend(transactions, token, at=i + 1) for i in range(8)))
    assert sum(one is not None and one.spent_at is None for one in seen) == 1
    assert None not in seen


async def test_families_and_expired_tokens_are_removed(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    tokens = [refresh_token(owner, family) for family in ("a", "a", "b", "c", "d")]
    stale = refresh_token(owner, "b", expires_at=seconds(-1))
    foreign = refresh_token(other, "z")
    async with transactions.begin() as tx:
        for token in [*tokens, stale, foreign]:
            await tx.refresh_tokens.add(token)
        await tx.refresh_tokens.remove_family(FamilyId("a"))
        await tx.refresh_tokens.remove_expired(NOW)
        left = [one for one in [*tokens, stale] if await tx.refresh_tokens.spend(one.token_hash, NOW)]
        assert left == tokens[2:]
        await tx.refresh_tokens.remove_all(owner, but=FamilyId("c"))
        left = [one for one in tokens if await tx.refresh_tokens.spend(one.token_hash, NOW)]
        assert left == [tokens[3]]
        await tx.refresh_tokens.remove_all(owner)
        assert await tx.refresh_tokens.spend(tokens[3].token_hash, NOW) is None
        assert await tx.refresh_tokens.spend(foreign.token_hash, NOW) == foreign


async def test_a_login_lives_while_one_of_its_tokens_can_be_spent(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    family = FamilyId("family")
    token = refresh_token(owner, expires_at=seconds(10))
    async with transactions.begin() as tx:
        await tx.refresh_tokens.add(token)
        assert await tx.refresh_tokens.is_live(family, seconds(9), owner=owner)
        assert not await tx.refresh_tokens.is_live(family, seconds(10), owner=owner)
        assert not await tx.refresh_tokens.is_live(family, NOW, owner=other)
        assert not await tx.refresh_tokens.is_live(FamilyId("other"), NOW, owner=owner)
        await tx.refresh_tokens.spend(token.token_hash, NOW)
        assert not await tx.refresh_tokens.is_live(family, NOW, owner=owner)


async def test_a_token_for_a_deleted_account_is_refused(transactions: DatabaseTransactions) -> None:
    with pytest.raises(Unauthenticated, match="no longer exists"):
        async with transactions.begin() as tx:
            await tx.refresh_tokens.add(refresh_token(NOBODY))
    with pytest.raises(Unauthenticated, match="no longer exists"):
        async with transactions.begin() as tx:
            await tx.api_keys.add(api_key(NOBODY))


async def test_an_api_key_opens_its_owners_account_until_it_expires(transactions: DatabaseTransactions) -> None:
    owner = await registered(transactions)
    endless, brief = api_key(owner), api_key(owner, expires_at=seconds(10))
    async with transactions.begin() as tx:
        await tx.api_keys.add(endless)
        await tx.api_keys.add(brief)
    async with transactions.autocommit() as tx:
        for key, moment, opens in [(endless, 1e9, True), (brief, 9.999999, True), (brief, 10, False)]:
            found = await tx.api_keys.owner_of(key.key_hash, seconds(moment))
            assert (found is not None and found.user_id == owner) is opens
        assert await tx.api_keys.owner_of("unknown", NOW) is None


async def test_api_keys_are_listed_and_removed_by_their_owner_alone(transactions: DatabaseTransactions) -> None:
    owner, other = await registered(transactions), await registered(transactions)
    first, second = api_key(owner), api_key(owner, created_at=seconds(1), expires_at=seconds(5))
    async with transactions.begin() as tx:
        await tx.api_keys.add(first)
        await tx.api_keys.add(second)
        assert await tx.api_keys.list(Window(), owner=owner) == [second, first]
        assert await tx.api_keys.list(Window(), owner=other) == []
        assert await tx.api_keys.get(second.api_key_id, owner=owner) == second
        for refused in (
            tx.api_keys.get(first.api_key_id, owner=other),
            tx.api_keys.remove(first.api_key_id, owner=other),
            tx.api_keys.remove(ApiKeyId("unknown"), owner=owner),
        ):
            with pytest.raises(NotFound):
                await refused
        await tx.api_keys.remove(first.api_key_id, owner=owner)
        assert await tx.api_keys.list(Window(), owner=owner) == [second]


async def test_a_deleted_account_has_no_api_keys(transactions: DatabaseTransactions) -> None:
    async with transactions.begin() as tx:
        for refused in (
            tx.api_keys.list(Window(), owner=NOBODY),
            tx.api_keys.get(ApiKeyId("k"), owner=NOBODY),
            tx.api_keys.remove(ApiKeyId("k"), owner=NOBODY),
        ):
            with pytest.raises(Unauthenticated):
                await refused


async def test_failed_logins_are_counted_by_key(transactions: DatabaseTransactions) -> None:
    ann = FailedLogins("account:ann", 1, NOW)
    bob = FailedLogins("account:bob", 2, seconds(5))
    async with transactions.begin() as tx:
        await tx.login_failures.record(ann)
        await tx.login_failures.record(bob)
        again = FailedLogins(ann.key, 3, seconds(1))
        await tx.login_failures.record(again)
        found = await tx.login_failures.among([ann.key, bob.key, "other"])
        assert sorted(found, key=lambda one: one.key) == [again, bob]
        assert await tx.login_failures.among([]) == []
        await tx.login_failures.remove_before(seconds(1))
        assert await tx.login_failures.among([ann.key]) == [again]
        await tx.login_failures.remove_before(seconds(2))
        assert await tx.login_failures.among([ann.key]) == []
