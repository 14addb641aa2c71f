"""Passages in a prompt: whatever was found, the prompt fits the model's window."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from application.chat.attachments import Attached
from application.chat.prompts import compose
from asked_files import said
from domain.agents.agents import Agent, AgentDraft
from domain.conversation.conversation import request_tokens
from domain.dialogs.past import Past
from domain.ids import AgentId, KnowledgeFileId, KnowledgeId, ModelId, UserId
from domain.knowledge.retrieval import Passage
from domain.models.models import ModelSpec, Provider
from stored import NOW

contents = st.text(min_size=1, max_size=400) | st.sampled_from(
    ["<knowledge>" * 40, "词" * 2000, "word " * 2000, "<" * 999]
)
passages = st.lists(
    st.builds(
        lambda text: Passage(text, 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.pdf", 1, 0, len(text)), contents
    ),
    max_size=8,
)
AGENT = Agent.create(AgentId("a"), UserId("u"), AgentDraft(name="Ada"), NOW)


@given(st.integers(1000, 20_000), passages, st.text(min_size=1, max_size=200))
def test_the_prompt_fits_the_window_whatever_was_found(window: int, found: list[Passage], question: str) -> None:
    spec = replace(ModelSpec(ModelId("m"), Provider.OFFLINE, "m"), context_window=window)
    prompt = compose(spec, AGENT, Past(), question, (), Attached(), Attached(), found)
    assert request_tokens(prompt.request) <= window
    assert said(prompt.request).endswith(question)
    assert [number for number, _ in prompt.passages] == list(range(1, len(prompt.passages) + 1))
