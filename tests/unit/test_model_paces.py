"""Calls that begin in a minute: never more than the limit, in order, and nobody waits beside a free place."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.asking.model_places import MOST_LINES, QUEUE_FACTOR, WINDOW_SECONDS, ModelPlaces
from domain.errors import ModelError, TooManyRequests
from domain.ids import ModelId, UserId
from domain.models.models import ModelSpec, Provider
from virtual_time import run


def spec(name: str = "m", *, places: int | None = None, a_minute: int | None = None, key: str = "key") -> ModelSpec:
    return ModelSpec(
        ModelId(name), Provider.OPENAI, name, max_concurrent=places, requests_a_minute=a_minute, key_id=key
    )


async def calls(
    places: ModelPlaces, of: ModelSpec, comes: list[float], takes: list[float], gone: set[int]
) -> tuple[list[tuple[int, float]], int]:
    """Who began when, and how many at once at most. Those in `gone` are cancelled while they wait, or at work."""
    loop, began, most, active = asyncio.get_running_loop(), list[tuple[int, float]](), 0, 0
    start = loop.time()

    async def one(number: int) -> None:
        nonlocal active, most
        await asyncio.sleep(comes[number])
        leave = await places.take(of)
        began.append((number, loop.time() - start))
        active += 1
        most = max(most, active)
        try:
            await asyncio.sleep(takes[number])
        finally:
            active -= 1
            leave()

    tasks = [asyncio.create_task(one(number)) for number in range(len(comes))]
    for number in gone:
        loop.call_later(comes[number] + 1.5, tasks[number].cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    return began, most


SECONDS = st.integers(0, 200).map(float)


@settings(deadline=None)
@given(
    st.integers(1, 5),
    st.none() | st.integers(1, 3),
    st.lists(st.tuples(SECONDS, SECONDS, st.booleans()), max_size=25),
)
def test_within_no_minute_more_calls_begin_than_the_limit_lets(
    a_minute: int, at_once: int | None, history: list[tuple[float, float, bool]]
) -> None:
    places, of = ModelPlaces(), spec(a_minute=a_minute, places=at_once)
    comes, takes = [one[0] for one in history], [one[1] for one in history]
    gone = {number for number, one in enumerate(history) if one[2]}
    began, most = run(calls(places, of, comes, takes, gone))
    times = [at for _, at in began]
    for first, beyond in zip(times, times[a_minute:], strict=False):
        assert beyond - first >= WINDOW_SECONDS - 1e-6
    assert at_once is None or most <= at_once
    assert set(range(len(history))) - gone <= {number for number, _ in began}
    order = [comes[number] for number, _ in began]
    assert all(earlier <= later for earlier, later in pairwise(order))
    assert all((line.active, len(line.waiting)) == (0, 0) for line in places.lines.values())


@given(st.integers(1, 5), st.integers(1, 20))
def test_who_comes_within_the_pace_waits_for_nothing(a_minute: int, count: int) -> None:
    comes = [number * WINDOW_SECONDS / a_minute for number in range(count)]
    began, _ = run(calls(ModelPlaces(), spec(a_minute=a_minute), comes, [500.0] * count, set()))
    assert [at for _, at in began] == pytest.approx(comes)


def test_models_of_one_key_and_limit_share_it_and_other_keys_and_limits_do_not() -> None:
    async def act() -> list[bool]:
        places = ModelPlaces()
        await places.take(spec("a", places=1))
        waits = []
        for other in (
            spec("b", places=1),
            spec("b", places=1, key="another"),
            spec("b", places=2),
            spec("b"),
        ):
            task = asyncio.create_task(places.take(other))
            await asyncio.sleep(1)
            waits.append(not task.done())
            task.cancel()
        return waits

    assert run(act()) == [True, False, False, False]


def test_a_guest_is_sent_on_where_the_line_is_long_and_waits_where_it_is_not() -> None:
    async def act() -> None:
        places, of = ModelPlaces(), spec(places=1)
        await places.take(of)
        waiting = [asyncio.create_task(places.take(of, guest=True)) for _ in range(QUEUE_FACTOR)]
        await asyncio.sleep(1)
        with pytest.raises(ModelError) as refusal:
            await places.take(of, guest=True)
        assert (refusal.value.code, refusal.value.retryable) == ("model_busy", True)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        places.refuse_guest(of)

    run(act())


def test_too_many_runs_at_a_slow_pace_are_refused_with_the_time_of_one_call() -> None:
    places, of = ModelPlaces(), spec(a_minute=3)
    for number in range(3 * (1 + QUEUE_FACTOR)):
        places.admit(of, UserId(f"user {number}"))
    with pytest.raises(TooManyRequests) as refusal:
        places.admit(of, UserId("one more"))
    assert (refusal.value.code, refusal.value.retry_after) == ("model_busy", 20)


def test_keys_that_nobody_uses_are_forgotten() -> None:
    async def act() -> ModelPlaces:
        places = ModelPlaces()
        held = await places.take(spec(places=1, key="held"))
        for number in range(2 * MOST_LINES):
            (await places.take(spec(places=1, key=f"key {number}")))()
        assert ("held" in {key for key, _ in places.lines}) is True
        held()
        return places

    assert len(run(act()).lines) <= MOST_LINES
