"""Knowledge bases: making, changing, listing and removing them."""

from dataclasses import dataclass

from application.jobs.asked_work import AskForWork
from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.embedder import Embedders
from application.ports.job_queue import Job, JobKind
from application.ports.persistence import Transactions
from domain.errors import Conflict
from domain.ids import KnowledgeId, UserId, new_id
from domain.knowledge.knowledge import BASES_MAX, KnowledgeBase, KnowledgeDraft


@dataclass(frozen=True, slots=True)
class CreateKnowledge:
    transactions: Transactions
    embedders: Embedders
    clock: Clock

    async def __call__(self, actor: UserId, draft: KnowledgeDraft) -> KnowledgeBase:
        """Raises Conflict `knowledge_name_taken`, `too_many_knowledge_bases`."""
        configured = self.embedders.configured
        model = configured.name if configured else None
        base = KnowledgeBase.create(KnowledgeId(new_id()), actor, draft, model, self.clock.now())
        async with self.transactions.begin() as tx:
            # Of many made at once each is counted by the next.
            await tx.users.locked(actor)
            if await tx.knowledge.count(owner=actor) >= BASES_MAX:
                message = f"An account has at most {BASES_MAX:,} knowledge bases: delete one first."
                raise Conflict("too_many_knowledge_bases", message)
            await tx.knowledge.add(base)
        return base


@dataclass(frozen=True, slots=True)
class ChangeKnowledge:
    transactions: Transactions
    clock: Clock

    async def __call__(self, actor: UserId, knowledge_id: KnowledgeId, draft: KnowledgeDraft) -> KnowledgeBase:
        async with self.transactions.begin() as tx:
            base = await tx.knowledge.get(knowledge_id, owner=actor)
            changed = base.change(draft, self.clock.now())
            await tx.knowledge.save(changed)
        return changed


@dataclass(frozen=True, slots=True)
class DeleteKnowledge:
    """Once it is marked nobody finds it. Its files, chunks and vectors go in portions, by a job."""

    transactions: Transactions
    clock: Clock
    ask_for_work: AskForWork

    async def __call__(self, actor: UserId, knowledge_id: KnowledgeId) -> None:
        async with self.transactions.begin() as tx:
            await tx.knowledge.remove(knowledge_id, self.clock.now(), owner=actor)
        await self.ask_for_work(Job(JobKind.PURGE, knowledge_id))


@dataclass(frozen=True, slots=True)
class ShowKnowledge:
    transactions: Transactions

    async def __call__(self, actor: UserId, knowledge_id: KnowledgeId) -> KnowledgeBase:
        async with self.transactions.autocommit() as tx:
            return await tx.knowledge.get(knowledge_id, owner=actor)


@dataclass(frozen=True, slots=True)
class ListKnowledge:
    transactions: Transactions

    async def __call__(self, actor: UserId, window: Window) -> Page[KnowledgeBase]:
        async with self.transactions.autocommit() as tx:
            rows = await tx.knowledge.list(window, owner=actor)
        return Page.cut(rows, window, lambda base: Position(base.created_at, base.knowledge_id))
