"""Places at a model: never more streams than places, first come first served, and no place is ever lost."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.asking.model_places import QUEUE_FACTOR, ModelPlaces
from domain.conversation.conversation import FinishReason, ModelEvent, ModelFinished, ModelRequest, TextDelta, UserTurn
from domain.errors import ModelError, TooManyRequests
from domain.ids import ModelId, UserId
from domain.models.models import ModelSpec, Provider
from patience import PATIENCE

ANN = UserId("ann")


def spec(places: int | None, name: str = "slow", **more: Any) -> ModelSpec:
    return ModelSpec(ModelId(name), Provider.OFFLINE, name, max_concurrent=places, **more)


@dataclass
class Held:
    """Says one word and waits for its gate; remembers who came in, in order, and how many were in at once."""

    gates: dict[int, asyncio.Event] = field(default_factory=dict)
    came: list[int] = field(default_factory=list)
    now: int = 0
    most: int = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        number = int(request.model)
        self.came.append(number)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            yield TextDelta("hm")
            await self.gates.setdefault(number, asyncio.Event()).wait()
            if request.system:
                raise ModelError("model_unavailable", "as wanted")
            yield ModelFinished(FinishReason.STOP)
        finally:
            self.now -= 1

    def end(self, number: int) -> None:
        self.gates.setdefault(number, asyncio.Event()).set()


async def read(places: ModelPlaces, of: ModelSpec, model: Held, number: int, *, fails: bool = False) -> int:
    said = 0
    request = ModelRequest(str(number), "fail" if fails else "", (UserTurn("x"),))
    leave = await places.take(of)
    try:
        async with aclosing(model.stream(request)) as events:
            async for _ in events:
                said += 1
    finally:
        leave()
    return said


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def scene(act: Callable[[ModelPlaces, Held], Coroutine[object, object, None]]) -> None:
    asyncio.run(asyncio.wait_for(act(ModelPlaces(), Held()), PATIENCE))


def test_a_model_without_a_limit_makes_nobody_wait_and_admits_everybody() -> None:
    async def act(places: ModelPlaces, _: Held) -> None:
        for _number in range(1000):
            places.admit(spec(None), ANN)
            await places.take(spec(None), guest=True)
        assert places.lines == {}

    scene(act)


def test_the_next_waits_until_a_place_is_free_and_other_models_do_not() -> None:
    async def act(places: ModelPlaces, model: Held) -> None:
        other = Held()
        reads = [asyncio.create_task(read(places, spec(1), model, number)) for number in range(2)]
        aside = [asyncio.create_task(read(places, spec(1, "quick"), other, number)) for number in range(1)]
        await settle()
        assert (model.came, other.came) == ([0], [0])
        model.end(0)
        await settle()
        assert model.came == [0, 1]
        model.end(1)
        other.end(0)
        assert await asyncio.gather(*reads, *aside) == [2, 2, 2]

    scene(act)


def test_a_place_that_is_given_back_twice_is_one_place() -> None:
    async def act(places: ModelPlaces, _: Held) -> None:
        leave = await places.take(spec(1))
        leave()
        leave()
        await places.take(spec(1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(places.take(spec(1)), 0.01)

    scene(act)


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_so_many_runs_are_taken_on_and_one_user_has_half_of_them(size: int, history: list[tuple[str, bool]]) -> None:
    places, most = ModelPlaces(), size * (1 + QUEUE_FACTOR)
    leaving: dict[str, list[Callable[[], None]]] = {"a": [], "b": [], "c": []}
    for user, comes in history:
        mine, everybody = len(leaving[user]), sum(map(len, leaving.values()))
        if not comes:
            for leave in leaving[user][-1:] * 2:  # twice is once
                leave()
            del leaving[user][-1:]
        elif everybody < most and mine < (most + 1) // 2:
            leaving[user].append(places.admit(spec(size), UserId(user)))
        else:
            with pytest.raises(TooManyRequests) as refusal:
                places.admit(spec(size), UserId(user))
            assert (refusal.value.code, refusal.value.retry_after) == ("model_busy", 2)
        places.admit(spec(size, "another"), UserId("d"))()
    for leave in [one for mine in leaving.values() for one in mine]:
        leave()
    assert all(not line.runs for line in places.lines.values())


def test_a_burst_is_counted_before_anybody_streams() -> None:
    places = ModelPlaces()
    users = [UserId(f"user {number}") for number in range(80)]
    taken = 0
    for user in users:
        with suppress(TooManyRequests):
            places.admit(spec(1), user)
            taken += 1
    assert taken == 1 + QUEUE_FACTOR


class Do(Enum):
    COME = "come"
    COME_TO_FAIL = "come to fail"
    END = "end"
    CANCEL = "cancel"
    CANCEL_AND_END = "cancel and end"


@settings(deadline=None)
@given(st.integers(1, 3), st.lists(st.tuples(st.sampled_from(Do), st.integers(0, 30), st.booleans()), max_size=30))
def test_no_mix_of_ends_cancels_and_failures_loses_a_place_or_the_order(
    size: int, history: list[tuple[Do, int, bool]]
) -> None:
    async def act(places: ModelPlaces, model: Held) -> None:
        tasks: list[asyncio.Task[int]] = []
        cancelled: set[int] = set()
        going = False
        for do, chosen, settles in history:
            number = chosen % len(tasks) if tasks else 0
            if do in {Do.COME, Do.COME_TO_FAIL}:
                # Who is served in the same moment may begin before one who was served earlier.
                await settle() if going else None
                fails, going = do is Do.COME_TO_FAIL, False
                tasks.append(asyncio.create_task(read(places, spec(size), model, len(tasks), fails=fails)))
            elif tasks:
                going = True
                if do is not Do.END:
                    tasks[number].cancel()
                    cancelled.add(number)
                if do is not Do.CANCEL:
                    model.end(number)
            if settles:
                await settle()
                assert model.now <= size
                # Nobody waits beside a free place.
                alive = sum(not task.done() for task in tasks)
                assert model.now == min(alive, size)
        await settle()
        for number in range(len(tasks)):
            model.end(number)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert model.most <= size
        assert model.came == sorted(model.came)
        assert set(range(len(tasks))) - cancelled <= set(model.came)
        assert all(end == 2 or isinstance(end, ModelError | asyncio.CancelledError) for end in ends)
        assert all((line.active, len(line.waiting)) == (0, 0) for line in places.lines.values())

    scene(act)
