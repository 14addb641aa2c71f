"""Real and hostile documents, each with what must become of it, in one parser that must live through them all."""

from collections.abc import AsyncIterator

import pytest

from adapters.documents.child_parsers import ChildParsers
from adapters.documents.limits import ParserLimits
from application.ports.document_parser import DocumentRefused
from documents_corpus import corpus_hostile, corpus_office, corpus_pdf, corpus_text
from documents_corpus.corpus_case import Case, faults_of, odd_places
from documents_corpus.document_feed import chunks
from domain.documents import ParsedDocument
from domain.files import FileKind

CASES = (*corpus_pdf.CASES, *corpus_office.CASES, *corpus_hostile.CASES, *corpus_text.CASES)


@pytest.fixture(scope="module")
async def parser() -> AsyncIterator[ChildParsers]:
    opened = ChildParsers(ParserLimits(timeout_seconds=100))
    yield opened
    await opened.aclose()


def test_no_two_documents_have_one_name() -> None:
    assert len({str(case) for case in CASES}) == len(CASES) > 45


async def outcome_of(case: Case, parser: ChildParsers) -> ParsedDocument | DocumentRefused:
    try:
        return await parser.parse(case.kind, chunks(case.make()))
    except DocumentRefused as refused:
        return refused


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_each_document_becomes_what_it_must(case: Case, parser: ChildParsers) -> None:
    outcome = await outcome_of(case, parser)
    if isinstance(outcome, DocumentRefused):
        assert outcome.code in case.codes, outcome.reason
        assert outcome.lasting
        assert outcome.reason.isprintable()
        assert not outcome.reason.endswith(".")
    else:
        assert case.codes == (), f"It was read: {outcome.text[:300]!r}"
        assert faults_of(case, outcome) == []
        assert odd_places(outcome) == []
    # Whatever it was: the next one is read, and no more children are there than may be.
    after = await parser.parse(FileKind.TEXT, chunks(b"still here"))
    assert after.text == "still here"
    assert len(parser.children) <= 2
