"""Requests in a minute: questions go first, but not so many that files stand still or the limit is broken."""

import asyncio
from contextlib import AbstractAsyncContextManager

from hypothesis import example, given
from hypothesis import strategies as st

from adapters.openai.pace import AHEAD_SECONDS, Pace
from virtual_time import run

AT_ONCE = 4


async def go(turn: AbstractAsyncContextManager[None], begun: list[float]) -> float:
    """The seconds until its turn came."""
    loop = asyncio.get_running_loop()
    asked = loop.time()
    async with turn:
        begun.append(loop.time())
    return loop.time() - asked


async def crowd(pace: Pace, arrivals: list[tuple[float, bool]]) -> tuple[list[float], list[float], list[float]]:
    """When requests began, and how long passages and questions waited."""
    begun, tasks = list[float](), list[tuple[bool, asyncio.Task[float]]]()
    for pause, is_question in arrivals:
        await asyncio.sleep(pause)
        turn = pace.question() if is_question else pace.passages()
        tasks.append((is_question, asyncio.ensure_future(go(turn, begun))))
    waits = [(is_question, await task) for is_question, task in tasks]
    of_passages = [wait for is_question, wait in waits if not is_question]
    return begun, of_passages, [wait for is_question, wait in waits if is_question]


arrivals = st.lists(st.tuples(st.sampled_from([0.0, 0.0, 0.3, 2.0]), st.booleans()), max_size=120)


@given(arrivals, st.sampled_from([10, 60, 600]))
@example([(0.0, True)] * 300, 60)
@example([(0.0, True)] * 300 + [(0.0, False)] * 9, 600)
def test_no_minute_has_many_more_requests_than_are_allowed(arrivals: list[tuple[float, bool]], allowed: int) -> None:
    begun, _, _ = run(crowd(Pace(at_once=AT_ONCE, per_minute=allowed), arrivals))
    assert len(begun) == len(arrivals)
    ahead = AHEAD_SECONDS * allowed / 60
    for first in begun:
        assert sum(first <= one < first + 60 for one in begun) <= allowed + ahead + AT_ONCE + 2


@given(arrivals, st.sampled_from([10, 60, 600]))
@example([(0.0, True)] * 300 + [(0.0, False)], 60)
@example([(0.0, True), (0.0, True), (0.0, True), (0.0, False)] * 30, 60)
def test_passages_wait_for_no_more_than_a_few_questions_and_their_own(
    arrivals: list[tuple[float, bool]], allowed: int
) -> None:
    _, waits, _ = run(crowd(Pace(at_once=AT_ONCE, per_minute=allowed), arrivals))
    interval = 60 / allowed
    # So many go at once, each behind the questions that may be ahead and those that go with it.
    rounds = len(waits) // AT_ONCE + 1
    assert all(wait <= rounds * (AHEAD_SECONDS + (AT_ONCE + 2) * interval) for wait in waits)


def test_a_question_waits_for_no_passage() -> None:
    async def waits() -> list[float]:
        pace = Pace(at_once=AT_ONCE, per_minute=10)
        _, _, questions = await crowd(pace, [(0.0, False)] * 20 + [(1.0, True)])
        return questions

    assert run(waits()) == [0.0]


def test_a_question_that_is_given_up_puts_nobody_off() -> None:
    async def wait() -> tuple[float, float]:
        pace = Pace(at_once=AT_ONCE, per_minute=60)
        for _ in range(20):
            asked = asyncio.ensure_future(go(pace.question(), []))
            await asyncio.sleep(0.01)
            asked.cancel()
        return await go(pace.passages(), []), await go(pace.question(), [])

    passage, question = run(wait())
    assert passage <= AHEAD_SECONDS + 2
    assert question <= 2


def test_without_a_limit_nobody_waits() -> None:
    begun, passages, questions = run(crowd(Pace(at_once=AT_ONCE), [(0.0, True), (0.0, False)] * 50))
    assert (len(begun), max(passages + questions)) == (100, 0)
