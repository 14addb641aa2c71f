"""Words that end an answer: found however the text is cut into pieces, and whatever the provider does with them."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.scripted import ScriptedChatModel, call, delta, finished, think
from adapters.scripted.steps import Step
from agent_loops import loop
from application.chat.agent_loop import Equipment
from application.ports.tool_runner import ToolOutput
from domain.chat.callers import LONGEST_STOP, MOST_STOPS, stop_words
from domain.chat.chat_events import AnswerDelta, AttemptEnded, LoopEvent, ReasoningText, ToolProgress, TurnFinished
from domain.conversation.conversation import FinishReason, ModelRequest, Usage, UserTurn
from domain.conversation.stop_words import StopSearch
from domain.errors import InvalidValue
from domain.ids import ToolId
from domain.tools.tools import JsonValue, ToolSpec
from model_asking import alone

few = st.text("ab字", max_size=12)
words = st.lists(st.text("ab字", min_size=1, max_size=4), max_size=4)


def before(text: str, stops: Sequence[str]) -> str:
    """Sign by sign: the first word that is complete ends it, of two that end together the longer one."""
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))]
    return text


@given(st.lists(few, max_size=6), words)
def test_however_the_text_is_cut_it_ends_at_the_same_place(pieces: list[str], stops: list[str]) -> None:
    search = StopSearch(stops)
    shown = [search.take(piece) for piece in pieces]
    whole = "".join(pieces)
    assert "".join([*shown, search.rest()]) == before(whole, stops)
    assert search.found == any(stop in whole for stop in stops)


@given(few, words)
def test_no_more_is_held_back_than_what_may_be_the_beginning_of_a_word(text: str, stops: list[str]) -> None:
    search = StopSearch(stops)
    shown = search.take(text)
    if not search.found:
        held = search.rest()
        assert shown + held == text
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


class Look:
    spec = ToolSpec(ToolId("look"), "look", "Look", "Looks.", {"type": "object"})

    async def run(self, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        del arguments
        return ToolOutput("seen")


def run(model: ScriptedChatModel, *stops: str, limit: int | None = None) -> list[LoopEvent]:
    asked = ModelRequest("m", "", (UserTurn("hi"),), stop=stops)

    async def act() -> list[LoopEvent]:
        models = alone(model, output_left=limit)
        return [event async for event in loop(9).run(models, asked, Equipment({"look": Look()}))]

    return asyncio.run(act())


def text_of(events: Sequence[LoopEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, AnswerDelta))


@pytest.mark.parametrize("limit", [None, 500])
def test_the_answer_ends_there_and_so_does_the_call_of_the_provider(limit: int | None) -> None:
    steps: list[Step] = [think("END? "), delta("one E"), delta("ND two"), delta(" three"), finished(usage=Usage(9, 9))]
    model = ScriptedChatModel(steps)
    events = run(model, "END", limit=limit)
    assert text_of(events) == "one "
    assert "".join(one.text for one in events if isinstance(one, ReasoningText)) == "END? "
    assert [one.reason for one in events if isinstance(one, TurnFinished)] == [FinishReason.STOP]
    (ended,) = [one.attempt for one in events if isinstance(one, AttemptEnded)]
    assert (ended.outcome, ended.usage.estimated) == ("answered", True)
    assert (model.active, model.cancelled) == (0, 1)


@pytest.mark.parametrize("limit", [None, 500])
def test_an_answer_without_the_words_is_whole_and_what_it_used_is_known(limit: int | None) -> None:
    model = ScriptedChatModel([delta("one E"), delta("N"), finished(usage=Usage(9, 9))])
    events = run(model, "END", limit=limit)
    assert text_of(events) == "one EN"
    (ended,) = [one.attempt for one in events if isinstance(one, AttemptEnded)]
    assert ended.usage == Usage(9, 9)


def test_every_turn_is_looked_at_and_calls_are_made_whole() -> None:
    turns = [[delta("Let me see E"), call("look", call_id="c"), finished()], [delta("It is END so"), finished()]]
    events = run(ScriptedChatModel(turns=turns), "END")
    assert text_of(events) == "Let me see EIt is "
    assert len({one.step.tool_call_id for one in events if isinstance(one, ToolProgress)}) == 1
    silent = run(ScriptedChatModel([delta("END"), call("look", call_id="c"), finished()]), "END")
    assert not [one for one in silent if isinstance(one, AnswerDelta | ToolProgress)]


def test_text_behind_a_call_ends_there_too_and_the_call_is_made() -> None:
    talks: list[Step] = [call("look", call_id="c"), delta("I look. E"), delta("ND so"), delta(" on"), finished()]
    model = ScriptedChatModel(turns=[talks, [delta("Seen."), finished()]])
    events = run(model, "END")
    assert text_of(events) == "I look. Seen."
    assert [one.step.tool_call_id for one in events if isinstance(one, ToolProgress)] == ["c", "c"]
    assert model.cancelled == 0


@given(st.lists(st.text(max_size=300), max_size=MOST_STOPS + 2))
def test_of_the_words_that_are_given_all_are_kept_or_none(given: list[str]) -> None:
    if len(given) <= MOST_STOPS and all(1 <= len(word) <= LONGEST_STOP for word in given):
        assert set(stop_words(given)) == set(given)
    else:
        with pytest.raises(InvalidValue, match="stop"):
            stop_words(given)
