"""What bounds answers: time, tokens, places at a model, connections to the database, readers that take nothing."""

import asyncio
import json
import secrets
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from live.live_server import (
    STOP,
    Live,
    LivePair,
    LiveServer,
    Person,
    begin_and_hang,
    chunk,
    free_port,
    hello,
    pair,
    served,
    settings_for,
    text_of,
)
from patience import PATIENCE
from servers.byte_server import Exchange, Script
from servers.postgres import Postgres
from servers.run_copy import RunCopy

GRACE = 1.0


@pytest.fixture(scope="module")
async def both(
    postgres: Postgres, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LivePair]:
    """One connection to the database each, beside the listener's."""
    name = f"pair_{secrets.token_hex(4)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    settings = {"POOL_SIZE": 1, "MAX_RUNS_PER_USER": 200, "DISCONNECT_GRACE_SECONDS": GRACE, "HEARTBEAT_SECONDS": 0.1}
    async with pair(tmp_path_factory.mktemp("pair"), postgres.url(name), **settings) as made:
        yield made
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def two_parts(go_on: asyncio.Event) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.events(chunk("one "))
        await go_on.wait()
        await exchange.events(chunk("two"), STOP, b"[DONE]")
        await exchange.end()

    return script


async def begun(copies: list[RunCopy]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not all(copy.frames for copy in copies):
            await asyncio.sleep(0.02)


async def test_a_hundred_answers_and_thirty_readers_elsewhere_share_one_connection_each(both: LivePair) -> None:
    go_on = asyncio.Event()
    async with both.model(two_parts(go_on)) as (_, here, there):
        copies = [RunCopy(here.headers) for _ in range(100)]
        reading = [asyncio.create_task(copy.ask(here.client, dialog=f"d{n}")) for n, copy in enumerate(copies)]
        await begun(copies)
        apart = [RunCopy(here.headers, copy.run_id) for copy in copies[:30]]
        reading += [asyncio.create_task(copy.resume(there.client)) for copy in apart]
        await begun(apart)
        go_on.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*reading)
        assert {copy.text for copy in copies} == {"one two"}
        assert all(copy.is_whole() for copy in copies)
        assert [copy.raw for copy in apart] == [copy.raw for copy in copies[:30]]


async def test_who_lost_one_process_and_follows_at_the_other_keeps_the_run_beyond_the_grace(both: LivePair) -> None:
    go_on = asyncio.Event()
    async with both.model(two_parts(go_on)) as (upstream, here, there):
        copy = RunCopy(here.headers)
        asking = asyncio.create_task(copy.ask(here.client))
        await begun([copy])
        asking.cancel()
        following = asyncio.create_task(copy.resume(there.client))
        closed = (await upstream.request()).closed
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(closed.wait(), 2.5 * GRACE)
        go_on.set()
        await asyncio.wait_for(following, PATIENCE)
        assert copy.is_whole()
        assert (copy.done["status"], copy.text) == ("complete", "one two")


async def test_who_leaves_for_good_is_waited_for_no_longer_than_the_grace(both: LivePair) -> None:
    async with both.model(begin_and_hang) as (upstream, here, there):
        copy = RunCopy(here.headers)
        asking = asyncio.create_task(copy.ask(here.client))
        await begun([copy])
        asking.cancel()
        await asyncio.wait_for((await upstream.request()).closed.wait(), GRACE + 2)
        await copy.resume(there.client)
        assert (copy.done["status"], copy.text) == ("interrupted", "half")


async def test_a_reader_that_resumes_while_the_server_stops_gets_the_end(both: LivePair) -> None:
    """At the other process, for the stopping one admits nobody."""
    go_on = asyncio.Event()
    stopping = both.servers[0]
    async with both.model(two_parts(go_on)) as (_, here, there):
        uncut, cut = RunCopy(here.headers), RunCopy(here.headers)
        reading = asyncio.create_task(uncut.ask(here.client))
        await begun([uncut])
        cut.run_id = uncut.run_id
        await cut.resume(here.client, most=len(uncut.raw) + 3)
        stopping.signal(signal.SIGTERM)
        async with asyncio.timeout(5):
            while (await here.client.get("/health/ready")).status_code == 200:
                await asyncio.sleep(0.02)
        refused = await here.client.get(f"/api/v1/chat/{cut.run_id}/events", headers=here.headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
        following = asyncio.create_task(cut.resume(there.client))
        go_on.set()
        async with asyncio.timeout(5):
            await asyncio.gather(reading, following)
        assert await stopping.ended() == 0
        await stopping.start()
        assert uncut.is_whole()
        assert (cut.raw, cut.done["status"]) == (uncut.raw, "complete")


@asynccontextmanager
async def offline(folder: Path, **settings: object) -> AsyncIterator[Person]:
    server = LiveServer(folder, settings)
    try:
        await server.start()
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            yield await Person.register(client)
    finally:
        server.kill()


async def test_an_answer_is_bounded_in_tokens_and_in_time(tmp_path: Path) -> None:
    async with offline(tmp_path, OFFLINE_DELAY_MS=0, MAX_RUN_SECONDS=1) as person:
        frames = await person.answer("count to 100", max_output_tokens=10)
        assert (frames[-1].data["status"], frames[-1].data["finish_reason"]) == ("complete", "length")
        assert text_of(frames).startswith("1 2 3")
        assert len(text_of(frames)) < len("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16")
        assert (await person.answer("count to 100"))[-1].data["finish_reason"] == "stop"
        for wrong in (0, -1, 1.5, "10", True, 100_000_001):
            body = {"user_input": "hi", "dialog_id": "d", "max_output_tokens": wrong}
            response = await person.client.post("/api/v1/chat", json=body, headers=person.headers)
            assert response.status_code == 422, (wrong, response.text)

        frames = await person.answer("wait 60", "slow")
        assert [frame.event for frame in frames] == ["error", "done"]
        assert frames[0].data["code"] == "run_time_limit"
        assert (frames[1].data["status"], frames[1].data["content"]) == ("interrupted", "")
        assert (await person.kept("slow"))["status"] == "interrupted"


async def test_questions_to_a_model_with_one_place_are_answered_one_after_the_other(tmp_path: Path) -> None:
    go_on, port = asyncio.Event(), free_port()
    model = {"provider": "openai_compatible", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": "k"}
    models = json.dumps({"single": {**model, "max_concurrent": 1}, "free": model})
    server = LiveServer(tmp_path, settings_for(port, MODELS=models, DEFAULT_MODEL="free"))
    try:
        await server.start()
        async with Live(server, port).model(two_parts(go_on), hello) as (upstream, person):
            body = {"name": "slow", "description": "", "llm_id": "single"}
            made = await person.client.post("/api/v1/agent", json=body, headers=person.headers)
            slow = made.json()["data"]["agent_id"]
            copies = [RunCopy(person.headers) for _ in range(3)]
            reading = []
            for number, copy in enumerate(copies):
                asked = copy.ask(person.client, f"question {number}", f"d{number}", agent_id=slow)
                reading.append(asyncio.create_task(asked))
                while not copy.run_id:
                    assert not reading[-1].done()
                    await asyncio.sleep(0.005)
                await upstream.request()
            assert text_of(await person.answer("another")) == "Hello"
            assert len(upstream.exchanges) == 2
            asked_too_late = {"user_input": "hi", "dialog_id": "full", "agent_id": slow}
            response = await person.client.post("/api/v1/chat", json=asked_too_late, headers=person.headers)
            assert (response.status_code, response.json()["error"]["code"]) == (429, "model_busy")
            assert int(response.headers["retry-after"]) >= 1
            go_on.set()
            await asyncio.gather(*reading)
            assert [copy.text for copy in copies] == ["one two", "Hello", "Hello"]
            said = [one.json["messages"][-1]["content"] for one in upstream.exchanges]
            assert said == ["question 0", "another", *(f"question {number}" for number in (1, 2))]
    finally:
        server.kill()


def memory_of(server: LiveServer) -> int:
    """Bytes of the process that are in memory."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def flood(go_on: asyncio.Event) -> Script:
    async def script(exchange: Exchange) -> None:
        if exchange.json["messages"][-1]["content"] != "flood":
            await hello(exchange)
            return
        await exchange.head()
        await exchange.events(chunk("x"))
        await go_on.wait()
        for _ in range(250):
            await exchange.events(*[chunk("\u2028" * 40)] * 100)
        await exchange.events(STOP, b"[DONE]")
        await exchange.end()

    return script


async def stalled(live: Live, run: RunCopy) -> socket.socket:
    """A client that asks for the events of the run, and takes nothing beyond the first."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", live.server.port))
    path, token = f"/api/v1/chat/{run.run_id}/events", run.headers["Authorization"]
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: h\r\nAuthorization: {token}\r\n\r\n".encode())
    received = b""
    while b"event: " not in received:
        received += await asyncio.to_thread(sock.recv, 4096)
    return sock


async def test_readers_that_take_nothing_cost_nothing_and_hold_up_nobody(tmp_path: Path) -> None:
    go_on = asyncio.Event()
    async with served(tmp_path, flood(go_on)) as (live, person):
        uncut = RunCopy(person.headers)
        reading = asyncio.create_task(uncut.ask(person.client, "flood"))
        await begun([uncut])
        clients = [await stalled(live, uncut) for _ in range(15)]
        before = memory_of(live.server)
        go_on.set()
        assert text_of(await person.answer("meanwhile", "another")) == "Hello"
        await asyncio.wait_for(reading, PATIENCE)
        grown = memory_of(live.server) - before
        print(f"\n{len(uncut.raw) / 1e6:.1f} MB of frames, 15 stalled readers, {grown / 1e6:.1f} MB more in memory")
        assert uncut.is_whole()
        assert grown < 9 * len(uncut.raw)
        for client in clients:
            client.close()
        late = RunCopy(person.headers, uncut.run_id)
        await late.resume(person.client, most=100_000)
        await late.resume(person.client)
        assert late.raw == uncut.raw
