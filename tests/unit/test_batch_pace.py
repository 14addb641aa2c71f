"""Batches follow the clock: never more than a bound, never none, and a few seconds each where that can be."""

from itertools import repeat

from hypothesis import assume, given
from hypothesis import strategies as st

from domain.knowledge.batch_pace import FIRST, SECONDS, BatchPace

MOST = st.integers(1, 2048)
TIMES = st.one_of(st.floats(0, 1000), st.sampled_from([0.0, SECONDS, SECONDS / 2, 1e300]))


@given(most=st.integers(-3, 2048), calls=st.lists(st.tuples(st.integers(-1, 3000), TIMES, st.booleans())))
def test_a_batch_is_never_empty_and_never_over_the_bound(most: int, calls: list[tuple[int, float, bool]]) -> None:
    pace = BatchPace(most)
    for count, seconds, works in calls:
        pace.took(min(count, pace.size), seconds) if works else pace.failed()
        assert 1 <= pace.size <= max(most, 1)


@given(most=MOST, cost=st.floats(0.0001, 100), start=st.floats(0, 20))
def test_a_steady_model_gets_what_it_does_in_a_few_seconds(most: int, cost: float, start: float) -> None:
    """The first call may take longer, for the model is being loaded."""
    pace = BatchPace(most)
    pace.took(pace.size, start + cost * pace.size)
    for _ in range(20):
        pace.took(pace.size, cost * pace.size)
    for _ in range(3):
        assert cost * pace.size <= SECONDS or pace.size == 1
        assert 2 * pace.size * cost >= SECONDS / 2 or pace.size == most
        pace.took(pace.size, cost * pace.size)


@given(most=MOST, costs=st.tuples(st.floats(0.001, 50), st.floats(0.001, 50)))
def test_it_finds_its_pace_again_when_the_load_changes(most: int, costs: tuple[float, float]) -> None:
    pace = BatchPace(most)
    for cost in (*repeat(costs[0], 20), *repeat(costs[1], 20)):
        pace.took(pace.size, cost * pace.size)
    assert costs[1] * pace.size <= SECONDS or pace.size == 1


@given(most=MOST, wait=st.floats(SECONDS + 1, 600), each=st.floats(0, 0.3))
def test_a_provider_that_lets_wait_is_asked_for_as_many_as_may_be_and_never_for_less(
    most: int, wait: float, each: float
) -> None:
    """`each` is the part of the wait that goes with the number of texts."""
    pace = BatchPace(most)
    sizes = []
    for _ in range(40):
        sizes.append(pace.size)
        pace.took(pace.size, wait * (1 + each * pace.size / most))
    assert set(sizes[20:]) == {most}


@given(most=MOST, wait=st.floats(4 * SECONDS, 600), cost=st.floats(0.001, 50))
def test_when_the_wait_is_over_it_finds_its_pace_again(most: int, wait: float, cost: float) -> None:
    pace = BatchPace(most)
    for _ in range(20):
        pace.took(pace.size, wait)
    assume(cost * pace.size * 1.5 < wait or cost * pace.size > 1.5 * wait)
    for _ in range(20):
        pace.took(pace.size, cost * pace.size)
    assert cost * pace.size <= SECONDS or pace.size == 1


def test_it_begins_with_few() -> None:
    assert BatchPace(64).size == FIRST
    assert BatchPace(2).size == 2


def test_the_rest_of_a_file_says_nothing_of_what_a_full_batch_may_be() -> None:
    pace = BatchPace(64)
    pace.took(1, 0.01)
    assert pace.size == FIRST
