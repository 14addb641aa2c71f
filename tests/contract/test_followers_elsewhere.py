"""Readers of a run that another process makes: one reading of its log serves all, and who waits does not spin."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import delta, finished, hold
from application.runs import stored_tails
from application.runs.live_runs import LiveRun
from application.runs.stored_tails import Tail
from chat_desk import ChatDesk, read, text_of
from domain.chat.chat_events import Recorded
from domain.dialogs.messages import AnswerStatus
from domain.ids import UserId
from meddled import Meddled, WordOfMouth, done_of, process, shown, soon, until

WORDS = 10


class Company:
    """A process that makes a run, word by word, and another one at which it is followed."""

    def __init__(self, transactions: DatabaseTransactions) -> None:
        self.gates = [hold() for _ in range(WORDS)]
        steps = [step for number, gate in enumerate(self.gates) for step in (delta(f"word{number} "), gate)]
        self.here = process(transactions, *steps, finished())
        self.signals = WordOfMouth()
        self.database = Meddled(transactions)
        self.there = process(self.database, signals=self.signals)
        self.there.stored = replace(self.there.stored, look_seconds=60)
        self.there.follow = replace(self.there.follow, stored=self.there.stored)

    async def begin(self) -> tuple[UserId, LiveRun]:
        actor = await self.here.person()
        run = await self.here.ask(actor)
        await self.gates[0].reached.wait()
        return actor, run

    async def store(self) -> None:
        """What was said, and give word of it."""
        await self.here.writer.flush()
        self.signals.tell()

    async def go_on(self, word: int) -> None:
        """From the `word`th to the next one, stored and told."""
        self.gates[word].release()
        if word + 1 < WORDS:
            await self.gates[word + 1].reached.wait()
            await self.store()

    async def end(self, run: LiveRun) -> list[Recorded]:
        for gate in self.gates:
            gate.release()
        await run.wait()
        self.signals.tell()
        return await read(run)


class Readers:
    """Several who read on, and what each has."""

    def __init__(self, count: int, desk: ChatDesk, actor: UserId, run: LiveRun) -> None:
        self.seen: list[list[Recorded]] = [[] for _ in range(count)]
        self.tasks = [asyncio.create_task(self._read(mine, desk, actor, run)) for mine in self.seen]

    async def _read(self, mine: list[Recorded], desk: ChatDesk, actor: UserId, run: LiveRun) -> None:
        followed, after = await desk.follow(actor, run.state.run_id, None)
        reader = followed.attach(after, 60)
        stream = reader.batches()
        try:
            async for batch in stream:
                mine += batch
        finally:
            await stream.aclose()
            followed.detach(reader)

    async def have(self, events: int) -> None:
        await until(lambda: all(len(mine) >= events for mine in self.seen))

    async def finish(self) -> None:
        async with soon():
            await asyncio.gather(*self.tasks)


def nothing_is_left(desk: ChatDesk) -> bool:
    tails = [task for task in asyncio.all_tasks() if task.get_name().startswith("tail of")]
    return not (desk.stored._tails or desk.stored._readers or tails)


async def test_a_new_piece_costs_the_database_as_much_for_twelve_readers_as_for_one(
    transactions: DatabaseTransactions,
) -> None:
    spent: list[Counter[str]] = []
    for count in (1, 12):
        company = Company(transactions)
        actor, run = await company.begin()
        readers = Readers(count, company.there, actor, run)
        await until(lambda count=count, there=company.there: there.stored._readers.total() == count)  # type: ignore[misc]
        await company.store()
        await readers.have(1)
        company.database.calls.clear()
        for word in range(WORDS - 1):
            await company.go_on(word)
            await readers.have(word + 2)
        spent.append(company.database.calls.copy())
        whole = await company.end(run)
        await readers.finish()
        assert all(shown(mine) == shown(whole) for mine in readers.seen)
        assert nothing_is_left(company.there)
    alone, together = spent
    assert together == alone
    assert set(alone) == {"runs.log"}
    assert alone.total() <= 3 * WORDS


async def test_readers_far_behind_catch_up_though_the_tail_forgot(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_tails, "KEPT_EVENTS", 2)
    company = Company(transactions)
    actor, run = await company.begin()
    await company.store()
    followed, after = await company.there.follow(actor, run.state.run_id, None)
    slow = followed.attach(after, 60)
    stream = slow.batches()
    seen = list(await anext(stream))
    quick = Readers(1, company.there, actor, run)
    await quick.have(1)
    for word in range(6):
        await company.go_on(word)
        await quick.have(word + 2)
    [tail] = company.there.stored._tails.values()
    assert tail.begin > seen[-1].seq
    late = Readers(3, company.there, actor, run)
    await late.have(7)
    reading = asyncio.create_task(rest_of(stream, seen))
    await until(lambda: len(seen) >= 7)
    whole = await company.end(run)
    async with soon():
        await asyncio.gather(reading, quick.finish(), late.finish())
    followed.detach(slow)
    assert all(shown(mine) == shown(whole) for mine in (seen, *quick.seen, *late.seen))
    await until(lambda: nothing_is_left(company.there))


async def rest_of(stream: Any, seen: list[Recorded]) -> None:
    async for batch in stream:
        seen += batch


async def test_the_tail_is_let_go_with_its_last_reader(transactions: DatabaseTransactions) -> None:
    company = Company(transactions)
    actor, run = await company.begin()
    readers = Readers(3, company.there, actor, run)
    await company.store()
    await readers.have(1)
    for number, task in enumerate(readers.tasks, 1):
        assert len(company.there.stored._tails) == 1
        task.cancel()
        await asyncio.wait({task})
        assert company.there.stored._readers.total() == 3 - number
    await until(lambda: nothing_is_left(company.there))
    assert not company.signals.watchers
    await company.end(run)


async def test_a_reader_whose_tail_crashed_is_told_and_does_not_wait_for_ever(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = Company(transactions)
    actor, run = await company.begin()
    await company.store()
    readers = Readers(3, company.there, actor, run)
    await readers.have(1)

    async def crash(_: Tail, *, heard: bool) -> None:
        raise ZeroDivisionError("as wanted")

    monkeypatch.setattr(Tail, "_more", crash)
    company.signals.tell()
    async with soon():
        ends = await asyncio.gather(*readers.tasks, return_exceptions=True)
    assert [type(end) for end in ends] == [ZeroDivisionError] * 3
    assert nothing_is_left(company.there)
    monkeypatch.undo()
    again = Readers(1, company.there, actor, run)
    await again.have(1)
    whole = await company.end(run)
    await again.finish()
    assert shown(again.seen[0]) == shown(whole)


async def test_who_stops_a_run_that_somebody_else_is_closing_looks_now_and_then(
    transactions: DatabaseTransactions,
) -> None:
    database, gate = Meddled(transactions), hold()
    dead, alive = process(transactions, delta("half"), gate), process(database)
    actor = await dead.person()
    run = await dead.ask(actor)
    await gate.reached.wait()
    await dead.writer.flush()

    async def held(_real: Any, *_given: Any) -> bool:
        return False

    await alive.live_through(60)
    alive.stop = replace(alive.stop, patience=0.5)
    database.instead["runs.hold_abandoned"] = held
    database.calls.clear()
    assert (await alive.stop(actor, run_id=run.state.run_id, dialog_id=None)).is_open
    assert database.calls["runs.hold_abandoned"] >= 1
    assert database.calls.total() <= 12
    database.instead.clear()
    stopped = await alive.stop(actor, run_id=run.state.run_id, dialog_id=None)
    assert not stopped.is_open
    run.end(AnswerStatus.STOPPED)
    await run.wait()
    assert text_of(await alive.resumed(actor, run.state.run_id)) == "half"
    assert done_of(await read(run)).status is AnswerStatus.STOPPED
