"""Another embedding model: new vectors are made beside the old ones, which are searched until all are there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from application.knowledge.contested_models import Contests
from application.knowledge.embedded_texts import TimedEmbedding
from application.knowledge.ingestion_steps import LEFT_TO_OTHERS, PAUSE_SECONDS, REMOVED_AT_ONCE
from application.ports.embedder import Embedder, Embedders
from application.ports.job_queue import Again, Job
from application.ports.persistence import Transactions
from domain.errors import ModelError, Unavailable
from domain.ids import KnowledgeId
from domain.knowledge.embedding_text import embedding_text

SLICE_SECONDS: Final = 20.0
MOST_REFUSED: Final = 50
"""Without a single vector: then it is hardly the texts."""


OnLeft = Callable[[Unavailable], None]
"""Hears, again and again, why this process leaves to others what they asked for."""


@dataclass(frozen=True, slots=True)
class Reindex:
    """What fails is raised: the queue reports it and tries again, ever later, and for ever. What is made is kept.

    A chunk that the model refuses is passed over, so that all others get their vectors. It is reported and tried again
    in the same way; until it has its vector, or its file is removed, the old vectors are searched.
    """

    transactions: Transactions
    embedders: Embedders
    slice_seconds: float = SLICE_SECONDS
    embedded: TimedEmbedding = field(default_factory=TimedEmbedding)
    contests: Contests = field(default_factory=Contests)
    on_left: OnLeft = lambda _: None

    async def __call__(self, job: Job) -> Again | None:
        if self.embedders.is_switched_off:
            return None
        knowledge_id = KnowledgeId(job.subject)
        async with self.transactions.autocommit() as tx:
            found = await tx.knowledge.model(knowledge_id)
            elsewhere = await tx.knowledge.vectors_elsewhere()
        embedder = None if elsewhere else self._embedder()
        if embedder is None:
            self.on_left(kept_elsewhere() if elsewhere else cannot_embed(self.embedders.lacking))
            # A base without a model may be gone; where it is there, the upkeep asks for it again.
            return LEFT_TO_OTHERS if found else None
        if self.contests.leaves(knowledge_id, embedder.model.name, found):
            return None
        until = asyncio.get_running_loop().time() + self.slice_seconds
        while True:
            made, complete = await self._make_vectors(knowledge_id, embedder, until)
            if not complete:
                return Again()
            if await self._switch(knowledge_id, embedder.model.name):
                break
            if not made:
                # No chunk lacks its vector, and yet there is nothing to switch: the base was removed.
                return None
        return await self._remove_others(knowledge_id, embedder.model.name, until)

    def _embedder(self) -> Embedder | None:
        model = self.embedders.configured
        if model is None:
            return None
        embedder = self.embedders.open(model.name)
        if embedder is None:
            raise Unavailable("embedding_unavailable", f"The embedding model {model.name} can't be reached now.")
        return embedder

    async def _switch(self, knowledge_id: KnowledgeId, model: str) -> bool:
        async with self.transactions.autocommit() as tx:
            before = await tx.knowledge.model(knowledge_id)
            switched = await tx.knowledge.switch(knowledge_id, model)
        if switched and before != model:
            self.contests.note_switch(knowledge_id)
        return switched

    async def _make_vectors(self, knowledge_id: KnowledgeId, embedder: Embedder, until: float) -> tuple[int, bool]:
        """How many were made, and whether that was all; else the time is up. Raises what the model refused."""
        made, after, model = 0, None, embedder.model.name
        refused: list[ModelError] = []
        while True:
            async with self.transactions.autocommit() as tx:
                lacking = await tx.chunks.without_vector(knowledge_id, model, self.embedded.batch(embedder), after)
            if not lacking and refused:
                raise refused[0]
            if not lacking:
                return made, True
            texts = [embedding_text(chunk.file_name, chunk.headings, chunk.content) for chunk in lacking]
            vectors = await self.embedded(embedder, texts, refused)
            new = [(chunk.chunk_id, vector) for chunk, vector in zip(lacking, vectors, strict=True) if vector]
            async with self.transactions.autocommit() as tx:
                await tx.chunks.add_vectors(knowledge_id, model, new)
            made, after = made + len(new), lacking[-1].chunk_id
            if not made and len(refused) >= MOST_REFUSED:
                raise refused[0]
            # A slice that met only what is refused would begin with the same chunks again.
            if made and asyncio.get_running_loop().time() >= until:
                return made, False

    async def _remove_others(self, knowledge_id: KnowledgeId, model: str, until: float) -> Again | None:
        while True:
            async with self.transactions.autocommit() as tx:
                removed = await tx.chunks.remove_vectors(knowledge_id, but=model, limit=REMOVED_AT_ONCE)
            if not removed:
                return None
            if asyncio.get_running_loop().time() >= until:
                return Again()
            await asyncio.sleep(PAUSE_SECONDS)


def kept_elsewhere() -> Unavailable:
    return Unavailable(
        "vectors_elsewhere",
        "Another process on this database was started later with another [vector] kind: set the same everywhere, and "
        "start this process anew.",
    )


def cannot_embed(lacking: str | None) -> Unavailable:
    return Unavailable("embedding_lacking", f"Other processes make vectors, and this one can't: {lacking}")
