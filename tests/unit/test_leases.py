"""Leases: nobody judges after a gap, and the time never jumps with the machine's clock."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from application.runs import leases
from application.runs.leases import Leases

START = datetime(2026, 11, 1, tzinfo=UTC)
LENGTH = 10.0


class Machine:
    """Its own clocks: one that nobody sets, and one that anybody may."""

    def __init__(self) -> None:
        self.passed = 1000.0
        self.wall = START

    def monotonic(self) -> float:
        return self.passed

    def now(self, zone: object) -> datetime:
        assert zone is UTC
        return self.wall


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(leases, "time", SimpleNamespace(monotonic=machine.monotonic))
    monkeypatch.setattr(leases, "datetime", SimpleNamespace(now=machine.now))
    return machine


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def look(own: Leases, machine: Machine, times: int, pause: float, begin: float = 0) -> float:
    """So many looks, a pause before each; when the last one was."""
    for _ in range(times):
        begin += pause
        machine.passed += pause
        own.saw(after(begin))
    return begin


PAUSES = st.lists(st.floats(0, LENGTH / 2 - 0.001), max_size=20)


@given(PAUSES)
def test_without_gaps_judging_begins_one_lease_after_the_first_look(machine: Machine, pauses: list[float]) -> None:
    own, shared = Leases(LENGTH), 0.0
    assert not own.may_judge
    own.saw(after(0))
    for pause in pauses:
        assert own.may_judge is (own.now() >= after(LENGTH))
        shared += pause
        machine.passed += pause
        own.saw(after(shared))
        assert own.may_judge is (own.now() >= after(LENGTH))


@given(st.floats(-1e6, 1e6), st.lists(st.floats(0, LENGTH / 4), max_size=12))
def test_after_a_gap_nobody_judges_for_a_lease(machine: Machine, gap: float, pauses: list[float]) -> None:
    assume(abs(gap) > LENGTH / 2 + 0.001)
    own = Leases(LENGTH)
    own.saw(after(0))
    shared = look(own, machine, 5, LENGTH / 4)
    assert own.may_judge
    shared = again = shared + gap
    own.saw(after(shared))
    assert not own.may_judge
    for pause in pauses:
        shared += pause
        machine.passed += pause
        own.saw(after(shared))
        assert own.may_judge is (own.now() >= after(again) + timedelta(seconds=LENGTH))


@given(st.floats(0.001, 1e5))
def test_a_process_that_hung_judges_nobody_before_it_looked_again(machine: Machine, more: float) -> None:
    own = Leases(LENGTH)
    own.saw(after(0))
    look(own, machine, 5, LENGTH / 4)
    assert own.may_judge
    machine.passed += LENGTH / 2 + more
    assert not own.may_judge


@given(st.floats(0, 1e5), st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_between_looks_the_machines_clock_may_show_anything(machine: Machine, passed: float, wall: datetime) -> None:
    own = Leases(LENGTH)
    own.saw(after(0))
    machine.wall = wall.replace(tzinfo=UTC)
    assert own.now() == after(0)
    machine.passed += passed
    assert abs(own.now() - after(passed)) < timedelta(milliseconds=1)
    assert own.until() > own.now()


@given(st.floats(0.1, 1e4), st.booleans())
def test_a_lease_ends_a_length_from_now(machine: Machine, seconds: float, looked: bool) -> None:
    own = Leases(seconds)
    if looked:
        own.saw(after(0))
    assert own.until() - own.now() == timedelta(seconds=seconds)
    assert own.until() > own.now()


def test_who_could_not_write_judges_nobody_for_a_lease() -> None:
    leases = Leases(0.2)
    began = datetime(2026, 11, 1, tzinfo=UTC)
    for tick in range(6):
        leases.saw(began + timedelta(seconds=0.05 * tick))
    assert leases.may_judge
    leases.lose_touch()
    assert not leases.may_judge
    leases.saw(began + timedelta(seconds=0.3))
    assert not leases.may_judge
    for tick in range(7, 12):
        leases.saw(began + timedelta(seconds=0.05 * tick))
    assert leases.may_judge
