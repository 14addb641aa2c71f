"""The part of the object graph that keeps knowledge: bases, the work on their files, and the search in them."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from dishka import Provider, Scope, provide, provide_all

from adapters.database.transactions import DatabaseTransactions
from application.files.document_reading import ReadDocument
from application.jobs.asked_work import AskForWork
from application.knowledge import knowledge, knowledge_files
from application.knowledge.contested_models import Contests
from application.knowledge.evaluation import EvaluateKnowledge
from application.knowledge.ingestion import Ingest
from application.knowledge.ingestion_steps import IngestionSteps
from application.knowledge.knowledge_upkeep import KeepKnowledge
from application.knowledge.purging import Purge
from application.knowledge.query_turns import QueryTurns
from application.knowledge.reindexing import Reindex
from application.knowledge.retrieval import RetrieveKnowledge
from application.ports.clock import Clock
from application.ports.embedder import Embedders
from application.ports.job_queue import JobKind, JobQueue
from application.ports.knowledge import LexicalIndex, VectorIndex
from application.ports.persistence import Transactions
from domain.files.files import StoredFile
from domain.knowledge.chunking import ChunkSize
from domain.knowledge.knowledge import KnowledgeFile
from entrypoints.graph.asides import KnowledgeJobs
from entrypoints.graph.embedding import Reranking
from entrypoints.settings.loading import Settings
from entrypoints.told_troubles import Seldom, tell

log = logging.getLogger("agentchat.knowledge")


class OpenIndex(VectorIndex, Protocol):
    """One that the container closes."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class VectorHealth:
    index: VectorIndex
    name: str = "vector_index"

    async def check(self) -> None:
        await self.index.check()


class Knowledge(Provider):
    """Needs the database, storage, parsers, embedders and the queue, which other providers have."""

    scope = Scope.APP
    use_cases = provide_all(
        knowledge.ChangeKnowledge,
        knowledge.CreateKnowledge,
        knowledge.DeleteKnowledge,
        knowledge.ListKnowledge,
        knowledge.ShowKnowledge,
        knowledge_files.AddKnowledgeFile,
        knowledge_files.DeleteKnowledgeFile,
        knowledge_files.ListKnowledgeFiles,
        knowledge_files.RetryKnowledgeFile,
        knowledge_files.ShowKnowledgeFile,
        EvaluateKnowledge,
    )

    @provide
    async def vectors(self, settings: Settings) -> AsyncIterator[VectorIndex]:
        opened = VECTOR_INDEXES[settings.vector.kind or "embedded"](settings)
        yield opened
        await opened.aclose()

    @provide
    def lexical(self, database: DatabaseTransactions) -> LexicalIndex:
        return database.lexical()

    @provide
    def ask_for_work(self, queue: JobQueue) -> AskForWork:
        return AskForWork(queue, on_trouble=_not_asked)

    @provide
    def retrieve(
        self,
        transactions: Transactions,
        embedders: Embedders,
        vectors: VectorIndex,
        lexical: LexicalIndex,
        reranking: Reranking,
        settings: Settings,
    ) -> RetrieveKnowledge:
        return RetrieveKnowledge(
            transactions,
            embedders,
            vectors,
            lexical,
            reranking.reranker,
            on_trouble=_troubled,
            reranking_seconds=settings.rerank.timeout,
            turns=QueryTurns.beside(settings.max_runs_per_user),
        )

    @provide
    def steps(
        self, transactions: Transactions, read: ReadDocument, embedders: Embedders, clock: Clock, settings: Settings
    ) -> IngestionSteps:
        size = ChunkSize(settings.knowledge.chunk_tokens, settings.knowledge.chunk_overlap)
        return IngestionSteps(transactions, read, embedders, clock, size, settings.knowledge.max_chunks, _missing)

    @provide
    def jobs(
        self, transactions: Transactions, steps: IngestionSteps, embedders: Embedders, clock: Clock
    ) -> KnowledgeJobs:
        ingest = Ingest(transactions, steps, clock, on_contest=_cut_otherwise)
        left = Seldom(log, "left_to_other_workers")
        # What one learns of how quick the model is, the other knows too.
        reindex = Reindex(transactions, embedders, embedded=steps.embedded, contests=Contests(_contested), on_left=left)
        purge = Purge(transactions)
        return KnowledgeJobs({JobKind.INGEST: ingest, JobKind.REINDEX: reindex, JobKind.PURGE: purge})

    @provide
    def keep(self, transactions: Transactions, queue: JobQueue, embedders: Embedders, clock: Clock) -> KeepKnowledge:
        return KeepKnowledge(transactions, queue, embedders, clock, on_trouble=_not_kept)


def _embedded(settings: Settings) -> OpenIndex:
    from adapters.database.vectors.vectors_embedded import EmbeddedVectorIndex

    return EmbeddedVectorIndex(settings.database_url.reveal(), most_bytes=settings.vector.cache_bytes)


def _pgvector(settings: Settings) -> OpenIndex:
    from adapters.database.vectors.pgvector_index import PgVectorIndex

    return PgVectorIndex(settings.database_url.reveal())


VECTOR_INDEXES: Final[Mapping[str, Callable[[Settings], OpenIndex]]] = {"embedded": _embedded, "pgvector": _pgvector}


def _contested(ours: str, theirs: str, seconds: float) -> None:
    log.warning("embedding_model_contested", extra={"ours": ours, "theirs": theirs, "left_for_seconds": seconds})


def _cut_otherwise(file: KnowledgeFile, ours: str) -> None:
    told = {"knowledge_file_id": file.knowledge_file_id, "ours": ours, "theirs": file.plan}
    log.warning("plan_contested", extra=told)


def _not_asked(trouble: Exception) -> None:
    tell(log, "work_not_asked_for_yet", trouble)


def _troubled(trouble: Exception) -> None:
    log.warning("retrieval_with_less", extra={"cause": str(trouble) or type(trouble).__name__})


def _not_kept(trouble: Exception) -> None:
    tell(log, "knowledge_not_kept_up_yet", trouble)


def _missing(file: StoredFile) -> None:
    log.error(
        "file_content_missing",
        extra={"file_id": file.file_id, "advice": "servers and workers must have the same [storage]"},
    )
