"""What of a long dialog stands in a prompt: never more than the model reads, newest first, nothing twice."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from application.chat.attachments import Attached
from application.chat.prompts import Prompt, compose
from domain.agents.agents import Agent, AgentDraft
from domain.conversation.conversation import AssistantTurn, ToolTurn, UserTurn, request_tokens
from domain.dialogs.history import prompt_budget, shortened, turns_of
from domain.dialogs.messages import Exchange
from domain.dialogs.past import Past, Summary
from domain.files.attachments import AttachedDocument
from domain.files.documents import ParsedDocument
from domain.ids import AgentId, KnowledgeFileId, KnowledgeId, ModelId, UserId
from domain.knowledge.retrieval import Passage
from domain.models.models import ModelSpec, Provider
from domain.tools.tools import ToolCall, ToolResult, ToolRound
from stored import NOW

texts = st.text(max_size=80) | st.sampled_from(["word " * 300, "很长" * 200, "</earlier_conversation>" * 9])


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    results = draw(st.lists(texts, max_size=3))
    calls = tuple(ToolCall(f"c{n}", "fetch", draw(texts)) for n in range(len(results)))
    made = tuple(ToolResult(f"c{n}", "fetch", text) for n, text in enumerate(results))
    return Exchange(draw(texts), draw(texts), (ToolRound("", calls, made),) if calls else ())


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    said = [
        Exchange(f"{number}? {one.question}", one.answer, one.rounds)
        for number, one in enumerate(draw(st.lists(exchanges(), max_size=6)))
    ]
    covers, unread = draw(st.integers(0, 99)), draw(st.integers(0, 99))
    summary = Summary(draw(texts), covers) if covers else None
    return Past(tuple(said), covers + unread, summary)


@st.composite
def prompts(draw: st.DrawFn) -> tuple[ModelSpec, Past, Prompt]:
    window, most = draw(st.integers(600, 12_000)), draw(st.none() | st.integers(1, 2000))
    spec = ModelSpec(ModelId("m"), Provider.OFFLINE, "m", context_window=window, max_output_tokens=most)
    past, instructions = draw(pasts()), draw(st.sampled_from(["", "Be kind.", "word " * 300]))
    agent = Agent.create(AgentId("a"), UserId("u"), AgentDraft(name="Ada", system_prompt=instructions), NOW)
    documents = [AttachedDocument("a.txt", ParsedDocument(draw(texts)), earlier=True)] * draw(st.integers(0, 2))
    passage = Passage(draw(texts), 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.pdf", 1, 0, 9)
    found = draw(st.sampled_from([None, [], [passage, passage]]))
    earlier = Attached((), documents, [])
    return spec, past, compose(spec, agent, past, "Why?", (), Attached(), earlier, found)


@given(prompts())
def test_a_prompt_leaves_the_answer_its_room_whatever_the_dialog(made: tuple[ModelSpec, Past, Prompt]) -> None:
    """Where what can't be left out is too much already, nothing of the past comes on top."""
    spec, _, prompt = made
    budget = prompt_budget(spec.context_window, spec.max_output_tokens, 0)
    if request_tokens(prompt.request) > budget:
        assert len(prompt.request.turns) == 1
        assert "A summary of the first" not in text_of(prompt)


@given(prompts())
def test_the_past_is_told_in_order_newest_first_and_nothing_twice(made: tuple[ModelSpec, Past, Prompt]) -> None:
    _, past, prompt = made
    turns = prompt.request.turns[:-1]
    asked = [turn.text for turn in turns if isinstance(turn, UserTurn)]
    newest = past.exchanges[len(past.exchanges) - len(asked) :]
    assert asked == [one.question for one in newest]
    whole = [turn for one in newest for turn in turns_of(one)]
    assert all(turn in (full, shortened(full)) for turn, full in zip(turns, whole, strict=True))
    if "A summary of the first" in text_of(prompt):
        assert f"the first {past.covers} exchanges" in text_of(prompt)
        left_out = past.before - past.covers + len(past.exchanges) - len(asked)
        assert (f"{left_out} exchanges are left out" in text_of(prompt)) == (left_out > 0)


@given(prompts())
def test_no_call_is_told_without_its_result(made: tuple[ModelSpec, Past, Prompt]) -> None:
    for earlier, later in pairwise(made[2].request.turns):
        if isinstance(earlier, AssistantTurn) and earlier.tool_calls:
            assert isinstance(later, ToolTurn)
            assert [one.call_id for one in later.results] == [one.call_id for one in earlier.tool_calls]
        else:
            assert not isinstance(later, ToolTurn)


@given(prompts())
def test_the_question_is_last_and_the_summary_is_fenced_before_it(made: tuple[ModelSpec, Past, Prompt]) -> None:
    text = text_of(made[2])
    assert text.endswith("Why?")
    if "A summary of the first" in text:
        assert text.count("<earlier_conversation>") == text.count("</earlier_conversation>") == 1


def text_of(prompt: Prompt) -> str:
    last = prompt.request.turns[-1]
    assert isinstance(last, UserTurn)
    return last.text
