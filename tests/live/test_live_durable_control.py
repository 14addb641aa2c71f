"""Two processes as one: a key means one run at both, and a stop at one is a stop at the other."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from live.live_server import LivePair, Person, begin_and_hang, chunk, hello, pair, saying, text_of
from patience import PATIENCE
from servers.byte_server import Exchange, Script
from servers.postgres import Postgres
from servers.run_copy import RunCopy

WORDS = [f"word{number} " for number in range(30)]


@pytest.fixture(scope="module")
async def both(
    postgres: Postgres, postgres_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LivePair]:
    name = f"pair_{secrets.token_hex(4)}"
    postgres.execute(f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    folder = tmp_path_factory.mktemp("pair")
    async with pair(folder, postgres.url(name), HEARTBEAT_SECONDS=0.1, LEASE_SECONDS=2) as made:
        yield made
    postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_key_sent_twenty_times_at_once_to_both_is_one_run_and_so_for_ever(both: LivePair) -> None:
    async with both.model(saying(*WORDS, every=0.02)) as (upstream, here, there):
        clients = [here.client, there.client]
        copies = [RunCopy(here.headers) for _ in range(20)]
        async with asyncio.timeout(15):
            await asyncio.gather(*(copy.ask(clients[number % 2], key="the-key") for number, copy in enumerate(copies)))
        assert copies[0].is_whole()
        assert copies[0].text == "".join(WORDS)
        assert len({copy.run_id for copy in copies}) == 1
        assert {copy.raw for copy in copies} == {copies[0].raw}
        assert [one["role"] for one in await there.history()] == ["user", "assistant"]

        for server in (None, *both.servers):
            if server is not None:
                await server.restart()
            for client in clients:
                again = RunCopy(here.headers)
                await again.ask(client, key="the-key")
                assert again.raw == copies[0].raw
        assert len(upstream.exchanges) == 1


async def refusal(person: Person, key: str | bytes, **body: object) -> tuple[int, str]:
    asked = {"user_input": "hi", "dialog_id": "d", **body}
    headers = [*((name.encode(), value.encode()) for name, value in person.headers.items())]
    headers.append((b"Idempotency-Key", key if isinstance(key, bytes) else key.encode()))
    response = await person.client.post("/api/v1/chat", json=asked, headers=headers)
    return response.status_code, response.json()["error"]["code"]


async def test_a_key_is_not_taken_twice_nor_in_any_form(both: LivePair) -> None:
    async with both.model(hello) as (upstream, here, there):
        await RunCopy(here.headers).ask(here.client, key="~" * 255)
        for person in (here, there):
            for other in ({"user_input": "ho"}, {"dialog_id": "e"}, {"background": True}, {"max_output_tokens": 9}):
                assert await refusal(person, "~" * 255, **other) == (422, "idempotency_key_reused")
            for key in ("", "k" * 256, "two words", "schl\u00fcssel", "\u952e", b"\xff"):
                assert (await refusal(person, key, dialog_id="f"))[0] == 422, key
        assert len(upstream.exchanges) == 1
        assert len(await here.get("/dialog/list")) == 1


async def hang(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def call_and_hang(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(chunk("half"))
    piece = {"index": 0, "id": "c1", "type": "function", "function": {"name": "calculator", "arguments": '{"expr'}}
    await exchange.events({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]})
    await exchange.closed.wait()


PHASES = pytest.mark.parametrize(
    ("model", "said"),
    [(hang, ""), (begin_and_hang, "half"), (call_and_hang, "half")],
    ids=["before the first token", "in mid-stream", "in mid-call"],
)


@PHASES
@pytest.mark.parametrize("named", ["run_id", "dialog_id"])
async def test_a_stop_at_another_process_reaches_the_provider_at_once(
    both: LivePair, model: Script, said: str, named: str
) -> None:
    async with both.model(model, hello) as (upstream, here, there):
        copy = RunCopy(here.headers)
        reading = asyncio.create_task(copy.ask(here.client))
        exchange = await upstream.request()
        while copy.run_id == "" or copy.text != said:
            await asyncio.sleep(0.005)
        began = asyncio.get_running_loop().time()
        body = {"run_id": copy.run_id} if named == "run_id" else {"dialog_id": "d"}
        answer = await there.client.post("/api/v1/chat/stop", json=body, headers=there.headers)
        assert answer.json()["data"]["status"] == "stopped"
        await asyncio.wait_for(exchange.closed.wait(), PATIENCE)
        latency = exchange.closed_at - began
        print(f"\nstopped at the provider after {latency * 1000:.0f} ms")
        # Sooner than by the look at the lease, on the slowest machine.
        assert latency < 3
        await asyncio.wait_for(reading, PATIENCE)
        assert (copy.done["status"], copy.done["content"]) == ("stopped", said)
        elsewhere = RunCopy(here.headers, copy.run_id)
        await elsewhere.resume(there.client)
        assert elsewhere.raw == copy.raw
        assert text_of(await there.answer("and now?")) == "Hello"


@PHASES
async def test_a_client_that_leaves_without_grace_frees_provider_and_dialog_for_both(
    both: LivePair, model: Script, said: str
) -> None:
    async with both.model(model, hello) as (upstream, here, there):
        copy = RunCopy(here.headers)
        reading = asyncio.create_task(copy.ask(here.client))
        exchange = await upstream.request()
        while copy.run_id == "" or copy.text != said:
            await asyncio.sleep(0.005)
        began = asyncio.get_running_loop().time()
        reading.cancel()
        await asyncio.wait_for(exchange.closed.wait(), PATIENCE)
        print(f"\nleft, and the provider free after {(exchange.closed_at - began) * 1000:.0f} ms")
        kept = await there.kept()
        assert (kept["status"], kept["content"]) == ("interrupted", said)
        await copy.resume(there.client)
        assert copy.is_whole()
        assert text_of(await there.answer("and now?")) == "Hello"


async def test_a_user_has_so_many_answers_at_both_together(both: LivePair) -> None:
    async with both.model(begin_and_hang) as (upstream, here, there):
        copies = [RunCopy(here.headers) for _ in range(20)]
        reading = [
            asyncio.create_task(copy.ask((here, there)[number % 2].client, dialog=f"d{number}"))
            for number, copy in enumerate(copies)
        ]
        await upstream.request(19)
        for person in (here, there):
            body = {"user_input": "hi", "dialog_id": "one more"}
            response = await person.client.post("/api/v1/chat", json=body, headers=person.headers)
            assert (response.status_code, response.json()["error"]["code"]) == (429, "too_many_runs")
            assert int(response.headers["retry-after"]) >= 1
        for number in range(20):
            await there.client.post("/api/v1/chat/stop", json={"dialog_id": f"d{number}"}, headers=there.headers)
        await asyncio.gather(*reading)
        assert {copy.done["status"] for copy in copies} == {"stopped"}
        assert len(await there.get("/dialog/list")) == 20
