"""How runs come to life at this process: what keeps their answers, where they wait, and when they end."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from application.chat.answering import RunEvent
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.ports.runs import LogPiece
from application.runs.after_answers import AfterAnswers, AnswerKept
from application.runs.leases import Leases
from application.runs.live_runs import Elsewhere, LiveRun, OnCrash, RunKeeping, RunLimits
from application.runs.run_closing import KeepAnswer, finished
from application.runs.run_log import RunLog
from application.runs.stored_runs import StoredRuns
from domain.agents.agents import Agent
from domain.chat.chat_events import AttemptEnded, Recorded
from domain.chat.transcript import Transcript
from domain.dialogs.messages import Answer, AnswerStatus
from domain.dialogs.summaries import Load
from domain.errors import NotFound, Unauthenticated, Unavailable
from domain.models.attempts import Attempt
from domain.models.models import ModelSpec
from domain.runs.pauses import WAITS_FOR, RunPause
from domain.runs.runs import Run

PATIENCE_SECONDS: Final = 60.0
"""How long a run that is to wait for a person waits for a database that is away."""
RETRY_SECONDS: Final = 0.5


def _unknown() -> None:
    """How full the window was is not known any more when an answer goes on that waited for a person."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has its dialog, and a place at its model, which `leave` gives back."""

    run: Run
    answer: Answer
    agent: Agent
    spec: ModelSpec
    leave: Callable[[], None]
    load: Callable[[], Load | None] = _unknown
    passing: bool = False
    """Its dialog goes with its end."""


@dataclass(frozen=True, slots=True)
class MakeRuns:
    transactions: Transactions
    clock: Clock
    leases: Leases
    keep: KeepAnswer
    stored: StoredRuns
    elsewhere: Elsewhere
    max_run_seconds: float
    on_crash: OnCrash
    after: AfterAnswers

    def __call__(
        self,
        begun: Begun,
        events: AsyncGenerator[RunEvent, None],
        grace_seconds: float | None,
        log: RunLog | None = None,
        transcript: Transcript | None = None,
    ) -> LiveRun:
        """Not started yet. `log` and `transcript` are those of a run that goes on."""

        async def store(said: Transcript, status: AnswerStatus, log: RunLog) -> Sequence[Recorded]:
            begun.leave()
            answer = said.close(begun.answer, status, self.clock.now())
            last = await self.keep(answer, log, owner=begun.run.user_id)
            self.stored.signals.stored([begun.run.run_id])
            if begun.passing:
                await self._forget(begun.run)
            # Not for an answer that could not be stored, or that another process closed in its own way.
            elif last[-1].event == finished(answer):
                self.after(AnswerKept(begun.run, answer, begun.agent, begun.spec, begun.load()))
            return last

        async def park(pause: RunPause, log: RunLog, last: Sequence[Recorded]) -> bool:
            begun.leave()
            used = replace(begun.answer, attempts=_ended(log, last))
            parked = await self._park(begun.run, pause, log.rest(last), used)
            self.stored.signals.stored([begun.run.run_id])
            return parked

        keeping = RunKeeping(store, park, self.elsewhere, self.stored.onward, self.on_crash)
        return LiveRun(begun.run, events, keeping, RunLimits(self.max_run_seconds, grace_seconds), log, transcript)

    async def _forget(self, run: Run) -> None:
        """Before anybody hears of the end; where the database is away, as soon as it is back. The ledger stays."""
        try:
            await self._remove(run)
        except Unavailable:
            self.after.beside(self._remove_later(run))

    async def _remove(self, run: Run) -> None:
        with suppress(NotFound, Unauthenticated):
            async with self.transactions.begin() as tx:
                await tx.dialogs.remove(run.dialog_id, owner=run.user_id)

    async def _remove_later(self, run: Run) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            with suppress(Unavailable):
                return await self._remove(run)

    async def _park(self, run: Run, pause: RunPause, rest: Sequence[LogPiece], used: Answer) -> bool:
        """Whoever finds it waiting finds all of its log, and who is asked is heard: the question comes with the wait.

        Raises Unavailable after a while.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE_SECONDS
        *earlier, asking = rest
        async with self.transactions.autocommit() as tx:
            written = await tx.pauses.written(pause)
        while True:
            try:
                async with self.transactions.autocommit() as tx:
                    for piece in earlier:
                        if (await tx.runs.append([piece])).get(run.run_id, True):
                            return False
                async with self.transactions.begin() as tx:
                    # It may wait for days, and counts as of today.
                    await tx.ledger.keep_used(used, owner=run.user_id)
                    waits = await tx.pauses.put(run.run_id, written, self.leases.now() + WAITS_FOR)
                    if waits:
                        await tx.runs.append([asking])
                    return waits
            except Unavailable:
                if loop.time() > give_up:
                    raise
            await asyncio.sleep(RETRY_SECONDS)


def _ended(log: RunLog, last: Sequence[Recorded]) -> tuple[Attempt, ...]:
    """Every call of a provider that the run made so far."""
    kept = (event for one in (*log.events, *last) for event in one.kept)
    return tuple(event.attempt for event in kept if isinstance(event, AttemptEnded))
