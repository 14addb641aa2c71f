"""What a chunk is embedded as, and found by: its content, and a little of what stands around it."""

from collections.abc import Sequence
from typing import Final

from domain.knowledge.lexical import index_terms

VERSION: Final = "1"
"""Another one whenever the same chunk may be embedded as, or found by, something else."""
CONTEXT_MAX: Final = 160
"""Characters before the content: models read some 500 tokens, and the content matters most."""
NAME_MAX: Final = 80
FOUND_BY_MAX: Final = 400
"""Characters of headings by which a chunk is found: each chunk below them repeats their terms."""
_BETWEEN: Final = " > "


def embedding_text(file_name: str, headings: Sequence[str], content: str) -> str:
    """The file's name, the nearest headings, and then the content, whole."""
    return f"{context(file_name, headings)}\n\n{content}"


def context(file_name: str, headings: Sequence[str]) -> str:
    """One line: the file's name, and as many headings as have room, outermost first. The innermost tell most."""
    name = _line(file_name)[:NAME_MAX]
    left = CONTEXT_MAX - len(name)
    kept: list[str] = []
    for heading in reversed(headings):
        title = _line(heading)
        if not title:
            continue
        room = left - len(_BETWEEN)
        if room < len(title) and kept:
            break
        kept.append(title[:room])
        left = room - len(kept[-1])
    return _BETWEEN.join([name, *reversed(kept)])


def found_by(headings: Sequence[str], content: str) -> list[str]:
    """The terms of a chunk: those of its nearest headings too, which often name what its text only speaks of."""
    return [term for text in (*_nearest(headings), content) for term in index_terms(text)]


def _nearest(headings: Sequence[str]) -> list[str]:
    kept: list[str] = []
    left = FOUND_BY_MAX
    for heading in reversed(headings):
        if left <= 0:
            break
        kept.append(heading[:left])
        left -= len(kept[-1])
    return kept[::-1]


def _line(text: str) -> str:
    return " ".join(text[: 4 * CONTEXT_MAX].split())
