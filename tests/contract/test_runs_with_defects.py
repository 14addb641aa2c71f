"""A run that can't be written or closed, for a defect of its own: the others do not notice it. Nor deadlocks."""

import asyncio
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, delta, finished, hold
from application.accounts.users import DeleteUser
from application.runs import run_closing
from chat_desk import read, text_of
from domain.accounts.users import User
from domain.errors import Unauthenticated
from domain.ids import RunId, UserId, new_id
from domain.runs.runs import Run
from meddled import Meddled, done_of, process, shown, soon
from servers.postgres import Postgres
from stored import dialog as a_dialog
from stored import finished as closed
from stored import open_answer, piece, question, registered, run_of, seconds, user


async def test_a_piece_that_cannot_be_written_holds_up_no_other_run_and_leaves_no_hole(
    transactions: DatabaseTransactions,
) -> None:
    database, names = Meddled(transactions), ("poisoned", "sound")
    gates = {name: [hold(), hold(), hold()] for name in names}
    turns = [
        [delta("one "), mine[0], delta("two "), mine[1], delta("three "), mine[2], delta("four"), finished()]
        for mine in gates.values()
    ]
    desk = process(database, model=ScriptedChatModel(turns=turns))
    there = process(transactions)
    actor = await desk.person()
    runs = {}
    for name in names:
        runs[name] = await desk.ask(actor, dialog=name)
        await gates[name][0].reached.wait()
    bad = runs["poisoned"].state.run_id
    refused: list[RunId] = []

    async def poison(real: Any, pieces: Any) -> object:
        if any(one.run_id in refused for one in pieces):
            raise ValueError("it can't be encoded, as wanted")
        return await real(pieces)

    database.instead["runs.append"] = poison
    for number in range(3):
        refused[:] = [bad] if number == 1 else []
        await desk.writer.flush()
        sound = await there.stored.find(runs["sound"].state.run_id, owner=actor)
        stored = await there.stored.find(bad, owner=actor)
        assert (sound.last_seq, stored.last_seq) == (number + 1, 1)
        async with transactions.autocommit() as tx:
            log = await tx.runs.log(bad, 0, 100)
        assert [one.seq for one in log] == list(range(1, stored.last_seq + 1))
        for name in names:
            gates[name][number].release()
            await (gates[name][number + 1].reached.wait() if number < 2 else runs[name].wait())
    assert [type(one) for one in desk.crashes] == [ValueError]
    for run in runs.values():
        seen = await there.resumed(actor, run.state.run_id)
        assert shown(seen) == shown(await read(run))
        assert text_of(seen) == done_of(seen).content == "one two three four"
        assert [one.seq for one in seen] == [1, 2, 3, 4, 5]


async def abandoned(transactions: DatabaseTransactions, owner: UserId, number: int, run_id: str = "") -> Run:
    asked, answer = question(f"d{number}"), open_answer(f"d{number}", run_id=RunId(run_id or new_id()))
    run = run_of(answer, owner, lease_until=seconds(number))
    async with transactions.autocommit() as tx:
        await tx.runs.open(run, asked, answer, dialog=a_dialog(owner, f"d{number}"))
    return run


async def test_however_many_runs_cannot_be_closed_the_others_are(
    transactions: DatabaseTransactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_closing, "SWEEP", 4)
    database = Meddled(transactions)
    desk = process(database)
    owner = await registered(transactions)
    runs = [await abandoned(transactions, owner, number) for number in range(16)]
    # The oldest ones, more of them than are looked at together.
    stuck = {run.message_id for run in runs[:11]}

    async def defective(real: Any, message_id: Any, **named: Any) -> object:
        if message_id in stuck:
            raise ValueError("it can't be read, as wanted")
        return await real(message_id, **named)

    database.instead["messages.get"] = defective
    closed_each_time = [await desk.close_abandoned(seconds(3600)) for _ in range(6)]
    assert sum(closed_each_time) == 5
    for number, run in enumerate(runs):
        assert (await desk.stored.find(run.run_id, owner=owner)).is_open is (number < 11)
    assert len(desk.troubles) == 11  # each is told of once


@dataclass
class Certain:
    """Confirms every password. Stands for ConfirmPassword."""

    someone: User

    async def __call__(self, *_: object) -> User:
        return self.someone


RUNS = 40


async def test_deleting_an_account_whose_logs_are_written_meets_no_deadlock(
    postgres: Postgres, postgres_url: str
) -> None:
    # Rather a deadlock found at once than none met.
    name = urlsplit(postgres_url).path[1:]
    postgres.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '5ms'")
    processes = [DatabaseTransactions.open(postgres_url) for _ in range(2)]
    for _ in range(10):
        someone = user()
        async with processes[0].begin() as tx:
            await tx.users.add(someone)
        # They lie in the table in the opposite of the order in which they are written to.
        ids = sorted((new_id() for _ in range(RUNS)), reverse=True)
        runs = [await abandoned(processes[0], someone.user_id, number, one) for number, one in enumerate(ids)]
        orders = (runs, runs[::-1])
        writing = [asyncio.create_task(write(one, mine)) for one, mine in zip(processes, orders, strict=True)]
        ending = asyncio.create_task(close_all(processes[1], runs))
        await asyncio.sleep(0.02)
        desk = process(processes[0])
        delete = DeleteUser(processes[0], cast(Any, Certain(someone)), desk.registry, cast(Any, None))
        async with soon(20):
            await delete(someone.user_id, "password", "address")
            await asyncio.gather(*writing, ending)
        with pytest.raises(Unauthenticated):
            await desk.history(someone.user_id)
    for one in processes:
        await one.aclose()


async def write(transactions: DatabaseTransactions, runs: list[Run]) -> None:
    """Append to all of them, again and again, until they are gone."""
    seq = 1
    going_on = True
    while going_on:
        async with transactions.autocommit() as tx:
            going_on = bool(await tx.runs.append([piece(run.run_id, seq, "x") for run in runs]))
            await tx.runs.renew([run.run_id for run in reversed(runs)], seconds(60 + seq))
        seq += 1


async def close_all(transactions: DatabaseTransactions, runs: list[Run]) -> None:
    for run in runs[: RUNS // 2]:
        answer = open_answer(run.dialog_id, message_id=run.message_id, run_id=run.run_id)
        async with transactions.autocommit() as tx:
            await tx.runs.close(closed(answer), (), owner=run.user_id)
