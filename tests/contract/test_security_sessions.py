"""Logging in, refreshing, leaving: on both databases."""

import asyncio
from datetime import timedelta

import pytest

from account_desk import HOME, AccountDesk
from application.accounts.sessions import Caller
from application.accounts.turns import Turns
from application.ports.persistence import Transactions
from domain.accounts.login_throttle import PAIR, STRANGER_DELAY
from domain.accounts.users import UserName
from domain.errors import Conflict, DomainError, InvalidValue, TooManyRequests, Unauthenticated


@pytest.fixture
def desk(transactions: Transactions) -> AccountDesk:
    return AccountDesk(transactions)


async def code_of(awaitable: object) -> str:
    with pytest.raises(DomainError) as refused:
        await awaitable  # type: ignore[misc]
    return refused.value.code


async def test_a_login_gives_tokens_that_speak_for_the_user(desk: AccountDesk) -> None:
    ann = await desk.enrol()
    user, tokens = await desk.log_in(" ANN ", "test", HOME)
    assert user.user_id == ann.user_id
    assert tokens.expires_in == 30 * 60
    assert (await desk.caller(tokens)).user_id == ann.user_id


async def test_a_wrong_name_and_a_wrong_password_are_told_apart_by_nothing(desk: AccountDesk) -> None:
    """The same answer, and the same work: one comparison of a hash, the same counts."""
    await desk.enrol()
    seen = []
    for name in ("ann", "nobody", "", "x" * 10_000, "nul\x00", "\ud800", "ann\u202e"):
        desk.hasher.work.clear()
        with pytest.raises(Unauthenticated) as refused:
            await desk.log_in(name, "wrong", HOME)
        seen.append((refused.value.code, refused.value.message, refused.value.retry_after, tuple(desk.hasher.work)))
    assert len(set(seen)) == 1
    assert seen[0][0] == "login_failed"
    assert seen[0][3] == ("verify",)


async def test_names_that_exist_and_names_that_do_not_are_slowed_down_alike(desk: AccountDesk) -> None:
    await desk.enrol()
    waits = []
    for name, address in (("ann", "192.0.2.1"), ("nobody", "192.0.2.2")):
        for _ in range(PAIR.free):
            assert await code_of(desk.enter(name, "wrong", address)) == "login_failed"
        with pytest.raises(TooManyRequests) as refused:
            await desk.enter(name, "wrong", address)
        waits.append((refused.value.code, refused.value.retry_after, refused.value.message))
    assert waits[0] == waits[1]


async def test_spellings_of_a_name_share_their_failures(desk: AccountDesk) -> None:
    await desk.enrol()
    for spelling in ("ann", "ANN", "a\u200bnn", " ann", "ａｎｎ"):
        assert await code_of(desk.enter(spelling, "wrong")) == "login_failed"
    assert await code_of(desk.enter("Ann", "test")) == "too_many_logins"


async def test_after_the_wait_the_right_password_works_and_forgives(desk: AccountDesk) -> None:
    await desk.enrol()
    for _ in range(PAIR.free):
        await code_of(desk.enter(password="wrong"))
    desk.hasher.work.clear()
    with pytest.raises(TooManyRequests) as refused:
        await desk.enter()
    assert not desk.hasher.work
    desk.clock.pass_time(refused.value.retry_after or 0)
    await desk.enter()
    assert await code_of(desk.enter(password="wrong")) == "login_failed"


async def test_a_burst_of_guesses_sees_its_own_failures(desk: AccountDesk) -> None:
    await desk.enrol()
    codes = await asyncio.gather(*(code_of(desk.enter(password=f"guess {number}")) for number in range(40)))
    assert codes.count("login_failed") == PAIR.free
    assert codes.count("too_many_logins") == 40 - PAIR.free


async def test_many_right_logins_at_once_all_work(desk: AccountDesk) -> None:
    await desk.enrol()
    tokens = await asyncio.gather(*(desk.enter() for _ in range(30)))
    assert len({one.refresh_token for one in tokens}) == 30


async def test_strangers_cannot_lock_the_owner_out(desk: AccountDesk) -> None:
    await desk.enrol()
    for number in range(60):
        await code_of(desk.enter(password="guess", address=f"10.0.0.{number}"))
    with pytest.raises(TooManyRequests) as refused:
        await desk.enter()
    assert refused.value.retry_after == STRANGER_DELAY
    desk.clock.pass_time(STRANGER_DELAY)
    for number in range(60):
        await code_of(desk.enter(password="guess", address=f"10.0.1.{number}"))
    await desk.enter()


async def test_an_outdated_hash_is_renewed_by_a_login(desk: AccountDesk) -> None:
    await desk.enrol()
    desk.hasher.version = 2
    user, _ = await desk.log_in("ann", "test", HOME)
    async with desk.transactions.autocommit() as tx:
        stored = await tx.users.by_name(UserName("ann"))
    assert stored is not None
    assert stored.password_hash == "v2:test"
    assert stored.updated_at == user.updated_at
    await desk.enter()


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_whole_login(desk: AccountDesk) -> None:
    await desk.enrol()
    first = await desk.enter()
    other = await desk.enter()
    second = await desk.refresh(first.refresh_token)
    third = await desk.refresh(second.refresh_token)
    assert (await desk.caller(third)).family_id == (await desk.caller(first)).family_id
    assert await code_of(desk.refresh(first.refresh_token)) == "refresh_token_reused"
    assert await code_of(desk.refresh(third.refresh_token)) == "refresh_token_invalid"
    await desk.refresh(other.refresh_token)


async def test_of_several_refreshes_at_once_one_wins_and_the_rest_end_the_login(desk: AccountDesk) -> None:
    await desk.enrol()
    tokens = await desk.enter()
    answers = await asyncio.gather(*(desk.refresh(tokens.refresh_token) for _ in range(5)), return_exceptions=True)
    won = [one for one in answers if not isinstance(one, BaseException)]
    assert len(won) == 1
    codes = {one.code for one in answers if isinstance(one, DomainError)}
    assert "refresh_token_reused" in codes
    assert codes <= {"refresh_token_reused", "refresh_token_invalid"}
    assert await code_of(desk.refresh(won[0].refresh_token)) == "refresh_token_invalid"


async def test_of_two_refreshes_in_two_processes_at_most_one_wins(desk: AccountDesk) -> None:
    await desk.enrol()
    tokens = await desk.enter()
    elsewhere = AccountDesk(desk.transactions)
    answers = await asyncio.gather(
        desk.refresh(tokens.refresh_token), elsewhere.refresh(tokens.refresh_token), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in answers) == ["Tokens", "Unauthenticated"]


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 100_000, "\x00", "\ud800"])
async def test_what_is_no_refresh_token_is_refused(desk: AccountDesk, token: str) -> None:
    assert await code_of(desk.refresh(token)) == "refresh_token_invalid"


async def test_tokens_are_not_used_for_one_another(desk: AccountDesk) -> None:
    await desk.enrol()
    tokens = await desk.enter()
    assert await code_of(desk.authenticate(tokens.refresh_token)) == "token_invalid"
    assert await code_of(desk.refresh(tokens.access_token)) == "refresh_token_invalid"


async def test_a_refresh_token_expires_and_expired_ones_are_swept_by_a_login(desk: AccountDesk) -> None:
    await desk.enrol()
    tokens = await desk.enter()
    desk.clock.pass_time(timedelta(days=30).total_seconds())
    assert await code_of(desk.refresh(tokens.refresh_token)) == "refresh_token_invalid"
    await desk.enter()
    async with desk.transactions.begin() as tx:
        assert await tx.refresh_tokens.spend(desk.tokens.fingerprint(tokens.refresh_token), desk.clock.now()) is None


async def test_logging_out_ends_this_login_only(desk: AccountDesk) -> None:
    await desk.enrol()
    here, there = await desk.enter(), await desk.enter()
    await desk.log_out(await desk.caller(here), None)
    assert await code_of(desk.refresh(here.refresh_token)) == "refresh_token_invalid"
    await desk.refresh(there.refresh_token)


async def test_logging_out_with_an_api_key_takes_a_refresh_token_of_ones_own(desk: AccountDesk) -> None:
    ann, bob = await desk.enrol(), await desk.enrol("bob")
    mine, still_mine = await desk.enter(), await desk.enter()
    await desk.log_out(Caller(ann.user_id), mine.refresh_token)
    assert await code_of(desk.refresh(mine.refresh_token)) == "refresh_token_invalid"
    newest = await desk.refresh(still_mine.refresh_token)
    await desk.log_out(Caller(bob.user_id), still_mine.refresh_token)
    await desk.refresh(newest.refresh_token)


async def test_a_new_password_ends_all_other_logins(desk: AccountDesk) -> None:
    await desk.enrol()
    here, there = await desk.enter(), await desk.enter()
    await desk.change_password(await desk.caller(here), "test", "better", HOME)
    assert await code_of(desk.refresh(there.refresh_token)) == "refresh_token_invalid"
    await desk.refresh(here.refresh_token)
    assert await code_of(desk.enter()) == "login_failed"
    await desk.enter(password="better")


async def test_the_old_password_is_asked_for_and_guessing_it_is_slowed_down(desk: AccountDesk) -> None:
    await desk.enrol()
    caller = await desk.caller(await desk.enter())
    for _ in range(PAIR.free):
        with pytest.raises(InvalidValue) as refused:
            await desk.change_password(caller, "wrong", "better", HOME)
        assert (refused.value.code, refused.value.fields[0].name) == ("wrong_password", "old_password")
    assert await code_of(desk.change_password(caller, "test", "better", HOME)) == "too_many_logins"


async def test_a_new_password_that_breaks_the_rules_costs_no_hash(desk: AccountDesk) -> None:
    await desk.enrol()
    caller = await desk.caller(await desk.enter())
    desk.hasher.work.clear()
    assert await code_of(desk.change_password(caller, "test", "abc", HOME)) == "invalid_value"
    assert not desk.hasher.work


async def test_of_two_password_changes_at_once_none_overwrites_the_other(desk: AccountDesk) -> None:
    await desk.enrol()
    caller = await desk.caller(await desk.enter())
    change = desk.change_password
    answers = await asyncio.gather(
        change(caller, "test", "one-new", HOME), change(caller, "test", "two-new", "192.0.2.9"), return_exceptions=True
    )
    refusals = [one for one in answers if one is not None]
    assert len(refusals) <= 1
    assert all(isinstance(one, Conflict | InvalidValue) for one in refusals)


async def test_an_access_token_is_checked_without_the_database(desk: AccountDesk, statements: list[str]) -> None:
    await desk.enrol()
    tokens = await desk.enter()
    statements.clear()
    await desk.caller(tokens)
    assert statements == []


async def test_a_line_that_is_too_long_is_refused() -> None:
    turns = Turns(longest=2)
    async with turns.take("a"):
        second = asyncio.create_task(_stand_in(turns))
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await _stand_in(turns)
        assert not second.done()
    await second
    assert not turns.lines


async def _stand_in(turns: Turns) -> None:
    async with turns.take("a"):
        pass
