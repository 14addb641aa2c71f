"""Any cut, at any byte, at whichever process, any number of times: the client ends up with what an uncut one got."""

import asyncio
import os
import random
import signal
from collections.abc import Sequence
from pathlib import Path

import httpx

from live.live_server import begin_and_hang, chunk, pair, saying, served
from servers.byte_server import Exchange
from servers.run_copy import RunCopy

SEED = int(os.environ.get("SOAK_SEED", "1"))
WORDS = [
    f"{text}{number} "
    for number in range(20)
    for text in ("word", "\u4f60\u597d", "\U0001f389\n\n", "\u2028data: \r\n")
]
CALL = {
    "index": 0,
    "id": "c1",
    "type": "function",
    "function": {"name": "calculator", "arguments": '{"expression": "6*7"}'},
}
WANTS_TOOL = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}


async def call_a_tool(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events({"choices": [{"index": 0, "delta": {"reasoning_content": "hm\n\n: ping\n\n"}}]})
    for word in WORDS[:10]:
        await exchange.events(chunk(word))
    await exchange.events({"choices": [{"index": 0, "delta": {"tool_calls": [CALL]}}]}, WANTS_TOOL, b"[DONE]")
    await exchange.end()


talk = saying(*WORDS, every=0.01)


async def cut_again_and_again(copy: RunCopy, clients: Sequence[httpx.AsyncClient], chance: random.Random) -> None:
    """To the end of the run; each connection to any of the servers, and cut at any byte."""
    async with asyncio.timeout(20):
        while not copy.ended:
            most = chance.choice([chance.randint(1, 300), chance.randint(300, 3000), chance.randint(3000, 9000)])
            await copy.resume(chance.choice(clients), most, by_query=chance.random() < 0.5)
            await asyncio.sleep(chance.choice([0, 0.02]))


async def copies_of(run: RunCopy, clients: Sequence[httpx.AsyncClient], count: int) -> list[RunCopy]:
    """What so many clients have in the end, each with cuts of its own."""
    made = [RunCopy(run.headers, run.run_id) for _ in range(count)]
    await asyncio.gather(
        *(cut_again_and_again(copy, clients, random.Random(SEED + number)) for number, copy in enumerate(made))
    )
    return made


async def test_any_cut_during_a_run_after_it_and_after_restarts_gives_the_same_bytes(tmp_path: Path) -> None:
    settings = {"DISCONNECT_GRACE_SECONDS": 20, "HEARTBEAT_SECONDS": 0.03}
    async with served(tmp_path, call_a_tool, talk, **settings) as (live, person):
        asker, uncut = RunCopy(person.headers), RunCopy(person.headers)
        await asker.ask(person.client, most=random.Random(SEED).randint(1, 1000))
        uncut.run_id = asker.run_id
        reading = asyncio.create_task(uncut.resume(person.client))
        copies = await copies_of(asker, [person.client], 6)
        await cut_again_and_again(asker, [person.client], random.Random(SEED))
        await reading
        assert uncut.is_whole()
        assert uncut.text == "".join(WORDS[:10] + WORDS)
        assert [name for name, _ in uncut.events].count("event") == 2

        copies += await copies_of(asker, [person.client], 1)
        live.server.signal(signal.SIGTERM)
        assert await live.server.ended() == 0
        await live.server.start()
        copies += await copies_of(asker, [person.client], 1)
        await live.server.restart()
        copies += await copies_of(asker, [person.client], 1)
        for copy in [asker, *copies]:
            assert copy.raw == uncut.raw


async def test_a_run_that_a_stopping_server_interrupts_reads_the_same_at_the_next(tmp_path: Path) -> None:
    settings = {"SHUTDOWN_GRACE_SECONDS": 0, "DISCONNECT_GRACE_SECONDS": 20, "HEARTBEAT_SECONDS": 0.1}
    async with served(tmp_path, begin_and_hang, **settings) as (live, person):
        uncut, cut = RunCopy(person.headers), RunCopy(person.headers)
        reading = asyncio.create_task(uncut.ask(person.client))
        while not uncut.frames:
            await asyncio.sleep(0.005)
        cut.run_id = uncut.run_id
        await cut.resume(person.client, most=len(uncut.raw) + 3)
        live.server.signal(signal.SIGTERM)
        await reading
        assert (uncut.done["status"], uncut.done["content"]) == ("interrupted", "half")
        assert uncut.is_whole()
        assert await live.server.ended() == 0
        await live.server.start()
        await cut.resume(person.client)
        assert cut.raw == uncut.raw


async def test_cuts_that_hop_between_processes_give_the_same_bytes(tmp_path: Path, postgres_url: str) -> None:
    settings = {"DISCONNECT_GRACE_SECONDS": 20, "HEARTBEAT_SECONDS": 0.03}
    async with pair(tmp_path, postgres_url, **settings) as both:
        async with both.model(call_a_tool, talk) as (_, here, there):
            asker, uncut, apart = (RunCopy(here.headers) for _ in range(3))
            await asker.ask(here.client, most=random.Random(SEED).randint(1, 1000))
            uncut.run_id = apart.run_id = asker.run_id
            reading = asyncio.gather(uncut.resume(here.client), apart.resume(there.client))
            clients = [here.client, there.client]
            copies = await copies_of(asker, clients, 5)
            copies += await copies_of(asker, [there.client], 2)
            await cut_again_and_again(asker, clients, random.Random(SEED))
            await reading
            assert uncut.is_whole()
            for copy in [apart, asker, *copies]:
                assert copy.raw == uncut.raw
            await both.servers[0].restart()
            for copy in await copies_of(asker, clients, 2):
                assert copy.raw == uncut.raw
