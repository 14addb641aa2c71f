"""Damage documents of the tests' corpus thousands of times, and see that the parser survives every one.

    .venv/bin/python bench/mutations.py [--documents 5000] [--seed N]

Each is read, or refused with a known code, within its time; afterwards a sound document is read as ever, no child is
left, and neither this process nor its file descriptors have grown. Exit code 1 when anything of that does not hold.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from documents_corpus import corpus_hostile, corpus_office, corpus_pdf, corpus_text  # noqa: E402
from documents_corpus.corpus_case import odd_places  # noqa: E402

from adapters.documents.child_parsers import ChildParsers  # noqa: E402
from adapters.documents.limits import ParserLimits  # noqa: E402
from application.ports.document_parser import DocumentRefused  # noqa: E402
from domain.files.files import FileKind  # noqa: E402

LARGEST = 2_000_000
CODES = {
    "file_encrypted", "file_empty", "file_broken", "file_no_text", "file_has_macros", "file_dangerous",
    "file_too_complex", "file_parse_timeout",
}  # fmt: skip
SOUND = b"# A heading\n\nA sound text.\n"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    return parser.parse_args()


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Bits turned, stretches removed, doubled, exchanged or filled, an end cut off: one to eight of these."""
    made = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        if not made:
            return bytes(made)
        begin = chance.randrange(len(made))
        end = min(len(made), begin + chance.choice((1, 4, 64, 1024)))
        match chance.randrange(6):
            case 0:
                made[begin] ^= 1 << chance.randrange(8)
            case 1:
                del made[begin:end]
            case 2:
                made[begin:begin] = made[begin:end]
            case 3:
                made[begin:end] = chance.randbytes(end - begin)
            case 4:
                made[begin:end] = chance.choice((b"\0", b"\xff", b"9", b"<")) * (end - begin)
            case 5:
                del made[begin + (len(made) - begin) * chance.randrange(4) // 4 + 1 :]
    return bytes(made)


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def outcome(parsers: ChildParsers, kind: FileKind, content: bytes) -> str:
    try:
        document = await parsers.parse(kind, pieces(content))
    except DocumentRefused as refusal:
        return refusal.code if refusal.code in CODES else f"unknown code {refusal.code}"
    except Exception as error:
        return f"defect {type(error).__name__}: {error}"
    odd = odd_places(document)
    return f"odd {odd}" if odd else "read"


async def campaign(documents: int, seed: int) -> tuple[Counter[str], list[str]]:
    chance = random.Random(seed)
    cases = (*corpus_pdf.CASES, *corpus_office.CASES, *corpus_hostile.CASES, *corpus_text.CASES)
    made = [(case.kind, content) for case in cases if len(content := case.make()) <= LARGEST]
    parsers = ChildParsers(ParserLimits(timeout_seconds=20, max_pages=200, max_chars=1_000_000))
    found, faults = Counter[str](), []
    left = iter(range(documents))
    before = len(os.listdir("/proc/self/fd"))

    async def work() -> None:
        for number in left:
            kind, content = chance.choice(made)
            said = await outcome(parsers, kind, damaged(content, chance))
            found[said] += 1
            if said.startswith(("unknown", "defect", "odd")):
                faults.append(f"document {number} of kind {kind}: {said}")

    await asyncio.gather(work(), work(), work(), work())
    if await outcome(parsers, FileKind.MARKDOWN, SOUND) != "read":
        faults.append("a sound document is not read any more")
    await parsers.aclose()
    if parsers.children:
        faults.append(f"children are left: {parsers.children}")
    after = len(os.listdir("/proc/self/fd"))
    if after > before + 4:
        faults.append(f"file descriptors grew from {before} to {after}")
    return found, faults


def main() -> int:
    given = options()
    began = time.monotonic()
    found, faults = asyncio.run(campaign(given.documents, given.seed))
    seconds = time.monotonic() - began
    print(json.dumps({
        "documents": given.documents,
        "seed": given.seed,
        "seconds": round(seconds, 1),
        "most_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "outcomes": dict(found.most_common()),
        "faults": faults[:20],
    }, indent=2))  # fmt: skip
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
