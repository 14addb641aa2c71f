"""Files of a knowledge base: putting them in answers at once, the work on them is a job."""

from dataclasses import dataclass

from application.files.own_files import file_of, own_files
from application.jobs.asked_work import AskForWork
from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.file_storage import FileStorage
from application.ports.job_queue import Job, JobKind
from application.ports.persistence import Transaction, Transactions
from domain.errors import InvalidValue
from domain.ids import KnowledgeFileId, KnowledgeId, UserId, new_id
from domain.knowledge.knowledge import IngestionStatus, KnowledgeFile


@dataclass(frozen=True, slots=True)
class AddKnowledgeFile:
    transactions: Transactions
    storage: FileStorage
    clock: Clock
    ask_for_work: AskForWork

    async def __call__(self, actor: UserId, knowledge_id: KnowledgeId, file_url: str) -> KnowledgeFile:
        """An upload is in a base once: put in again it gives the file that is there, and begins anew what had failed.

        Raises InvalidValue `file_url_refused` for anything but one's own file, `file_no_text` for a picture;
        NotFound `knowledge_not_found`, Conflict `knowledge_full`.
        """
        [upload] = await own_files(self.transactions, actor, [file_of(self.storage, file_url)])
        if upload.kind.is_image:
            raise InvalidValue("file_url", f"{upload.name} is a picture, it has no text to search", code="file_no_text")
        file = KnowledgeFile.create(KnowledgeFileId(new_id()), knowledge_id, upload, self.clock.now())
        async with self.transactions.begin() as tx:
            before = await _unfinished(tx, actor)
            kept = await tx.knowledge_files.add(file)
            if kept.status is IngestionStatus.FAIL:
                kept = await tx.knowledge_files.retry(kept.knowledge_file_id, file.created_at, owner=actor)
            elif kept.knowledge_file_id != file.knowledge_file_id:
                return kept
        await self.ask_for_work(ingestion_of(kept, before))
        return kept


@dataclass(frozen=True, slots=True)
class RetryKnowledgeFile:
    transactions: Transactions
    clock: Clock
    ask_for_work: AskForWork

    async def __call__(self, actor: UserId, knowledge_file_id: KnowledgeFileId) -> KnowledgeFile:
        """Also what is found is cut and indexed as is configured now. Raises Conflict `knowledge_file_at_work`."""
        async with self.transactions.begin() as tx:
            before = await _unfinished(tx, actor)
            file = await tx.knowledge_files.retry(knowledge_file_id, self.clock.now(), owner=actor)
        await self.ask_for_work(ingestion_of(file, before))
        return file


@dataclass(frozen=True, slots=True)
class DeleteKnowledgeFile:
    """Once it is marked nobody finds it, and work on it stops. The upload itself stays."""

    transactions: Transactions
    clock: Clock
    ask_for_work: AskForWork

    async def __call__(self, actor: UserId, knowledge_file_id: KnowledgeFileId) -> None:
        async with self.transactions.begin() as tx:
            await tx.knowledge_files.remove(knowledge_file_id, self.clock.now(), owner=actor)
        await self.ask_for_work(Job(JobKind.PURGE, knowledge_file_id))


@dataclass(frozen=True, slots=True)
class ShowKnowledgeFile:
    transactions: Transactions

    async def __call__(self, actor: UserId, knowledge_file_id: KnowledgeFileId) -> KnowledgeFile:
        async with self.transactions.autocommit() as tx:
            return await tx.knowledge_files.get(knowledge_file_id, owner=actor)


@dataclass(frozen=True, slots=True)
class ListKnowledgeFiles:
    transactions: Transactions

    async def __call__(self, actor: UserId, knowledge_id: KnowledgeId, window: Window) -> Page[KnowledgeFile]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.knowledge_files.list(knowledge_id, window, owner=actor)
        return Page.cut(rows, window, lambda file: Position(file.created_at, file.knowledge_file_id))


async def _unfinished(tx: Transaction, owner: UserId) -> int:
    # Who counts holds the account until the end: of many files put in at once each is counted by the next.
    await tx.users.locked(owner)
    return await tx.knowledge_files.unfinished(owner=owner)


def ingestion_of(file: KnowledgeFile, unfinished_before: int) -> Job:
    """Everybody's first file goes before anybody's second."""
    return Job(JobKind.INGEST, file.knowledge_file_id, file.generation, rank=unfinished_before)
