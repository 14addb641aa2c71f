"""How passages of knowledge go into a prompt: numbered, fenced as data, within a budget of tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.files.attachments import WARNING, fenced, plain_name
from domain.knowledge.retrieval import Passage
from domain.tokens import beginning, estimate

INSTRUCTION: Final = (
    "These passages were found in the user's knowledge bases for the question below. Answer from them, and cite each "
    "that you use by its number in brackets, as in [1] or [1][2]. If they don't hold the answer, say so."
)
NOTHING: Final = (
    "<knowledge>\nThe user's knowledge bases were searched for the question below, and nothing was found. "
    "Say so if the question needs them.\n</knowledge>\n\n"
)
_OPENING: Final = f"<knowledge>\n{INSTRUCTION}\n{WARNING}\n"
_CLOSING: Final = "</knowledge>\n\n"
_END: Final = "\n</passage>\n"
_LEAST_SHOWN: Final = 50
"""Tokens of a passage; less than that says nothing."""

Numbered = tuple[int, Passage]


@dataclass(frozen=True, slots=True)
class PassagesText:
    """`shown` is what stands in `text`; the last one may be the beginning of what was found."""

    text: str
    shown: tuple[Numbered, ...] = ()


def passages_before_question(passages: Sequence[Passage], budget: int) -> PassagesText:
    """Numbered from 1, at most `budget` tokens; nothing where that is too little for any."""
    if not passages:
        return PassagesText(NOTHING if estimate(NOTHING) <= budget else "")
    found = passages_text(enumerate(passages, 1), budget - estimate(_OPENING + _CLOSING))
    return PassagesText(f"{_OPENING}{found.text}{_CLOSING}", found.shown) if found.shown else PassagesText("")


def passages_text(passages: Iterable[Numbered], budget: int) -> PassagesText:
    """The first passages, as many as are at most `budget` tokens."""
    blocks, shown = [], []
    for number, passage in passages:
        block = _block(number, passage)
        tokens = estimate(block)
        if tokens > budget:
            passage = _beginning(number, passage, budget)
            block = _block(number, passage)
            if len(passage.content) == 0 or estimate(block) > budget:
                break
        blocks.append(block)
        shown.append((number, passage))
        budget -= tokens
        if budget <= 0:
            break
    return PassagesText("".join(blocks), tuple(shown))


def _beginning(number: int, passage: Passage, tokens: int) -> Passage:
    """As much as fits, less what fencing may add; nothing where that is little."""
    left = tokens - estimate(_block(number, replace(passage, content="")))
    content = beginning(passage.content, left) if left >= _LEAST_SHOWN else ""
    return replace(passage, content=content, end=passage.start + len(content))


def _block(number: int, passage: Passage) -> str:
    page = "" if passage.page is None else f' page="{passage.page}"'
    name = plain_name(passage.file_name)
    return f'<passage number="{number}" document="{name}"{page}>\n{fenced(passage.content).strip()}{_END}'
