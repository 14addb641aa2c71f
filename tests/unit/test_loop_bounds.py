"""The loop itself keeps its bounds: in turns, calls, repeated failures, and in what results hold."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.scripted import ScriptedChatModel, call, delta, finished
from adapters.scripted.steps import Step
from agent_loops import loop
from application.chat.agent_loop import Equipment, Happening
from application.ports.tool_runner import ToolFailed, ToolOutput
from application.tools.tool_calls import MAX_RESULT_CHARS
from domain.chat.chat_events import RoundFinished
from domain.conversation.conversation import ModelRequest, UserTurn, request_tokens
from domain.dialogs.history import prompt_budget
from domain.errors import ModelError
from domain.ids import ToolId
from domain.models.models import ModelSpec
from domain.tools.call_limits import LEAST_SHARE, MOST_CALLS, REFUSED_TURNS, SAME_FAILURES
from domain.tools.tools import JsonValue, ToolSpec
from model_asking import WIDE, alone

TURNS = 6
ASKED = ModelRequest("m", "be brief", (UserTurn("hi"),))


@dataclass
class Work:
    """Fails for numbers below zero, and remembers what it was asked."""

    made: list[int] = field(default_factory=list)
    says: str = ""

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(ToolId("work"), "work", "Work", "Works.", {"type": "object"})

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        number = arguments["n"]
        assert isinstance(number, int)
        self.made.append(number)
        if number < 0:
            raise ToolFailed(f"{number} is below zero.")
        return ToolOutput(self.says or str(number))


async def happened(model: ScriptedChatModel, tool: Work, spec: ModelSpec = WIDE) -> list[Happening]:
    return [event async for event in loop(TURNS).run(alone(model, spec=spec), ASKED, Equipment({"work": tool}))]


def calling(numbers: Sequence[int]) -> list[Step]:
    return [*(call("work", call_id=f"c{at}", n=number) for at, number in enumerate(numbers)), finished()]


@dataclass
class Foreseen:
    """What must come of a script, by the rules alone."""

    made: list[int] = field(default_factory=list)
    asked: int = 0
    ends: str = "too_many_turns"


def foreseen(turns: Sequence[Sequence[int]]) -> Foreseen:
    told, failures, circles = Foreseen(), Counter[int](), 0
    for numbers in turns[:TURNS]:
        told.asked += 1
        if not numbers:
            return replace(told, ends="answer")
        willing = [number for number in numbers if failures[number] < SAME_FAILURES]
        taken = willing[: MOST_CALLS - len(told.made)]
        told.made += taken
        failures.update(number for number in taken if number < 0)
        circles = 0 if taken else circles + 1
        if circles == REFUSED_TURNS:
            return replace(told, ends="tool_calls_repeated")
    return told


TURN = st.builds(
    lambda numbers, times: numbers * times, st.lists(st.integers(-2, 2), max_size=4), st.sampled_from([1, 1, 1, 8])
)


@given(st.lists(TURN | st.just([-1]), max_size=TURNS + 2))
async def test_whatever_a_model_calls_the_loop_ends_by_its_bounds(turns: list[list[int]]) -> None:
    script = [*turns, []]
    model = ScriptedChatModel(turns=[calling(numbers) if numbers else [delta("So."), finished()] for numbers in script])
    tool, expected = Work(), foreseen(script)
    try:
        await happened(model, tool)
        ends = "answer"
    except ModelError as error:
        ends = error.code
    assert ends == expected.ends
    assert sorted(tool.made) == sorted(expected.made)
    assert len(model.requests) == expected.asked


async def test_a_call_that_keeps_on_failing_is_cut_off_and_then_the_answer() -> None:
    model, tool = ScriptedChatModel([call("work", n=-1)], repeat=True), Work()
    with pytest.raises(ModelError) as failure:
        await happened(model, tool)
    assert failure.value.code == "tool_calls_repeated"
    assert tool.made == [-1] * SAME_FAILURES
    [told] = model.requests[-1].turns[-1].results  # type: ignore[union-attr]
    assert told.is_error
    assert "was not made again" in told.content


async def test_calls_beyond_the_limit_are_told_to_answer() -> None:
    turns = [calling([at] * 32) for at in range(MOST_CALLS // 32 + 1)]
    model, tool = ScriptedChatModel(turns=[*turns, [delta("So."), finished()]]), Work()
    await happened(model, tool)
    assert len(tool.made) == MOST_CALLS
    results = model.requests[-1].turns[-1].results  # type: ignore[union-attr]
    assert all(f"{MOST_CALLS} calls were made" in one.content for one in results)


@given(st.permutations(range(4)))
async def test_results_stand_in_the_order_of_the_calls_whatever_order_they_end_in(ends: list[int]) -> None:
    done = [asyncio.Event() for _ in ends]
    before = {later: earlier for earlier, later in pairwise(ends)}

    class Queued(Work):
        async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
            number = arguments["n"]
            assert isinstance(number, int)
            if number in before:
                await done[before[number]].wait()
            self.made.append(number)
            done[number].set()
            return ToolOutput(str(number))

    tool = Queued()
    events = await happened(ScriptedChatModel(turns=[calling(range(4)), [delta("So."), finished()]]), tool)
    [told] = [one.round for one in events if isinstance(one, RoundFinished)]
    assert tool.made == ends
    assert [result.content for result in told.results] == ["0", "1", "2", "3"]
    assert [result.call_id for result in told.results] == ["c0", "c1", "c2", "c3"]


async def test_ten_megabytes_of_a_tool_are_a_result_of_bounded_size() -> None:
    model = ScriptedChatModel(turns=[calling([1, 2]), [delta("So."), finished()]])
    await happened(model, Work(says="word " * 2_000_000))
    results = model.requests[-1].turns[-1].results  # type: ignore[union-attr]
    assert [len(result.content) for result in results] == [MAX_RESULT_CHARS] * 2


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.sampled_from([8_192, 32_000]))
async def test_results_of_all_turns_together_leave_room_for_the_answer(turns: list[int], window: int) -> None:
    script = [calling(range(calls)) for calls in turns]
    model = ScriptedChatModel(turns=[*script, [delta("So."), finished()]])
    await happened(model, Work(says="many words " * 1_500), replace(WIDE, context_window=window))
    assert len(model.requests) == len(turns) + 1
    # Of each result a few words are left, however many there are, and its frame counts too.
    most = prompt_budget(window, None, 0) + sum(turns) * 2 * LEAST_SHARE
    assert max(map(request_tokens, model.requests)) <= min(most, window)
