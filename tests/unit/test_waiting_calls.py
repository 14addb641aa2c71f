"""Calls of one turn that wait for a person are counted together, so that each of them is made after the word."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from adapters.scripted import ScriptedChatModel, call, delta, finished
from agent_loops import loop
from application.chat.agent_loop import Equipment, Happening
from application.ports.tool_runner import ToolOutput
from domain.chat.chat_events import RoundFinished, ToolProgress
from domain.conversation.conversation import AssistantTurn, ModelRequest, UserTurn
from domain.dialogs.messages import StepStatus
from domain.ids import ToolId
from domain.runs.pauses import LoopPause, PauseAsked
from domain.tools.call_limits import MOST_CALLS
from domain.tools.tools import JsonValue, ToolSpec
from model_asking import alone

LEFT = 8
"""Calls that the run may still make."""
BEFORE = LoopPause(
    ModelRequest("m", "be brief", (UserTurn("hi"),)), AssistantTurn(""), (), (), 4, None, MOST_CALLS - LEFT, {}
)


@dataclass
class Till:
    name: str
    asked: list[object] = field(default_factory=list)

    @property
    def spec(self) -> ToolSpec:
        return ToolSpec(ToolId(self.name), self.name, self.name, "", {"type": "object", "required": ["n"]})

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        self.asked.append(arguments["n"])
        return ToolOutput("done")


@dataclass
class Scene:
    turn: Sequence[tuple[str, dict[str, JsonValue]]]
    look: Till = field(default_factory=lambda: Till("look"))
    pay: Till = field(default_factory=lambda: Till("pay"))

    def __post_init__(self) -> None:
        asked = [call(name, call_id=f"c{at}", **arguments) for at, (name, arguments) in enumerate(self.turn)]
        self.model = ScriptedChatModel(turns=[[*asked, finished()], [delta("So."), finished()]])
        self.equipment = Equipment({"look": self.look, "pay": self.pay}, ("pay",))

    async def run(self) -> list[Happening]:
        """What happens in the turn, without the one before."""
        _, *happened = await self.approved(BEFORE)
        return happened

    async def approved(self, pause: LoopPause) -> list[Happening]:
        decided = [(one, True) for one in pause.pending]
        return [event async for event in loop().resume(alone(self.model), pause, decided, self.equipment)]


def looks(count: int) -> list[tuple[str, dict[str, JsonValue]]]:
    return [("look", {"n": at}) for at in range(count)]


def pays(count: int) -> list[tuple[str, dict[str, JsonValue]]]:
    return [("pay", {"n": at}) for at in range(count)]


@pytest.mark.parametrize("first", ["looks", "pays"])
@pytest.mark.parametrize("others", [LEFT - 1, LEFT - 2])
async def test_nobody_is_asked_for_more_than_can_be_made_and_nothing_is_made_unasked(others: int, first: str) -> None:
    turn = [*looks(others), *pays(3)] if first == "looks" else [*pays(3), *looks(others)]
    scene = Scene(turn)
    happened = await scene.run()
    room = LEFT - others
    [asked] = [one.pause for one in happened if isinstance(one, PauseAsked)]
    told = [one.step for one in happened if isinstance(one, ToolProgress)]
    assert sum(one.status is StepStatus.APPROVAL for one in told) == len(asked.pending) == room
    assert [one.tool_name for one in told if one.status is StepStatus.ERROR] == ["pay"] * (3 - room)
    assert (len(scene.look.asked), scene.pay.asked) == (others, [])
    rest = await scene.approved(asked)
    assert scene.pay.asked == list(range(room))
    [done, *_] = [one.round for one in rest if isinstance(one, RoundFinished)]
    assert sum(one.is_error for one in done.results) == 3 - room
    assert [one.call_id for one in done.results] == [f"c{at}" for at in range(len(turn))]


async def test_where_others_take_all_the_room_nobody_is_asked() -> None:
    scene = Scene([*pays(2), *looks(LEFT)])
    happened = await scene.run()
    assert not any(isinstance(one, PauseAsked) for one in happened)
    assert (len(scene.look.asked), scene.pay.asked) == (LEFT, [])
    [done] = [one.round for one in happened if isinstance(one, RoundFinished)]
    assert sum(one.is_error for one in done.results) == 2


async def test_a_wrong_call_takes_room_too() -> None:
    scene = Scene([("pay", {}), *looks(LEFT - 2), *pays(2)])
    happened = await scene.run()
    [asked] = [one.pause for one in happened if isinstance(one, PauseAsked)]
    assert len(asked.pending) == 1
    await scene.approved(asked)
    assert scene.pay.asked == [0]
