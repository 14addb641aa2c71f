"""Two providers, the first failing in each way: what whoever asks is shown, and what the ledger keeps."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass

import httpx
import pytest

from live.live_server import UNLIMITED, Frame, LiveServer, Person, chunk, free_port, hello, text_of
from servers.byte_server import ByteServer, Exchange, Script

FIRST_TOKEN_SECONDS = 2
IDLE_SECONDS = 2
BY_ORDER = "SELECT llm_id, outcome, input_tokens, output_tokens FROM usage_ledger ORDER BY at, entry_id"


def refusing(status: int, headers: str = "") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(status, {"error": {"message": "sk-first-secret is no good"}}, headers)

    return script


async def stall(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.closed.wait()


async def cut_before(exchange: Exchange) -> None:
    await exchange.head()
    exchange.abort()


async def cut_after(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(chunk("half"))
    await exchange.heard.wait()
    exchange.abort()


async def stall_after(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(chunk("half"))
    await exchange.closed.wait()


FAULTS: dict[str, tuple[Script | None, list[str]]] = {
    "refused": (None, ["model_unavailable"] * 2),
    "401": (refusing(401), ["model_auth_failed"]),
    "404": (refusing(404), ["model_not_found"]),
    "429": (refusing(429, "retry-after: 30\r\n"), ["model_rate_limited"]),
    "500": (refusing(500), ["model_unavailable"] * 2),
    "stall": (stall, ["model_timeout"]),
    "cut": (cut_before, ["model_stream_cut"] * 2),
    "claude 429": (refusing(429, "retry-after: 30\r\n"), ["model_rate_limited"]),
    "claude cut": (cut_before, ["model_stream_cut"] * 2),
}
"""Those of `claude` at a server of Anthropic's protocol, the others at one of OpenAI's."""
LATE: dict[str, tuple[Script, str]] = {
    "cut after": (cut_after, "model_stream_cut"),
    "stall after": (stall_after, "model_stalled"),
}


@dataclass
class Two:
    """A server with a model for each fault, of a key of its own, and one that takes over from all of them."""

    server: LiveServer
    ports: dict[str, int]

    async def answer(self, fault: str, script: Script | None) -> list[Frame]:
        """What is shown to whoever asks an agent of that model."""
        async with httpx.AsyncClient(base_url=self.server.url, timeout=30, limits=UNLIMITED) as client:
            person = await Person.register(client, f"asks {fault}".replace(" ", "_"))
            body = {"name": fault, "llm_id": fault}
            made = await client.post("/api/v1/agent", json=body, headers=person.headers)
            agent_id = made.json()["data"]["agent_id"]
            if script is None:
                return await person.answer(agent_id=agent_id)
            async with ByteServer(script, port=self.ports[fault]) as upstream:
                frames = []
                async with person.ask(agent_id=agent_id) as stream:
                    async for frame in stream.frames():
                        frames.append(frame)
                        if frame.event == "response_chunk" and upstream.exchanges:
                            upstream.exchanges[-1].heard.set()
                return frames

    def attempts(self, *models: str) -> list[tuple[str, str, int, int]]:
        with closing(sqlite3.connect(self.server.data_dir / "agentchat.db")) as database:
            return [row for row in database.execute(BY_ORDER) if row[0] in models]


@pytest.fixture(scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    ports = {fault: free_port() for fault in (*FAULTS, *LATE, "second")}
    models = {
        name: {
            "provider": "anthropic" if "claude" in name else "openai_compatible",
            "base_url": f"http://127.0.0.1:{port}" + ("" if "claude" in name else "/v1"),
            "model": "m",
            "api_key": f"sk-{name}-secret",
            "fallbacks": [] if name == "second" else ["second"],
        }
        for name, port in ports.items()
    }
    settings = {
        "MODELS": json.dumps(models),
        "DEFAULT_MODEL": "second",
        "FIRST_TOKEN_TIMEOUT_SECONDS": FIRST_TOKEN_SECONDS,
        "IDLE_TIMEOUT_SECONDS": IDLE_SECONDS,
    }
    server = LiveServer(tmp_path_factory.mktemp("two"), settings)
    try:
        await server.start()
        async with ByteServer(hello, port=ports["second"]):
            async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
                # The first question of a process takes longer.
                await (await Person.register(client)).answer()
            yield Two(server, ports)
    finally:
        server.kill()


@pytest.mark.parametrize("fault", FAULTS)
async def test_the_second_answers_what_the_first_could_not_and_says_so(fault: str, two: Two) -> None:
    script, outcomes = FAULTS[fault]
    before = len(two.attempts("second"))
    frames = await two.answer(fault, script)
    assert [frame.event for frame in frames if frame.event != "response_chunk"] == ["event", "done"]
    told, done = frames[0].data, frames[-1].data
    assert (told["status"], told["tool_type"], told["tool_name"]) == ("ERROR", "model", fault)
    assert told["message"].endswith(" second answers instead.")
    assert (done["status"], done["model"], done["content"]) == ("complete", "second", "Hello")
    assert text_of(frames) == "Hello"
    assert "secret" not in json.dumps([frame.data for frame in frames])
    assert two.attempts(fault) == [(fault, outcome, 0, 0) for outcome in outcomes]
    [answered] = two.attempts("second")[before:]
    assert answered[1] == "answered"
    assert (answered[2], answered[3]) == (done["usage"]["input_tokens"], done["usage"]["output_tokens"])


@pytest.mark.parametrize("fault", LATE)
async def test_after_the_first_word_nobody_takes_over_and_what_was_said_is_kept_and_counted(
    fault: str, two: Two
) -> None:
    script, code = LATE[fault]
    before = len(two.attempts("second"))
    frames = await two.answer(fault, script)
    assert [frame.event for frame in frames] == ["response_chunk", "error", "done"]
    assert (frames[1].data["code"], frames[1].data["retryable"]) == (code, True)
    done = frames[-1].data
    assert (done["status"], done["model"], done["content"]) == ("failed", fault, "half")
    [row] = two.attempts(fault)
    assert row[1] == code
    assert (row[2], row[3]) == (done["usage"]["input_tokens"], done["usage"]["output_tokens"])
    assert row[2] > 0 < row[3]
    assert len(two.attempts("second")) == before
