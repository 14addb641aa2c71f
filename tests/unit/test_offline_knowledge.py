"""The offline model and knowledge: it quotes numbered passages with their numbers, and searches when that is of use."""

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.offline import OfflineChatModel
from application.chat.knowledge_search import NAME, search_spec
from domain.conversation.conversation import (
    AssistantTurn,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
    ToolTurn,
    UserTurn,
)
from domain.ids import KnowledgeFileId, KnowledgeId
from domain.knowledge.retrieval import Passage
from domain.knowledge.shown_passages import passages_before_question, passages_text
from domain.tools.tools import ToolCall, ToolResult

SEARCH = search_spec(["Handbook"])
PASSAGES = ("The roof is red. It is old.", "保修期为两年。电池除外。", "The warranty lasts two years. How long is it?")


def passages(*contents: str) -> list[Passage]:
    return [Passage(text, 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.pdf", 1, 0, len(text)) for text in contents]


def before(question: str, *contents: str) -> str:
    return f"{passages_before_question(passages(*contents), 100_000).text}{question}"


def answer_to(*turns: UserTurn | AssistantTurn | ToolTurn | str) -> list[ModelEvent]:
    said = tuple(UserTurn(turn) if isinstance(turn, str) else turn for turn in turns)

    async def act() -> list[ModelEvent]:
        request = ModelRequest("offline", "You are helpful.", said, (SEARCH,))
        return [event async for event in OfflineChatModel(delay_seconds=0).stream(request)]

    return asyncio.run(act())


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def queries(events: list[ModelEvent]) -> list[str]:
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert {one.name for one in calls} <= {NAME}
    return [json.loads(one.arguments)["query"] for one in calls]


@pytest.mark.parametrize(
    ("question", "line"),
    [
        ("How long does the warranty last?", "The warranty lasts two years. [3]"),
        ("保修期多久", "保修期为两年。 [2]"),
        ("which colour has the roof", "The roof is red. [1]"),
    ],
)
def test_a_passage_is_quoted_with_its_number(question: str, line: str) -> None:
    events = answer_to(before(question, *PASSAGES))
    assert text_of(events).splitlines()[2:] == [line]
    assert queries(events) == []


@pytest.mark.parametrize("asked", ["does it say", "have they told you", "is mentioned", "does it explain"])
def test_words_for_telling_are_not_what_is_asked_for(asked: str) -> None:
    said = ["Turbines turn wind into power.", "A turbine has three blades."]
    events = answer_to(before(f"What {asked} about turbines?", " ".join(said)))
    assert text_of(events).splitlines()[2:] == [f"{one} [1]" for one in said]
    assert "found nothing" in text_of(answer_to(before(f"What {asked} about roofs?", "They say and tell a lot.")))


def test_what_the_passages_do_not_hold_is_not_made_up_nor_searched_for_again() -> None:
    events = answer_to(before("Who wrote Faust?", *PASSAGES))
    assert "found nothing" in text_of(events)
    assert "[" not in text_of(events)
    assert queries(events) == []


def test_nothing_found_is_said() -> None:
    assert "found nothing" in text_of(answer_to(before("Who wrote Faust?")))


@pytest.mark.parametrize("question", ["Search the knowledge base for roofs", "请搜索一下知识库里的屋顶"])
def test_a_person_can_have_it_searched_again(question: str) -> None:
    assert queries(answer_to(before(question, *PASSAGES))) == [question]


def test_what_was_not_searched_before_is_searched() -> None:
    """As when the knowledge was away a moment ago."""
    assert queries(answer_to("Who wrote Faust?")) == ["Who wrote Faust?"]
    assert queries(answer_to("hello")) == []


def test_a_result_of_the_search_is_quoted_with_its_number() -> None:
    found = passages_text(enumerate(passages(*PASSAGES), 4), 100_000).text
    call = ToolCall("c", NAME, '{"query": "warranty"}')
    result = ToolTurn((ToolResult("c", NAME, found),))
    said = text_of(answer_to("How long does the warranty last?", AssistantTurn("", (call,)), result))
    assert said.endswith("The warranty lasts two years. [6]")


def test_a_question_in_a_passage_is_not_the_question() -> None:
    said = text_of(answer_to(before("the roof", "Is the door blue?", "The roof is red.", "The door is blue.")))
    assert "roof is red" in said
    assert "door" not in said


@given(st.lists(st.text(min_size=1, max_size=80), max_size=4), st.text(min_size=1, max_size=40))
def test_any_passages_are_answered_the_same_twice(contents: list[str], question: str) -> None:
    asked = before(question, *contents)
    assert answer_to(asked) == answer_to(asked)
