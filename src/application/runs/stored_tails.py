"""The end of a stored log that still grows: read once for all who follow the run at this process."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Final

from application.ports.persistence import Transactions
from application.ports.run_signals import RunSignals
from application.runs.leases import Leases
from application.runs.run_closing import finished, stored_end
from domain.chat.chat_events import Recorded, RunFinished
from domain.dialogs.messages import Answer, AnswerStatus
from domain.errors import NotFound, Unauthenticated, Unavailable
from domain.runs.runs import Run, seq_after_crash

FOLLOW_SECONDS: Final = 6.0
"""How often it says that somebody follows here, and a third of how long that is believed."""
PIECES: Final = 16
"""Of the log, read at once."""
KEPT_EVENTS: Final = 2048
"""Readers further behind than these read the log for themselves until they have caught up."""
RETRY_SECONDS: Final = 0.5

_seq: Final = attrgetter("seq")


class Tail:
    """`events` are numbered above `begin`. Whoever waits for more leaves an Event in `waiting`."""

    def __init__(
        self, run: Run, transactions: Transactions, signals: RunSignals, leases: Leases, look_seconds: float
    ) -> None:
        self._run = run
        self._transactions = transactions
        self._signals = signals
        self._leases = leases
        self._look_seconds = look_seconds
        self.begin = self._last = run.last_seq
        self.events: list[Recorded] = []
        self.ended = False
        self.waiting: set[asyncio.Event] = set()
        self.readers = 0
        self.task = asyncio.create_task(self._follow(), name=f"tail of {run.run_id}")
        self.task.add_done_callback(lambda _: self._wake())

    def after(self, seq: int) -> Sequence[Recorded]:
        """What is held beyond `seq`, which is not before `begin`. Raises the defect that ended it, if one did."""
        beyond = self.events[bisect_right(self.events, seq, key=_seq) :]
        if not beyond and self.task.done() and not self.task.cancelled():
            self.task.result()
        return beyond

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        followed_at = loop.time()
        with self._signals.watch(self._run.run_id) as news:
            heard = True
            while not self.ended:
                news.clear()
                try:
                    self._add(await self._more(heard=heard))
                    if loop.time() > followed_at + FOLLOW_SECONDS:
                        followed_at = loop.time()
                        await still_following(self._transactions, self._leases, self._run)
                except Unavailable:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                heard = await waited(news, self._look_seconds)

    def _add(self, events: Sequence[Recorded]) -> None:
        if not events:
            return
        self.events.extend(events)
        self._last = events[-1].seq
        self.ended = isinstance(events[-1].event, RunFinished)
        if len(self.events) > 2 * KEPT_EVENTS:
            del self.events[:-KEPT_EVENTS]
            self.begin = self.events[0].seq - 1
        self._wake()

    def _wake(self) -> None:
        for waiter in self.waiting:
            waiter.set()

    async def _more(self, *, heard: bool) -> Sequence[Recorded]:
        events: list[Recorded] = []
        async with self._transactions.autocommit() as tx:
            while more := await tx.runs.log(self._run.run_id, events[-1].seq if events else self._last, PIECES):
                events.extend(more)
                if len(events) > KEPT_EVENTS or isinstance(events[-1].event, RunFinished):
                    break
        if not events and not heard and (end := await end_if_gone(self._transactions, self._run, self._last)):
            events.append(end)
        return events


async def end_if_gone(transactions: Transactions, run: Run, last: int) -> Recorded | None:
    """The end of a run whose log was removed, with its dialog or for its age: nothing else would ever come."""
    try:
        async with transactions.autocommit() as tx:
            found = await tx.runs.get(run.run_id, owner=run.user_id)
            if found.is_open or found.last_seq > last:
                return None
            return await stored_end(tx, found, last)
    except (NotFound, Unauthenticated):
        gone = Answer(run.message_id, run.dialog_id, run.run_id, AnswerStatus.STOPPED, run.created_at)
        return Recorded(seq_after_crash(last), int(run.created_at.timestamp() * 1000), finished(gone))


async def still_following(transactions: Transactions, leases: Leases, run: Run) -> None:
    until = leases.now() + timedelta(seconds=3 * FOLLOW_SECONDS)
    async with transactions.autocommit() as tx:
        await tx.runs.follow(run.run_id, until)


async def waited(news: asyncio.Event, seconds: float) -> bool:
    """Whether it was set within so many seconds."""
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await news.wait()
    except TimeoutError:
        return False
    return True
