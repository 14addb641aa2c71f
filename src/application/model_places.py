"""How many calls of a provider's key go on at once, and begin in a minute: what it or its operator's purse can bear."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from domain.errors import ModelError, TooManyRequests
from domain.ids import UserId
from domain.models import ModelSpec

QUEUE_FACTOR: Final = 4
"""So many runs may wait for each call that goes on, or begins in a minute."""
RETRY_SECONDS: Final = 2.0
WINDOW_SECONDS: Final = 60.0
MOST_LINES: Final = 2_000
"""Keys that are remembered, unless more are in use: people bring keys of their own."""

Leave = Callable[[], None]
"""Gives a place back; calling it again does nothing."""


def key_of(spec: ModelSpec) -> str:
    """What models share that have one key."""
    return spec.key_id or spec.llm_id


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """The places at every key. One object for the process: the places are its own.

    A model's limits count the calls of all models of its key. A model without limits waits for nobody. A place is held
    for one call of the model, not for a run: nobody waits for somebody else's tools.
    """

    lines: dict[str, "Line"] = field(default_factory=dict)

    async def take(self, spec: ModelSpec, *, guest: bool = False) -> Leave:
        """Wait for a place, as long as it takes. `guest`: nobody admitted this call, and a long line refuses it.

        Raises ModelError `model_busy`.
        """
        most = _smallest(spec)
        if most is None:
            line = self.lines.get(key_of(spec))
            if line is None:
                return _nothing
            line.start()
        else:
            if guest:
                self.refuse_guest(spec)
            line = self._line(spec)
            await line.take(spec.max_concurrent, spec.requests_a_minute)
        return _Once(line.leave)

    def refuse_guest(self, spec: ModelSpec) -> None:
        """Raises ModelError `model_busy` where the line is long enough."""
        most, line = _smallest(spec), self.lines.get(key_of(spec))
        if most is not None and line is not None and len(line.waiting) >= most * QUEUE_FACTOR:
            raise ModelError("model_busy", _too_many(spec), retryable=True, retry_after=RETRY_SECONDS)

    def admit(self, spec: ModelSpec, user_id: UserId) -> Leave:
        """Take a run on, until what is returned is called.

        A limited key has so many runs, waiting ones included, and one user half of them: what all models share is
        not filled by those who wait for one. Raises TooManyRequests `model_busy`.
        """
        limit = _smallest(spec)
        if limit is None:
            return _nothing
        line = self._line(spec)
        most = limit * (1 + QUEUE_FACTOR)
        if line.runs.total() >= most or line.runs[user_id] >= (most + 1) // 2:
            raise TooManyRequests("model_busy", _too_many(spec), retry_after=RETRY_SECONDS)
        line.runs[user_id] += 1
        return _Once(lambda: line.ended(user_id))

    def _line(self, spec: ModelSpec) -> "Line":
        key = key_of(spec)
        line = self.lines.get(key)
        if line is None:
            if len(self.lines) >= MOST_LINES:
                for known in [known for known, one in self.lines.items() if one.idle]:
                    del self.lines[known]
            line = self.lines[key] = Line()
        return line


@dataclass(frozen=True, slots=True, eq=False)
class _Waiter:
    places: int | None
    a_minute: int | None
    ready: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Line:
    """The calls of one key. Who came first is served first, also where those behind may have other limits."""

    active: int = 0
    begun: deque[float] = field(default_factory=deque)
    """When calls began, as far as it matters."""
    waiting: deque[_Waiter] = field(default_factory=deque)
    runs: Counter[UserId] = field(default_factory=Counter)
    _timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        recent = self.begun and self.begun[-1] + WINDOW_SECONDS > asyncio.get_running_loop().time()
        return not (self.active or self.waiting or self.runs or recent)

    async def take(self, places: int | None, a_minute: int | None) -> None:
        waiter = _Waiter(places, a_minute, asyncio.get_running_loop().create_future())
        self.waiting.append(waiter)
        self._serve()
        try:
            await waiter.ready
        except asyncio.CancelledError:
            if waiter.ready.cancelled():
                with suppress(ValueError):
                    self.waiting.remove(waiter)
                self._serve()
            else:
                # It was served, and is gone.
                self.leave()
            raise

    def start(self) -> None:
        now = asyncio.get_running_loop().time()
        while self.begun and self.begun[0] + WINDOW_SECONDS <= now:
            self.begun.popleft()
        self.begun.append(now)
        self.active += 1

    def leave(self) -> None:
        self.active -= 1
        self._serve()

    def ended(self, user_id: UserId) -> None:
        self.runs[user_id] -= 1
        if not self.runs[user_id]:
            del self.runs[user_id]

    def _serve(self) -> None:
        while self.waiting:
            first = self.waiting[0]
            if first.ready.cancelled():
                self.waiting.popleft()
                continue
            if first.places is not None and self.active >= first.places:
                return
            wait = self._wait(first.a_minute)
            if wait > 0:
                self._serve_in(wait)
                return
            self.waiting.popleft()
            self.start()
            first.ready.set_result(None)

    def _wait(self, a_minute: int | None) -> float:
        """Seconds until one more may begin."""
        if a_minute is None or len(self.begun) < a_minute:
            return 0.0
        return self.begun[-a_minute] + WINDOW_SECONDS - asyncio.get_running_loop().time()

    def _serve_in(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._serve()


@dataclass(slots=True)
class _Once:
    leave: Callable[[], None]
    left: bool = False

    def __call__(self) -> None:
        if not self.left:
            self.left = True
            self.leave()


def _smallest(spec: ModelSpec) -> int | None:
    return min((one for one in (spec.max_concurrent, spec.requests_a_minute) if one is not None), default=None)


def _too_many(spec: ModelSpec) -> str:
    return f"Too many questions are waiting for {spec.llm_id}."


def _nothing() -> None:
    """A model without a limit keeps no account."""
