"""The text of a document keeps clean and its places exact, whatever is written, and wherever it is cut."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.documents.answers import is_proper_document
from adapters.documents.cleaning import clean, clean_block, clean_line, shown
from adapters.documents.limits import ParserLimits
from adapters.documents.writing import DocumentFull, DocumentWriter
from application.ports.document_parser import DocumentRefused
from documents_corpus.corpus_case import odd_places
from domain.files.documents import ParsedDocument

texts = st.text(st.one_of(st.characters(), st.sampled_from("\n\r\t |#\0\x85\u2028\xad\ufffe\ufeff")), max_size=60)
rows = st.lists(st.lists(texts, max_size=4), max_size=5)
steps = st.one_of(
    st.tuples(st.just("page"), texts),
    st.tuples(st.just("block"), texts),
    st.tuples(st.just("heading"), st.tuples(st.integers(-1, 9), texts)),
    st.tuples(st.just("table"), rows),
)


def written(done: list[tuple[str, object]], limits: ParserLimits) -> ParsedDocument:
    writer = DocumentWriter(limits)
    with suppress(DocumentFull):
        for what, with_ in done:
            match what, with_:
                case "page", str(label):
                    writer.page(label, of=len(done))
                case "block", str(text):
                    writer.block(text)
                case "heading", (int(level), str(title)):
                    writer.heading(level, title)
                case "table", list(table):
                    writer.table(table)
    return writer.finished()


@given(st.lists(steps, max_size=12), st.integers(1, 300), st.integers(1, 5))
def test_places_are_exact_and_limits_are_kept(done: list[tuple[str, object]], chars: int, pages: int) -> None:
    limits = ParserLimits(max_chars=chars, max_pages=pages)
    try:
        document = written(done, limits)
    except DocumentRefused:
        return
    assert odd_places(document) == []
    assert is_proper_document(document, limits)
    for heading in document.headings:
        line = shown(document.text[heading.start :].split("\n")[0], 1000)
        assert line.startswith("#")
        assert line.lstrip("#").strip() == heading.title.lstrip("#").strip() or document.cut
    for table in document.tables:
        lines = document.text[table.start : table.end].split("\n")
        assert all(line.startswith("|") for line in lines)


@given(st.lists(steps, max_size=12), st.integers(1, 100))
def test_what_is_cut_is_a_beginning_of_the_whole(done: list[tuple[str, object]], chars: int) -> None:
    try:
        whole = written(done, ParserLimits())
        part = written(done, ParserLimits(max_chars=chars))
    except DocumentRefused:
        return
    assert whole.text.startswith(part.text)
    assert (part.cut is None) == (part.text == whole.text)


@given(texts)
@example("a\r\rb\x0c\n\n\n\nc \t\n")
def test_clean_text_is_clean_and_stays_as_it_is(text: str) -> None:
    cleaned = clean_block(text)
    assert clean_block(cleaned) == cleaned
    assert not set(cleaned) & set("\0\r\x0b\x0c\x85\u2028\u2029\xad\ufeff\ufffe\uffff")
    assert "\n\n\n" not in cleaned
    assert " \n" not in cleaned
    cleaned.encode()
    line = clean_line(text)
    assert clean_line(line) == line
    assert "\n" not in line


@given(st.text(st.characters(min_codepoint=33, exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cn"]), max_size=50))
def test_letters_of_every_script_are_kept(text: str) -> None:
    assert clean(text) == text.replace("\xad", "").replace("\ufeff", "")


def test_what_was_left_out_is_said() -> None:
    pages = [step for number in range(5) for step in (("page", f"page {number + 1}"), ("block", "text"))]
    document = written(list(pages), ParserLimits(max_pages=2))
    assert document.cut == "only the first 2 of 10 pages were read"
    assert document.text == "text\n\ntext"
    document = written([("block", "x" * 2000)], ParserLimits(max_chars=1500))
    assert (document.cut, len(document.text)) == ("only the first 1,500 characters were read", 1500)
    assert written([("block", "x" * 1500)], ParserLimits(max_chars=1500)).cut is None


def test_a_page_without_text_is_a_page() -> None:
    document = written([("page", "one"), ("page", "two"), ("block", "text"), ("page", "three")], ParserLimits())
    assert [(page.label, page.start, page.end) for page in document.pages] == [
        ("one", 0, 0),
        ("two", 0, 4),
        ("three", 4, 4),
    ]


@pytest.mark.parametrize("cell", ["a|b", "a\nb", " a ", "a\\|b"])
def test_a_cell_never_breaks_its_row(cell: str) -> None:
    document = written([("table", [["head", "x"], [cell, "y"]])], ParserLimits())
    assert len(document.text.split("\n")) == 3
