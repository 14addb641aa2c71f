"""Which of the passages that it was shown a text cites, by their numbers in brackets."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from domain.dialogs.messages import Citation
from domain.knowledge.retrieval import Passage

LONGEST_RANGE: Final = 20
"""What names more passages at once, as [1-99] does, cites none."""

_NUMBERS: Final = r"\d{1,4}(?:\s{0,2}[-\u2013]\s{0,2}\d{1,4})?"
_MARK: Final = re.compile(
    r"[\[\u3010\uff3b]\s{0,2}\^?"
    rf"({_NUMBERS}(?:\s{{0,2}}[,;\uff0c\u3001\uff1b]\s{{0,2}}{_NUMBERS}){{0,30}})"
    r"\s{0,2}[\]\u3011\uff3d](?!\()"
)
_RANGE: Final = re.compile(r"(\d+)(?:\s*[-\u2013]\s*(\d+))?")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})([^\n]*)")
_TICKS: Final = re.compile(r"`+")


def numbered(passages: Sequence[Passage], first: int = 1) -> tuple[Citation, ...]:
    """What is shown of them to a reader, with the numbers from `first` on."""
    return tuple(
        Citation(
            number,
            one.content,
            one.file_name,
            one.knowledge_id,
            one.knowledge_file_id,
            one.page,
            one.start,
            one.end,
            one.score,
        )
        for number, one in enumerate(passages, first)
    )


def found_message(count: int) -> str:
    """One sentence for a person."""
    return f"找到 {count} 段资料 Found {count} passage{'' if count == 1 else 's'}"


def cited(text: str, citations: Sequence[Citation]) -> tuple[Citation, ...]:
    """Those whose number the text names outside of code and links, each once, by number; numbers stay as they are."""
    if not citations:
        return ()
    named = _named(text)
    shown = {one.index: one for one in reversed(citations)}
    return tuple(shown[index] for index in sorted(shown) if index in named)


def _named(text: str) -> set[int]:
    marks = {match[1] for line in _prose(text) for match in _MARK.finditer(line)}
    named: set[int] = set()
    for first, last in {(match[1], match[2] or match[1]) for mark in marks for match in _RANGE.finditer(mark)}:
        if int(last) - int(first) <= LONGEST_RANGE:
            named.update(range(int(first), int(last) + 1))
    return named


def _prose(text: str) -> Iterator[str]:
    """Lines without blocks and spans of code. A block that is never closed goes on to the end."""
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
        else:
            yield _without_spans(line) if "`" in line else line


def _without_spans(line: str) -> str:
    """A span of code ends at the next row of as many ticks; without one, ticks are only ticks."""
    runs = [match.span() for match in _TICKS.finditer(line)]
    last = {end - start: start for start, end in runs}
    kept, at, opened = [], 0, 0
    for start, end in runs:
        if opened == end - start:
            at, opened = end, 0
        elif not opened and last[end - start] > start:
            kept.append(line[at:start])
            opened = end - start
    return "`".join([*kept, line[at:]])
