"""What is read in the corpus, pinned to the version of our code: readings that are kept belong to a version.

    PYTHONPATH=src:tests .venv/bin/python -m documents_corpus.reading_pins

pins anew. It refuses when what was read before is read differently by the same CODE_VERSION and the same libraries.
"""

import asyncio
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from adapters.documents.child_parsers import CODE_VERSION, ChildParsers
from adapters.documents.limits import ParserLimits
from application.ports.document_parser import DocumentRefused
from documents_corpus import corpus_hostile, corpus_office, corpus_pdf, corpus_text
from documents_corpus.corpus_case import Case
from documents_corpus.document_feed import chunks
from domain.files.documents import ParsedDocument

CASES: Final = (*corpus_pdf.CASES, *corpus_office.CASES, *corpus_hostile.CASES, *corpus_text.CASES)
LIMITS: Final = ParserLimits(timeout_seconds=100)
PINS: Final = Path(__file__).with_name("reading_pins.json")
Outcome = ParsedDocument | DocumentRefused


def pinned() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PINS.read_text())
    return found


async def outcome_of(case: Case, parser: ChildParsers) -> Outcome:
    try:
        return await parser.parse(case.kind, chunks(case.make()))
    except DocumentRefused as refused:
        return refused


def digest_of(outcome: Outcome) -> str:
    said = outcome if isinstance(outcome, ParsedDocument) else (outcome.code, outcome.reason)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


async def _read_now() -> dict[str, Any]:
    parser = ChildParsers(LIMITS)
    try:
        digests = {str(case): digest_of(await outcome_of(case, parser)) for case in CASES}
    finally:
        await parser.aclose()
    return {"code": CODE_VERSION, "version": parser.version, "digests": dict(sorted(digests.items()))}


def main() -> int:
    before, now = pinned() if PINS.exists() else {}, asyncio.run(_read_now())
    digests = before.get("digests", {})
    changed = [name for name, digest in now["digests"].items() if digests.get(name, digest) != digest]
    if changed and before["version"] == now["version"]:
        sys.stderr.write(f"Raise CODE_VERSION: these are read differently now: {', '.join(changed)}\n")
        return 1
    PINS.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
