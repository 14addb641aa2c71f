"""Two settings on one database: whatever they do, each base is embedded anew more and more seldom, and it is told."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from application.knowledge.contested_models import FIRST_SECONDS, LONGEST_SECONDS, Contests
from domain.ids import KnowledgeId

MINUTE = 60.0
HOURS = 60


@dataclass
class Rival:
    """Looks at each base once a minute, as the upkeep and the worker of a process do."""

    model: str
    now: list[float]
    told: list[tuple[str, str, float]] = field(default_factory=list)
    embedded: list[KnowledgeId] = field(default_factory=list)
    contests: Contests = field(init=False)

    def __post_init__(self) -> None:
        def tell(*given: Any) -> None:
            self.told.append(given)

        self.contests = Contests(tell, lambda: self.now[0])

    def turn(self, searched: dict[KnowledgeId, str]) -> None:
        for base, found in searched.items():
            if found != self.model and not self.contests.leaves(base, self.model, found):
                self.embedded.append(base)
                self.contests.note_switch(base)
                searched[base] = self.model


def rivals(now: list[float], *models: str) -> list[Rival]:
    return [Rival(model, now) for model in models]


def bases(count: int) -> dict[KnowledgeId, str]:
    return {KnowledgeId(f"base{number}"): "one" for number in range(count)}


@given(count=st.integers(1, 6), pauses=st.lists(st.integers(1, 30), min_size=1, max_size=20))
@example(count=3, pauses=[1])
def test_each_base_is_embedded_ever_more_seldom_and_each_wait_is_told_once(count: int, pauses: list[int]) -> None:
    now, searched = [0.0], bases(count)
    both = rivals(now, "two", "one")
    turn = 0
    while now[0] < HOURS * 60 * MINUTE:
        both[turn % 2].turn(searched)
        turn += 1
        now[0] += pauses[turn % len(pauses)] * MINUTE
    for one in both:
        # Waits of 15 min, 30, 60, 120, 240, 480, 960 and a day fill 60 hours, and there is a first time.
        assert all(one.embedded.count(base) <= 9 for base in searched)
        waits = [seconds for _, _, seconds in one.told]
        assert waits == [min(FIRST_SECONDS * 2**number, LONGEST_SECONDS) for number in range(len(waits))]
    assert any(one.told for one in both)


def test_many_bases_that_are_taken_back_at_once_are_one_contest() -> None:
    now, searched = [0.0], bases(50)
    [two] = rivals(now, "two")
    two.turn(searched)
    for seconds in (FIRST_SECONDS, 2 * FIRST_SECONDS):
        searched = bases(50)
        now[0] += 1
        for _ in range(3):
            two.turn(searched)
        assert two.told[-1] == ("two", "one", seconds)
        assert set(searched.values()) == {"one"}
        now[0] += seconds
        two.turn(searched)
        assert set(searched.values()) == {"two"}
    assert len(two.told) == 2


def test_a_base_that_was_never_switched_is_let_be_while_its_model_is_contested_and_others_are_not() -> None:
    now = [0.0]
    [two] = rivals(now, "two")
    searched = bases(1)
    two.turn(searched)
    late = {KnowledgeId("late"): "one", KnowledgeId("base0"): "one", KnowledgeId("third"): "three"}
    two.contests.leaves(KnowledgeId("base0"), "two", "one")
    two.turn(late)
    assert late == {"late": "one", "base0": "one", "third": "two"}


def test_what_has_no_model_or_ours_is_never_left() -> None:
    now = [0.0]
    [two] = rivals(now, "two")
    base = KnowledgeId("base0")
    two.contests.note_switch(base)
    assert not two.contests.leaves(base, "two", None)
    assert not two.contests.leaves(base, "two", "two")
    assert two.contests.leaves(base, "two", "one")


def test_after_days_of_peace_a_contest_begins_with_a_short_wait_again() -> None:
    now = [0.0]
    [two] = rivals(now, "two")
    for pause, seconds in ((0.0, 900.0), (0.0, 1800.0), (3 * LONGEST_SECONDS, 900.0)):
        now[0] += pause
        two.turn(bases(1))
        assert two.contests.leaves(KnowledgeId("base0"), "two", "one")
        assert two.told[-1] == ("two", "one", seconds)
        now[0] += seconds
