"""Which texts speak of what a query asks: ranking by shared words (BM25), in any script and without a dictionary."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]+|[^\W_]+")
_FIRST_WIDE: Final = "\u3040"
_NO_PLURAL: Final = ("ss", "us", "is")
_SHORTEST_PLURAL: Final = 4
_SATURATION: Final = 1.2
_LENGTH_WEIGHT: Final = 0.75


def terms(text: str) -> list[str]:
    """Words without case, forms of width and the s of a plural; of a script without spaces, each pair of neighbours (or
    the one alone)."""
    return _terms(_folded(text))


def index_terms(text: str) -> list[str]:
    """The terms, and then each character of a script without spaces: what chunks are found by.

    Pairs say more, but a question in other words often shares no pair with its answer.
    """
    folded = _folded(text)
    singles = [character for word in _WORD.findall(folded) if _is_run(word) for character in word]
    return _terms(folded) + singles


def best(query: str, texts: Sequence[str], limit: int) -> list[int]:
    """Numbers of the texts that share a term with the query, best first; of equals the earlier first.

    Looks closely at those texts only that hold one, and keeps nothing of the others.
    """
    asked = frozenset(terms(query))
    counts: dict[int, Counter[str]] = {}
    for number, text in enumerate(texts):
        folded = _folded(text)
        if any(term in folded for term in asked):
            shared = Counter(term for term in _terms(folded) if term in asked)
            if shared:
                counts[number] = shared
    holding = Counter(term for shared in counts.values() for term in shared)
    rarity = {term: math.log1p((len(texts) - held + 0.5) / (held + 0.5)) for term, held in holding.items()}
    mean = sum(map(len, texts)) / len(texts) if texts else 0.0
    scores = {
        number: sum(rarity[term] * _weight(count, len(texts[number]) / mean) for term, count in sorted(shared.items()))
        for number, shared in counts.items()
    }
    return sorted(scores, key=lambda number: (-scores[number], number))[: max(0, limit)]


def _folded(text: str) -> str:
    return text.casefold() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def _terms(folded: str) -> list[str]:
    found: list[str] = []
    for word in _WORD.findall(folded):
        if _is_run(word):
            found.extend(word[at : at + 2] for at in range(len(word) - 1))
        else:
            found.append(_singular(word))
    return found


def _is_run(word: str) -> bool:
    return word[0] >= _FIRST_WIDE and len(word) > 1


def _singular(word: str) -> str:
    """What is left begins the word, as `best` needs it: "parties" stays apart from "party"."""
    if len(word) < _SHORTEST_PLURAL or not word.endswith("s") or word.endswith(_NO_PLURAL):
        return word
    return word[:-1]


def _weight(count: int, length: float) -> float:
    """Of a term that stands `count` times in a text; `length` in characters of the mean text."""
    return count * (_SATURATION + 1) / (count + _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * length))
