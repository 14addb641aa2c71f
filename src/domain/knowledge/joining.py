"""Neighbouring chunks of a file as one passage: exactly the text that they cover together."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from domain.ids import ChunkId
from domain.knowledge.retrieval import FoundChunk, Passage

LONGEST: Final = 8_000
"""Characters of a passage that is joined."""


def passages_of(ranked: Sequence[tuple[FoundChunk, float]], most: int) -> list[Passage]:
    """The best chunks, as many as make `most` passages, best first. A passage has the score of its best chunk."""
    chosen: dict[ChunkId, tuple[FoundChunk, float]] = {}
    passages: list[Passage] = []
    for chunk, score in ranked:
        if chunk.chunk_id in chosen:
            continue
        chosen[chunk.chunk_id] = chunk, score
        together = joined(chosen.values())
        if len(together) > most:
            break
        passages = together
    return passages


def joined(chunks: Iterable[tuple[FoundChunk, float]]) -> list[Passage]:
    """By score, of equals those of the chunk that came first."""
    numbered = sorted(enumerate(chunks), key=lambda one: (one[1][0].knowledge_file_id, one[1][0].start, one[1][0].end))
    found: list[tuple[int, Passage]] = []
    for number, (chunk, score) in numbered:
        last = found[-1] if found else None
        union = _union(last[1], chunk) if last else None
        if last is None or union is None:
            found.append((number, _alone(chunk, score)))
        else:
            first, passage = last
            end = passage.start + len(union)
            wider = replace(passage, content=union, end=end, score=max(passage.score, score))
            found[-1] = min(first, number), wider
    return [passage for _, passage in sorted(found, key=lambda one: (-one[1].score, one[0]))]


def _union(left: Passage, right: FoundChunk) -> str | None:
    """None where something lies between them, where it would be too long, or where they disagree."""
    if left.knowledge_file_id != right.knowledge_file_id or right.start > left.end:
        return None
    if max(left.end, right.end) - left.start > LONGEST:
        return None
    at = right.start - left.start
    shared = min(left.end, right.end) - right.start
    # They differ only while a file is being stored anew, by other rules of reading.
    if left.content[at : at + shared] != right.content[:shared]:
        return None
    return left.content + right.content[shared:]


def _alone(chunk: FoundChunk, score: float) -> Passage:
    return Passage(
        chunk.content,
        score,
        chunk.knowledge_id,
        chunk.knowledge_file_id,
        chunk.file_name,
        chunk.page,
        chunk.start,
        chunk.end,
    )
