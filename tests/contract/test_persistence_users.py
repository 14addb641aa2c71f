"""Users: unique names, profiles, and removal with all that is theirs."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.database.transactions import DatabaseTransactions
from domain.errors import Conflict, NotFound
from domain.ids import UserId, new_id
from domain.users import Role, User, UserName

NOW = datetime(2026, 11, 3, 12, 0, 0, 123456, tzinfo=UTC)


def user(name: str) -> User:
    return User(UserId(new_id()), UserName.parse(name), "hash", Role.USER, None, "", "", NOW, NOW)


async def test_a_user_comes_back_as_stored(transactions: DatabaseTransactions) -> None:
    one = replace(user("Zoë 张"), email="z@example.org", avatar="/a.png", description="x\ny", role=Role.ADMIN)
    async with transactions.begin() as tx:
        await tx.users.add(one)
    async with transactions.read() as tx:
        assert await tx.users.get(one.user_id) == one
        assert await tx.users.by_name(UserName.parse("ZOË 张")) == one


async def test_a_name_is_taken_once_whatever_its_case(transactions: DatabaseTransactions) -> None:
    async with transactions.begin() as tx:
        await tx.users.add(user("Ann"))
    with pytest.raises(Conflict) as refused:
        async with transactions.begin() as tx:
            await tx.users.add(user("aNN"))
    assert refused.value.code == "user_name_taken"


async def test_an_unknown_user_is_not_found(transactions: DatabaseTransactions) -> None:
    with pytest.raises(NotFound):
        async with transactions.read() as tx:
            await tx.users.get(UserId("nobody"))
