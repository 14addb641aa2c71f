"""A trouble that lasts is one line at its beginning, one a minute, and one at its end."""

import asyncio
import itertools
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.database import session
from adapters.database.transactions import DatabaseTransactions
from application.jobs.lasting_trouble import EVERY_SECONDS, LastingTrouble
from application.ports.clock import SharedClock
from application.ports.persistence import Transactions
from application.runs.leases import Leases
from application.runs.run_closing import CloseAbandoned
from application.runs.run_registry import RunRegistry
from application.runs.run_upkeep import KeepRunsAlive, SweepRuns
from domain.errors import Unavailable

AWAY = Unavailable("database_unavailable", "Away.")


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def events(self) -> list[str]:
        return [one.msg for one in self.records]


@dataclass
class Scene:
    lines: Lines = field(default_factory=Lines)
    now: float = 1000.0

    def __post_init__(self) -> None:
        log = logging.Logger("lasting")
        log.addHandler(self.lines)
        self.trouble = LastingTrouble(log, "away", "back", clock=lambda: self.now)


def test_an_outage_of_three_minutes_is_four_lines() -> None:
    scene = Scene()
    for _ in range(360):
        scene.trouble.came(AWAY, "refused")
        scene.now += 0.5
    scene.trouble.passed()
    assert scene.lines.events == ["away", "away", "away", "back"]
    assert [one.times for one in scene.lines.records[:-1]] == [1, 120, 120]
    assert [one.seconds for one in scene.lines.records] == [0, 60, 120, 180]
    assert {one.cause for one in scene.lines.records[:-1]} == {"refused"}
    assert {one.exc_info for one in scene.lines.records} == {None}


def test_a_defect_amid_an_outage_is_told_of_at_once_with_its_place() -> None:
    scene = Scene()
    defect = ZeroDivisionError()
    for trouble in (AWAY, AWAY, defect, AWAY, defect, Unavailable("other", "Something else.")):
        scene.trouble.came(trouble)
    causes = [one.cause for one in scene.lines.records]
    assert causes == ["Away.", "ZeroDivisionError", "Something else."]
    assert [one.exc_info is not None for one in scene.lines.records] == [False, True, False]


def test_nothing_is_said_while_all_is_well() -> None:
    scene = Scene()
    scene.trouble.passed()
    assert scene.lines.events == []


STEPS = st.lists(st.tuples(st.booleans(), st.floats(0, 40)), max_size=80)


@given(steps=STEPS)
def test_each_minute_has_one_line_at_most_each_end_its_beginning_and_no_trouble_is_uncounted(
    steps: list[tuple[bool, float]],
) -> None:
    scene = Scene()
    told: list[float] = []
    came = 0
    for is_trouble, seconds in steps:
        scene.now += seconds
        before = len(scene.lines.records)
        if is_trouble:
            scene.trouble.came(AWAY)
            came += 1
        else:
            scene.trouble.passed()
        if is_trouble and len(scene.lines.records) > before:
            told.append(scene.now)
            assert sum(one.times for one in scene.lines.records if one.msg == "away") == came
    assert all(later - earlier >= EVERY_SECONDS for earlier, later in itertools.pairwise(told))
    events = "".join(event[0] for event in scene.lines.events)
    assert "bb" not in events
    assert not events.startswith("b")
    # Whoever reads the log a minute after the last change knows how things stand.
    scene.now += EVERY_SECONDS + 1
    is_on = bool(steps) and steps[-1][0]
    if is_on:
        scene.trouble.came(AWAY)
    assert scene.lines.events[-1:] in ([["away"]] if is_on else [["back"], []])


class Wavering:
    """Fails so often, then counts on."""

    def __init__(self, failures: int) -> None:
        self.left = failures
        self.calls = 0

    async def now(self) -> None:
        self.calls += 1
        self.left -= 1
        if self.left >= 0:
            raise AWAY
        raise asyncio.CancelledError

    def autocommit(self) -> None:
        self.calls += 1
        self.left -= 1
        raise AWAY if self.left >= 0 else asyncio.CancelledError


@pytest.mark.parametrize("what", ["alive", "sweep"])
async def test_the_loops_of_runs_tell_an_outage_once(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("application.runs.run_upkeep.RETRY_SECONDS", 0.001)
    scene, wavering, leases, registry = Scene(), Wavering(20), Leases(0.004), RunRegistry(1, 1)
    told = scene.trouble.came, scene.trouble.passed
    transactions = cast(Transactions, wavering)
    if what == "alive":
        keeper = KeepRunsAlive(registry, transactions, leases, cast(SharedClock, wavering), *told).forever()
    else:
        closing = cast(CloseAbandoned, None)
        keeper = SweepRuns(registry, transactions, leases, closing, timedelta(1), *told).forever()
    with pytest.raises(asyncio.CancelledError):
        await keeper
    assert wavering.calls == 21
    assert scene.lines.events == ["away"]


async def test_a_database_that_is_away_is_one_line_for_all_who_ask_and_one_when_it_is_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()
    monkeypatch.setattr(session, "away", scene.trouble)
    away = DatabaseTransactions.open("postgresql://nobody@127.0.0.1:1/none")
    for _ in range(4):
        with pytest.raises(Unavailable):
            await away.ping()
        with pytest.raises(Unavailable):
            async with away.begin() as tx:
                await tx.knowledge.removed(1)
    assert scene.lines.events == ["away"]
    assert "refused" in scene.lines.records[0].cause
    here = DatabaseTransactions.open(database_url)
    await here.ping()
    async with here.begin() as tx:
        await tx.knowledge.removed(1)
    assert scene.lines.events == ["away", "back"]
    await away.aclose()
    await here.aclose()
