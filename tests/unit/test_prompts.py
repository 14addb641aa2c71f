"""What a model is asked: always within its window, the question last, the rest of long documents by a tool."""

from hypothesis import given
from hypothesis import strategies as st

from application.attachment_search import NAME
from application.attachments import Attached
from application.prompts import compose
from domain.agents import Agent, AgentDraft
from domain.attachments import AttachedDocument, attached_text
from domain.conversation import Image, UserTurn, request_tokens
from domain.documents import ParsedDocument
from domain.files import Attachment, FileKind
from domain.ids import AgentId, FileId, ModelId, UserId
from domain.messages import Exchange
from domain.models import ModelSpec, Provider
from stored import NOW
from unit.documents_strategies import attached

AGENT = Agent.create(AgentId("a"), UserId("u"), AgentDraft(name="Ada"), NOW)
PICTURE = Image("image/png", b"png")
FILE = Attachment(FileId("f"), "old.pdf", FileKind.PDF, 3)
pasts = st.lists(st.builds(Exchange, st.text(max_size=200), st.text(max_size=200)), max_size=4)


def spec(window: int, *, tools: bool = True) -> ModelSpec:
    return ModelSpec(ModelId("m"), Provider.OFFLINE, "m", context_window=window, tools=tools)


def document(text: str, *, earlier: bool = False) -> AttachedDocument:
    return AttachedDocument("long.txt", ParsedDocument(text), earlier)


@given(st.integers(1000, 20_000), pasts, st.lists(attached, max_size=4), st.integers(0, 2), st.integers(0, 5))
def test_the_prompt_fits_the_window(
    window: int, past: list[Exchange], several: list[AttachedDocument], pictures: int, before: int
) -> None:
    asked = Attached(documents=tuple(several), images=(PICTURE,) * pictures)
    earlier = Attached(images=(PICTURE,) * before)
    prompt = compose(spec(window), AGENT, past, "Why?", (), asked, earlier)
    nothing = compose(spec(window), AGENT, (), "Why?", (), Attached(images=asked.images), Attached())
    names = attached_text(several, 0, searchable=True).text
    least = request_tokens(nothing.request) + len(names) + sum(tool.tokens for tool in prompt.request.tools)
    assert request_tokens(prompt.request) <= max(window * 9 // 10, least)


@given(pasts, st.lists(attached, max_size=4), st.booleans())
def test_the_question_is_last_and_tools_are_offered_with_their_runners(
    past: list[Exchange], several: list[AttachedDocument], tools: bool
) -> None:
    prompt = compose(spec(3000, tools=tools), AGENT, past, "Why?", (), Attached(documents=tuple(several)), Attached())
    last = prompt.request.turns[-1]
    assert isinstance(last, UserTurn)
    assert last.text.endswith("Why?")
    assert {tool.name for tool in prompt.request.tools} == set(prompt.tools)
    assert tools or not prompt.tools


def test_a_document_that_fits_needs_no_search() -> None:
    asked = Attached(documents=(document("short"),))
    assert not compose(spec(8000), AGENT, (), "Why?", (), asked, Attached()).tools


def test_a_document_that_does_not_fit_can_be_searched() -> None:
    asked = Attached(documents=(document("word " * 20_000),))
    assert set(compose(spec(8000), AGENT, (), "Why?", (), asked, Attached()).tools) == {NAME}


def test_a_long_document_leaves_room_for_history() -> None:
    past = [Exchange("What was said before?", "This was said before.")]
    asked = Attached(documents=(document("word " * 20_000),))
    turns = compose(spec(8000), AGENT, past, "Why?", (), asked, Attached()).request.turns
    assert turns[0] == UserTurn("What was said before?")


def test_an_earlier_question_names_what_came_with_it() -> None:
    past = [Exchange("What is this?", "A report.", attachments=(FILE,))]
    turns = compose(spec(8000), AGENT, past, "Why?", (), Attached(), Attached()).request.turns
    assert turns[0] == UserTurn("[attached: old.pdf]\n\nWhat is this?")


def test_images_of_earlier_questions_go_along_while_there_is_room() -> None:
    asked, earlier = Attached(images=(PICTURE,)), Attached(images=(PICTURE,) * 5)
    wide = compose(spec(100_000), AGENT, (), "Why?", (), asked, earlier).request.turns[-1]
    narrow = compose(spec(8000), AGENT, (), "Why?", (), asked, earlier).request.turns[-1]
    assert isinstance(wide, UserTurn)
    assert isinstance(narrow, UserTurn)
    assert len(wide.images) == 6
    assert 1 <= len(narrow.images) < 6
