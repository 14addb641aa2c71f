"""How well a ranking finds what was expected: recall, mean reciprocal rank and nDCG of its first k places."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from domain.knowledge.retrieval import FoundChunk


@dataclass(frozen=True, slots=True)
class EvaluationCase:
    """`expected` are each to be found: a file of the base, when it is the name or id of one, else a text."""

    query: str
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaseScores:
    """Each between 0 and 1. `recall` is the share of what was expected that was found."""

    recall: float
    reciprocal_rank: float
    ndcg: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over all cases. `failed` are the numbers, from 0, of those of which nothing was found."""

    recall: float
    mrr: float
    ndcg: float
    failed: tuple[int, ...] = ()


def file_names(names: Iterable[str]) -> frozenset[str]:
    """Names and ids of a base's files, as `found_at` wants them."""
    return frozenset(map(_plain, names)) - {""}


def found_at(chunks: Sequence[FoundChunk], expected: Sequence[str], files: Collection[str]) -> list[int]:
    """For each chunk, best first, how much of what is expected is first met in it.

    What names one of the `files` is met in its chunks alone: that another text mentions the file is no find.
    """
    missing = {_plain(one) for one in expected}
    counts = []
    for chunk in chunks:
        text, names = _plain(chunk.content), {_plain(chunk.file_name), _plain(chunk.knowledge_file_id)}
        met = {one for one in missing if (one in names if one in files else one in text)}
        missing -= met
        counts.append(len(met))
    return counts


def scores_of(counts: Sequence[int], expected: int, k: int) -> CaseScores:
    """`counts` is how much of what is expected, at least 1, is first met at each place."""
    first = counts[:k]
    rank = next((place for place, count in enumerate(first, 1) if count), None)
    ideal = sum(map(_gain, range(1, min(expected, k) + 1)))
    gained = sum(count * _gain(place) for place, count in enumerate(first, 1))
    # One chunk may hold two expected texts: better than an ideal of one at each place, and not counted as better.
    return CaseScores(min(1.0, sum(first) / expected), 1 / rank if rank else 0.0, min(1.0, gained / ideal))


def measured(cases: Sequence[CaseScores]) -> Measured:
    """Of one case or more."""
    return Measured(
        fmean(case.recall for case in cases),
        fmean(case.reciprocal_rank for case in cases),
        fmean(case.ndcg for case in cases),
        tuple(number for number, case in enumerate(cases) if not case.reciprocal_rank),
    )


def distinct(expected: Sequence[str]) -> tuple[str, ...]:
    """Without those that say the same, or nothing."""
    unique: dict[str, str] = {}
    for one in expected:
        unique.setdefault(_plain(one), one)
    return tuple(one for plain, one in unique.items() if plain)


def _gain(place: int) -> float:
    return 1 / math.log2(place + 1)


def _plain(text: str) -> str:
    """Without white space, which lines of a document may have anywhere in Chinese, and without case."""
    return "".join(text.split()).casefold()
