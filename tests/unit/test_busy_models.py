"""Models whose limit is reached: where others can answer nobody waits, and where none can everybody does."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.asking.model_chain import LONGEST_PAUSE_BEFORE_OTHERS, AskModels
from application.asking.model_places import QUEUE_FACTOR, WINDOW_SECONDS, ModelPlaces
from domain.errors import ModelError, TooManyRequests
from domain.models.attempts import ANSWERED
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec
from model_asking import ASKER
from played_models import Said, ask, providers, spec
from virtual_time import run


async def taking(models: AskModels, of: ModelSpec) -> tuple[float, Said]:
    """How long an answer took, and what it was."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    said = await ask(models.chain(ModelRoute.of(of), ASKER))
    return loop.time() - start, said


async def admitted(models: AskModels, of: ModelSpec, count: int) -> None:
    for _ in range(count):
        models.admit(ModelRoute.of(of), ASKER)


def test_a_full_model_refuses_no_question_that_another_can_answer() -> None:
    of = providers(spec("a", "b", max_concurrent=1), spec("b"))
    run(admitted(of.models(), of.specs["a"], 100))
    with pytest.raises(TooManyRequests):
        run(admitted(of.models(), spec("a", max_concurrent=1), 100))


def test_who_finds_all_places_taken_moves_on_within_a_second_and_is_told() -> None:
    of = providers(spec("a", "b", max_concurrent=1), spec("b"))
    models = of.models()

    async def act() -> None:
        leave = await models.calling.places.take(of.specs["a"])
        for _ in range(20):
            took, said = await taking(models, of.specs["a"])
            assert (said.outcomes, said.failed_models) == ([("b", ANSWERED)], ["a"])
            assert took == pytest.approx(LONGEST_PAUSE_BEFORE_OTHERS)
        leave()
        took, said = await taking(models, of.specs["a"])
        assert (round(took), said.outcomes) == (0, [("a", ANSWERED)])

    run(act())


def test_who_would_wait_for_the_minute_to_pass_moves_on_at_once() -> None:
    of = providers(spec("a", "b", requests_a_minute=1), spec("b"))
    models = of.models()

    async def act() -> None:
        seen = [await taking(models, of.specs["a"]) for _ in range(3)]
        assert [said.outcomes for _, said in seen] == [[("a", ANSWERED)], [("b", ANSWERED)], [("b", ANSWERED)]]
        assert max(took for took, _ in seen) < 0.1
        await asyncio.sleep(WINDOW_SECONDS)
        _, said = await taking(models, of.specs["a"])
        assert said.outcomes == [("a", ANSWERED)]

    run(act())


def test_who_gets_a_place_within_a_second_does_not_move() -> None:
    of = providers(spec("a", "b", max_concurrent=1), spec("b"))
    models = of.models()

    async def act() -> None:
        leave = await models.calling.places.take(of.specs["a"])
        asyncio.get_running_loop().call_later(LONGEST_PAUSE_BEFORE_OTHERS / 2, leave)
        _, said = await taking(models, of.specs["a"])
        assert (said.outcomes, said.failed_models) == ([("a", ANSWERED)], [])

    run(act())


@pytest.mark.parametrize(
    "others",
    [[], [spec("b", vision=False, context_window=3)], [spec("b", max_concurrent=1)]],
    ids=["gone", "small", "full"],
)
def test_where_no_other_can_answer_who_found_no_place_waits_for_one(others: list[ModelSpec]) -> None:
    of = providers(spec("a", "b", max_concurrent=1), *others)
    models = of.models()

    async def act() -> None:
        places, loop = models.calling.places, asyncio.get_running_loop()
        leave = await places.take(of.specs["a"])
        full = [one for one in others if one.max_concurrent]
        waiting = [asyncio.create_task(places.take(one)) for one in full for _ in range(1 + QUEUE_FACTOR)]
        await asyncio.sleep(0)
        loop.call_later(30, leave)
        took, said = await taking(models, of.specs["a"])
        assert (round(took), said.outcomes, said.failed_models) == (30, [("a", ANSWERED)], [])
        for task in waiting:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*waiting)

    run(act())


def test_a_line_that_is_long_refuses_who_has_nobody_else() -> None:
    of = providers(spec("a", "b", max_concurrent=1))
    models = of.models()

    async def act() -> Said:
        places = models.calling.places
        await places.take(of.specs["a"])
        waiting = [asyncio.create_task(places.take(of.specs["a"])) for _ in range(QUEUE_FACTOR)]
        await asyncio.sleep(0)
        _, said = await taking(models, of.specs["a"])
        for task in waiting:
            task.cancel()
        return said

    said = run(act())
    assert (said.code, said.outcomes) == ("model_busy", [])


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.lists(st.integers(0, 40), max_size=12))
def test_no_answer_waits_while_another_model_is_free_and_every_place_is_given_back(
    at_once: int, a_minute: int, comes: list[int]
) -> None:
    of = providers(spec("a", "b", max_concurrent=at_once, requests_a_minute=a_minute), spec("b"))
    models = of.models()

    async def one(at: int) -> float:
        await asyncio.sleep(at)
        took, said = await taking(models, of.specs["a"])
        assert [outcome for _, outcome in said.outcomes] == [ANSWERED]
        return took

    async def act() -> list[float]:
        return await asyncio.gather(*map(one, comes))

    assert max(run(act()), default=0) <= LONGEST_PAUSE_BEFORE_OTHERS + 0.1
    assert all((line.active, len(line.waiting)) == (0, 0) for line in models.calling.places.lines.values())


@settings(deadline=None)
@given(st.integers(1, 3), st.lists(st.integers(0, 70), max_size=6), st.integers(0, 5))
def test_what_a_line_says_of_the_wait_is_how_long_it_takes(a_minute: int, pauses: list[int], before: int) -> None:
    async def act() -> tuple[float, float]:
        places, of, loop = ModelPlaces(), spec("m", requests_a_minute=a_minute), asyncio.get_running_loop()
        (await places.take(of))()
        [line] = places.lines.values()
        for pause in pauses:
            await asyncio.sleep(pause)
            if line.soonest == 0:
                (await places.take(of))()
        ahead = [asyncio.create_task(places.take(of)) for _ in range(before)]
        await asyncio.sleep(0)
        told, start = line.soonest, loop.time()
        await places.take(of)
        for task in ahead:
            task.cancel()
        return told, loop.time() - start

    told, took = run(act())
    assert took >= told - 1e-6
    assert took == pytest.approx(told) or told >= WINDOW_SECONDS - 1e-6


def test_who_gives_up_waiting_takes_no_place() -> None:
    async def act() -> None:
        places, of = ModelPlaces(), spec("m", max_concurrent=1)
        leave = await places.take(of)
        with pytest.raises(ModelError) as refusal:
            await places.take(of, patience=1)
        assert (refusal.value.code, refusal.value.retry_after is not None) == ("model_busy", True)
        [line] = places.lines.values()
        assert (line.active, len(line.waiting)) == (1, 0)
        leave()
        (await places.take(of, patience=1))()

    run(act())
