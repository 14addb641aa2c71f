"""The runs of this process: found by id or dialog, admitted within limits, ended together on shutdown."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from application.runs.live_runs import LiveRun
from application.runs.run_statistics import RunStatistics
from domain.dialogs.messages import AnswerStatus
from domain.errors import TooManyRequests, Unavailable
from domain.ids import DialogId, RunId, UserId

KEPT_SECONDS: Final = 15.0
"""How long a finished run is followed in memory, unless there are too many; then by its stored log."""
MAX_KEPT_RUNS: Final = 4096
MAX_KEPT_BYTES: Final = 64_000_000
STORE_SECONDS: Final = 10.0
"""What a process that shuts down waits for its last answers to be stored."""


@dataclass(slots=True)
class RunRegistry:
    """`max_runs` at this process, `max_runs_per_user` at all together."""

    max_runs: int
    max_runs_per_user: int
    kept_seconds: float = KEPT_SECONDS
    draining: bool = False
    statistics: RunStatistics = field(default_factory=RunStatistics)
    _runs: dict[RunId, LiveRun] = field(default_factory=dict)
    _live: dict[RunId, LiveRun] = field(default_factory=dict)
    _starting: set[RunId] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _places: Counter[UserId] = field(default_factory=Counter)
    _taken: int = 0
    _kept: dict[RunId, LiveRun] = field(default_factory=dict)
    _kept_bytes: int = 0

    @contextmanager
    def admitted(self, user_id: UserId) -> Iterator[None]:
        """Holds a place while a run is prepared; a run that starts takes one of its own.

        Raises Unavailable `shutting_down` or TooManyRequests `too_many_runs` when no run may begin now.
        """
        with self.statistics.refusals():
            self.refuse_draining()
            if self._taken >= self.max_runs:
                raise TooManyRequests("too_many_runs", "The server is at its limit of answers at once.", retry_after=2)
            self.admit_another(self._places[user_id])
            self._take_place(user_id)
            try:
                yield
            finally:
                self._leave_place(user_id)

    def refuse_draining(self) -> None:
        """Raises Unavailable `shutting_down`."""
        if self.draining:
            raise Unavailable("shutting_down", "The server is shutting down; try again.", retry_after=5)

    def admit_another(self, open_runs: int) -> None:
        """Raises TooManyRequests `too_many_runs` for a user who has that many already."""
        if open_runs >= self.max_runs_per_user:
            message = f"At most {self.max_runs_per_user} answers can be in the making for one user."
            raise TooManyRequests("too_many_runs", message, retry_after=2)

    def start(self, run: LiveRun) -> None:
        run_id = run.state.run_id
        self._runs[run_id] = self._live[run_id] = run
        self._take_place(run.state.user_id)
        task = run.start()
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finished(run, done))
        if self.draining:
            run.end(AnswerStatus.INTERRUPTED)

    def find(self, run_id: RunId, *, owner: UserId) -> LiveRun | None:
        """A run that this process makes, or made a short while ago."""
        run = self._runs.get(run_id)
        return run if run is not None and run.state.user_id == owner else None

    def in_dialog(self, dialog_id: DialogId, *, owner: UserId) -> LiveRun | None:
        for run in self._live.values():
            if run.state.dialog_id == dialog_id and run.state.user_id == owner and not run.closing:
                return run
        return None

    def stop(self, run_id: RunId) -> None:
        """For whoever was allowed to ask, at whichever process."""
        if run := self._live.get(run_id):
            run.end(AnswerStatus.STOPPED)

    def beside(self, work: Coroutine[Any, Any, object]) -> None:
        """Do it beside the runs; shutting down waits for it."""
        task = asyncio.ensure_future(_done(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def live(self) -> tuple[LiveRun, ...]:
        return tuple(self._live.values())

    @contextmanager
    def starting(self, run_id: RunId) -> Iterator[None]:
        """While a run is stored and prepared: its lease is renewed already."""
        self._starting.add(run_id)
        try:
            yield
        finally:
            self._starting.discard(run_id)

    def renewable(self) -> Mapping[RunId, LiveRun | None]:
        """Those whose leases are this process's; None for one that is only starting."""
        return {**dict.fromkeys(self._starting), **self._live}

    def stop_all(self, *, owner: UserId, dialog_id: DialogId | None = None) -> None:
        """Stop what a removed account, or a removed dialog, still has in the making."""
        for run in self.live():
            if run.state.user_id == owner and dialog_id in (None, run.state.dialog_id):
                run.end(AnswerStatus.STOPPED)

    async def drain(self, grace_seconds: float) -> None:
        """Admit nothing more, give the live runs their grace, then interrupt them; back when every answer is kept.

        A database that is away is not waited for: what it lacks is closed with the text of the log.
        """
        self.draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        for run in self.live():
            run.end(AnswerStatus.INTERRUPTED)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STORE_SECONDS)

    def _take_place(self, user_id: UserId) -> None:
        self._places[user_id] += 1
        self._taken += 1

    def _leave_place(self, user_id: UserId) -> None:
        self._taken -= 1
        self._places[user_id] -= 1
        if not self._places[user_id]:
            del self._places[user_id]

    def _finished(self, run: LiveRun, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (defect := task.exception()):
            run.crashed(defect)
        if self._live.get(run.state.run_id) is run:
            del self._live[run.state.run_id]
        self._leave_place(run.state.user_id)
        self.statistics.run_ended(run.state, run.log.events)
        if run.log.ended_elsewhere or run.log.left:
            # Its log may hold more than the stored one, which counts; or the stored one goes on.
            if self._runs.get(run.state.run_id) is run:
                del self._runs[run.state.run_id]
            return
        self._kept[run.state.run_id] = run
        self._kept_bytes += run.size
        while self._kept_bytes > MAX_KEPT_BYTES or len(self._kept) > MAX_KEPT_RUNS:
            self._forget(next(iter(self._kept)))
        with suppress(RuntimeError):  # the loop is closing: nothing is left to follow
            asyncio.get_running_loop().call_later(self.kept_seconds, self._forget, run.state.run_id)

    def _forget(self, run_id: RunId) -> None:
        run = self._kept.pop(run_id, None)
        if run is not None:
            del self._runs[run_id]
            self._kept_bytes -= run.size


async def _done(work: Coroutine[Any, Any, object]) -> None:
    await work
