"""Another embedding model at a running server: new vectors are made beside the old ones, and retrieval goes on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from live.live_knowledge import (
    PATIENCE,
    HeldEmbeddings,
    document,
    embedded_by,
    filled,
    rows,
    succeeded,
    worker,
    working,
)
from live.live_server import SECRETS, LiveServer, Person
from servers.byte_server import ByteServer, Exchange

OLD, NEW = "text-embedding-3-small", "text-embedding-3-large"


@dataclass
class Noted(HeldEmbeddings):
    """Remembers which model was asked for which text."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, exchange: Exchange) -> None:
        self.asked += [(exchange.json["model"], text) for text in exchange.json["input"]]
        await super().__call__(exchange)


@asynccontextmanager
async def serving(url: str, folder: Path, upstream: ByteServer, model: str) -> AsyncIterator[httpx.AsyncClient]:
    openai = {"EMBEDDING__KIND": "openai", "EMBEDDING__MODEL": model, "EMBEDDING__API_KEY": "sk-1"}
    server = LiveServer(folder, embedded_by(upstream, DATABASE_URL=url, SECRET_KEYS=SECRETS, **openai))
    with ExitStack() as processes:
        processes.callback(server.kill)
        await server.start()
        if url.startswith("postgresql"):
            processes.enter_context(worker(server, model, DATA_DIR=folder))
            await working(folder / model)
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            yield client


async def searched(person: Person, knowledge_id: str, query: str) -> Any:
    body = {"knowledge_id": knowledge_id, "query": query}
    answer = await person.client.post("/api/v1/knowledge/retrieval", json=body, headers=person.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]
    return answer.json()


async def embedded(person: Person, knowledge_id: str) -> str:
    return str((await person.get(f"/knowledge/{knowledge_id}"))["embedding_model"])


async def test_another_model_takes_over_when_its_vectors_are_complete_and_retrieval_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    embedding = Noted()
    folder = tmp_path / "server"
    folder.mkdir()
    async with ByteServer(embedding) as upstream:
        async with serving(database_url, folder, upstream, OLD) as client:
            person = await Person.register(client)
            base, file_id = await filled(person, "base", document("lamp"), "lamp.md")
            [file] = await succeeded(person, file_id)
            assert await embedded(person, base) == f"openai/{OLD}@16"
        embedding.hold_anew(lamp=1)
        async with serving(database_url, folder, upstream, NEW) as client:
            person = Person(client, person.headers)
            await embedding.until_held()
            assert "retrieval" not in await searched(person, base, "before")
            assert await embedded(person, base) == f"openai/{OLD}@16"
            embedding.let_go()
            async with asyncio.timeout(PATIENCE):
                while await embedded(person, base) != f"openai/{NEW}@16":
                    await asyncio.sleep(0.05)
            assert "retrieval" not in await searched(person, base, "after")
            await only_new(database_url, file["chunks"])
    assert [model for model, text in embedding.asked if text in ("before", "after")] == [OLD, NEW]
    # By each of the two once.
    assert {count for text, count in embedding.times.items() if text.startswith("lamp.md")} == {2}


async def only_new(url: str, chunks: int) -> None:
    table = "chunk_vectors" if url.startswith("sqlite") else "chunk_embeddings"
    async with asyncio.timeout(PATIENCE):
        while await rows(url, f"SELECT model, count(*) FROM {table} GROUP BY model") != [(f"openai/{NEW}@16", chunks)]:
            await asyncio.sleep(0.05)
