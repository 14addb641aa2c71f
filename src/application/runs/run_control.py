"""What a person does with a run that is there: look at it, follow it again, stop it. At any process."""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from application.ports.persistence import Transactions
from application.runs.leases import Leases
from application.runs.live_runs import LiveRun
from application.runs.run_closing import CloseAbandoned
from application.runs.run_readers import Followed
from application.runs.run_registry import RunRegistry
from application.runs.stored_runs import StoredRuns
from application.runs.stored_tails import waited
from domain.dialogs.dialogs import parse_dialog_id
from domain.dialogs.messages import AnswerStatus
from domain.errors import InvalidValue
from domain.ids import RunId, UserId
from domain.runs.runs import LOST_NUMBERS, Run, RunStatus, parse_event_id, refuse_beyond

STOP_PATIENCE_SECONDS: Final = 5.0
"""How long the one who stops a run waits for the process that makes it."""
LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class ShowRun:
    """With the last event that can be followed; a run that is made elsewhere may be further. Raises NotFound."""

    registry: RunRegistry
    stored: StoredRuns

    async def __call__(self, actor: UserId, run_id: RunId) -> Run:
        # Asked for even if it is in memory: its dialog may be deleted.
        stored = await self.stored.find(run_id, owner=actor)
        live = self.registry.find(run_id, owner=actor)
        return stored if live is None else _so_far(live)


@dataclass(frozen=True, slots=True)
class FollowRun:
    """The run and the number after which it is to be read. Raises NotFound, InvalidValue."""

    registry: RunRegistry
    stored: StoredRuns

    async def __call__(self, actor: UserId, run_id: RunId, last_event_id: str | None) -> tuple[Followed, int]:
        run = await self.stored.find(run_id, owner=actor)
        after = parse_event_id(run_id, last_event_id)
        if live := self.registry.find(run_id, owner=actor):
            refuse_beyond(after, live.log.last_seq)
            return live, after
        # Its process shows events before they are stored.
        refuse_beyond(after, run.last_seq + LOST_NUMBERS - 1 if run.is_open else run.last_seq)
        return await self.stored.follow(run), after


@dataclass(frozen=True, slots=True)
class StopRun:
    """Ends a run at once, named by itself or by its dialog; back when its answer is kept."""

    transactions: Transactions
    leases: Leases
    registry: RunRegistry
    stored: StoredRuns
    close_abandoned: CloseAbandoned
    patience: float = STOP_PATIENCE_SECONDS

    async def __call__(self, actor: UserId, *, run_id: RunId | None, dialog_id: str | None) -> Run:
        if run_id:
            live = self.registry.find(run_id, owner=actor)
        elif dialog_id:
            live = self.registry.in_dialog(parse_dialog_id(dialog_id), owner=actor)
        else:
            raise InvalidValue("dialog_id", "give dialog_id or run_id")
        if live is not None:
            # It is the caller's own: the model is stopped even while the database is away.
            live.end(AnswerStatus.STOPPED)
            async with self.transactions.autocommit() as tx:
                await tx.users.caller(actor)
            await live.wait(self.patience)
            if not live.log.left:
                return _so_far(live)
            run_id = live.state.run_id
        return await self._stop_elsewhere(await self._stored(actor, run_id, dialog_id))

    async def _stored(self, actor: UserId, run_id: RunId | None, dialog_id: str | None) -> Run:
        if run_id:
            return await self.stored.find(run_id, owner=actor)
        async with self.transactions.autocommit() as tx:
            return await tx.runs.open_in(parse_dialog_id(dialog_id or ""), owner=actor)

    async def _stop_elsewhere(self, run: Run) -> Run:
        """The run when it was closed, or when the patience ran out: then it is stopped when its process can."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.patience
        with self.stored.signals.watch(run.run_id) as news:
            if run.is_open:
                async with self.transactions.autocommit() as tx:
                    await tx.runs.request_stop(run.run_id)
                run = run.ask_to_stop()
            while run.is_open and loop.time() < give_up:
                if not await self._closed_for_others(run):
                    await waited(news, LOOK_SECONDS)
                news.clear()
                run = await self.stored.find(run.run_id, owner=run.user_id)
        return run

    async def _closed_for_others(self, run: Run) -> bool:
        """For a process that died, and for a run that waits for a person at none."""
        if run.status is RunStatus.WAITING:
            return await self.close_abandoned.waiting(run)
        now = self.leases.now()
        return self.leases.may_judge and run.is_abandoned(now) and await self.close_abandoned.one(run, now)


def _so_far(live: LiveRun) -> Run:
    return replace(live.state, last_seq=live.log.last_seq)
