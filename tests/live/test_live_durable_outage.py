"""The database goes away in mid-stream: answers go on, nothing of them is lost, and what is new is refused soon."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from adapters.database.schema import migrate
from live.live_server import STOP, Person, chunk, hello, pair, text_of
from patience import PATIENCE
from servers.byte_server import Exchange, Script
from servers.postgres import Postgres
from servers.run_copy import RunCopy

OUTAGE_SECONDS = float(os.environ.get("SOAK_OUTAGE_SECONDS", "4"))
LEASE_SECONDS = 2
AT_ONCE = 8.0
"""On the slowest machine; a place at the database is waited for longer."""
"""Shorter than the outage: every lease runs out meanwhile."""
PACE = 0.05


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.close()


def until(finish: dict[str, asyncio.Event]) -> Script:
    """A model that counts until the event of its question."""

    async def script(exchange: Exchange) -> None:
        question = exchange.json["messages"][-1]["content"]
        if question not in finish:
            await hello(exchange)
            return
        await exchange.head()
        number = 0
        while not finish[question].is_set():
            await exchange.events(chunk(f"{question}{number} "))
            await asyncio.sleep(PACE)
            number += 1
        await exchange.events(STOP, b"[DONE]")
        await exchange.end()

    return script


@asynccontextmanager
async def down(postgres: Postgres, seconds: float, *, crash: bool) -> AsyncIterator[None]:
    """For so long, or longer if what is to be seen meanwhile takes longer."""
    await asyncio.to_thread(postgres.stop, crash=crash)
    back_at = time.monotonic() + seconds
    yield
    await asyncio.sleep(back_at - time.monotonic())
    await asyncio.to_thread(postgres.start)


async def more_frames(copies: list[RunCopy], count: int) -> None:
    goals = [len(copy.frames) + count for copy in copies]
    async with asyncio.timeout(PATIENCE):
        while any(len(copy.frames) < goal for copy, goal in zip(copies, goals, strict=True)):
            await asyncio.sleep(0.02)


async def is_refused_soon(person: Person) -> None:
    began = time.monotonic()
    body = {"user_input": "hi", "dialog_id": "new"}
    asked = await person.client.post("/api/v1/chat", json=body, headers=person.headers)
    looked = await person.client.get("/api/v1/history", params={"dialog_id": "a"}, headers=person.headers)
    for response in (asked, looked):
        assert response.status_code == 503, response.text
        assert int(response.headers["retry-after"]) >= 1
    assert time.monotonic() - began < AT_ONCE


async def test_answers_outlive_an_outage_and_a_crash_of_the_database(tmp_path: Path, own_postgres: Postgres) -> None:
    await migrate(own_postgres.url())
    settings = {"LEASE_SECONDS": LEASE_SECONDS, "DISCONNECT_GRACE_SECONDS": 60}
    finish: dict[str, asyncio.Event] = {}
    async with pair(tmp_path, own_postgres.url(), **settings) as both, both.model(until(finish)) as (_, here, there):
        for seconds, crash in ((OUTAGE_SECONDS, False), (1, True)):
            finish |= {name: asyncio.Event() for name in "abc"}
            async with asyncio.timeout(OUTAGE_SECONDS + 30):
                uncut = await through_an_outage(finish, here, there, down(own_postgres, seconds, crash=crash))
                await asyncio.gather(*(is_kept(copy, name, here, there) for name, copy in uncut.items()))
        assert text_of(await there.answer("and now?", "a")) == "Hello"


async def through_an_outage(
    finish: dict[str, asyncio.Event], here: Person, there: Person, outage: AbstractAsyncContextManager[None]
) -> dict[str, RunCopy]:
    """Answers that one process makes and both show: "a" ends while the database is away, the others long after it."""
    uncut = {name: RunCopy(here.headers) for name in finish}
    later = [copy for name, copy in uncut.items() if name != "a"]
    reading = [asyncio.create_task(copy.ask(here.client, name, name)) for name, copy in uncut.items()]
    await more_frames(list(uncut.values()), 10)
    apart = {name: RunCopy(here.headers, copy.run_id) for name, copy in uncut.items()}
    reading += [asyncio.create_task(copy.resume(there.client)) for copy in apart.values()]
    await more_frames(list(apart.values()), 5)
    async with outage:
        await more_frames(list(uncut.values()), 10)
        await asyncio.gather(is_refused_soon(here), is_refused_soon(there))
        finish["a"].set()
        await more_frames(later, 10)
        assert not uncut["a"].ended
    await more_frames(later, round(1.25 * LEASE_SECONDS / PACE))
    for event in finish.values():
        event.set()
    await asyncio.gather(*reading)
    for name, copy in uncut.items():
        assert apart[name].raw == copy.raw
    return uncut


async def is_kept(copy: RunCopy, name: str, here: Person, there: Person) -> None:
    """Whole, in the history, and for whoever comes back with whatever he has."""
    assert copy.is_whole()
    assert copy.done["status"] == "complete"
    kept = await there.kept(name)
    assert (kept["status"], kept["content"]) == ("complete", copy.text)
    for person in (here, there):
        for count in (0, len(copy.frames) // 3, len(copy.frames) - 1):
            again = RunCopy(here.headers, copy.run_id, copy.frames[:count], copy.came_at[:count])
            await again.resume(person.client)
            assert again.raw == copy.raw
