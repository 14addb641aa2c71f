"""Models of one's own at a running server: each provider's protocol, through the guard, and no key anywhere."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from live.live_server import STOP, LiveServer, Person, chunk, free_port, saying, settings_for, text_of
from servers.byte_server import ByteServer, Exchange, Script

CLOSED = "127.0.0.3"
"""An address of this machine that no operator opened."""
USED: list[str] = []
"""Every key that a test brought."""


@dataclass(frozen=True)
class Shared:
    server: LiveServer

    @asynccontextmanager
    async def person(self) -> AsyncIterator[Person]:
        async with httpx.AsyncClient(base_url=self.server.url, timeout=30) as client:
            yield await Person.register(client, f"u{secrets.token_hex(6)}")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    settings = settings_for(free_port(), FIRST_TOKEN_TIMEOUT_SECONDS=5)
    settings["NETWORK__ALLOW_PRIVATE"] = json.dumps(["127.0.0.1/32"])
    server = LiveServer(tmp_path_factory.mktemp("own"), settings)
    try:
        asyncio.run(server.start())
        yield Shared(server)
    finally:
        server.kill()


def new_key(prefix: str = "sk-") -> str:
    USED.append(prefix + secrets.token_hex(16))
    return USED[-1]


async def sent(person: Person, method: str, path: str, **body: object) -> Any:
    answer = await person.client.request(method, f"/api/v1{path}", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    assert not [key for key in USED if key in answer.text]
    return answer.json()["data"]


async def agent_of(person: Person, provider: str, url: str, key: str) -> tuple[str, str]:
    """An agent with a model of the person's own there, and the model."""
    base_url = url if provider == "anthropic" else f"{url}/v1"
    made = await sent(
        person, "POST", "/llm/create", model="my-model", provider=provider, base_url=base_url, api_key=key
    )
    agent = await sent(person, "POST", "/agent", name=secrets.token_hex(4), llm_id=made["llm_id"])
    return agent["agent_id"], made["llm_id"]


async def anthropic_hello(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(
        {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    )
    await exchange.end()


SPEAKS: dict[str, Script] = {
    "openai": saying("Hel", "lo"),
    "openai_compatible": saying("Hel", "lo"),
    "anthropic": anthropic_hello,
}


@pytest.mark.parametrize("provider", list(SPEAKS))
async def test_an_agent_answers_with_an_own_model_and_its_key(shared: Shared, provider: str) -> None:
    key = new_key()
    async with ByteServer(SPEAKS[provider]) as upstream, shared.person() as person:
        agent_id, llm_id = await agent_of(person, provider, upstream.url, key)
        frames = await person.answer(agent_id=agent_id)
        assert text_of(frames) == "Hello"
        assert frames[-1].data["model"] == llm_id
        told = await sent(person, "POST", "/llm/test", llm_id=llm_id)
        assert (told["ok"], told["answer"]) == (True, "Hello")
        for exchange in upstream.exchanges:
            proof = exchange.headers.get("x-api-key") or exchange.headers["authorization"].removeprefix("Bearer ")
            assert (proof, exchange.json["model"]) == (key, "my-model")


async def test_a_server_without_a_key_is_asked_without_one(shared: Shared) -> None:
    async with ByteServer(SPEAKS["openai"]) as upstream, shared.person() as person:
        agent_id, _ = await agent_of(person, "openai_compatible", upstream.url, "")
        assert text_of(await person.answer(agent_id=agent_id)) == "Hello"


async def test_one_key_has_one_connection_and_a_change_closes_it_and_holds_at_once(shared: Shared) -> None:
    first, second = new_key(), new_key()
    async with ByteServer(SPEAKS["openai"]) as upstream, shared.person() as person:
        agent_id, llm_id = await agent_of(person, "openai_compatible", upstream.url, first)
        for _ in range(3):
            assert text_of(await person.answer(agent_id=agent_id)) == "Hello"
        assert upstream.connections == 1
        kept = upstream.exchanges[-1]
        assert not kept.closed.is_set()
        await sent(person, "PUT", "/llm/update", llm_id=llm_id, api_key=second)
        async with asyncio.timeout(5):
            await kept.closed.wait()
        assert text_of(await person.answer(agent_id=agent_id)) == "Hello"
        assert upstream.connections == 2
        assert upstream.exchanges[-1].headers["authorization"] == f"Bearer {second}"


async def test_an_answer_in_the_making_goes_on_when_its_model_is_changed_and_removed(shared: Shared) -> None:
    going_on = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.events(chunk("be"))
        await going_on.wait()
        await exchange.events(chunk("gun"), STOP, b"[DONE]")
        await exchange.end()

    async with ByteServer(slow) as upstream, shared.person() as person:
        agent_id, llm_id = await agent_of(person, "openai_compatible", upstream.url, new_key())
        async with person.ask(agent_id=agent_id) as stream:
            frames = stream.frames()
            said = [await anext(frames)]
            await sent(person, "PUT", "/llm/update", llm_id=llm_id, api_key=new_key())
            await sent(person, "DELETE", "/llm/delete", llm_id=llm_id)
            going_on.set()
            said += [frame async for frame in frames]
        assert (text_of(said), said[-1].data["status"]) == ("begun", "complete")


@pytest.mark.parametrize(
    ("status", "code"), [(401, "model_auth_failed"), (404, "model_not_found"), (400, "model_bad_request")]
)
async def test_a_trial_says_what_is_wrong_and_never_what_the_provider_repeats(
    shared: Shared, status: int, code: str
) -> None:
    key = new_key("key")

    async def echo(exchange: Exchange) -> None:
        await exchange.refuse(status, {"error": {"message": f"bad key {key}", "code": key, "param": key}})

    async with ByteServer(echo) as upstream, shared.person() as person:
        body = {"model": "m", "provider": "openai_compatible", "base_url": f"{upstream.url}/v1", "api_key": key}
        told = await sent(person, "POST", "/llm/test", **body)
        assert (told["ok"], told["code"]) == (False, code)
        assert told["message"]
        assert told["advice"]
        agent_id, _ = await agent_of(person, "openai_compatible", upstream.url, key)
        assert key not in repr(await person.answer(agent_id=agent_id))


async def test_a_trial_tells_the_model_s_words_without_the_key(shared: Shared) -> None:
    key = new_key()
    async with ByteServer(saying(f"Your key is {key}!\n")) as upstream, shared.person() as person:
        body = {"model": "m", "provider": "openai_compatible", "base_url": f"{upstream.url}/v1", "api_key": key}
        told = await sent(person, "POST", "/llm/test", **body)
        assert (told["ok"], told["answer"]) == (True, "Your key is …!")


@pytest.mark.parametrize(
    ("body", "ok"),
    [
        ({"data": [{"index": 0, "embedding": [0.5] * 7}]}, True),
        ({"data": [{"index": 0, "embedding": []}]}, False),
        ({"data": []}, False),
        ({"hello": 1}, False),
    ],
)
async def test_an_embedding_model_is_tried_with_one_embedding(shared: Shared, body: object, ok: bool) -> None:
    async def embeds(exchange: Exchange) -> None:
        await exchange.refuse(200, body)

    async with ByteServer(embeds) as upstream, shared.person() as person:
        fields = {"model": "m", "provider": "openai_compatible", "base_url": f"{upstream.url}/v1"}
        told = await sent(person, "POST", "/llm/test", **fields, api_key=new_key(), llm_type="Embedding")
        assert told["ok"] is ok
        assert (told["answer"] == "a vector of 7 dimensions") is ok
        assert upstream.exchanges[0].path == "/v1/embeddings"


async def test_an_own_model_reaches_no_address_that_is_closed_to_people(shared: Shared) -> None:
    async with ByteServer(SPEAKS["openai"]) as upstream, shared.person() as person:
        port = upstream.url.rpartition(":")[2]
        agent_id, _ = await agent_of(person, "openai_compatible", f"http://{CLOSED}:{port}", new_key())
        frames = await person.answer(agent_id=agent_id)
        assert [frame.data["code"] for frame in frames if frame.event == "error"] == ["model_address_refused"]

        async def away(exchange: Exchange) -> None:
            await exchange.refuse(307, {}, f"location: http://{CLOSED}:{port}/v1/chat/completions\r\n")

        async with ByteServer(away) as tempter:
            agent_id, _ = await agent_of(person, "openai_compatible", tempter.url, new_key())
            frames = await person.answer(agent_id=agent_id, dialog="other")
            assert [frame.data["code"] for frame in frames if frame.event == "error"] == ["model_address_refused"]
        assert upstream.exchanges == []


async def test_no_key_that_was_used_lies_in_the_database_or_the_log(shared: Shared) -> None:
    """Also those of the tests before it, as far as they ran at this server."""
    key, changed = new_key(), new_key()

    async def refuses(exchange: Exchange) -> None:
        await exchange.refuse(401, {"error": {"message": f"bad key {key}", "code": changed}})

    async with ByteServer(SPEAKS["openai"], refuses) as upstream, shared.person() as person:
        agent_id, llm_id = await agent_of(person, "openai_compatible", upstream.url, key)
        await person.answer(agent_id=agent_id)
        await sent(person, "PUT", "/llm/update", llm_id=llm_id, api_key=changed)
        await person.answer(agent_id=agent_id)
        assert not (await sent(person, "POST", "/llm/test", llm_id=llm_id))["ok"]
    assert found_in(shared.server.data_dir, llm_id)
    assert [one for one in USED if found_in(shared.server.data_dir, one)] == []


def found_in(folder: Path, text: str) -> list[str]:
    """The files that hold it: the database with what it has not yet taken over, and the log."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [file.name for file in files if text.encode() in file.read_bytes()]
