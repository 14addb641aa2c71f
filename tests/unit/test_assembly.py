"""The laws of putting a turn together."""

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import AssistantTurn, ModelEvent, TextDelta, ToolCallDelta
from domain.tools.tools import ToolCall

ids = st.sampled_from(["", "a", "b", "a_2", "call_0", "call_1"])
names = st.sampled_from(["f", "g"])


@st.composite
def calls(draw: st.DrawFn) -> list[list[ToolCallDelta]]:
    """The deltas of each call, in order."""
    return [
        [
            ToolCallDelta(index, draw(ids), draw(names)),
            *(ToolCallDelta(index, arguments=piece) for piece in draw(st.lists(st.text(max_size=3), max_size=3))),
        ]
        for index in draw(st.lists(st.integers(0, 9), unique=True, max_size=4))
    ]


def turn_of(events: list[ModelEvent]) -> AssistantTurn:
    assembler = AnswerAssembler()
    for event in events:
        assembler.add(event)
    return assembler.turn()


@settings(deadline=None)
@given(calls(), st.lists(st.text(min_size=1, max_size=3), max_size=4), st.data())
def test_how_deltas_interleave_makes_no_difference(
    of_calls: list[list[ToolCallDelta]], text: list[str], data: st.DataObject
) -> None:
    queues: list[list[ModelEvent]] = [[*deltas] for deltas in of_calls]
    queues.append([TextDelta(part) for part in text])
    one_after_another = [event for queue in queues for event in queue]
    shuffled = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        shuffled.append(queue.pop(0))
    assert turn_of(shuffled) == turn_of(one_after_another)


@settings(deadline=None)
@given(calls())
def test_every_call_has_an_id_of_its_own(of_calls: list[list[ToolCallDelta]]) -> None:
    made = turn_of([event for deltas in of_calls for event in deltas]).tool_calls
    assert len({call.call_id for call in made}) == len(made) == len(of_calls)
    assert all(call.call_id and call.arguments for call in made)


def test_what_is_missing_is_made_up_the_same_way_each_time() -> None:
    events: list[ModelEvent] = [ToolCallDelta(5, "", "g"), ToolCallDelta(2, "x", "f"), ToolCallDelta(9, "x", "h", "[]")]
    assert turn_of(events).tool_calls == (
        ToolCall("x", "f", "{}"),
        ToolCall("call_1", "g", "{}"),
        ToolCall("x_2", "h", "[]"),
    )


@settings(deadline=None)
@given(calls(), calls())
def test_no_call_has_the_id_of_one_in_an_earlier_turn(
    earlier: list[list[ToolCallDelta]], later: list[list[ToolCallDelta]]
) -> None:
    first = turn_of([event for deltas in earlier for event in deltas])
    assembler = AnswerAssembler((first,))
    for deltas in later:
        for event in deltas:
            assembler.add(event)
    made = {call.call_id for call in assembler.turn().tool_calls}
    assert len(made) == len(later)
    assert made.isdisjoint(call.call_id for call in first.tool_calls)
