"""What programs tell of a conversation becomes turns that every vendor takes, or is refused with its place."""

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.chat.callers import answer_that_called
from domain.chat.told_messages import (
    MOST_MESSAGES,
    NO_QUESTION,
    Message,
    Role,
    Telling,
    continued,
    conversation_of,
    telling_of,
)
from domain.conversation.conversation import AssistantTurn, ToolTurn, Turn, UserTurn
from domain.dialogs.history import turns_of
from domain.errors import InvalidValue
from domain.tools.tools import ToolCall
from unit.told_strategies import anything, conversations, texts


def turns(telling: Telling) -> list[Turn]:
    before = [turn for exchange in telling.exchanges for turn in turns_of(exchange)]
    after: list[Turn] = []
    for one in telling.rounds:
        after += AssistantTurn(one.text, one.calls), ToolTurn(one.results)
    return [*before, UserTurn(telling.question), *after]


def alternate(told: list[Turn]) -> bool:
    """A user's first; an agent's after it or after results; results after the calls that they belong to."""
    if not isinstance(told[0], UserTurn) or isinstance(told[-1], AssistantTurn):
        return False
    for before, turn in pairwise(told):
        match turn:
            case UserTurn():
                fits = isinstance(before, AssistantTurn) and not before.tool_calls
            case AssistantTurn():
                fits = not isinstance(before, AssistantTurn)
            case ToolTurn(results):
                calls = before.tool_calls if isinstance(before, AssistantTurn) else ()
                fits = bool(results) and [one.call_id for one in results] == [one.call_id for one in calls]
        if not fits:
            return False
    return True


@settings(max_examples=60)
@given(anything)
def test_any_messages_are_refused_with_their_place_or_alternate(messages: list[Message]) -> None:
    place = ""
    try:
        assert alternate(turns(telling_of(messages)))
    except InvalidValue as refused:
        place = refused.fields[0].name
    assert not place or re.fullmatch(r"messages(\[\d+\](\.tool_calls|\.tool_call_id)?)?", place)


@settings(max_examples=25)
@given(conversations())
def test_what_belongs_together_is_taken_and_nothing_of_it_is_lost(messages: list[Message]) -> None:
    telling = telling_of(messages)
    told = turns(telling)
    assert alternate(told)
    everything = "\n".join(
        one.text if not isinstance(one, ToolTurn) else "\n".join(result.content for result in one.results)
        for one in told
    )
    for message in messages:
        if message.role is Role.INSTRUCTIONS:
            assert message.text.strip() in telling.instructions
        elif message.text.strip():
            assert message.text in everything
        for call in message.calls:
            calls = [one for turn in told if isinstance(turn, AssistantTurn) for one in turn.tool_calls]
            assert call in calls
    shown = [image for message in messages for image in message.images]
    assert [*reversed(telling.earlier_images), *telling.images] == shown


@settings(max_examples=25)
@given(conversations(), texts, texts)
def test_the_next_question_finds_the_conversation_that_was_answered(
    messages: list[Message], answer: str, question: str
) -> None:
    spaced = [
        Message(one.role, f" {one.text}\n", (), one.calls, one.call_id, one.place)
        for one in messages
        if one.role is not Role.INSTRUCTIONS
    ]
    later = [
        Message(Role.INSTRUCTIONS, "It is late."),
        *spaced,
        Message(Role.AGENT, answer),
        Message(Role.USER, question),
    ]
    found = continued(later)
    assert found is not None
    assert found.conversation_before == conversation_of(messages)
    assert found.last_answer == answer


@settings(max_examples=25)
@given(conversations(), conversations())
def test_other_words_are_another_conversation(one: list[Message], other: list[Message]) -> None:
    def words(messages: list[Message]) -> list[tuple[str, list[str], list[object]]]:
        said: list[tuple[str, list[str], list[object]]] = []
        for message in messages:
            if message.role is Role.INSTRUCTIONS:
                continue
            if not said or said[-1][0] != message.role:
                said.append((message.role, [], []))
            said[-1][1].extend(message.text.split())
            said[-1][2].extend((call.name, answer_that_called(call.call_id)) for call in message.calls)
        return said

    assert (conversation_of(one) == conversation_of(other)) == (words(one) == words(other))


@given(st.lists(st.builds(Message, st.sampled_from([Role.INSTRUCTIONS, Role.USER]), texts), max_size=4))
def test_what_nobody_answered_continues_nothing(messages: list[Message]) -> None:
    assert continued(messages) is None


def test_a_greeting_of_the_agent_s_stands_after_a_question_of_nobody() -> None:
    telling = telling_of([Message(Role.AGENT, "Hello!"), Message(Role.USER, "hi")])
    assert [(one.question, one.answer) for one in telling.exchanges] == [(NO_QUESTION, "Hello!")]


def test_results_are_brought_into_the_order_of_their_calls_and_none_may_lack() -> None:
    asked = [
        Message(Role.USER, "q"),
        Message(Role.AGENT, "", calls=(ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))),
    ]
    both = [Message(Role.TOOL, "2", call_id="b"), Message(Role.TOOL, "1", call_id="a")]
    (one,) = telling_of([*asked, *both]).rounds
    assert [(result.name, result.content) for result in one.results] == [("f", "1"), ("g", "2")]
    for results in ([], both[:1], [both[0], both[0]], [*both, both[0]], [Message(Role.TOOL, "3", call_id="c"), *both]):
        with pytest.raises(InvalidValue):
            telling_of([*asked, *results])


def test_more_messages_than_anybody_needs_are_refused() -> None:
    with pytest.raises(InvalidValue, match="10,000"):
        telling_of([Message(Role.USER, "q")] * (MOST_MESSAGES + 1))
