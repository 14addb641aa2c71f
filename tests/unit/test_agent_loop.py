"""The loop over a scripted model: what it yields, what it asks next, and that it is bounded."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.scripted import ScriptedChatModel, call, call_piece, delta, finished
from adapters.scripted.steps import Step
from agent_loops import loop
from application.chat.agent_loop import Equipment
from application.ports.tool_runner import ToolFailed, ToolOutput
from domain.chat.chat_events import AnswerDelta, LoopEvent, RoundFinished, ToolProgress, TurnFinished
from domain.chat.transcript import Transcript
from domain.conversation.conversation import AssistantTurn, ModelRequest, ToolTurn, UserTurn
from domain.dialogs.messages import StepStatus
from domain.errors import ModelError
from domain.ids import ToolId
from domain.tools.tools import JsonValue, ToolSpec
from model_asking import alone

ASKED = ModelRequest("m", "be brief", (UserTurn("hi"),))


@dataclass
class Echo:
    """Gives back its `text`; fails when told to; waits for as many calls at once as `together` says."""

    together: int = 1
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    cancelled: int = 0

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(ToolId("echo"), "echo", "Echo", "Echoes.", {"type": "object"})

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        if "fail" in arguments:
            raise ToolFailed(str(arguments["fail"]))
        self.at_once += 1
        if self.at_once >= self.together:
            self.arrived.set()
        try:
            await self.arrived.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return ToolOutput(str(arguments.get("text")))


async def events_of(model: ScriptedChatModel, tool: Echo, *, max_turns: int = 4, timeout: float = 5) -> list[LoopEvent]:
    return [event async for event in loop(max_turns, timeout).run(alone(model), ASKED, Equipment({"echo": tool}))]


def steps(events: Sequence[LoopEvent]) -> list[tuple[StepStatus, str]]:
    return [(one.step.status, one.step.message) for one in events if isinstance(one, ToolProgress)]


def test_an_answer_without_calls_is_one_turn() -> None:
    model = ScriptedChatModel([delta("Hel"), delta("lo"), finished()])
    events = asyncio.run(events_of(model, Echo()))
    assert [event.text for event in events if isinstance(event, AnswerDelta)] == ["Hel", "lo"]
    assert isinstance(events[-1], TurnFinished)
    assert model.requests == [ASKED]


def test_a_call_is_run_and_its_result_goes_back_in_the_next_turn() -> None:
    model = ScriptedChatModel([delta("Hm "), call("echo", text="42"), delta("It is 42")])
    events = asyncio.run(events_of(model, Echo()))
    assert steps(events) == [(StepStatus.START, ""), (StepStatus.END, "42")]
    *_, said, result = model.requests[1].turns
    assert isinstance(said, AssistantTurn)
    assert isinstance(result, ToolTurn)
    assert said.text == "Hm "
    assert [one.call_id for one in said.tool_calls] == [one.call_id for one in result.results]
    assert result.results[0].content == "42"


def test_several_calls_of_a_turn_run_side_by_side_and_answer_in_call_order() -> None:
    calls = [call("echo", text=str(number)) for number in range(3)]
    model = ScriptedChatModel([*calls, delta("done")])
    events = asyncio.run(events_of(model, Echo(together=3)))
    rounds = [event.round for event in events if isinstance(event, RoundFinished)]
    assert [result.content for result in rounds[0].results] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (call("echo", fail="no such city"), "no such city"),
        (call("nothing"), "There is no tool 'nothing'. Tools: echo."),
        (call_piece(0, call_id="c", name="echo", arguments="{broken"), "The arguments of echo are not valid JSON."),
        (call_piece(0, call_id="c", name="echo", arguments="[1]"), "The arguments of echo must be a JSON object."),
        (call_piece(0, call_id="c", name="echo", arguments="[" * 100_000), "The arguments of echo are not valid JSON."),
    ],
)
def test_what_goes_wrong_with_a_call_is_told_to_the_model_which_goes_on(made: Step, told: str) -> None:
    model = ScriptedChatModel(turns=[[made, finished()], [delta("sorry"), finished()]])
    events = asyncio.run(events_of(model, Echo()))
    assert steps(events)[-1] == (StepStatus.ERROR, told)
    result = model.requests[1].turns[-1]
    assert isinstance(result, ToolTurn)
    assert result.results[0].is_error
    assert AnswerDelta("sorry") in events


def test_a_tool_that_hangs_is_given_up() -> None:
    tool = Echo(together=99)
    model = ScriptedChatModel([call("echo", text="x"), delta("ok")])
    events = asyncio.run(events_of(model, tool, timeout=0.02))
    assert steps(events)[-1][0] is StepStatus.ERROR
    assert tool.cancelled == 1


def test_a_model_that_never_stops_calling_is_stopped() -> None:
    model = ScriptedChatModel([call("echo", text="again")], repeat=True)

    async def scene() -> None:
        await events_of(model, Echo(), max_turns=3)

    with pytest.raises(ModelError) as failure:
        asyncio.run(scene())
    assert failure.value.code == "too_many_turns"
    assert len(model.requests) == 3


@pytest.mark.parametrize(
    ("made", "code"),
    [
        ([call("echo", text=str(number)) for number in range(40)], "too_many_tool_calls"),
        ([call_piece(0, name="echo", arguments="x" * 300_000)] * 4, "answer_too_long"),
    ],
)
def test_a_turn_of_endless_calls_is_cut_off(made: list[Step], code: str) -> None:
    async def scene() -> None:
        await events_of(ScriptedChatModel(turns=[[*made, finished()]]), Echo())

    with pytest.raises(ModelError) as failure:
        asyncio.run(scene())
    assert failure.value.code == code


def test_what_is_shown_of_a_call_is_short() -> None:
    model = ScriptedChatModel([call("echo", text="x" * 50_000), delta("done")])
    events = asyncio.run(events_of(model, Echo()))
    shown = [one.step for one in events if isinstance(one, ToolProgress)]
    assert all(len(one.message) <= 2000 and len(one.arguments or "") <= 2000 for one in shown)


def test_closing_the_loop_stops_the_tools_that_work() -> None:
    async def scene() -> int:
        tool = Echo(together=99)
        model = ScriptedChatModel([call("echo", text="a"), call("echo", text="b"), finished()])
        events = loop().run(alone(model), ASKED, Equipment({"echo": tool}))

        async def follow() -> None:
            async for _ in events:
                pass

        task = asyncio.create_task(follow())
        while tool.at_once < 2:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await events.aclose()
        await asyncio.sleep(0)
        return tool.cancelled

    assert asyncio.run(scene()) == 2


scripts = st.lists(
    st.tuples(st.lists(st.text(max_size=5), max_size=3), st.integers(0, 3)),
    min_size=1,
    max_size=5,
)


@given(scripts)
def test_whatever_the_model_does_turns_alternate_and_every_call_has_its_result(
    script: list[tuple[list[str], int]],
) -> None:
    turns = [
        [*map(delta, texts), *(call("echo", text=str(n)) for n in range(calls)), finished()] for texts, calls in script
    ]
    model = ScriptedChatModel(turns=[*turns, [delta("end"), finished()]])
    events = asyncio.run(events_of(model, Echo(), max_turns=9))
    transcript = Transcript()
    for event in events:
        transcript.apply(event)
    for request in model.requests:
        assert isinstance(request.turns[0], UserTurn)
        for said, result in zip(request.turns[1::2], request.turns[2::2], strict=True):
            assert isinstance(said, AssistantTurn)
            assert isinstance(result, ToolTurn)
            assert [one.call_id for one in said.tool_calls] == [one.call_id for one in result.results]
    spoken = "".join(event.text for event in events if isinstance(event, AnswerDelta))
    assert transcript.content == spoken
    rounds = [event.round for event in events if isinstance(event, RoundFinished)]
    assert spoken.startswith("".join(one.text for one in rounds))
    assert json.dumps(spoken)
