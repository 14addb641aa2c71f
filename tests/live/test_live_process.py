"""The process ends, gently or not: nothing that was said is lost, and no dialog stays busy."""

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from live.live_server import (
    SECRETS,
    STOP,
    Frame,
    LiveServer,
    Person,
    Stream,
    begin_and_hang,
    chunk,
    hello,
    served,
    text_of,
)
from servers.byte_server import Exchange


async def drained(stream: Stream) -> list[Frame]:
    return [frame async for frame in stream.frames()]


async def refused_while_draining(person: Person) -> httpx.Response:
    """A question after the signal: the server needs a moment to hear it."""
    for _ in range(100):
        response = await person.client.get("/api/v1/agent", headers=person.headers)
        if response.status_code != 200:
            body = {"user_input": "hi", "dialog_id": "later"}
            return await person.client.post("/api/v1/chat", json=body, headers=person.headers)
        await asyncio.sleep(0.02)
    raise AssertionError("the server goes on as if nothing had been said")


def test_a_stop_refuses_what_is_new_and_interrupts_after_the_grace_what_runs(tmp_path: Path) -> None:
    async def scene() -> None:
        settings = {"SHUTDOWN_GRACE_SECONDS": 1.5, "DISCONNECT_GRACE_SECONDS": 60}
        async with served(tmp_path, begin_and_hang, **settings) as (live, person):
            async with person.ask() as stream:
                frames = stream.frames()
                first = await anext(frames)
                live.server.signal(signal.SIGTERM)
                refusal = await refused_while_draining(person)
                assert refusal.status_code == 503
                assert int(refusal.headers["retry-after"]) >= 1
                assert refusal.json()["error"]["code"] == "shutting_down"
                assert (await person.client.get("/health")).status_code == 200
                assert (await person.client.get("/health/ready")).status_code == 503
                rest = [frame async for frame in frames]
            assert [frame.event for frame in rest] == ["done"]
            assert rest[0].data["status"] == "interrupted"
            assert await live.server.ended() == 0
            await live.server.start()
            kept = await person.kept()
            assert (kept["status"], kept["content"]) == ("interrupted", text_of([first]))

    asyncio.run(scene())


def test_an_answer_that_ends_within_the_grace_is_complete(tmp_path: Path) -> None:
    async def scene() -> None:
        stopping = asyncio.Event()

        async def held(exchange: Exchange) -> None:
            await exchange.head()
            await exchange.events(chunk("one "))
            await stopping.wait()
            await exchange.events(chunk("two"), STOP, b"[DONE]")
            await exchange.end()

        async with served(tmp_path, held, SHUTDOWN_GRACE_SECONDS=30) as (live, person):
            async with person.ask() as stream:
                reading = asyncio.create_task(drained(stream))
                live.server.signal(signal.SIGTERM)
                await refused_while_draining(person)
                stopping.set()
                frames = await reading
            assert frames[-1].data["content"] == "one two"
            assert frames[-1].data["status"] == "complete"
            assert await live.server.ended() == 0

    asyncio.run(scene())


def test_a_killed_server_finds_its_dialogs_usable_again(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path, begin_and_hang, hello) as (live, person):
            async with person.ask("lost?") as stream:
                await anext(stream.frames())
                live.server.kill()
            await live.server.start()
            history = await person.history()
            assert [(one["role"], one["status"]) for one in history] == [
                ("user", "complete"),
                ("assistant", "interrupted"),
            ]
            assert text_of(await person.answer("again")) == "Hello"

    asyncio.run(scene())


def test_a_second_server_on_the_same_data_refuses_to_start(tmp_path: Path) -> None:
    async def scene() -> None:
        async with served(tmp_path, begin_and_hang) as (live, person), person.ask() as stream:
            frames = stream.frames()
            await anext(frames)
            second = LiveServer(tmp_path, live.server.settings)
            with pytest.raises(AssertionError, match="Another server is running"):
                await second.start()
            await person.client.post("/api/v1/chat/stop", json={"dialog_id": "d"}, headers=person.headers)
            assert (await anext(frames)).data["status"] == "stopped"

    asyncio.run(scene())


def postgres_settings(url: str, **more: object) -> dict[str, object]:
    return {"DATABASE_URL": url, "SECRET_KEYS": SECRETS, "LEASE_SECONDS": 1, **more}


def test_two_workers_share_one_database(tmp_path: Path, postgres_url: str) -> None:
    async def scene() -> None:
        settings = postgres_settings(postgres_url, WORKERS=2, MAX_RUNS_PER_USER=60)
        async with served(tmp_path, *[hello] * 41, begin_and_hang, hello, **settings) as (live, person):
            answers = await asyncio.gather(*(person.answer(dialog=f"d{n}") for n in range(40)))
            assert {text_of(frames) for frames in answers} == {"Hello"}
            assert len(await person.get("/dialog/list")) == 40
            assert text_of(await person.answer(dialog="d0")) == "Hello"

            async with person.ask() as stream:
                await anext(stream.frames())
                worker = await the_worker_of(live.server, stream)
                subprocess.run(["kill", "-9", str(worker)], check=True)
            for _ in range(200):
                frames = await try_again(person)
                if frames:
                    break
                await asyncio.sleep(0.1)
            assert text_of(frames) == "Hello"
            statuses = [one["status"] for one in await person.history() if one["role"] == "assistant"]
            assert statuses == ["interrupted", "complete"]

    asyncio.run(scene())


async def the_worker_of(server: LiveServer, stream: Stream) -> int:
    """The process at the other end of the stream's connection."""
    local = stream.response.extensions["network_stream"].get_extra_info("client_addr")[1]
    inode = next(
        row[9]
        for row in (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        if int(row[1].rsplit(":")[1], 16) == server.port and int(row[2].rsplit(":")[1], 16) == local
    )
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if descriptor.readlink().name == f"socket:[{inode}]":
                return int(descriptor.parts[2])
        except OSError:
            continue
    raise AssertionError("no process holds the connection")


async def try_again(person: Person) -> list[Frame]:
    """The answer's frames; none while the dialog is busy."""
    try:
        async with person.ask("again") as stream:
            if stream.response.status_code != 200:
                assert b"dialog_busy" in await stream.response.aread()
                return []
            return await drained(stream)
    except httpx.TransportError:
        return []


def test_no_stream_holds_a_database_connection(tmp_path: Path, postgres_url: str) -> None:
    async def scene() -> None:
        go_on = asyncio.Event()

        async def held(exchange: Exchange) -> None:
            await exchange.head()
            await exchange.events(chunk("one "))
            await go_on.wait()
            await exchange.events(chunk("two"), STOP, b"[DONE]")
            await exchange.end()

        settings = postgres_settings(postgres_url, POOL_SIZE=1, MAX_RUNS_PER_USER=200)
        async with served(tmp_path, held, **settings) as (_, person):
            reading = [asyncio.create_task(person.answer(dialog=f"d{n}")) for n in range(100)]
            for _ in range(400):
                if len(await person.get("/dialog/list")) == 100:
                    break
                await asyncio.sleep(0.05)
            go_on.set()
            answers = await asyncio.gather(*reading)
            assert {text_of(frames) for frames in answers} == {"one two"}

    asyncio.run(scene())


@pytest.mark.parametrize("missing", ["schema", "secret"])
def test_a_server_with_a_database_of_its_own_says_what_it_lacks(
    tmp_path: Path, postgres_url: str, missing: str
) -> None:
    url = postgres_url.rsplit("/", 1)[0] + "/postgres" if missing == "schema" else postgres_url
    settings = postgres_settings(url)
    if missing == "secret":
        del settings["SECRET_KEYS"]
    server = LiveServer(tmp_path, settings)
    with pytest.raises(AssertionError):
        asyncio.run(server.start())
    assert ("agentchat migrate" if missing == "schema" else "secret_keys") in server.log()
    assert json.dumps(url) not in server.log()


def test_many_answers_at_once_are_each_their_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async def echo(exchange: Exchange) -> None:
            said = exchange.json["messages"][-1]["content"]
            await exchange.head()
            for letter in said:
                await exchange.events(chunk(letter))
            await exchange.events(STOP, b"[DONE]")
            await exchange.end()

        async with served(tmp_path, echo, MAX_RUNS_PER_USER=60) as (_, person):
            asked = [f"question {n} 你好🎉" for n in range(50)]
            answers = await asyncio.gather(*(person.answer(text, dialog=f"d {text}") for text in asked))
            assert [text_of(frames) for frames in answers] == asked
            assert all([frame.event for frame in frames].count("done") == 1 for frames in answers)

    asyncio.run(scene())
