"""Real and hostile documents, each with what must become of it, in one parser that must live through them all."""

from collections.abc import AsyncIterator

import pytest

from adapters.documents.child_parsers import CODE_VERSION, ChildParsers
from application.ports.document_parser import DocumentRefused
from documents_corpus.corpus_case import Case, faults_of, odd_places
from documents_corpus.document_feed import chunks
from documents_corpus.reading_pins import CASES, LIMITS, digest_of, outcome_of, pinned
from domain.files.files import FileKind

PINNED = pinned()


@pytest.fixture(scope="module")
async def parser() -> AsyncIterator[ChildParsers]:
    opened = ChildParsers(LIMITS)
    yield opened
    await opened.aclose()


def test_no_two_documents_have_one_name() -> None:
    assert len({str(case) for case in CASES}) == len(CASES) > 45


def test_the_pins_are_of_this_version() -> None:
    """Kept readings of another version are not used: so whoever changes what is read must raise it."""
    assert PINNED["code"] == CODE_VERSION, "Pin anew: see reading_pins.py."
    assert set(PINNED["digests"]) == set(map(str, CASES)), "Pin anew: see reading_pins.py."


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
    assert digest_of(outcome) == PINNED["digests"].get(str(case)), "It is read differently: see reading_pins.py."
    # Whatever it was: the next one is read, and no more children are there than may be.
    after = await parser.parse(FileKind.TEXT, chunks(b"still here"))
    assert after.text == "still here"
    assert len(parser.children) <= 2
