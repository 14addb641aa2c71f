"""The laws of slowing guesses down: who waits, how long at most, and who never does."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts.login_throttle import (
    ACCOUNT_ALARM,
    ADDRESS,
    PAIR,
    STRANGER_DELAY,
    Attempt,
    Counts,
    Rule,
    network_of,
)
from domain.accounts.users import FailedLogins
from domain.errors import TooManyRequests

START = datetime(2026, 1, 2, tzinfo=UTC)
OWNER = "198.51.100.7"

moments = st.floats(0, 10**6).map(lambda seconds: START + timedelta(seconds=seconds))
rules = st.sampled_from([PAIR, ADDRESS])
failures = st.integers(0, 10**6)


@dataclass
class Door:
    """A server that keeps the counts in memory."""

    now: datetime = START
    rows: dict[str, FailedLogins] = field(default_factory=dict)

    def attempt(self, account: str, address: str, *, right: bool) -> float:
        """Seconds to wait, or 0 when the password was looked at."""
        attempt = Attempt.of(account, address)
        counts = Counts.found(attempt, (self.rows[key] for key in attempt.keys if key in self.rows))
        if mark := counts.announced(self.now):
            self.rows[mark.key] = mark
        if (wait := counts.wait(self.now)) > 0:
            return wait
        for row in (counts.succeeded(self.now),) if right else counts.failed(self.now):
            self.rows[row.key] = row
        return 0.0

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@given(rules, failures, moments)
def test_no_wait_exceeds_its_cap_and_each_ends(rule: Rule, count: int, now: datetime) -> None:
    row = FailedLogins("k", count, START)
    assert 0 <= rule.wait(row, now) <= rule.cap
    assert rule.wait(row, START + timedelta(seconds=rule.cap)) == 0


@given(rules, failures, failures)
def test_more_failures_never_wait_less(rule: Rule, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert rule.delay(less) <= rule.delay(more)


@given(rules, failures, moments, st.floats(0, 10**6))
def test_time_only_helps(rule: Rule, count: int, now: datetime, seconds: float) -> None:
    row, later = FailedLogins("k", count, START), now + timedelta(seconds=seconds)
    assert rule.wait(row, later) <= rule.wait(row, now)
    assert rule.remembered(row, later) <= rule.remembered(row, now) <= count


def test_the_first_failures_are_free_and_the_next_waits() -> None:
    door = Door()
    assert [door.attempt("ann", OWNER, right=False) for _ in range(PAIR.free)] == [0.0] * PAIR.free
    assert door.attempt("ann", OWNER, right=False) == 1.0
    door.pass_time(1)
    assert door.attempt("ann", OWNER, right=False) == 0
    assert door.attempt("ann", OWNER, right=False) == 2.0


def test_waiting_is_told_with_its_seconds() -> None:
    attempt = Attempt.of("ann", OWNER)
    counts = Counts(attempt, FailedLogins(attempt.pair, PAIR.free + 3, START))
    with pytest.raises(TooManyRequests) as refused:
        counts.admit(START + timedelta(seconds=1))
    assert (refused.value.code, refused.value.retry_after) == ("too_many_logins", 7.0)


def test_a_right_password_forgives_the_account_at_that_address() -> None:
    door = Door()
    for _ in range(PAIR.free - 1):
        door.attempt("ann", OWNER, right=False)
    door.attempt("ann", OWNER, right=True)
    assert [door.attempt("ann", OWNER, right=False) for _ in range(PAIR.free)] == [0.0] * PAIR.free


def test_own_logins_do_not_pay_for_guesses_at_other_accounts() -> None:
    door = Door()
    for number in range(ADDRESS.free):
        assert door.attempt(f"victim{number}", "203.0.113.5", right=False) == 0
        door.attempt("attacker", "203.0.113.5", right=True)
    assert door.attempt("one more", "203.0.113.5", right=False) > 0


strangers = st.lists(st.tuples(st.integers(0, 10**4), st.booleans(), st.floats(0, 30)), max_size=60)


@given(strangers, strangers, st.integers(0, 500))
def test_whatever_strangers_do_the_owner_waits_at_most_a_few_seconds(
    before: list[tuple[int, bool, float]], meanwhile: list[tuple[int, bool, float]], burst: int
) -> None:
    """Strangers guess from any other address, before the owner comes and while the owner waits."""
    door = Door()

    def guess(events: list[tuple[int, bool, float]]) -> None:
        for address, right, pause in events:
            door.attempt("ann", f"10.0.{address >> 8}.{address & 255}", right=right)
            door.pass_time(pause)

    for number in range(burst):
        door.attempt("ann", f"10.1.{number >> 8}.{number & 255}", right=False)
    guess(before)
    wait = door.attempt("ann", OWNER, right=True)
    assert wait <= STRANGER_DELAY
    came_at = door.now
    guess(meanwhile)
    door.now = max(door.now, came_at + timedelta(seconds=wait))
    assert door.attempt("ann", OWNER, right=True) == 0


@given(st.integers(1, 400))
def test_an_address_that_logged_in_before_does_not_wait_for_strangers(burst: int) -> None:
    door = Door()
    door.attempt("ann", OWNER, right=True)
    for number in range(burst):
        door.attempt("ann", f"10.1.{number >> 8}.{number & 255}", right=False)
    assert door.attempt("ann", OWNER, right=True) == 0


def test_many_addresses_guessing_one_account_wait_each_once() -> None:
    door = Door()
    for number in range(ACCOUNT_ALARM):
        assert door.attempt("ann", f"10.0.0.{number}", right=False) == 0
    assert door.attempt("ann", "10.0.1.1", right=False) == STRANGER_DELAY
    assert door.attempt("ann", "10.0.1.1", right=False) == STRANGER_DELAY
    door.pass_time(STRANGER_DELAY)
    assert door.attempt("ann", "10.0.1.1", right=False) == 0


@given(st.lists(st.floats(0, 120), min_size=200, max_size=400))
def test_one_address_gets_few_guesses_however_it_times_them(pauses: list[float]) -> None:
    door, looked_at = Door(), 0
    for pause in pauses:
        looked_at += door.attempt("ann", OWNER, right=False) == 0
        door.pass_time(pause)
    forgotten = (door.now - START).total_seconds() / PAIR.forget
    assert looked_at <= PAIR.free + 11 + 2 * forgotten


@given(st.text(max_size=30), st.text(max_size=30), st.ip_addresses())
def test_names_are_counted_alike_whether_they_exist_or_not(one: str, other: str, address: object) -> None:
    """The rule never asks whether there is an account: only keys come in, and hold no name and no address."""
    attempt = Attempt.of(one, str(address))
    assert attempt == Attempt.of(one, str(address))
    assert (attempt.account == Attempt.of(other, str(address)).account) == (one == other)
    assert all(len(key) < 50 for key in attempt.keys)
    assert len(set(attempt.keys)) == 3


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_a_whole_ipv6_customer_is_one_party(address: object, host: int) -> None:
    import ipaddress

    assert isinstance(address, ipaddress.IPv6Address)
    if address.ipv4_mapped is None:
        sibling = ipaddress.IPv6Address(int(address) >> 64 << 64 | host)
        if sibling.ipv4_mapped is None:
            assert network_of(str(address)) == network_of(str(sibling))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_itself_however_it_is_written(address: object) -> None:
    assert network_of(str(address)) == network_of(f"::ffff:{address}") == str(address)


@given(st.text(max_size=20))
def test_what_is_no_address_is_one_party(text: str) -> None:
    assert network_of("") == network_of("unix:") == "unknown"
    network_of(text)


def test_a_clock_set_back_does_not_lengthen_a_wait() -> None:
    row = FailedLogins("k", PAIR.free + 20, START + timedelta(days=30))
    assert PAIR.wait(row, START) <= PAIR.cap
    assert PAIR.remembered(row, START) == row.failures
