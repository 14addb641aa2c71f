"""The product's own use cases over a database, and a large base put into it without reading documents."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from dishka import AsyncContainer
from knowledge_words import Words

from adapters.database.transactions import DatabaseTransactions
from application.knowledge.ingestion_steps import STORED_AT_ONCE
from application.ports.embedder import Embedder, Embedders
from application.ports.file_storage import FileStorage
from application.ports.job_queue import Job, JobKind
from application.ports.knowledge import NewChunk
from application.accounts.users import NewAccount, RegisterUser
from domain.knowledge.embeddings import Vector
from domain.knowledge.embedding_text import found_by
from domain.files.files import FileKind, StoredFile
from domain.ids import FileId, KnowledgeFileId, KnowledgeId, UserId, new_id
from domain.knowledge.knowledge import KnowledgeBase, KnowledgeDraft, KnowledgeFile, Stage
from entrypoints.graph.container import make_container
from entrypoints.schema_ready import bring_up_to_date
from entrypoints.settings.loading import Settings, load_settings
from entrypoints.worker import JobHandler

SECRETS = '["bench-only-00000000000000000000000000000000"]'
A_FILE = 1000
"""Chunks of one file of the large base."""
DIFFERENT = 5000
"""Texts of the large base: each stands in some chunks of it, for words take longer to make than to store."""


@dataclass(frozen=True)
class Stack:
    """One process of the product on one database, as the container builds it."""

    settings: Settings
    container: AsyncContainer
    transactions: DatabaseTransactions
    embedder: Embedder
    user: UserId

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path, more: Mapping[str, str]) -> AsyncIterator["Stack"]:
        given = {"DATA_DIR": str(folder), "SECRET_KEYS": SECRETS, **more}
        settings = load_settings({f"AGENTCHAT_{name}": value for name, value in given.items()}, folder)
        await bring_up_to_date(settings)
        container = make_container(settings)
        try:
            embedders = await container.get(Embedders)
            embedder = embedders.open(embedders.configured.name) if embedders.configured else None
            if embedder is None:
                raise SystemExit(embedders.lacking or "No embedding model is configured.")
            register = await container.get(RegisterUser)
            user = await register(NewAccount("bench", "correct horse battery"))
            yield cls(settings, container, await container.get(DatabaseTransactions), embedder, user.user_id)
        finally:
            await container.close()

    async def base(self, name: str) -> KnowledgeId:
        model = self.embedder.model.name
        made = KnowledgeBase.create(KnowledgeId(new_id()), self.user, KnowledgeDraft(name), model, now())
        async with self.transactions.autocommit() as tx:
            await tx.knowledge.add(made)
        return made.knowledge_id

    async def fill(self, base: KnowledgeId, vectors: np.ndarray, words: Words, length: int) -> None:
        """A chunk for each vector, in files of A_FILE chunks that are done."""
        texts = [words.text(number, length) for number in range(min(DIFFERENT, len(vectors)))]
        terms = [found_by((), text) for text in texts]
        for first in range(0, len(vectors), A_FILE):
            new = []
            for at, vector in enumerate(vectors[first : first + A_FILE]):
                text, found = texts[(first + at) % DIFFERENT], terms[(first + at) % DIFFERENT]
                new.append(NewChunk(at, text, found, None, 0, len(text), (), Vector(vector.tobytes())))
            upload = self._upload(f"part-{first}.txt", b"")
            file = KnowledgeFile.create(KnowledgeFileId(new_id()), base, upload, now())
            planned = replace(file, stage=Stage.EMBED, plan="bench", total=len(new))
            async with self.transactions.begin() as tx:
                await tx.files.add(upload)
                await tx.knowledge_files.add(planned)
                for at in range(0, len(new), 4 * STORED_AT_ONCE):
                    portion = new[at : at + 4 * STORED_AT_ONCE]
                    await tx.chunks.add(planned, portion, self.embedder.model.name, now())
                await tx.knowledge_files.record(replace(planned, chunks=len(new)).succeeded(now()))

    async def ingest(
        self, base: KnowledgeId, name: str, content: bytes, handler: JobHandler | None = None
    ) -> KnowledgeFile:
        """What the job of a file does, from the stored upload to `success`."""
        upload = self._upload(name, content)
        storage = await self.container.get(FileStorage)
        await storage.write(upload.file_id, _pieces(content))
        file = KnowledgeFile.create(KnowledgeFileId(new_id()), base, upload, now())
        async with self.transactions.begin() as tx:
            await tx.files.add(upload)
            await tx.knowledge_files.add(file)
        handler = handler or await self.container.get(JobHandler)
        job = Job(JobKind.INGEST, file.knowledge_file_id)
        while await handler(job) is not None:
            pass
        async with self.transactions.autocommit() as tx:
            done = await tx.knowledge_files.get(file.knowledge_file_id, owner=self.user)
        if done.progress < 1:
            raise SystemExit(f"The document was not ingested: {done.error}")
        return done

    def _upload(self, name: str, content: bytes) -> StoredFile:
        kind = FileKind(name.rpartition(".")[2])
        # Each is a content of its own: what was read once is not read again.
        sha256 = hashlib.sha256(content + new_id().encode()).hexdigest()
        return StoredFile(FileId(new_id()), self.user, name, kind, len(content), sha256, now())


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for first in range(0, len(content), 65536):
        yield content[first : first + 65536]


def now() -> datetime:
    return datetime.now(UTC)
