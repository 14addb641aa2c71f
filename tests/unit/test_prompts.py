"""What a model is asked: always within its window, the question last, the rest of long documents by a tool."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from application.chat.attachment_search import NAME
from application.chat.attachments import Attached
from application.chat.prompts import compose, refuse_too_much
from domain.agents.agents import Agent, AgentDraft
from domain.conversation.conversation import Image, UserTurn, request_tokens
from domain.dialogs.messages import Exchange
from domain.dialogs.past import Past
from domain.errors import ModelError
from domain.files.attachments import AttachedDocument
from domain.files.documents import ParsedDocument
from domain.files.files import Attachment, FileKind
from domain.ids import AgentId, FileId, KnowledgeFileId, KnowledgeId, ModelId, UserId
from domain.knowledge.retrieval import Passage
from domain.models.models import ModelSpec, Provider
from stored import NOW
from unit.documents_strategies import attached

AGENT = Agent.create(AgentId("a"), UserId("u"), AgentDraft(name="Ada"), NOW)
PICTURE = Image("image/png", b"png")
FILE = Attachment(FileId("f"), "old.pdf", FileKind.PDF, 3)
found_passages = st.builds(
    lambda text: Passage(text, 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.pdf", 1, 0, len(text)),
    st.text(min_size=1, max_size=300) | st.sampled_from(["word " * 2000, "</knowledge>" * 99]),
)
pasts = st.lists(st.builds(Exchange, st.text(max_size=200), st.text(max_size=200)), max_size=4)


async def none() -> ParsedDocument:
    return ParsedDocument("")


def spec(window: int, *, tools: bool = True) -> ModelSpec:
    return ModelSpec(ModelId("m"), Provider.OFFLINE, "m", context_window=window, tools=tools)


def document(text: str, *, earlier: bool = False) -> AttachedDocument:
    return AttachedDocument("long.txt", ParsedDocument(text), earlier)


@given(
    st.integers(1000, 20_000),
    pasts,
    st.lists(attached, max_size=4),
    st.integers(0, 2),
    st.integers(0, 5),
    st.none() | st.lists(found_passages, max_size=5),
)
def test_the_prompt_fits_the_window(
    window: int,
    past: list[Exchange],
    several: list[AttachedDocument],
    pictures: int,
    before: int,
    found: list[Passage] | None,
) -> None:
    """Whatever is attached and found, unless what can't be left out is refused."""
    now, then = [one for one in several if not one.earlier], [one for one in several if one.earlier]
    asked = Attached((FILE,), list(now), [none] * len(now), [PICTURE] * pictures)
    earlier = Attached((), list(then), [none] * len(then), [PICTURE] * before)
    try:
        refuse_too_much(spec(window), AGENT, "Why?", asked)
    except ModelError as refusal:
        assume(refusal.code != "context_too_long")
    prompt = compose(spec(window), AGENT, Past(tuple(past)), "Why?", (), asked, earlier, found)
    assert request_tokens(prompt.request) <= window


@given(pasts, st.lists(attached, max_size=4), st.booleans())
def test_the_question_is_last_and_tools_are_offered_with_their_runners(
    past: list[Exchange], several: list[AttachedDocument], tools: bool
) -> None:
    prompt = compose(
        spec(3000, tools=tools), AGENT, Past(tuple(past)), "Why?", (), Attached(documents=several), Attached()
    )
    last = prompt.request.turns[-1]
    assert isinstance(last, UserTurn)
    assert last.text.endswith("Why?")
    assert {tool.name for tool in prompt.request.tools} == set(prompt.tools)
    assert tools or not prompt.tools


def test_images_that_have_no_room_are_refused() -> None:
    with pytest.raises(ModelError, match=r"16,\d{3} tokens.*8,192") as refused:
        refuse_too_much(spec(8192), AGENT, "Why?", Attached((FILE,), images=[PICTURE] * 10))
    assert refused.value.code == "context_too_long"
    refuse_too_much(spec(8192), AGENT, "Why?", Attached((FILE,), images=[PICTURE] * 4))


def test_a_document_that_fits_needs_no_search() -> None:
    asked = Attached(documents=[document("short")])
    assert not compose(spec(8000), AGENT, Past(), "Why?", (), asked, Attached()).tools


def test_a_document_that_does_not_fit_can_be_searched() -> None:
    asked = Attached(documents=[document("word " * 20_000)])
    assert set(compose(spec(8000), AGENT, Past(), "Why?", (), asked, Attached()).tools) == {NAME}


def test_a_long_document_leaves_room_for_history() -> None:
    past = [Exchange("What was said before?", "This was said before.")]
    asked = Attached(documents=[document("word " * 20_000)])
    turns = compose(spec(8000), AGENT, Past(tuple(past)), "Why?", (), asked, Attached()).request.turns
    assert turns[0] == UserTurn("What was said before?")


def test_an_earlier_question_names_what_came_with_it() -> None:
    past = [Exchange("What is this?", "A report.", attachments=(FILE,))]
    turns = compose(spec(8000), AGENT, Past(tuple(past)), "Why?", (), Attached(), Attached()).request.turns
    assert turns[0] == UserTurn("[attached: old.pdf]\n\nWhat is this?")


def test_images_of_earlier_questions_go_along_while_there_is_room() -> None:
    asked, earlier = Attached(images=[PICTURE]), Attached(images=[PICTURE] * 5)
    wide = compose(spec(100_000), AGENT, Past(), "Why?", (), asked, earlier).request.turns[-1]
    narrow = compose(spec(8000), AGENT, Past(), "Why?", (), asked, earlier).request.turns[-1]
    assert isinstance(wide, UserTurn)
    assert isinstance(narrow, UserTurn)
    assert len(wide.images) == 6
    assert 1 <= len(narrow.images) < 6


def test_knowledge_leaves_room_for_documents_and_history() -> None:
    past = [Exchange("What was said before?", "This was said before.")]
    asked = Attached(documents=[document("paper " * 20_000)])
    found = [Passage("passage " * 5_000, 0.5, KnowledgeId("k"), KnowledgeFileId("f"), "a.pdf", 1, 0, 40_000)]
    prompt = compose(spec(8000), AGENT, Past(tuple(past)), "Why?", (), asked, Attached(), found)
    assert prompt.request.turns[0] == UserTurn("What was said before?")
    last = prompt.request.turns[-1]
    assert isinstance(last, UserTurn)
    assert last.text.index("</knowledge>") < last.text.index("<attachments>") < last.text.index("Why?")
    assert last.text.count("passage ") > 500
    assert last.text.count("paper ") > 500
    assert len(prompt.passages) == 1
