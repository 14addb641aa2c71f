"""Secrets that are planted everywhere, servers that repeat whatever they hear, and what is searched for both."""

import json
import re
import secrets
import sqlite3
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx

from live.live_server import STOP, chunk
from servers.byte_server import Exchange
from servers.embedding_scripts import embeddings

DIMENSIONS = 16
REFUSED = "repeat my key"
BROKEN = "begin, and then say it"
CALLS = "call all tools"
ARGUMENTS = {"add": '{"a": 1, "b": 2}', "web_search": '{"query": "ships"}'}
_BYTES = re.compile(r"\\\\?x((?:[0-9a-f]{2})+)")


@dataclass
class Planted:
    """Each secret by its name, and every answer that a client was given."""

    secrets: dict[str, str] = field(default_factory=dict)
    shown: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Whose answers may hold a secret, because that is what they are for."""
    answers: list[tuple[str, bytes]] = field(default_factory=list)

    def new(self, name: str, form: str = "sk-{}", *shown: str) -> str:
        return self.note(name, form.format(secrets.token_hex(12)), *shown)

    def note(self, name: str, secret: str, *shown: str) -> str:
        assert len(secret) >= 16
        self.secrets[name] = secret
        self.shown[name] = shown
        return secret

    async def heard(self, response: httpx.Response) -> None:
        """A hook of the client."""
        body = await response.aread()
        head = json.dumps(response.headers.multi_items()).encode()
        self.answers.append((f"{response.request.method} {response.request.url.path}", head + body))

    def in_answers(self) -> list[tuple[str, str]]:
        """Which secret stands in whose answer, where it has no business."""
        return [(name, place) for name, place in self._everywhere() if place not in self.shown[name]]

    def shown_where_due(self) -> list[tuple[str, str]]:
        return [(name, place) for name, place in self._everywhere() if place in self.shown[name]]

    def _everywhere(self) -> list[tuple[str, str]]:
        return [(name, place) for place, said in self.answers for name in self.found(said)]

    def found(self, said: bytes) -> list[str]:
        return [name for name, secret in self.secrets.items() if any(form in said for form in forms(secret))]


def forms(secret: str) -> set[bytes]:
    """As it is, and as URLs, JSON, hexadecimal numbers and base64 write it, wherever in a text it begins."""
    raw = secret.encode()
    written = {raw, quote(secret, safe="").encode(), quote_plus(secret).encode(), json.dumps(secret)[1:-1].encode()}
    written.add(raw.hex().encode())
    for shift in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            whole = encode(b"\0" * shift + raw)
            written.add(whole[-(-shift * 8 // 6) : (shift + len(raw)) * 8 // 6])
    return written


def sqlite_dump(file: Path) -> bytes:
    """The bytes of the files, where also lies what was deleted, and every value that the tables hold."""
    with closing(sqlite3.connect(file)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [row for name in names for row in database.execute(f'SELECT * FROM "{name}"')]
    files = [one.read_bytes() for one in file.parent.glob(f"{file.name}*")]
    return b"\n".join([*files, *_values(rows)])


def _values(rows: list[tuple[Any, ...]]) -> Iterator[bytes]:
    for row in rows:
        for value in row:
            yield value if isinstance(value, bytes) else str(value).encode()


def postgres_dump(said: str) -> bytes:
    """What pg_dump says, and what the bytes in it mean."""
    return b"\n".join([said.encode(), *(bytes.fromhex(one) for one in _BYTES.findall(said))])


def _key_in(headers: Mapping[str, str]) -> str:
    return headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer ")


def _repeated(exchange: Exchange) -> dict[str, object]:
    """All that it heard, where an error of a model has its words."""
    key = _key_in(exchange.headers)
    error = {"type": "invalid_request_error", "message": key, "code": key, "param": key, "status": 400}
    return {"type": "error", "error": error, "path": exchange.path, "headers": exchange.headers}


@dataclass
class Outside:
    """Models, embedders, rerankers, search engines, tools and MCP servers that all repeat what they hear."""

    heard: list[str] = field(default_factory=list)

    async def __call__(self, exchange: Exchange) -> None:
        path = exchange.path.partition("?")[0]
        self.heard.append(f"{exchange.path} {json.dumps(exchange.headers)} {exchange.body!r}")
        if path.endswith("/embeddings") and REFUSED not in json.dumps(exchange.json):
            await embeddings(DIMENSIONS)(exchange)
        elif path.endswith("/embeddings"):
            await exchange.refuse(401, _repeated(exchange))
        elif path.startswith("/api/"):
            await exchange.refuse(400 if path.endswith("/bad") else 200, _repeated(exchange))
        elif path.endswith("/chat/completions") and REFUSED not in (asked := _asked(exchange)):
            await self._answer(exchange, asked)
        else:
            await exchange.refuse(400, _repeated(exchange))

    async def _answer(self, exchange: Exchange, asked: str) -> None:
        await exchange.head()
        if BROKEN in asked:
            await exchange.events(chunk("Hm."), _repeated(exchange))
        elif CALLS in asked and exchange.json["messages"][-1]["role"] != "tool":
            names = [one["function"]["name"] for one in exchange.json["tools"]]
            wanted = [name for name in names if name.startswith("look") or name in ARGUMENTS]
            calls = [
                {
                    "index": at,
                    "id": name,
                    "type": "function",
                    "function": {"name": name, "arguments": ARGUMENTS.get(name, "{}")},
                }
                for at, name in enumerate(wanted)
            ]
            await exchange.events({"choices": [{"index": 0, "delta": {"tool_calls": calls}, "finish_reason": None}]})
            await exchange.events({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        else:
            await exchange.events(chunk("Hello."), STOP)
        await exchange.events(b"[DONE]")
        await exchange.end()


def _asked(exchange: Exchange) -> str:
    """The newest question."""
    said = [one["content"] for one in exchange.json["messages"] if one["role"] == "user"]
    return json.dumps(said[-1])


def api_document(url: str, name: str) -> dict[str, object]:
    """Two operations, of which one fails; both take what the model says to others."""
    answer = {"200": {"description": "It."}}
    paths = {
        f"/api/{name}": {"get": {"operationId": f"look{name}", "responses": answer}},
        f"/api/{name}/bad": {"get": {"operationId": f"look{name}bad", "responses": answer}},
    }
    return {"openapi": "3.0.0", "info": {"title": name, "version": "1"}, "servers": [{"url": url}], "paths": paths}
