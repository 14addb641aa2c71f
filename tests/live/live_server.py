"""A server as operators start it: a process of its own on a free port, and a client of its streams."""

import asyncio
import json
import os
import secrets
import signal
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from live.warm_start import WarmProcess, warm_starts
from servers.byte_server import ByteServer, Exchange, Script

PASSWORD = "correct horse"
UNLIMITED = httpx.Limits(max_connections=None)
SECRETS = json.dumps(["0123456789abcdef0123456789abcdef"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class LiveServer:
    """`agentchat serve`, with settings given as AGENTCHAT_* variables without the prefix.

    It is forked from a process that has imported the application; test_live_start.py has those that begin from nothing.
    """

    data_dir: Path
    settings: Mapping[str, object] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: WarmProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        given = {"DATA_DIR": self.data_dir, "PORT": self.port, **self.settings}
        clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))}
        return clean | {f"AGENTCHAT_{name}": str(value) for name, value in given.items()}

    async def start(self) -> None:
        log = self.data_dir / "server.log"
        self.process = warm_starts().run(["serve"], self.environment(), self.data_dir, log)
        async with httpx.AsyncClient(base_url=self.url) as client:
            for _ in range(600):
                if self.process.poll() is not None:
                    raise AssertionError(f"the server ended: {self.log()}")
                try:
                    if (await client.get("/health/ready")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)
        raise AssertionError(f"the server is not ready: {self.log()}")

    def log(self) -> str:
        return (self.data_dir / "server.log").read_text()[-4000:]

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    async def ended(self) -> int:
        assert self.process is not None
        return await asyncio.to_thread(self.process.wait, 40)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    async def restart(self) -> None:
        self.kill()
        await self.start()


@dataclass
class Person:
    """A registered user at a live server."""

    client: httpx.AsyncClient
    headers: dict[str, str]

    @classmethod
    async def register(cls, client: httpx.AsyncClient, name: str = "ada") -> Self:
        body = {"user_name": name, "user_password": PASSWORD}
        (await client.post("/api/v1/user/register", json=body)).raise_for_status()
        answer = (await client.post("/api/v1/user/login", json=body)).json()
        return cls(client, {"Authorization": f"Bearer {answer['data']['access_token']}"})

    @asynccontextmanager
    async def ask(self, text: str = "hi", dialog: str = "d", **more: object) -> AsyncIterator["Stream"]:
        body = {"user_input": text, "dialog_id": dialog, **more}
        async with self.client.stream("POST", "/api/v1/chat", json=body, headers=self.headers, timeout=30) as response:
            yield Stream(response)

    async def answer(self, text: str = "hi", dialog: str = "d", **more: object) -> list["Frame"]:
        async with self.ask(text, dialog, **more) as stream:
            assert stream.response.status_code == 200, await stream.response.aread()
            return [frame async for frame in stream.frames()]

    async def get(self, path: str, **parameters: str) -> Any:
        response = await self.client.get(f"/api/v1{path}", params=parameters, headers=self.headers)
        response.raise_for_status()
        return response.json()["data"]

    async def history(self, dialog: str = "d") -> list[Any]:
        found: list[Any] = await self.get("/history", dialog_id=dialog)
        return found

    async def kept(self, dialog: str = "d") -> Any:
        """The last answer of the dialog, once it is closed."""
        for _ in range(400):
            last = (await self.history(dialog))[-1]
            if last["role"] == "assistant" and last["status"] != "running":
                return last
            await asyncio.sleep(0.025)
        raise AssertionError("the answer stays open")


@dataclass(frozen=True)
class Frame:
    id: str
    event: str
    data: dict[str, Any]


class Stream:
    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.pings = 0

    async def frames(self) -> AsyncGenerator[Frame, None]:
        pending = b""
        async for piece in self.response.aiter_raw():
            *whole, pending = (pending + piece).split(b"\n\n")
            for block in whole:
                if block.startswith(b":"):
                    self.pings += 1
                    continue
                fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
                body = json.loads(fields["data"])
                assert body["type"] == fields["event"]
                yield Frame(fields["id"], fields["event"], body["data"])


def text_of(frames: list[Frame]) -> str:
    return "".join(frame.data["chunk"] for frame in frames if frame.event == "response_chunk")


def chunk(text: str) -> dict[str, object]:
    """One delta of OpenAI's protocol."""
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


async def begin_and_hang(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(chunk("half"))
    await exchange.closed.wait()


async def hello(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(chunk("Hel"), chunk("lo"), STOP, b"[DONE]")
    await exchange.end()


def settings_for(upstream_port: int, **more: object) -> dict[str, object]:
    """A server whose default model is the upstream, and whose streams wait for nobody."""
    model = {"provider": "openai_compatible", "base_url": f"http://127.0.0.1:{upstream_port}/v1", "api_key": "k"}
    return {
        "MODELS": json.dumps({"fake": model}),
        "DEFAULT_MODEL": "fake",
        "DISCONNECT_GRACE_SECONDS": 0,
        **more,
    }


@dataclass
class Live:
    """A running server that many tests share, each with a model and a person of its own."""

    server: LiveServer
    upstream_port: int

    @asynccontextmanager
    async def model(self, *scripts: Script) -> AsyncIterator[tuple[ByteServer, Person]]:
        async with ByteServer(*scripts, port=self.upstream_port) as upstream:
            async with httpx.AsyncClient(base_url=self.server.url, timeout=30, limits=UNLIMITED) as client:
                yield upstream, await Person.register(client, f"u{secrets.token_hex(6)}")


@dataclass
class LivePair:
    """Two server processes over one Postgres database, with one model behind both."""

    servers: tuple[LiveServer, LiveServer]
    upstream_port: int

    @asynccontextmanager
    async def model(self, *scripts: Script) -> AsyncIterator[tuple[ByteServer, Person, Person]]:
        """The same person at both."""
        here, there = (httpx.AsyncClient(base_url=one.url, timeout=30, limits=UNLIMITED) for one in self.servers)
        async with ByteServer(*scripts, port=self.upstream_port) as upstream, here, there:
            person = await Person.register(here, f"u{secrets.token_hex(6)}")
            yield upstream, person, Person(there, person.headers)


@asynccontextmanager
async def pair(folder: Path, database_url: str, **settings: object) -> AsyncIterator[LivePair]:
    port = free_port()
    given = settings_for(port, DATABASE_URL=database_url, SECRET_KEYS=SECRETS, **settings)
    servers = LiveServer(folder / "a", given), LiveServer(folder / "b", given)
    try:
        for server in servers:
            server.data_dir.mkdir()
        await asyncio.gather(*(server.start() for server in servers))
        yield LivePair(servers, port)
    finally:
        for server in servers:
            server.kill()


def saying(*words: str, every: float = 0) -> Script:
    """A model that says one word after the other."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        for word in words:
            await exchange.events(chunk(word))
            await asyncio.sleep(every)
        await exchange.events(STOP, b"[DONE]")
        await exchange.end()

    return script


@asynccontextmanager
async def served(data_dir: Path, *scripts: Script, **settings: object) -> AsyncIterator[tuple[Live, Person]]:
    """A server of the test's own, the model behind it, and a person at it."""
    port = free_port()
    server = LiveServer(data_dir, settings_for(port, **settings))
    try:
        await server.start()
        live = Live(server, port)
        async with live.model(*scripts) as (_, person):
            yield live, person
    finally:
        server.kill()
