"""Which texts speak of what a query asks: ranking by shared words (BM25), in any script and without a dictionary."""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final

_WORD: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff]+|[^\W_]+")
_FIRST_WIDE: Final = "\u3040"
_SATURATION: Final = 1.2
_LENGTH_WEIGHT: Final = 0.75


def terms(text: str) -> list[str]:
    """Words without case and forms of width; of a script without spaces, each pair of neighbours (or the one alone)."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if word[0] < _FIRST_WIDE or len(word) == 1:
            found.append(word)
        else:
            found.extend(word[at : at + 2] for at in range(len(word) - 1))
    return found


class LexicalIndex:
    """Texts by their terms. Making it looks at each text once; asking it looks at those that share a term."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._counts = [Counter(terms(text)) for text in texts]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / len(texts) if texts else 0.0
        self._where: dict[str, list[int]] = {}
        for number, counts in enumerate(self._counts):
            for term in counts:
                self._where.setdefault(term, []).append(number)

    def best(self, query: str, limit: int) -> list[int]:
        """Numbers of the texts that share a term with the query, best first; of equals the earlier first."""
        scores: dict[int, float] = {}
        for term in dict.fromkeys(terms(query)):
            places = self._where.get(term, ())
            rarity = math.log1p((len(self._counts) - len(places) + 0.5) / (len(places) + 0.5))
            for number in places:
                scores[number] = scores.get(number, 0.0) + rarity * self._weight(number, term)
        return sorted(scores, key=lambda number: (-scores[number], number))[: max(0, limit)]

    def _weight(self, number: int, term: str) -> float:
        count = self._counts[number][term]
        length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * self._lengths[number] / self._mean
        return count * (_SATURATION + 1) / (count + _SATURATION * length)
