"""What was said before the window: the summary before a question, and how the offline model makes one, by rule."""

import re
from collections.abc import Iterator
from typing import Final

from adapters.offline.extract import first_sentences
from domain.conversation.conversation import ModelRequest, UserTurn
from domain.dialogs.summaries import words_allowed
from domain.tokens import estimate

_OPENING: Final = "<earlier_conversation>\n"
_CLOSING: Final = "\n</earlier_conversation>\n\n"
_ABOUT_IT: Final = re.compile(r"(?:A summary of the first|Of what followed,)[^\n]*\n")
_EXCHANGE: Final = re.compile(
    r"<exchange>\nPerson: (.*?)\n((?:Tool [^\n]*\n)*)Assistant: (.*?)\n</exchange>\n", re.DOTALL
)
_LONGEST: Final = 200
_STATEMENTS: Final = 3


def told_before(text: str) -> tuple[str, str]:
    """The summary, and what stands after it."""
    if not text.startswith(_OPENING) or _CLOSING not in text:
        return "", text
    summary, _, rest = text.removeprefix(_OPENING).partition(_CLOSING)
    while about := _ABOUT_IT.match(summary):
        summary = summary[about.end() :]
    return summary, rest


def summed_up(request: ModelRequest) -> str | None:
    """The lines so far and those of the new exchanges, as many as there is room for; None for another request.

    What a person stated outlasts what they asked.
    """
    last, words = request.turns[-1], words_allowed(request)
    if words is None or not isinstance(last, UserTurn):
        return None
    so_far, said = told_before(last.text)
    lines = list(dict.fromkeys([*so_far.splitlines(), *_lines(said)]))
    while len(lines) > 1 and 3 * estimate("\n".join(lines)) > 4 * words:
        lines.remove(next((line for line in lines if "→" in line), lines[0]))
    return "\n".join(lines)


def _lines(said: str) -> Iterator[str]:
    for person, results, answer in _EXCHANGE.findall(said):
        statements = first_sentences(person)[:_STATEMENTS]
        yield from (f"- {statement[:_LONGEST]}" for statement in statements)
        if not statements:
            question = " ".join(person.split())[:_LONGEST]
            found = (results or answer).strip().splitlines() or [""]
            yield f"- {question} → {found[-1][:_LONGEST]}"
