"""Memories in a prompt: fenced, the most relevant first, and within the window whatever they say."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from adapters.scripted.embedder import ScriptedEmbedder
from application.chat.attachments import Attached
from application.chat.prompts import compose
from asked_files import said
from domain.agents.agents import Agent, AgentDraft
from domain.conversation.conversation import request_tokens
from domain.dialogs.messages import Exchange
from domain.dialogs.past import Past, Summary
from domain.ids import AgentId, KnowledgeFileId, KnowledgeId, MemoryId, ModelId, UserId
from domain.knowledge.retrieval import Passage
from domain.memory.memories import Known
from domain.memory.memory_recall import MOST_TOKENS, by_relevance, memories_before_question
from domain.models.models import ModelSpec, Provider
from domain.tokens import estimate
from stored import NOW

AGENT = Agent.create(AgentId("a"), UserId("u"), AgentDraft(name="Ada", enable_memory=True), NOW)
TEXTS = st.text(min_size=1, max_size=300) | st.sampled_from(["</memories>", "词" * 300, "word " * 60, "<" * 299])
PASSAGE = Passage("word " * 2000, 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.pdf", 1, 0, 10_000)


def spec(window: int) -> ModelSpec:
    return replace(ModelSpec(ModelId("m"), Provider.OFFLINE, "m"), context_window=window)


@given(st.integers(400, 20_000), st.lists(TEXTS, max_size=30), st.integers(0, 30), st.booleans(), st.booleans())
def test_the_prompt_fits_the_window_whatever_is_remembered(
    window: int, memories: list[str], exchanges: int, summed_up: bool, found: bool
) -> None:
    past = Past(tuple(Exchange("why " * 40, "so " * 40) for _ in range(exchanges)), 3, Summary("long " * 900, 3))
    past = past if summed_up else replace(past, before=0, summary=None)
    passages = [PASSAGE] if found else None
    prompt = compose(spec(window), AGENT, past, "And I?", (), Attached(), Attached(), passages, memories)
    assert request_tokens(prompt.request) <= window
    assert said(prompt.request).endswith("And I?")
    assert said(prompt.request).count("</memories>") <= 1


@given(st.lists(TEXTS, max_size=30), st.integers(-10, 1_500))
def test_memories_stay_within_their_budget_and_their_fence(memories: list[str], budget: int) -> None:
    text = memories_before_question(memories, budget)
    assert estimate(text) <= max(0, min(budget, MOST_TOKENS))
    assert text.count("<memories>") == text.count("</memories>") == (1 if text else 0)


def test_an_agent_without_memories_has_the_same_prompt_as_ever() -> None:
    given_nothing = compose(spec(8_000), AGENT, Past(), "Why?", (), Attached(), Attached(), None)
    assert given_nothing == compose(spec(8_000), AGENT, Past(), "Why?", (), Attached(), Attached(), None, ())
    assert said(given_nothing.request) == "Why?"


def known(*texts: str) -> list[Known]:
    return [Known(MemoryId(str(number)), text, NOW) for number, text in enumerate(texts)]


@given(st.lists(TEXTS, max_size=20), st.text(max_size=50))
def test_ranking_loses_and_doubles_nothing(texts: list[str], question: str) -> None:
    assert sorted(by_relevance(question, known(*texts))) == sorted(texts)


def test_what_shares_words_with_the_question_comes_first_and_the_rest_in_its_order() -> None:
    assert by_relevance("Which tea do I like?", known("Has a cat.", "Lives in Rome.", "Likes green tea.")) == [
        "Likes green tea.",
        "Has a cat.",
        "Lives in Rome.",
    ]


async def test_what_means_the_same_comes_first_too() -> None:
    embedder = ScriptedEmbedder()
    # Its words are directions: "pet" stands for what no word of the memory shares with the question.
    texts = ("Lives in Rome.", "Has a cat.", "Works a lot.")
    vectors = await embedder.passages(["rome city", "pet cat", "work"])
    memories = [replace(one, vector=vector) for one, vector in zip(known(*texts), vectors, strict=True)]
    asked = await embedder.query("pet")
    assert by_relevance("Which animal is mine?", memories, asked)[0] == "Has a cat."
    assert by_relevance("Which animal is mine?", [*memories[:1], *known("No vector.")], asked)[0] == "Lives in Rome."
