"""How many calls of a provider's key go on at once, and begin in a minute: what it or its operator's purse can bear."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from domain.errors import ModelError, TooManyRequests
from domain.ids import UserId
from domain.models.models import ModelSpec

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
class Limit:
    """Calls that go on at once, and that begin within a minute; None where that is not limited."""

    places: int | None = None
    a_minute: int | None = None

    @property
    def most(self) -> int | None:
        return min((one for one in (self.places, self.a_minute) if one is not None), default=None)

    @property
    def pace(self) -> float:
        """Seconds after which another try is worth it."""
        return RETRY_SECONDS if self.a_minute is None else max(RETRY_SECONDS, WINDOW_SECONDS / self.a_minute)


@dataclass(frozen=True, slots=True)
class ModelPlaces:
    """The places at every key. One object for the process: the places are its own.

    Models of one key and with one limit share it. A place is held for one call of a model, not for a run: nobody waits
    for somebody else's tools.
    """

    lines: dict[tuple[str, Limit], "Line"] = field(default_factory=dict)

    async def take(self, spec: ModelSpec, *, guest: bool = False, patience: float | None = None) -> Leave:
        """Wait for a place, as long as it takes, or so many seconds.

        `guest`: nobody admitted this call, and a long line refuses it. Raises ModelError `model_busy`.
        """
        limit = _limit(spec)
        if limit.most is None:
            return no_place
        if guest:
            self.refuse_guest(spec)
        line = self._line(spec, limit)
        if patience is not None and line.soonest > patience:
            raise _busy(spec)
        try:
            async with asyncio.timeout(patience):
                await line.take()
        except TimeoutError:
            raise _busy(spec) from None
        return _Once(line.leave)

    def refuse_guest(self, spec: ModelSpec) -> None:
        """Raises ModelError `model_busy` where the line is long enough."""
        limit = _limit(spec)
        line = self.lines.get((key_of(spec), limit))
        if limit.most is not None and line is not None and len(line.waiting) >= limit.most * QUEUE_FACTOR:
            raise _busy(spec)

    def admit(self, spec: ModelSpec, user_id: UserId) -> Leave:
        """Take a run on, until what is returned is called.

        A limit has so many runs, waiting ones included, and one user half of them: what all models share is not filled
        by those who wait for one. Raises TooManyRequests `model_busy`.
        """
        limit = _limit(spec)
        if limit.most is None:
            return no_place
        line = self._line(spec, limit)
        most = limit.most * (1 + QUEUE_FACTOR)
        if line.runs.total() >= most or line.runs[user_id] >= (most + 1) // 2:
            raise TooManyRequests("model_busy", _too_many(spec), retry_after=limit.pace)
        line.runs[user_id] += 1
        return _Once(lambda: line.ended(user_id))

    def _line(self, spec: ModelSpec, limit: Limit) -> "Line":
        key = key_of(spec), limit
        line = self.lines.get(key)
        if line is None:
            if len(self.lines) >= MOST_LINES:
                for known in [known for known, one in self.lines.items() if one.idle]:
                    del self.lines[known]
            line = self.lines[key] = Line(limit)
        return line


@dataclass(slots=True, eq=False)
class Line:
    """The calls that share a limit. Who came first is served first."""

    limit: Limit
    active: int = 0
    begun: deque[float] = field(default_factory=deque)
    """When the calls of the last minute began, where that is limited."""
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    runs: Counter[UserId] = field(default_factory=Counter)
    _timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        recent = self.begun and self.begun[-1] + WINDOW_SECONDS > asyncio.get_running_loop().time()
        return not (self.active or self.waiting or self.runs or recent)

    @property
    def soonest(self) -> float:
        """Seconds until one more can begin, as far as that is known: how long calls take is not."""
        a_minute, now = self.limit.a_minute, asyncio.get_running_loop().time()
        if a_minute is None or self._wait(a_minute) + len(self.waiting) == 0:
            return 0.0
        # It begins a minute after the one that it follows at that distance.
        at = len(self.waiting) + len(self.begun) - a_minute
        followed = self.begun[at] if 0 <= at < len(self.begun) else now
        return followed + WINDOW_SECONDS - now if at >= 0 else 0.0

    async def take(self) -> None:
        ready = asyncio.get_running_loop().create_future()
        self.waiting.append(ready)
        self._serve()
        try:
            await ready
        except asyncio.CancelledError:
            if ready.cancelled():
                with suppress(ValueError):
                    self.waiting.remove(ready)
                self._serve()
            else:
                # It was served, and is gone.
                self.leave()
            raise

    def leave(self) -> None:
        self.active -= 1
        self._serve()

    def ended(self, user_id: UserId) -> None:
        self.runs[user_id] -= 1
        if not self.runs[user_id]:
            del self.runs[user_id]

    def _serve(self) -> None:
        places, a_minute = self.limit.places, self.limit.a_minute
        while self.waiting and (places is None or self.active < places):
            if a_minute is not None and (wait := self._wait(a_minute)) > 0:
                self._serve_in(wait)
                return
            ready = self.waiting.popleft()
            if not ready.cancelled():
                self.active += 1
                if a_minute is not None:
                    self.begun.append(asyncio.get_running_loop().time())
                ready.set_result(None)

    def _wait(self, a_minute: int) -> float:
        """Seconds until one more may begin."""
        now = asyncio.get_running_loop().time()
        while self.begun and self.begun[0] + WINDOW_SECONDS <= now:
            self.begun.popleft()
        return 0.0 if len(self.begun) < a_minute else self.begun[0] + WINDOW_SECONDS - now

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


def _limit(spec: ModelSpec) -> Limit:
    return Limit(spec.max_concurrent, spec.requests_a_minute)


def _busy(spec: ModelSpec) -> ModelError:
    return ModelError("model_busy", _too_many(spec), retryable=True, retry_after=_limit(spec).pace)


def _too_many(spec: ModelSpec) -> str:
    return f"Too many questions are waiting for {spec.llm_id}."


def no_place() -> None:
    """A model without a limit keeps no account."""
