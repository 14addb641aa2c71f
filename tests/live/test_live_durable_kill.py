"""A server is killed in the middle of many answers: nothing older than the last writing of the log is lost."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from live.live_server import LiveServer, Person, chunk, hello, pair, served, text_of
from servers.byte_server import Exchange
from servers.run_copy import RunCopy

STREAMS = 50
MAY_BE_LOST = 0.5
"""Seconds: the log is written every 0.2."""
DIALOGS = [f"d{number}" for number in range(STREAMS)]


async def endless_or_hello(exchange: Exchange) -> None:
    if exchange.json["messages"][-1]["content"] == "again":
        return await hello(exchange)
    await exchange.head()
    number = 0
    while True:
        await exchange.events(chunk(f"word{number} "))
        await asyncio.sleep(0.1)
        number += 1


async def told(copy: RunCopy, client: httpx.AsyncClient, dialog: str) -> None:
    """Until the server dies."""
    try:
        await copy.ask(client, dialog=dialog)
    except httpx.TransportError:
        return
    raise AssertionError("the stream ended by itself")


async def cut_down(server: LiveServer, person: Person, watching: Sequence[RunCopy] = ()) -> tuple[list[RunCopy], float]:
    """What each of the clients has when the server is killed, and when that was."""
    copies = [RunCopy(person.headers) for _ in DIALOGS]
    reading = [
        asyncio.create_task(told(copy, person.client, dialog)) for copy, dialog in zip(copies, DIALOGS, strict=True)
    ]
    async with asyncio.timeout(20):
        while any(len(copy.frames) < 12 for copy in [*copies, *watching]):
            await asyncio.sleep(0.02)
            for watcher, copy in zip(watching, copies, strict=False):
                watcher.run_id = copy.run_id
    killed_at = time.monotonic()
    server.kill()
    await asyncio.gather(*reading)
    return copies, killed_at


async def kept_all_but_the_last(copies: Sequence[RunCopy], killed_at: float, person: Person) -> None:
    history = await asyncio.gather(*(person.history(dialog) for dialog in DIALOGS))
    for copy, messages in zip(copies, history, strict=True):
        content = copy.done["content"]
        assert copy.done["status"] == "interrupted"
        assert copy.text.startswith(content)
        assert content.startswith(copy.text_before(killed_at - MAY_BE_LOST))
        assert copy.numbers == sorted(set(copy.numbers))
        assert [one["role"] for one in messages] == ["user", "assistant"]
        assert (messages[-1]["status"], messages[-1]["content"]) == ("interrupted", content)


async def all_answer_again(person: Person) -> None:
    answers = await asyncio.gather(*(person.answer("again", dialog) for dialog in DIALOGS))
    assert {text_of(frames) for frames in answers} == {"Hello"}


async def test_killed_in_mid_answer_every_client_gets_its_end_at_another_process(
    tmp_path: Path, postgres_url: str
) -> None:
    settings = {"DISCONNECT_GRACE_SECONDS": 20, "LEASE_SECONDS": 1, "MAX_RUNS_PER_USER": STREAMS}
    async with pair(tmp_path, postgres_url, **settings) as both:
        async with both.model(endless_or_hello) as (_, here, there):
            watching = [RunCopy(here.headers) for _ in range(10)]
            following = [asyncio.create_task(follow_soon(one, there.client)) for one in watching]
            copies, killed_at = await cut_down(both.servers[0], here, watching)
            async with asyncio.timeout(15):
                await asyncio.gather(*(copy.resume(there.client) for copy in copies), *following)
            print(f"\nended elsewhere {time.monotonic() - killed_at:.2f} s after the kill, the lease being 1 s")
            await kept_all_but_the_last(copies, killed_at, there)
            for watcher, copy in zip(watching, copies, strict=False):
                assert watcher.text == watcher.done["content"]
                assert watcher.frames[-1] == copy.frames[-1]
            await all_answer_again(there)


async def follow_soon(copy: RunCopy, client: httpx.AsyncClient) -> None:
    while not copy.run_id:
        await asyncio.sleep(0.02)
    await copy.resume(client)


async def test_killed_in_mid_answer_every_client_gets_its_end_after_the_restart(tmp_path: Path) -> None:
    settings = {"DISCONNECT_GRACE_SECONDS": 20, "MAX_RUNS_PER_USER": STREAMS}
    async with served(tmp_path, endless_or_hello, **settings) as (live, person):
        copies, killed_at = await cut_down(live.server, person)
        await live.server.start()
        started_at = time.monotonic()
        async with asyncio.timeout(15):
            await asyncio.gather(*(copy.resume(person.client) for copy in copies))
        print(
            f"\nended {time.monotonic() - started_at:.2f} s after the start, which came {started_at - killed_at:.2f} s"
        )
        await kept_all_but_the_last(copies, killed_at, person)
        await all_answer_again(person)
