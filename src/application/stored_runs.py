"""Runs that another process makes, or that ended before this one began: followed by their stored logs."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from application.live_runs import too_many_readers
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.ports.run_signals import RunSignals
from application.run_readers import MAX_READERS, Follower, portion
from domain.chat_events import Recorded, RunFinished
from domain.conversation import Usage
from domain.errors import NotFound, Unauthenticated, Unavailable
from domain.ids import RunId, UserId
from domain.messages import AnswerStatus
from domain.runs import Run, seq_after_crash

LOOK_SECONDS: Final = 2.0
"""How often a reader looks who heard nothing: word of other processes may get lost."""
FOLLOW_SECONDS: Final = 6.0
"""How often it says that it is there, and a third of how long it is believed."""
PIECES: Final = 4
RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class StoredRuns:
    transactions: Transactions
    clock: Clock
    signals: RunSignals
    look_seconds: float = LOOK_SECONDS
    _readers: Counter[RunId] = field(default_factory=Counter)

    async def find(self, run_id: RunId, *, owner: UserId) -> Run:
        """Raises NotFound."""
        async with self.transactions.autocommit() as tx:
            return await tx.runs.get(run_id, owner=owner)

    async def follow(self, run: Run) -> "StoredRun":
        """Take it up: an open run goes on at its process while somebody follows it here.

        Raises NotFound `run_log_not_found` when its log was removed for its age.
        """
        if run.is_open:
            await self.still_following(run.run_id)
        elif run.last_seq == 0:
            raise NotFound("run_log", run.run_id)
        return StoredRun(self, run)

    async def still_following(self, run_id: RunId) -> None:
        until = self.clock.now() + timedelta(seconds=3 * FOLLOW_SECONDS)
        async with self.transactions.autocommit() as tx:
            await tx.runs.follow(run_id, until)

    async def read(self, run_id: RunId, after: int) -> Sequence[Recorded]:
        async with self.transactions.autocommit() as tx:
            return await tx.runs.log(run_id, after, PIECES)

    def enter(self, run_id: RunId) -> None:
        if self._readers[run_id] >= MAX_READERS:
            raise too_many_readers()
        self._readers[run_id] += 1

    def leave(self, run_id: RunId) -> None:
        self._readers[run_id] -= 1
        if not self._readers[run_id]:
            del self._readers[run_id]


class StoredRun:
    """Implements Followed."""

    def __init__(self, runs: StoredRuns, run: Run) -> None:
        self._runs = runs
        self.state = run

    def attach(self, after: int, heartbeat: float) -> "StoredReader":
        self._runs.enter(self.state.run_id)
        return StoredReader(self._runs, self.state, after, heartbeat)

    def detach(self, reader: Follower) -> None:
        del reader
        self._runs.leave(self.state.run_id)


class StoredReader:
    """Holds a few pieces of the log at a time, whatever the length of the answer."""

    def __init__(self, runs: StoredRuns, run: Run, after: int, heartbeat: float) -> None:
        self._runs = runs
        self._run = run
        self._heartbeat = heartbeat
        self._followed_at = asyncio.get_running_loop().time()
        self._heard_nothing = False
        self.cursor = after
        self.listening = False

    async def batches(self) -> AsyncGenerator[Sequence[Recorded], None]:
        loop = asyncio.get_running_loop()
        spoke_at = loop.time()
        with self._runs.signals.watch(self._run.run_id) as news:
            while self._run.is_open or self.cursor < self._run.last_seq:
                news.clear()
                events = await self._more()
                taken = 0
                while batch := portion(events, taken):
                    taken += len(batch)
                    self.cursor = batch[-1].seq
                    yield batch
                    spoke_at = loop.time()
                if events and isinstance(events[-1].event, RunFinished):
                    return
                if not events:
                    await self._listen(news, spoke_at + self._heartbeat - loop.time())
                    if loop.time() >= spoke_at + self._heartbeat:
                        yield ()
                        spoke_at = loop.time()

    async def _listen(self, news: asyncio.Event, seconds: float) -> None:
        self.listening = True
        try:
            async with asyncio.timeout(max(0, min(seconds, self._runs.look_seconds))):
                await news.wait()
        except TimeoutError:
            self._heard_nothing = True
        self.listening = False

    async def _more(self) -> Sequence[Recorded]:
        """Nothing when nothing came; while the database is away, nothing comes."""
        run_id, loop = self._run.run_id, asyncio.get_running_loop()
        try:
            events = await self._runs.read(run_id, self.cursor)
            if loop.time() > self._followed_at + FOLLOW_SECONDS:
                self._followed_at = loop.time()
                await self._runs.still_following(run_id)
            if self._heard_nothing and not events:
                self._heard_nothing = False
                events = await self._end_if_gone()
        except Unavailable:
            await asyncio.sleep(RETRY_SECONDS)
            return ()
        return events

    async def _end_if_gone(self) -> Sequence[Recorded]:
        """The end of a run whose log was removed, with its dialog or for its age: nothing else would ever come."""
        run, found = self._run, None
        try:
            found = await self._runs.find(run.run_id, owner=run.user_id)
            if found.is_open or found.last_seq > self.cursor:
                return ()
        except (NotFound, Unauthenticated):
            pass
        status = AnswerStatus(found.status.value) if found else AnswerStatus.STOPPED
        at = int(self._runs.clock.now().timestamp() * 1000)
        done = RunFinished(status, "", run.message_id, run.run_id, run.dialog_id, "", Usage(), (), None)
        return (Recorded(seq_after_crash(self.cursor), at, done),)
