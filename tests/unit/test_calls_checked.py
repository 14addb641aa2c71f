"""Calls are checked once, and beside the loop: a schema may be hostile, and others wait for their frames."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.json_schema import JsonSchemaCheck
from adapters.scripted import ScriptedChatModel, delta, finished
from adapters.scripted.steps import Call, Step
from application.chat.agent_loop import AgentLoop, Equipment
from application.ports.argument_check import ArgumentCheck
from application.ports.tool_runner import ToolOutput
from application.tools.tool_calls import CallTools
from domain.chat.chat_events import RoundFinished, ToolProgress
from domain.conversation.conversation import ModelRequest, UserTurn
from domain.dialogs.messages import StepStatus
from domain.ids import ToolId
from domain.runs.pauses import PauseAsked
from domain.tools.tools import JsonValue, ToolCall, ToolSpec
from model_asking import alone

ASKED = ModelRequest("m", "be brief", (UserTurn("hi"),))


@dataclass
class Watched:
    """The real check, that knows where it was made, and how many at once."""

    made: list[tuple[threading.Thread, Mapping[str, JsonValue]]] = field(default_factory=list)
    at_once: int = 0
    most: int = 0
    check: ArgumentCheck = field(default_factory=JsonSchemaCheck)

    def problems(self, schema: Mapping[str, JsonValue], arguments: Mapping[str, JsonValue]) -> Sequence[str]:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.made.append((threading.current_thread(), arguments))
        found = self.check.problems(schema, arguments)
        self.at_once -= 1
        return found


@dataclass(frozen=True)
class Slow:
    """Its schema is `anyOf` within `anyOf`, by references."""

    run_with: list[Mapping[str, JsonValue]] = field(default_factory=list)

    @property
    def spec(self) -> ToolSpec:
        defs: dict[str, JsonValue] = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(12)}
        schema: dict[str, JsonValue] = {
            "type": "object",
            "$defs": {**defs, "a12": {"type": "string"}},
            "properties": {"x": {"$ref": "#/$defs/a0"}},
            "required": ["n"],
        }
        return ToolSpec(ToolId("slow"), "slow", "Slow", "", schema)

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        self.run_with.append(arguments)
        return ToolOutput("done")


def unforeseen(call: ToolCall, defect: Exception) -> None:
    raise AssertionError(f"{call.name} crashed") from defect


async def run(
    check: Watched, tool: Slow, *calls: Mapping[str, JsonValue], guarded: bool
) -> list[ToolProgress | PauseAsked | RoundFinished]:
    asked: list[Step] = [Call("slow", json.dumps(one), None) for one in calls]
    model = ScriptedChatModel(turns=[[*asked, finished()], [delta("So."), finished()]])
    loop = AgentLoop(4, CallTools(5, check, unforeseen))
    equipment = Equipment({"slow": tool}, ("slow",) if guarded else ())
    events = [event async for event in loop.run(alone(model), ASKED, equipment)]
    return [one for one in events if isinstance(one, ToolProgress | PauseAsked | RoundFinished)]


async def test_the_checks_of_a_turn_are_made_beside_the_loop_one_at_a_time() -> None:
    check, tool = Watched(), Slow()
    await run(check, tool, *({"n": n, "x": 1} for n in range(6)), guarded=False)
    assert len(check.made) == 6
    assert threading.main_thread() not in [thread for thread, _ in check.made]
    assert check.most == 1


async def test_guarded_calls_are_checked_once_and_only_right_ones_wait_for_a_person() -> None:
    check, tool = Watched(), Slow()
    happened = await run(check, tool, {"n": 1}, {"m": 2}, {"n": 3}, guarded=True)
    assert [arguments for _, arguments in check.made] == [{"n": 1}, {"m": 2}, {"n": 3}]
    assert threading.main_thread() not in [thread for thread, _ in check.made]
    [pause] = [one for one in happened if isinstance(one, PauseAsked)]
    assert [one.arguments for one in pause.pause.pending] == ['{"n": 1}', '{"n": 3}']
    failed = [one.step for one in happened if isinstance(one, ToolProgress) and one.step.status is StepStatus.ERROR]
    assert [one.message for one in failed] == ["The arguments of slow are wrong. n is missing."]
    assert tool.run_with == []


async def test_a_guarded_call_that_can_not_be_made_is_told_to_the_model_without_a_second_check() -> None:
    check, tool = Watched(), Slow()
    happened = await run(check, tool, {"m": 2}, guarded=True)
    assert len(check.made) == 1
    [told] = [one for one in happened if isinstance(one, RoundFinished)]
    assert [(one.is_error, one.content) for one in told.round.results] == [
        (True, "The arguments of slow are wrong. n is missing.")
    ]
    assert tool.run_with == []
