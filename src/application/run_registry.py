"""The runs of this process: found by id or dialog, kept alive in the database, ended together on shutdown."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.runs import Run
from domain.errors import DomainError, NotFound, TooManyRequests, Unavailable
from domain.ids import DialogId, RunId, UserId
from domain.messages import AnswerStatus

KEPT_SECONDS: Final = 60.0
"""How long a finished run can still be followed."""


@dataclass(slots=True)
class RunRegistry:
    """`lease_seconds` is how long an open answer counts as alive without a sign of its process."""

    max_runs: int
    max_runs_per_user: int
    lease_seconds: float
    kept_seconds: float = KEPT_SECONDS
    draining: bool = False
    _runs: dict[RunId, Run] = field(default_factory=dict)
    _live: dict[RunId, Run] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def admit(self, user_id: UserId) -> None:
        """Raises Unavailable `shutting_down` or TooManyRequests `too_many_runs` when no run may begin now."""
        if self.draining:
            raise Unavailable("shutting_down", "The server is shutting down; try again.", retry_after=5)
        if len(self._live) >= self.max_runs:
            raise TooManyRequests("too_many_runs", "The server is at its limit of answers at once.", retry_after=2)
        if sum(run.key.user_id == user_id for run in self._live.values()) >= self.max_runs_per_user:
            message = f"At most {self.max_runs_per_user} answers can be in the making for one user."
            raise TooManyRequests("too_many_runs", message, retry_after=2)

    def start(self, run: Run) -> None:
        run_id = run.key.run_id
        self._runs[run_id] = self._live[run_id] = run
        task = run.start()
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finished(run_id, done))
        if self.draining:
            run.end(AnswerStatus.INTERRUPTED)

    def get(self, run_id: RunId, *, owner: UserId) -> Run:
        run = self._runs.get(run_id)
        if run is None or run.key.user_id != owner:
            raise NotFound("run", run_id)
        return run

    def in_dialog(self, dialog_id: DialogId, *, owner: UserId) -> Run:
        """The live run of a dialog. Raises NotFound."""
        for run in self._live.values():
            if run.key.dialog_id == dialog_id and run.key.user_id == owner:
                return run
        raise NotFound("run", dialog_id)

    def live(self) -> tuple[Run, ...]:
        return tuple(self._live.values())

    def lease_until(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self.lease_seconds)

    def stop_all(self, *, owner: UserId, dialog_id: DialogId | None = None) -> None:
        """Stop what a removed account, or a removed dialog, still has in the making."""
        for run in self.live():
            if run.key.user_id == owner and dialog_id in (None, run.key.dialog_id):
                run.end(AnswerStatus.STOPPED)

    async def drain(self, grace_seconds: float) -> None:
        """Admit nothing more, give the live runs their grace, then interrupt them; back when every answer is kept."""
        self.draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for run in self.live():
            run.end(AnswerStatus.INTERRUPTED)
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _finished(self, run_id: RunId, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._live.pop(run_id, None)
        with suppress(RuntimeError):  # the loop is closing: nothing is left to follow
            asyncio.get_running_loop().call_later(self.kept_seconds, self._runs.pop, run_id, None)


@dataclass(frozen=True, slots=True)
class KeepRunsAlive:
    """Renews the leases of this process's runs, and closes the answers of processes that died."""

    registry: RunRegistry
    transactions: Transactions
    clock: Clock
    on_trouble: Callable[[DomainError], None]

    async def once(self) -> None:
        now = self.clock.now()
        open_answers = [run.key.message_id for run in self.registry.live()]
        async with self.transactions.begin() as tx:
            if open_answers:
                await tx.messages.renew_leases(open_answers, self.registry.lease_until(now))
            await tx.messages.close_abandoned(now)

    async def forever(self) -> None:
        while True:
            try:
                await self.once()
            except DomainError as trouble:  # the next tick tries again, well before a lease runs out
                self.on_trouble(trouble)
            await asyncio.sleep(self.registry.lease_seconds / 4)
