"""The job of a knowledge file: try after try, later and later, until it can be searched or has failed."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from application.knowledge.ingestion_steps import (
    LEFT_TO_OTHERS,
    IngestionSteps,
    LeftToOthers,
    Overtaken,
    Try,
    UnreadThisTime,
    emptied,
)
from application.ports.clock import Clock
from application.ports.job_queue import Again, Job
from application.ports.persistence import Transactions
from domain.errors import DomainError, ModelError, TooManyRequests, Unauthenticated, Unavailable
from domain.ids import KnowledgeFileId
from domain.knowledge.knowledge import DEFECT, UNREAD_COSTS, IngestionError, KnowledgeFile, pause_before

SLICE_SECONDS: Final = 20.0
CONTEST_PAUSE: Final = timedelta(seconds=10)
LONGEST_RETRY_AFTER: Final = timedelta(hours=1)
LEFT_COUNTS: Final = 1 / 60
"""How often it counts as a failure that a file is left to others for a minute: where there are none, it ends after half
a day, whichever workers looked at it."""
_JITTER: Final = 0.25
_GONE_ON_SOON: Final = Again(pause_before(1))

OnContest = Callable[[KnowledgeFile, str], None]
"""Hears of a file that is cut by the plan of another process, and of the plan that this one would have."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """Tries are counted in the file's row before they are made, so a file that kills its workers ends as failed too.

    One job is done once at a time, but for a worker that was cut off from the queue and does not know it: what that one
    records changes nothing, once another one has begun. Where workers differ in how they read and cut, a file is left
    to those whose chunks it has, as long as they go on with it.
    """

    transactions: Transactions
    steps: IngestionSteps
    clock: Clock
    slice_seconds: float = SLICE_SECONDS
    chance: Callable[[], float] = random.random
    on_contest: OnContest = lambda *_: None
    told: set[tuple[str | None, str]] = field(default_factory=set)
    """Of which plans the operator has heard that they contest."""

    async def __call__(self, job: Job) -> Again | None:
        async with self.transactions.begin() as tx:
            found = await tx.knowledge_files.at_work(KnowledgeFileId(job.subject))
            # A file that was begun anew has another job.
            if found is None or found.generation != job.generation:
                return None
            file = self._uncontested(found)
            if file is None:
                return Again(CONTEST_PAUSE)
            begun = file if file.is_given_up else file.begun(self.clock.now())
            await tx.knowledge_files.record(begun)
        if not file.is_given_up:
            return await self._try(Try(begun, self.slice_seconds), job)
        await self._fail(begun)
        return None

    def _uncontested(self, file: KnowledgeFile) -> KnowledgeFile | None:
        """None while others store it by another plan: whoever took it from them at each turn would never come to an
        end, and pay for all of them."""
        if file.is_given_up or not file.is_of_others(self.steps.plan):
            return file
        now, contest = self.clock.now(), (file.plan, self.steps.plan)
        if contest not in self.told:
            self.told.add(contest)
            self.on_contest(file, self.steps.plan)
        return file.taken_over(now) if file.is_left_alone(now) else None

    async def _try(self, work: Try, job: Job) -> Again | None:
        try:
            return None if await self.steps(work) else await self._behind_one_s_own(work.file, job)
        except Overtaken:
            return None if await self._at_work(job) is None else _GONE_ON_SOON
        except Unauthenticated:
            # The account was deleted, and its bases with it.
            return None
        except DomainError as trouble:
            return await self._after(work.file, trouble)
        except asyncio.CancelledError:
            await self._call_off(work.file)
            raise
        except Exception:
            # A defect of ours: told to the operator by the queue, which tries again, and counted as one failure.
            await self._record(work.file.set_back(DEFECT, self.clock.now()))
            raise

    async def _at_work(self, job: Job) -> KnowledgeFile | None:
        async with self.transactions.autocommit() as tx:
            file = await tx.knowledge_files.at_work(KnowledgeFileId(job.subject))
        return file if file and file.generation == job.generation else None

    async def _behind_one_s_own(self, file: KnowledgeFile, job: Job) -> Again:
        """One's own files that nobody began yet come first, else small ones would wait for large ones.

        Where none does, the large ones are again everybody's first, second and so on.
        """
        async with self.transactions.autocommit() as tx:
            unbegun, older = await tx.knowledge_files.beside(file)
        return Again(rank=job.rank + unbegun if unbegun else older)

    async def _after(self, file: KnowledgeFile, trouble: DomainError) -> Again | None:
        error, now = _told(trouble), self.clock.now()
        if isinstance(trouble, LeftToOthers) and self.chance() >= LEFT_COUNTS:
            return LEFT_TO_OTHERS if await self._record(file.set_back(error, now, 0)) else None
        set_back = file.set_back(error, now, UNREAD_COSTS if isinstance(trouble, UnreadThisTime) else 1)
        if not _may_pass(trouble) or set_back.is_given_up:
            set_back = file.given_up(error, now)
        if not await self._record(set_back):
            return None
        if set_back.is_given_up:
            await self._fail(set_back)
            return None
        return LEFT_TO_OTHERS if isinstance(trouble, LeftToOthers) else Again(self._pause(set_back, trouble))

    async def _fail(self, file: KnowledgeFile) -> None:
        if not await self._keep(file):
            with suppress(Overtaken):
                await emptied(self.transactions, file, file.failed(self.clock.now()))

    async def _keep(self, file: KnowledgeFile) -> bool:
        """What was found before it was begun anew goes on to be, if nothing of it was taken away yet."""
        async with self.transactions.begin() as tx:
            # Recording first locks the row: who looks then sees what stays.
            held = await tx.knowledge_files.record(file)
            stored = await tx.knowledge_files.at_work(file.knowledge_file_id) if held else None
            if stored is None or not stored.is_complete:
                return False
            return await tx.knowledge_files.record(stored.kept(self.clock.now()))

    async def _call_off(self, file: KnowledgeFile) -> None:
        """The worker is to end. A count that stays is one try less, and no harm."""
        with suppress(DomainError):
            async with self.transactions.begin() as tx:
                stored = await tx.knowledge_files.at_work(file.knowledge_file_id)
                if stored and (stored.generation, stored.turn) == (file.generation, file.turn):
                    await tx.knowledge_files.record(stored.not_tried(self.clock.now()))

    async def _record(self, file: KnowledgeFile) -> bool:
        async with self.transactions.autocommit() as tx:
            return await tx.knowledge_files.record(file)

    def _pause(self, file: KnowledgeFile, trouble: DomainError) -> timedelta:
        # Whatever a provider says: numbers of seconds are compared as numbers, of which NaN is none.
        asked = trouble.retry_after or 0.0
        seconds = min(asked, LONGEST_RETRY_AFTER.total_seconds()) if asked > 0 else 0.0
        return max(pause_before(file.attempts), timedelta(seconds=seconds)) * (1 + _JITTER * self.chance())


def _may_pass(trouble: DomainError) -> bool:
    if isinstance(trouble, ModelError):
        # Who answers nonsense once, as a proxy's page of trouble, may well answer the next time.
        return trouble.retryable or trouble.code == "model_bad_response"
    return isinstance(trouble, Unavailable | TooManyRequests)


def _told(trouble: DomainError) -> IngestionError:
    """Without the name of the field: nobody sent one."""
    return IngestionError(trouble.code, trouble.fields[0].message if trouble.fields else trouble.message)
