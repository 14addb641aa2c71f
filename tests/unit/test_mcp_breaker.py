"""A server that fails is left alone, longer each time, and not for ever."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.mcp.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, REMEMBERED, Breaker
from adapters.mcp.buckets import Bucket


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_is_left_alone_after_three_failures_in_a_row() -> None:
    breaker = Breaker(Clock(), lambda: 0.0)
    for _ in range(FAILURES - 1):
        breaker.failed("s")
        assert breaker.pause("s") == 0
    breaker.failed("s")
    assert breaker.pause("s") == FIRST_PAUSE
    assert breaker.pause("other") == 0


def test_after_the_pause_it_may_be_asked_and_one_more_failure_doubles_it() -> None:
    clock = Clock()
    breaker = Breaker(clock, lambda: 0.0)
    for _ in range(FAILURES):
        breaker.failed("s")
    clock.now += FIRST_PAUSE
    assert breaker.pause("s") == 0
    breaker.failed("s")
    assert breaker.pause("s") == FIRST_PAUSE * 2


def test_a_success_forgives_everything() -> None:
    breaker = Breaker(Clock(), lambda: 0.0)
    for _ in range(FAILURES):
        breaker.failed("s")
    breaker.succeeded("s")
    assert breaker.pause("s") == 0
    breaker.failed("s")
    assert breaker.pause("s") == 0


def test_what_is_forgotten_may_be_asked_at_once() -> None:
    breaker = Breaker(Clock(), lambda: 0.0)
    for key in ("a1", "a2", "b"):
        for _ in range(FAILURES):
            breaker.failed(key)
    breaker.forget(lambda key: str(key).startswith("a"))
    assert [breaker.pause(key) for key in ("a1", "a2", "b")] == [0, 0, FIRST_PAUSE]


@given(st.integers(0, 5_000), st.floats(0, 1))
def test_no_pause_is_longer_than_the_longest_nor_shorter_than_its_jitter_allows(failures: int, jitter: float) -> None:
    breaker = Breaker(Clock(), lambda: jitter)
    for _ in range(failures):
        breaker.failed("s")
    plain = min(FIRST_PAUSE * 2 ** min(failures - FAILURES, 20), LONGEST_PAUSE) if failures >= FAILURES else 0
    assert plain * 0.75 <= breaker.pause("s") <= plain


@given(st.floats(0, 1), st.floats(0, 1))
def test_who_failed_together_comes_back_apart(one: float, other: float) -> None:
    """As far as their dice differ: each takes up to a quarter off the pause."""
    dice = iter([one, other])
    breaker = Breaker(Clock(), lambda: next(dice))
    for key in ("a", "b"):
        for _ in range(FAILURES):
            breaker.failed(key)
    apart = (one - other) / 4 * FIRST_PAUSE
    assert abs(breaker.pause("b") - breaker.pause("a") - apart) < 1e-6


def test_servers_that_fail_take_bounded_memory() -> None:
    breaker = Breaker(Clock(), lambda: 0.0)
    for number in range(REMEMBERED * 2):
        for _ in range(FAILURES):
            breaker.failed(number)
    assert breaker.pause(0) == 0
    assert breaker.pause(REMEMBERED * 2 - 1) == FIRST_PAUSE
    assert sum(breaker.pause(number) > 0 for number in range(REMEMBERED * 2)) == REMEMBERED


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), max_size=50))
def test_nobody_takes_more_from_a_bucket_than_it_held_and_got(steps: list[tuple[float, float]]) -> None:
    clock = Clock()
    bucket = Bucket(10, 2, clock)
    taken = 0.0
    for waited, amount in steps:
        clock.now += waited
        if not bucket.take(amount):
            break
        taken += amount
        assert taken <= 10 + clock.now * 2 + 1e-6
