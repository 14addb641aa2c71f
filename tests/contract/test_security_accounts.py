"""Accounts and API keys: on both databases."""

import asyncio
from datetime import timedelta

import pytest

from account_desk import HOME, START, AccountDesk
from application.accounts.sessions import Caller
from application.accounts.users import NewAccount, ProfileChange
from application.paging import Window
from application.ports.persistence import Transactions
from domain.accounts.users import KEYS_MAX, Role, User
from domain.errors import Conflict, DomainError, Forbidden, InvalidValue, NotFound
from domain.ids import ApiKeyId, UserId


@pytest.fixture
def desk(transactions: Transactions) -> AccountDesk:
    return AccountDesk(transactions)


async def code_of(awaitable: object) -> str:
    with pytest.raises(DomainError) as refused:
        await awaitable  # type: ignore[misc]
    return refused.value.code


async def test_of_two_registrations_of_one_name_at_once_one_wins(desk: AccountDesk) -> None:
    answers = await asyncio.gather(
        *(desk.enrol(name) for name in ("Ann", "ann", "ANN", "a\u200bnn")), return_exceptions=True
    )
    assert sum(isinstance(one, User) for one in answers) == 1
    refusals = [one for one in answers if isinstance(one, Conflict)]
    assert [one.code for one in refusals] == ["user_name_taken"] * 3
    assert {one.fields[0].name for one in refusals} == {"user_name"}


async def test_a_taken_name_costs_no_hash(desk: AccountDesk) -> None:
    await desk.enrol()
    desk.hasher.work.clear()
    assert await code_of(desk.enrol()) == "user_name_taken"
    assert not desk.hasher.work


@pytest.mark.parametrize(
    ("account", "field"),
    [
        (NewAccount("", "test"), "user_name"),
        (NewAccount("x" * 21, "test"), "user_name"),
        (NewAccount("ann", "abc"), "user_password"),
        (NewAccount("ann", "x" * 1025), "user_password"),
        (NewAccount("ann", "test", email="nonsense"), "user_email"),
        (NewAccount("ann", "test", avatar="javascript:alert(1)"), "user_avatar"),
        (NewAccount("ann", "test", description="x" * 2001), "user_description"),
    ],
)
async def test_a_registration_that_breaks_a_rule_names_the_field(
    desk: AccountDesk, account: NewAccount, field: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await desk.register(account)
    assert refused.value.fields[0].name == field
    assert not desk.hasher.work


async def test_nobody_registers_as_an_admin_and_the_command_line_makes_one(desk: AccountDesk) -> None:
    assert (await desk.enrol()).role is Role.USER
    admin = await desk.create_admin("root", "test", "root@example.org")
    assert (await desk.show_user(admin.user_id, None)).role is Role.ADMIN
    assert await code_of(desk.create_admin("ANN", "test")) == "user_name_taken"


async def test_a_profile_shows_the_email_to_its_user_only(desk: AccountDesk) -> None:
    ann, bob = await desk.enrol(), await desk.enrol("bob")
    assert (await desk.show_user(ann.user_id, None)).email == "ann@example.org"
    assert (await desk.show_user(ann.user_id, ann.user_id)).email == "ann@example.org"
    assert (await desk.show_user(bob.user_id, ann.user_id)).email is None
    with pytest.raises(NotFound):
        await desk.show_user(ann.user_id, UserId("nobody"))
    assert await code_of(desk.show_user(UserId("gone"), ann.user_id)) == "account_gone"


async def test_a_profile_is_changed_by_its_user_and_by_admins(desk: AccountDesk) -> None:
    ann, bob = await desk.enrol(), await desk.enrol("bob")
    root = await desk.create_admin("root", "test")
    desk.clock.pass_time(1)
    await desk.update_user(ann.user_id, ann.user_id, ProfileChange(avatar="/a.svg"))
    await desk.update_user(root.user_id, ann.user_id, ProfileChange(description="seen"))
    with pytest.raises(Forbidden):
        await desk.update_user(bob.user_id, ann.user_id, ProfileChange(avatar="/b.svg"))
    with pytest.raises(NotFound):
        await desk.update_user(root.user_id, UserId("nobody"), ProfileChange())
    shown = await desk.show_user(ann.user_id, None)
    assert (shown.avatar, shown.description, shown.email) == ("/a.svg", "seen", "ann@example.org")
    assert shown.updated_at == START + timedelta(seconds=1)


async def test_deleting_an_account_needs_its_password_and_ends_everything(desk: AccountDesk) -> None:
    ann = await desk.enrol()
    tokens = await desk.enter()
    _, secret = await desk.create_key(Caller(ann.user_id), "laptop", None)
    assert await code_of(desk.delete_user(ann.user_id, "wrong", HOME)) == "wrong_password"
    await desk.delete_user(ann.user_id, "test", HOME)
    assert await code_of(desk.refresh(tokens.refresh_token)) == "refresh_token_invalid"
    assert await code_of(desk.authenticate(secret)) == "api_key_invalid"
    assert await code_of(desk.enter()) == "login_failed"
    assert await code_of(desk.show_user(ann.user_id, None)) == "account_gone"
    assert await code_of(desk.create_key(Caller(ann.user_id), "another", None)) == "account_gone"
    assert await code_of(desk.delete_user(ann.user_id, "test", HOME)) == "account_gone"
    assert (await desk.enrol()).user_id != ann.user_id


async def test_an_api_key_speaks_for_its_user_until_it_is_deleted(desk: AccountDesk, statements: list[str]) -> None:
    ann = await desk.enrol()
    key, secret = await desk.create_key(Caller(ann.user_id), " laptop ", None)
    assert secret.startswith("ak_")
    assert (key.name, key.hint) == ("laptop", secret[-4:])
    assert secret not in repr(key)
    statements.clear()
    assert await desk.authenticate(secret) == Caller(ann.user_id)
    assert len(statements) == 1
    assert await code_of(desk.authenticate(secret[:-1])) == "api_key_invalid"
    await desk.delete_key(ann.user_id, key.api_key_id)
    assert await code_of(desk.authenticate(secret)) == "api_key_invalid"


async def test_the_access_token_of_an_ended_login_makes_no_api_key(desk: AccountDesk) -> None:
    await desk.enrol()
    gone, stolen, mine = [await desk.enter() for _ in range(3)]
    await desk.create_key(await desk.caller(gone), "laptop", None)
    await desk.log_out(await desk.caller(gone), None)
    await desk.refresh(stolen.refresh_token)
    await desk.create_key(await desk.caller(stolen), "renewed", None)
    await desk.change_password(await desk.caller(mine), "test", "better", HOME)
    for ended in (gone, stolen):
        assert await code_of(desk.create_key(await desk.caller(ended), "laptop", None)) == "session_ended"
    _, secret = await desk.create_key(await desk.caller(mine), "laptop", None)
    await desk.create_key(await desk.authenticate(secret), "made by a key", None)


async def test_an_api_key_expires(desk: AccountDesk) -> None:
    ann = await desk.enrol()
    _, secret = await desk.create_key(Caller(ann.user_id), "laptop", START + timedelta(hours=1))
    desk.clock.pass_time(3599)
    await desk.authenticate(secret)
    desk.clock.pass_time(1)
    assert await code_of(desk.authenticate(secret)) == "api_key_invalid"


async def test_api_keys_of_others_are_not_found(desk: AccountDesk) -> None:
    ann, bob = await desk.enrol(), await desk.enrol("bob")
    key, secret = await desk.create_key(Caller(ann.user_id), "laptop", None)
    assert await code_of(desk.show_key(bob.user_id, key.api_key_id)) == "api_key_not_found"
    assert await code_of(desk.delete_key(bob.user_id, key.api_key_id)) == "api_key_not_found"
    assert await code_of(desk.delete_key(ann.user_id, ApiKeyId("nothing"))) == "api_key_not_found"
    assert list((await desk.list_keys(bob.user_id, Window())).items) == []
    assert (await desk.show_key(ann.user_id, key.api_key_id)).name == "laptop"
    await desk.authenticate(secret)


async def test_api_keys_are_listed_newest_first_in_pages(desk: AccountDesk) -> None:
    ann = await desk.enrol()
    for number in range(5):
        desk.clock.pass_time(1)
        await desk.create_key(Caller(ann.user_id), f"key {number}", None)
    page = await desk.list_keys(ann.user_id, Window(limit=3))
    rest = await desk.list_keys(ann.user_id, Window.parse(3, page.next_cursor))
    assert [key.name for key in (*page.items, *rest.items)] == [f"key {number}" for number in (4, 3, 2, 1, 0)]
    assert rest.next_cursor is None


async def test_an_account_has_a_bounded_number_of_api_keys(desk: AccountDesk) -> None:
    ann = await desk.enrol()
    for number in range(KEYS_MAX):
        key, _ = await desk.create_key(Caller(ann.user_id), f"key {number}", None)
    assert await code_of(desk.create_key(Caller(ann.user_id), "one more", None)) == "too_many_api_keys"
    await desk.delete_key(ann.user_id, key.api_key_id)
    await desk.create_key(Caller(ann.user_id), "one more", None)
