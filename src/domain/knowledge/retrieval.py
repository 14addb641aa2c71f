"""Finding chunks: how several rankings become one, and what is shown of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.ids import ChunkId, KnowledgeFileId, KnowledgeId


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk in a ranking. Scores of one ranking can be compared with each other: more is better."""

    chunk_id: ChunkId
    score: float


class NotAllSearched(Exception):
    """Some bases could not be searched, and why. `hits` are those of the others, None when there are no others."""

    def __init__(self, why: str, hits: Sequence[Hit] | None) -> None:
        super().__init__(why)
        self.hits = hits


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """A stored chunk of a file that is there. `content` is the parsed text from `start` to `end`, exactly."""

    chunk_id: ChunkId
    knowledge_id: KnowledgeId
    knowledge_file_id: KnowledgeFileId
    ordinal: int
    file_name: str
    content: str
    page: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """What a search gives: one chunk, or neighbours joined. `score` is between 0 and 1, and more is better."""

    content: str
    score: float
    knowledge_id: KnowledgeId
    knowledge_file_id: KnowledgeFileId
    file_name: str
    page: int | None
    start: int
    end: int
