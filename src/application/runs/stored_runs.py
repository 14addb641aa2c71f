"""Runs that another process makes, or that ended before this one began: followed by their stored logs."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Final

from application.ports.persistence import Transactions
from application.ports.run_signals import RunSignals
from application.runs.leases import Leases
from application.runs.run_readers import MAX_READERS, Follower, portion, too_many_readers
from application.runs.stored_tails import PIECES, RETRY_SECONDS, Tail, end_if_gone, still_following, waited
from domain.chat.chat_events import Recorded, RunFinished
from domain.errors import NotFound, Unavailable
from domain.ids import RunId, UserId
from domain.runs.runs import Run

LOOK_SECONDS: Final = 2.0
"""How often one looks who heard nothing: word of other processes may get lost."""


@dataclass(frozen=True, slots=True)
class StoredRuns:
    transactions: Transactions
    leases: Leases
    signals: RunSignals
    look_seconds: float = LOOK_SECONDS
    _readers: Counter[RunId] = field(default_factory=Counter)
    _tails: dict[RunId, Tail] = field(default_factory=dict)

    async def find(self, run_id: RunId, *, owner: UserId) -> Run:
        """Raises NotFound."""
        async with self.transactions.autocommit() as tx:
            return await tx.runs.get(run_id, owner=owner)

    async def follow(self, run: Run) -> "StoredRun":
        """Take it up: an open run goes on at its process while somebody follows it here.

        Raises NotFound `run_log_not_found` when its log was removed for its age.
        """
        if run.is_open:
            await still_following(self.transactions, self.leases, run)
        elif run.last_seq == 0:
            raise NotFound("run_log", run.run_id)
        return StoredRun(self, run)

    def onward(self, run: Run) -> "StoredRun":
        """An open run that was left by this process, from the last event that it has: it goes on at any process."""
        return StoredRun(self, run)

    def enter(self, run: Run) -> Tail | None:
        """The growing end of an open run; a closed one has none. Give it back with `leave`."""
        if self._readers[run.run_id] >= MAX_READERS:
            raise too_many_readers()
        self._readers[run.run_id] += 1
        if not run.is_open:
            return None
        tail = self._tails.get(run.run_id)
        if tail is None:
            tail = Tail(run, self.transactions, self.signals, self.leases, self.look_seconds)
            self._tails[run.run_id] = tail
        tail.readers += 1
        return tail

    def leave(self, run: Run, tail: Tail | None) -> None:
        self._readers[run.run_id] -= 1
        if not self._readers[run.run_id]:
            del self._readers[run.run_id]
        if tail is None:
            return
        tail.readers -= 1
        if not tail.readers:
            tail.task.cancel()
            self._tails.pop(run.run_id, None)


class StoredRun:
    """Implements Followed."""

    def __init__(self, runs: StoredRuns, run: Run) -> None:
        self._runs = runs
        self.state = run

    def attach(self, after: int, heartbeat: float) -> "StoredReader":
        return StoredReader(self._runs, self.state, self._runs.enter(self.state), after, heartbeat)

    def detach(self, reader: Follower) -> None:
        if isinstance(reader, StoredReader):
            self._runs.leave(self.state, reader.tail)


class StoredReader:
    """Holds a few pieces of the log at a time, whatever the length of the answer."""

    def __init__(self, runs: StoredRuns, run: Run, tail: Tail | None, after: int, heartbeat: float) -> None:
        self._runs = runs
        self._run = run
        self._heartbeat = heartbeat
        self._page: Sequence[Recorded] = ()
        self._taken = 0
        """How many of the page's events."""
        self.tail = tail
        self.cursor = after
        self.listening = False

    async def batches(self) -> AsyncGenerator[Sequence[Recorded], None]:
        loop = asyncio.get_running_loop()
        spoke_at, news = loop.time(), asyncio.Event()
        while self.tail is not None or self.cursor < self._run.last_seq:
            news.clear()
            batch = await self._next()
            if batch:
                self.cursor = batch[-1].seq
                yield batch
                if isinstance(batch[-1].event, RunFinished):
                    return
                spoke_at = loop.time()
            else:
                await self._listen(news, spoke_at + self._heartbeat - loop.time())
                if loop.time() >= spoke_at + self._heartbeat:
                    yield ()
                    spoke_at = loop.time()

    async def _listen(self, news: asyncio.Event, seconds: float) -> None:
        """Until there may be more. Nothing is awaited between the look and this wait: nothing is missed."""
        tail = self.tail
        if tail is None or self.cursor < tail.begin:
            await asyncio.sleep(min(max(seconds, 0.0), RETRY_SECONDS))
            return
        self.listening = True
        tail.waiting.add(news)
        try:
            await waited(news, seconds)
        finally:
            tail.waiting.discard(news)
            self.listening = False

    async def _next(self) -> Sequence[Recorded]:
        """What there is after the cursor: of the tail, or of a page of the log until the tail is reached."""
        if self.tail is not None and self.cursor >= self.tail.begin:
            self._page, self._taken = (), 0
            return portion(self.tail.after(self.cursor), 0)
        if self._taken == len(self._page):
            self._page, self._taken = await self._read(), 0
        batch = portion(self._page, self._taken)
        self._taken += len(batch)
        return batch

    async def _read(self) -> Sequence[Recorded]:
        """Nothing while the database is away."""
        try:
            async with self._runs.transactions.autocommit() as tx:
                page = await tx.runs.log(self._run.run_id, self.cursor, PIECES)
            if page:
                return page
            end = await end_if_gone(self._runs.transactions, self._run, self.cursor)
            return () if end is None else (end,)
        except Unavailable:
            return ()
