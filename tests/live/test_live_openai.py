"""OpenAI's own libraries, for Python and for Node, talk to agents through a real server."""

import asyncio
import base64
import io
import json
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from PIL import Image
from pydantic import BaseModel

from live.live_server import Live, LiveServer, Person, free_port, settings_for
from servers.byte_server import ByteServer, Exchange
from servers.node_packages import installed

CLIENTS = Path(__file__).parents[1] / "clients"
OLDEST_NODE = 22
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
CALL: Any = {"id": True, "type": True, "function": {"name", "arguments"}}


def chunk(delta: Any, reason: str | None = None) -> Any:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call(index: int, name: str, arguments: str) -> Any:
    function = {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": function}]})


async def brain(exchange: Exchange) -> None:
    """A model that calls for the weather, tells what it is given and sees, and waits or breaks off if asked."""
    asked = exchange.json
    last, tools = asked["messages"][-1], [one["function"]["name"] for one in asked.get("tools", ())]
    text = json.dumps(last["content"])
    usage = {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}
    await exchange.head()
    if "silence" in text:
        await exchange.events(chunk({"content": "…"}))
        await exchange.closed.wait()
        return
    if "endless" in text:
        await exchange.events(chunk({"content": "Hello"}), chunk({"content": "there"}))
        await exchange.closed.wait()
        return
    if "cut" in text:
        await exchange.events(chunk({"content": "half"}))
        exchange.abort()
        return
    if "JSON Schema describes" in asked["messages"][0]["content"]:
        await exchange.events(chunk({"content": '{"city": "Bern"}'}), chunk({}, "stop"), usage, b"[DONE]")
    elif last["role"] == "user" and "weather" in text and "weather" in tools:
        both = [call(0, "calculator", '{"expression":"1+1"}')] if "both" in text else []
        await exchange.events(chunk({"content": "Let me see. "}), *both, call(9, "weather", '{"city": "Paris"}'))
        await exchange.events(chunk({}, "tool_calls"), usage, b"[DONE]")
    else:
        results = [one["content"] for one in asked["messages"] if one["role"] == "tool"]
        said = f"It says {results}" if results else "I see it" if "data:image/" in text else "Hello there"
        words = [chunk({"content": word}) for word in said.split(" ")]
        await exchange.events(chunk({"reasoning_content": "hm"}), *words, chunk({}, "stop"), usage, b"[DONE]")
    await exchange.end()


@dataclass
class Scene:
    client: AsyncOpenAI
    person: Person
    upstream: ByteServer
    server: LiveServer

    async def ask(self, content: Any, **more: Any) -> Any:
        given = {"model": "agent/Ada", "messages": [{"role": "user", "content": content}], **more}
        return await self.client.chat.completions.create(**given)


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Live]:
    port = free_port()
    model = {"provider": "openai_compatible", "base_url": f"http://127.0.0.1:{port}/v1", "api_key": "k", "vision": True}
    more = {"MODELS": json.dumps({"fake": model}), "MAX_RUNS_PER_USER": 2, "HEARTBEAT_SECONDS": 0.1}
    server = LiveServer(tmp_path_factory.mktemp("openai"), settings_for(port, **more))
    try:
        await server.start()
        yield Live(server, port)
    finally:
        server.kill()


@pytest.fixture
async def scene(running: Live) -> AsyncIterator[Scene]:
    async with running.model(brain) as (upstream, person):
        made = await person.client.post("/api/v1/agent", json={"name": "Ada"}, headers=person.headers)
        made.raise_for_status()
        key = await person.client.post("/api/v1/api_key", json={"name": "sdk"}, headers=person.headers)
        base = f"{running.server.url}/api/v1/openai"
        async with AsyncOpenAI(base_url=base, api_key=key.json()["data"]["api_key"], max_retries=0) as client:
            yield Scene(client, person, upstream, running.server)


def picture() -> str:
    content = io.BytesIO()
    Image.new("RGB", (3, 2), "red").save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


async def test_python_s_library_chats_whole_and_streamed(scene: Scene) -> None:
    assert [one.id async for one in scene.client.models.list()] == ["default", "agent/Ada"]
    assert (await scene.client.models.retrieve("agent/Ada")).id == "agent/Ada"
    whole = await scene.ask("hello")
    assert whole.choices[0].message.content == "Hellothere"
    assert whole.choices[0].message.reasoning_content == "hm"
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (9, 3)
    stream = await scene.ask("hello", stream=True, stream_options={"include_usage": True})
    chunks = [one async for one in stream]
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "Hellothere"
    assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 12


async def test_a_round_of_the_caller_s_tools_beside_the_agent_s_own(scene: Scene) -> None:
    agent = {"name": "Counter", "tool_ids": ["calculator"]}
    (await scene.person.client.post("/api/v1/agent", json=agent, headers=scene.person.headers)).raise_for_status()
    messages: list[Any] = [{"role": "user", "content": "both: weather in Paris?"}]
    given: Any = {"model": "agent/Counter", "tools": [WEATHER]}
    first = (await scene.client.chat.completions.create(messages=messages, **given)).choices[0]
    (made,) = first.message.tool_calls or ()
    assert (first.finish_reason, first.message.content) == ("tool_calls", "Let me see. ")
    assert (made.function.name, json.loads(made.function.arguments)) == ("weather", {"city": "Paris"})
    messages += [
        first.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": made.id, "content": "rain"},
    ]
    second = await scene.client.chat.completions.create(messages=messages, **given)
    # What the agent calculated by itself is there again, and before what the caller brought.
    assert second.choices[0].message.content == "Itsays['2','rain']"
    shown = await scene.person.get("/dialog/list")
    assert [one["dialog_id"] for one in shown] == [second.dialog_id]
    roles = [one["role"] for one in scene.upstream.exchanges[-1].json["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]


async def test_python_s_library_puts_streamed_calls_together(scene: Scene) -> None:
    asked: Any = {"messages": [{"role": "user", "content": "weather in Paris?"}], "tools": [WEATHER]}
    async with scene.client.chat.completions.stream(model="agent/Ada", **asked) as stream:
        first = await stream.get_final_completion()
    (made,) = first.choices[0].message.tool_calls or ()
    assert (first.choices[0].finish_reason, first.choices[0].message.content) == ("tool_calls", "Let me see. ")
    assert (made.function.name, json.loads(made.function.arguments)) == ("weather", {"city": "Paris"})
    said = {"role": "assistant", "content": "Let me see. ", "tool_calls": [made.model_dump(include=CALL)]}
    asked["messages"] += [said, {"role": "tool", "tool_call_id": made.id, "content": "rain"}]
    async with scene.client.chat.completions.stream(model="agent/Ada", **asked) as stream:
        second = await stream.get_final_completion()
    assert second.choices[0].message.content == "Itsays['rain']"
    assert len(await scene.person.get("/dialog/list")) == 1


async def test_an_answer_that_failed_is_not_asked_for_again_by_itself(scene: Scene) -> None:
    usual = scene.client.with_options(max_retries=openai.DEFAULT_MAX_RETRIES)
    with pytest.raises(openai.InternalServerError):
        await usual.chat.completions.create(model="agent/Ada", messages=[{"role": "user", "content": "cut"}])
    assert len(scene.upstream.exchanges) == 1
    assert len(await scene.person.get("/dialog/list")) == 1


async def test_an_image_is_seen(scene: Scene) -> None:
    content = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": picture()}}]
    assert (await scene.ask(content)).choices[0].message.content == "Iseeit"
    broken = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    with pytest.raises(openai.BadRequestError) as refused:
        await scene.ask(broken)
    assert refused.value.code == "image_kind_not_allowed"


class Place(BaseModel):
    city: str


class Price(BaseModel):
    amount: int


async def test_python_s_library_reads_an_answer_into_a_type_of_its_own(scene: Scene) -> None:
    given: Any = {"model": "agent/Ada", "messages": [{"role": "user", "content": "Where?"}]}
    parsed = await scene.client.chat.completions.parse(response_format=Place, **given)
    assert parsed.choices[0].message.parsed == Place(city="Bern")
    async with scene.client.chat.completions.stream(response_format=Place, **given) as stream:
        assert (await stream.get_final_completion()).choices[0].message.parsed == Place(city="Bern")
    with pytest.raises(openai.InternalServerError) as other:
        await scene.client.chat.completions.parse(response_format=Price, **given)
    assert other.value.code == "model_bad_response"


async def test_a_stop_word_ends_the_answer_at_the_provider_too(scene: Scene) -> None:
    for stop, said in (("the", "Hello"), (["nowhere", "loth"], "Hel")):
        assert (await scene.ask("endless", stop=stop)).choices[0].message.content == said
        async with asyncio.timeout(10):
            await scene.upstream.exchanges[-1].closed.wait()
        chunks = [one async for one in await scene.ask("endless", stream=True, stop=stop)]
        assert "".join(one.choices[0].delta.content or "" for one in chunks) == said


async def test_errors_are_the_library_s_own(scene: Scene) -> None:
    with pytest.raises(openai.AuthenticationError):
        await scene.client.with_options(api_key="ak_wrong").models.list()
    with pytest.raises(openai.NotFoundError) as missing:
        await scene.ask("hi", model="agent/nobody")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        await scene.ask("hi", n=2)
    assert bad.value.param == "n"
    with pytest.raises(openai.APIError, match=r"broke off|cut|ended") as cut:
        async for _ in await scene.ask("cut", stream=True):
            pass
    assert cut.value.code == "model_stream_cut"
    with pytest.raises(openai.InternalServerError):
        await scene.ask("cut")


async def test_the_limits_of_every_run_hold(scene: Scene) -> None:
    streams = [await scene.ask("silence", stream=True) for _ in range(2)]
    with pytest.raises(openai.RateLimitError) as refused:
        await scene.ask("hello")
    assert int(refused.value.response.headers["retry-after"]) >= 1
    for stream in streams:
        await stream.close()


async def test_a_whole_answer_that_nobody_waits_for_ends_at_its_provider(scene: Scene) -> None:
    asking = asyncio.ensure_future(scene.ask("silence"))
    exchange = await scene.upstream.request()
    asking.cancel()
    async with asyncio.timeout(10):
        await exchange.closed.wait()
    (dialog,) = await scene.person.get("/dialog/list")
    assert (await scene.person.kept(dialog["dialog_id"]))["status"] == "stopped"


async def test_a_stream_that_its_client_left_ends_after_the_grace_of_every_run(scene: Scene) -> None:
    stream = await scene.ask("silence", stream=True)
    assert (await anext(aiter(stream))).choices[0].delta.role == "assistant"
    exchange = await scene.upstream.request()
    await stream.close()
    async with asyncio.timeout(10):
        await exchange.closed.wait()
    (dialog,) = await scene.person.get("/dialog/list")
    assert (await scene.person.kept(dialog["dialog_id"]))["status"] == "interrupted"


async def test_node_s_library_chats_with_tools_and_an_image(scene: Scene) -> None:
    node = await asyncio.to_thread(installed, CLIENTS, "openai/package.json", OLDEST_NODE)
    command = [*node, "chat.mjs", str(scene.client.base_url), scene.client.api_key, "agent/Ada", picture()]
    done = await asyncio.to_thread(subprocess.run, command, cwd=CLIENTS, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["models"] == ["default", "agent/Ada"]
    assert said["model"] == "agent/Ada"
    assert said["whole"]["choices"][0]["message"]["content"] == "Hellothere"
    texts = [one["choices"][0]["delta"].get("content") or "" for one in said["chunks"] if one["choices"]]
    assert "".join(texts) == "Hellothere"
    assert said["chunks"][-1]["usage"]["total_tokens"] == 12
    assert said["called"]["finish_reason"] == "tool_calls"
    assert said["answered"]["choices"][0]["message"]["content"] == "Itsays['rain']"
    assert said["seen"]["choices"][0]["message"]["content"] == "Iseeit"
    assert said["errors"] == [
        ["AuthenticationError", 401, "invalid_api_key", None],
        ["NotFoundError", 404, "model_not_found", None],
        ["BadRequestError", 400, "invalid_value", "n"],
    ]
