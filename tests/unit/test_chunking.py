"""The laws of chunks: nothing lost, order and limits kept, offsets exact."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.files.documents import Heading, ParsedDocument
from domain.knowledge.chunking import LONGEST_HEADING, MOST_HEADINGS, Chunk, ChunkSize, chunks
from domain.knowledge.sections import sections
from domain.tokens import estimate
from unit.chunk_strategies import sizes, structured
from unit.documents_strategies import documents

anything = structured() | documents(longest=8)


@given(anything, sizes)
def test_nothing_is_lost_but_white_space(document: ParsedDocument, size: ChunkSize) -> None:
    whole, end = "", 0
    for chunk in chunks(document, size):
        assert not document.text[end : chunk.start].strip()
        whole += document.text[end : chunk.start] + chunk.text[max(0, end - chunk.start) :]
        end = chunk.end
    assert whole + document.text[end:] == document.text
    assert not document.text[end:].strip()


@given(anything, sizes)
def test_a_chunk_is_its_place_in_the_text_and_no_longer_than_it_may_be(
    document: ParsedDocument, size: ChunkSize
) -> None:
    for chunk in chunks(document, size):
        assert chunk.text == document.text[chunk.start : chunk.end]
        assert 0 < estimate(chunk.text) <= size.most
        assert chunk.text.strip()


@given(anything, sizes)
def test_chunks_are_in_order_none_inside_another_and_share_no_more_than_the_overlap(
    document: ParsedDocument, size: ChunkSize
) -> None:
    for one, following in pairwise(chunks(document, size)):
        assert one.start < following.start
        assert one.end < following.end
        assert document.text[one.end : following.end].strip()
        assert estimate(document.text[following.start : one.end]) <= size.overlap


@given(anything, sizes)
def test_a_document_is_always_cut_alike(document: ParsedDocument, size: ChunkSize) -> None:
    assert chunks(document, size) == chunks(document, size)


@given(anything, sizes)
def test_a_chunk_knows_the_page_where_it_begins(document: ParsedDocument, size: ChunkSize) -> None:
    for chunk in chunks(document, size):
        assert chunk.page == next((p.number for p in document.pages if p.start <= chunk.start < p.end), None)


@given(structured(), sizes)
def test_a_table_that_fits_is_whole(document: ParsedDocument, size: ChunkSize) -> None:
    found = chunks(document, size)
    for table in document.tables:
        if estimate(document.text[table.start : table.end]) <= size.most:
            assert any(chunk.start <= table.start and table.end <= chunk.end for chunk in found)


@given(structured(), sizes)
def test_a_chunk_crosses_a_high_heading_only_where_little_stands_before_it(
    document: ParsedDocument, size: ChunkSize
) -> None:
    highs = [heading for heading in document.headings if heading.level <= 3]
    for chunk in chunks(document, size):
        inside = [heading for heading in highs if chunk.start < heading.start < chunk.end]
        for heading in inside:
            assert 4 * estimate(document.text[chunk.start : heading.start]) <= size.most + 3
        levels = [heading.level for heading in highs if heading.start <= chunk.start][-1:]
        assert all(heading.level >= level for level in levels for heading in inside)


@given(structured(), sizes)
def test_titles_are_those_of_the_enclosing_headings(document: ParsedDocument, size: ChunkSize) -> None:
    for chunk in chunks(document, size):
        before = [heading for heading in document.headings if heading.start <= chunk.start]
        enclosing = [
            one.title
            for number, one in enumerate(before)
            if one.start < chunk.start and all(later.level > one.level for later in before[number + 1 :])
        ]
        table = any(table.start < chunk.start < table.end for table in document.tables)
        assert chunk.headings == (*enclosing, *(["| a | 好 |"] if table else []))[-MOST_HEADINGS:]


@given(structured(), sizes)
def test_what_follows_a_page_without_the_rest_of_a_sentence_is_another_chunk(
    document: ParsedDocument, size: ChunkSize
) -> None:
    for chunk in chunks(document, size):
        for page in document.pages:
            if chunk.start < page.end < chunk.end:
                assert document.text[: page.end].rstrip()[-1:] not in (".", "。", "|")


@given(structured(), st.integers(1, 100))
def test_sections_are_the_whole_text(document: ParsedDocument, most: int) -> None:
    found = list(sections(document, most))
    assert "".join(document.text[start:end] for start, end in found) == document.text


def test_blank_documents_have_no_chunks() -> None:
    assert chunks(ParsedDocument(""), ChunkSize()) == []
    assert chunks(ParsedDocument(" \n\u3000" * 10_000), ChunkSize()) == []


@pytest.mark.parametrize(("most", "overlap"), [(0, 0), (10, 5), (10, -1), (-3, 0)])
def test_a_size_that_can_not_be_kept_is_refused(most: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap"):
        ChunkSize(most, overlap)


def test_another_size_is_another_plan() -> None:
    assert len({ChunkSize(300, 40).plan, ChunkSize(300, 0).plan, ChunkSize(200, 40).plan}) == 3


def test_titles_are_bounded() -> None:
    headings = tuple(Heading(level, "x" * 1_000, level) for level in range(1, 7))
    (chunk,) = chunks(ParsedDocument(" " * 20 + "text", headings=headings), ChunkSize())
    assert chunk == Chunk(20, 24, "text", None, ("x" * LONGEST_HEADING,) * MOST_HEADINGS)
