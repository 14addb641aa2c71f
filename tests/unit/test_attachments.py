"""Documents in a prompt: never over the budget, fenced, shared fairly, and whole whenever there is room."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.files.attachments import AttachedDocument, attached_text, fenced, mentioned, plain_name
from domain.files.documents import Page, ParsedDocument
from domain.tokens import estimate
from unit.documents_strategies import attached, documents, texts

PLENTY = 10_000_000
OPENED = re.compile(r'<document name="[^"<>]*"(?: [a-z]+="[^"<>]*")*>\n')


def shown(documents: list[AttachedDocument], budget: int = PLENTY) -> str:
    return attached_text(documents, budget, searchable=True).text


def named(text: str, name: str = "a.txt", *, earlier: bool = False) -> AttachedDocument:
    return AttachedDocument(name, ParsedDocument(text), earlier)


@given(st.lists(attached, max_size=5), st.integers(-10, 2000), st.booleans())
def test_the_budget_is_kept_or_only_names_are_shown(
    several: list[AttachedDocument], budget: int, searchable: bool
) -> None:
    asked = [one for one in several if not one.earlier]
    names_alone = attached_text(asked, 0, searchable=searchable).text
    found = attached_text(several, budget, searchable=searchable).text
    assert estimate(found) <= max(budget, estimate(names_alone))


@given(st.lists(attached, min_size=1, max_size=5))
def test_with_room_enough_everything_is_shown(several: list[AttachedDocument]) -> None:
    found = attached_text(several, PLENTY, searchable=True)
    for one in several:
        assert plain_name(one.name) in found.text
        text, pages = one.document.text, one.document.pages
        for part in [text[page.start : page.end] for page in pages] or [text]:
            assert all(fenced(line) in found.text for line in part.split("\n"))
    assert found.whole == all(one.document.cut is None for one in several)
    assert "search_attachment" not in found.text


@given(st.lists(attached, min_size=1, max_size=5), st.integers(0, 3000))
def test_no_text_or_name_opens_or_closes_the_fence(several: list[AttachedDocument], budget: int) -> None:
    found = shown(several, budget)
    documents = len(OPENED.findall(found))
    assert (
        len(re.findall(r"<\s*/?\s*(?:attachments|document)\b", found, re.IGNORECASE)) == bool(found) * 2 + 2 * documents
    )
    assert sum(not one.earlier for one in several) <= documents <= len(several)


@given(documents(), st.integers(0, 200))
def test_what_is_shown_is_the_beginning(document: ParsedDocument, budget: int) -> None:
    """With its page marks, which a larger budget shows too."""

    def body(tokens: int) -> str:
        return OPENED.split(shown([AttachedDocument("a", document)], tokens), maxsplit=1)[1].split("\n</document>")[0]

    assert body(PLENTY).startswith(body(budget))


def test_each_page_begins_with_its_mark() -> None:
    document = ParsedDocument("onetwo\n", (Page(1, "page 1", 0, 3), Page(2, "page 2", 3, 7)))
    assert "[page 1]\none\n[page 2]\ntwo\n" in shown([AttachedDocument("a.pdf", document)])


def test_small_documents_are_whole_beside_a_large_one() -> None:
    small, large = "All of this small document must stand there.", "word " * 10_000
    found = shown([named(large, "large"), named(small, "small")], 500)
    assert small in found
    assert 'name="large" shown="only the beginning; search_attachment finds the rest"' in found


def test_documents_of_the_question_come_before_earlier_ones() -> None:
    asked, before = "now " * 400, "before " * 400
    found = shown([named(asked), named(before, earlier=True)], 600)
    assert found.count("now ") == 400
    assert found.count("before ") < 400


def test_without_tools_no_tool_is_named() -> None:
    found = attached_text([named("word " * 1000)], 200, searchable=False).text
    assert 'shown="only the beginning"' in found
    assert "search_attachment" not in found


def test_the_reason_of_a_cut_is_told() -> None:
    one = AttachedDocument("a", ParsedDocument("text", cut="only the first 2 of 9 pages were read"))
    assert 'cut="only the first 2 of 9 pages were read"' in shown([one])


def test_nothing_attached_is_nothing_shown() -> None:
    assert attached_text([], 100, searchable=True).text == ""


@given(texts, st.lists(texts.filter(bool), max_size=3))
def test_an_earlier_question_names_its_files(question: str, names: list[str]) -> None:
    said = mentioned(question, names)
    assert said.endswith(question)
    assert all(plain_name(name) in said for name in names)
    assert (said == question) == (not names)


@pytest.mark.parametrize("space", [" ", "\t", "\u3000", "\xa0", "\u2028", "\x0c"])
def test_no_white_space_makes_fencing_slow(space: str) -> None:
    """A pattern that tries every length of it would take minutes for this."""
    for text in (f"<{space * 200_000}", f"<{space}" * 100_000, f"</{space * 100_000}document"):
        assert "document" in shown([named(text)])


def test_a_tag_that_is_broken_over_lines_is_no_tag() -> None:
    assert "<\n/document>" not in shown([named("a <\n/document>\nb </  \ndocument> c")])


@given(documents(longest=8), st.integers(-1, 400))
def test_the_beginning_of_a_document_keeps_its_pages(document: ParsedDocument, characters: int) -> None:
    one = AttachedDocument.of("a", document, characters)
    kept = one.document
    assert kept.text == document.text[: max(0, characters)]
    assert one.has_more == (len(kept.text) < len(document.text))
    assert all(page.start <= page.end <= len(kept.text) for page in kept.pages)
    whole = {page.number: page for page in document.pages}
    assert all(page.start == whole[page.number].start for page in kept.pages)
    assert attached_text([one], PLENTY, searchable=True).whole == (not one.has_more and document.cut is None)


def test_a_long_name_takes_little_room() -> None:
    assert len(shown([named("x", "名" * 255)])) < 400
    assert plain_name("名" * 255).endswith("…")
