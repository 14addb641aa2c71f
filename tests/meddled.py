"""A database that misbehaves as a test wants, and processes over it: who they are, what they say, how they end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from adapters.database.runs.signals import LocalSignals, PostgresSignals
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, Step
from application.ports.run_signals import RunSignals
from application.runs.run_registry import RunRegistry
from chat_desk import ChatDesk
from domain.chat.chat_events import Recorded, RunFinished
from domain.errors import Unavailable
from domain.ids import RunId, UserId

Instead = Callable[..., Coroutine[Any, Any, object]]
Desk = Callable[..., ChatDesk]
Shown = list[tuple[int, int, object]]


@dataclass
class Meddled:
    """Transactions over `real`. `instead["runs.close"]` is called with the real method and its arguments.

    `away` is a database that can't be reached; `calls` counts what was asked of it, by such names.
    """

    real: DatabaseTransactions
    away: bool = False
    instead: dict[str, Instead] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Any]:
        async with self.real.begin() as tx:
            yield _Area(self, tx, "")

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Any]:
        async with self.real.autocommit() as tx:
            yield _Area(self, tx, "")


class _Area:
    def __init__(self, meddled: Meddled, real: Any, name: str) -> None:
        self._meddled = meddled
        self._real = real
        self._name = name

    def __getattr__(self, name: str) -> Any:
        meddled, real = self._meddled, getattr(self._real, name)
        if not self._name:
            return _Area(meddled, real, name)
        called = f"{self._name}.{name}"

        async def call(*given: Any, **named: Any) -> object:
            meddled.calls[called] += 1
            if meddled.away:
                raise gone()
            if instead := meddled.instead.get(called):
                return await instead(real, *given, **named)
            return await real(*given, **named)

        return call


def gone() -> Unavailable:
    return Unavailable("database_unavailable", "It is away, as wanted.", retry_after=0.01)


class WordOfMouth:
    """Signals at the test's hand. Implements RunSignals."""

    def __init__(self) -> None:
        self.watchers: set[asyncio.Event] = set()

    def stored(self, run_ids: Collection[RunId]) -> None:
        """The test spreads the word itself."""

    @contextmanager
    def watch(self, run_id: RunId) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        self.watchers.add(event)
        try:
            yield event
        finally:
            self.watchers.discard(event)

    def tell(self) -> None:
        for event in self.watchers:
            event.set()

    def on_stop(self, heard: Callable[[RunId], None]) -> None:
        """Never called."""

    async def listen(self) -> None:
        await asyncio.Event().wait()


def process(database: Meddled | DatabaseTransactions, *steps: Step, **given: Any) -> ChatDesk:
    """One whose log is written when the test says so."""
    model = given.pop("model", None) or ScriptedChatModel(steps, repeat=True)
    return ChatDesk(cast(DatabaseTransactions, database), model, RunRegistry(100, 20), **given)


@asynccontextmanager
async def processes(url: str, transactions: DatabaseTransactions) -> AsyncIterator[Desk]:
    """Makes processes with all that goes on beside their requests."""
    going_on: list[asyncio.Task[None]] = []

    def desk(*steps: Step, database: Meddled | None = None, **given: Any) -> ChatDesk:
        signals: RunSignals = PostgresSignals(url) if url.startswith("postgresql") else LocalSignals()
        made = process(database or transactions, *steps, signals=signals, **given)
        going_on.extend(asyncio.create_task(work) for work in (signals.listen(), made.writer.forever()))
        return made

    yield desk
    for task in going_on:
        task.cancel()
    await asyncio.wait(going_on)


@asynccontextmanager
async def soon(seconds: float = 5) -> AsyncIterator[None]:
    async with asyncio.timeout(seconds):
        yield


async def until(holds: Callable[[], object]) -> None:
    async with soon():
        while not holds():
            await asyncio.sleep(0.002)


async def settled(desk: ChatDesk) -> None:
    """Until all that its runs left to do is done."""
    await until(lambda: not desk.registry._tasks)


async def written(desk: ChatDesk, actor: UserId, run_id: RunId, seq: int) -> None:
    async with soon():
        while (await desk.stored.find(run_id, owner=actor)).last_seq < seq:
            await asyncio.sleep(0.005)


def shown(seen: Sequence[Recorded]) -> Shown:
    return [(one.seq, one.at, one.event) for one in seen]


def done_of(seen: Sequence[Recorded]) -> RunFinished:
    dones = [one.event for one in seen if isinstance(one.event, RunFinished)]
    assert len(dones) == 1
    assert seen[-1].event is dones[0]
    return dones[0]
