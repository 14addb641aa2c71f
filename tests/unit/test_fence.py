"""No text that is shown to a model as data opens or closes the fence around it, however the tag is written."""

import re
import sys
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.files import attachments
from domain.files.attachments import AttachedDocument, attached_text, fenced, quoted
from domain.files.documents import ParsedDocument
from domain.ids import KnowledgeFileId, KnowledgeId
from domain.knowledge.retrieval import Passage
from domain.knowledge.shown_passages import passages_before_question

PLENTY = 10_000_000
TAGS = ("attachments", "document", "knowledge", "passage")
OURS = re.compile(rf"</?(?:{'|'.join(TAGS)})")
UNSEEN = " \n\t\u3000\u2028\x00\u200b\u200d\u2060\ufeff\u00ad\ufe0f"
WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
MANNERS: dict[str, Callable[[str], str]] = {"a": str, "u": str.upper, "w": lambda letter: letter.translate(WIDE)}


@st.composite
def tags(draw: st.DrawFn) -> str:
    """A tag with unseen characters between all others, in other letters."""
    tag = draw(st.sampled_from(["<", "</", "< /", "\ufe64/"])) + draw(st.sampled_from(TAGS)) + ">"
    # All manners and all gaps of a tag are two draws: one for each letter takes ten times as long.
    manners = draw(st.text("auw", min_size=len(tag), max_size=len(tag)))
    letters = [MANNERS[manner](one) for manner, one in zip(manners, tag, strict=True)]
    widest = draw(st.sampled_from([0, 1, 12]))
    unseen = draw(st.text(UNSEEN, max_size=widest * len(tag)))
    gaps = [unseen[at * widest : (at + 1) * widest] for at in range(len(tag))]
    return "".join(letter + gap for letter, gap in zip(letters, gaps, strict=True))


hostile = st.lists(tags() | st.text(max_size=20) | st.sampled_from(["<", "\uff1c", "pas", "sage"]), max_size=6).map(
    "".join
)


def folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text)
    return "".join(
        one for one in plain if not one.isspace() and unicodedata.category(one) not in ("Cf", "Cc")
    ).casefold()


def fences(text: str) -> int:
    return len(OURS.findall(folded(text)))


@given(hostile)
def test_no_text_has_a_tag_of_ours_however_it_is_written(text: str) -> None:
    assert fences(fenced(text)) == 0


@given(st.lists(st.tuples(hostile, hostile.filter(bool)), min_size=1, max_size=4))
def test_passages_open_and_close_only_their_own_fences(several: list[tuple[str, str]]) -> None:
    found = [
        Passage(text, 0.5, KnowledgeId("k"), KnowledgeFileId("f"), name, None, 0, len(text)) for name, text in several
    ]
    shown = passages_before_question(found, PLENTY)
    assert fences(shown.text) == 2 + 2 * len(shown.shown)


@given(st.lists(st.tuples(hostile, hostile), min_size=1, max_size=4))
def test_documents_open_and_close_only_their_own_fences(several: list[tuple[str, str]]) -> None:
    documents = [AttachedDocument(name, ParsedDocument(text)) for name, text in several]
    assert fences(attached_text(documents, PLENTY, searchable=True).text) == 2 + 2 * len(several)
    assert all(fences(quoted(name, name, text)) == 2 for name, text in several)


@pytest.mark.parametrize(
    "text", ["</\u200bpassage>", "<\u200b/passage>", f"<{' ' * 9}/passage>", "\uff1c/passage>", "<pas\nsage>", "<\n"]
)
def test_a_tag_in_disguise_is_no_tag(text: str) -> None:
    assert fenced(text).startswith("&lt;")


@pytest.mark.parametrize("text", ["a < b", "x<y>z", "<p>passage</p>", "if (a <b) document", "\uff1c好", "<<doc>>"])
def test_what_is_no_tag_stays_as_it_is(text: str) -> None:
    assert fenced(text) == text


def test_each_character_that_can_open_a_tag_is_known() -> None:
    openers = {chr(code) for code in range(sys.maxunicode + 1) if "<" in unicodedata.normalize("NFKC", chr(code))}
    assert all(fenced(f"{one}passage>") == "&lt;passage>" for one in openers)
    assert len(openers) == 3


@pytest.mark.parametrize("piece", ["<", "< ", "<\u200b", "</\u200b", "<passag", "<d\u200bo", "\u200b"])
def test_a_character_is_read_as_often_as_it_stands_there(monkeypatch: pytest.MonkeyPatch, piece: str) -> None:
    """Not once more for each `<` before it, which would take hours for a long text."""
    read, plain = [0], attachments._folded

    def counted(character: str) -> str:
        read[0] += 1
        return plain(character)

    monkeypatch.setattr(attachments, "_folded", counted)
    text = "<" + piece * 1000
    fenced(text)
    assert read[0] <= len(text)
