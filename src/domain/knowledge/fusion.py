"""Several rankings of the same chunks become one, by the places in them: their scores can't be compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.ids import ChunkId
from domain.knowledge.retrieval import Hit

LEAST_DEPTH: Final = 50
"""How many hits of each ranking are fused, at least."""


@dataclass(frozen=True, slots=True)
class Fusion:
    """The place p of a ranking, from 1, is worth its weight / (`k` + p). The less `k`, the more first places count."""

    k: float
    dense: float
    lexical: float


FUSION: Final = Fusion(k=10.0, dense=0.5, lexical=0.5)
"""Chosen by measurement: see docs/retrieval.md."""


def fused(rankings: Sequence[tuple[Sequence[Hit], float]], k: float) -> list[Hit]:
    """All chunks of the rankings that have weight, best first; of equals, the one that was met first.

    A score is between 0 and 1: the share of what a chunk gets that is first in each ranking.
    """
    counted = [(hits, weight) for hits, weight in rankings if weight > 0]
    best = sum(weight for _, weight in counted) / (k + 1)
    scores: dict[ChunkId, float] = {}
    for hits, weight in counted:
        # A chunk that comes twice counts where it stands first.
        for place, chunk_id in enumerate(dict.fromkeys(hit.chunk_id for hit in hits), 1):
            scores[chunk_id] = scores.get(chunk_id, 0.0) + weight / (k + place)
    ranked = sorted(scores, key=lambda chunk_id: -scores[chunk_id])
    return [Hit(chunk_id, min(1.0, scores[chunk_id] / best)) for chunk_id in ranked]


def hybrid(dense: Sequence[Hit] | None, lexical: Sequence[Hit], fusion: Fusion = FUSION) -> list[Hit]:
    """`dense` is None where no vectors are searched: then the lexical ranking is all there is."""
    if dense is None:
        return fused([(lexical, 1.0)], fusion.k)
    return fused([(dense, fusion.dense), (lexical, fusion.lexical)], fusion.k)


def depth_for(top_k: int) -> int:
    """Of each ranking: enough that what is second in both is found."""
    return max(LEAST_DEPTH, 4 * top_k)
