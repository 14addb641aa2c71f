"""Many files at once, and bases that go away while they are being filled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import httpx

from live.live_knowledge import (
    PATIENCE,
    TABLES,
    HeldEmbeddings,
    base,
    counted,
    document,
    embedded_by,
    filled,
    put_in,
    rows,
    sent,
    status,
    stored,
    succeeded,
    uploaded,
    worker,
    working,
)
from live.live_server import SECRETS, LiveServer, Person
from servers.byte_server import ByteServer

MANY = 50


@asynccontextmanager
async def serving(url: str, folder: Path, embedding: HeldEmbeddings, places: int) -> AsyncIterator[httpx.AsyncClient]:
    async with ByteServer(embedding) as upstream:
        settings = embedded_by(upstream, DATABASE_URL=url, SECRET_KEYS=SECRETS, INGESTION__PLACES=places)
        server = LiveServer(folder, settings)
        with ExitStack() as processes:
            processes.callback(server.kill)
            await server.start()
            if url.startswith("postgresql"):
                processes.enter_context(worker(server, "worker", DATA_DIR=folder))
                await working(folder / "worker")
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                yield client


async def until_left(url: str, wanted: dict[str, int]) -> None:
    left: dict[str, int] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            while (left := await counted(url, [*wanted])) != wanted:
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"left: {left}") from None


async def test_nothing_is_left_of_a_base_that_goes_while_it_is_being_filled(database_url: str, tmp_path: Path) -> None:
    """Nor of a file that goes so; what else there is stays."""
    folder = tmp_path / "server"
    folder.mkdir()
    embedding = HeldEmbeddings({"base.md": 2, "file.md": 2})
    sqlite = database_url.startswith("sqlite")
    vectors = "chunk_vectors" if sqlite else "chunk_embeddings"
    # The last one is what FTS5 keeps of the terms.
    tables = [*TABLES, *((vectors, "chunk_terms_index_docsize") if sqlite else (vectors,))]
    async with serving(database_url, folder, embedding, 4) as client:
        bob = await Person.register(client, "bob")
        kept, kept_file = await filled(bob, "kept", document("kept"), "kept.md")
        await succeeded(bob, kept_file)
        alone = await counted(database_url, tables)
        before = await stored(database_url, kept_file, vectors)

        of_base, file_one = await filled(bob, "base", document("base", 20), "base.md")
        file_two = await put_in(bob, kept, await uploaded(bob, document("file", 20), "file.md"))
        await embedding.until_held()
        for one in (file_one, file_two):
            assert (await status(bob, one))["chunks"] == 4
        await sent(bob, "DELETE", "/knowledge/delete", {"knowledge_id": of_base})
        await sent(bob, "DELETE", "/knowledge_file/delete", {"knowledge_file_id": file_two})
        embedding.let_go()
        await until_left(database_url, alone)
        assert await stored(database_url, kept_file, vectors) == before
        await idle(database_url)
        assert await counted(database_url, tables) == alone


async def idle(url: str) -> None:
    """No job is there any more that could write."""
    table = "jobs" if url.startswith("sqlite") else "agentchat_jobs.pgqueuer"
    await until_left(url, {table: 0})


async def test_many_files_at_once_all_succeed_and_hold_up_nobody_else(database_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    embedding = HeldEmbeddings()
    # In one place they end as they began; in two, one may be overtaken by many while it is read.
    async with serving(database_url, folder, embedding, 1) as client:
        ada, bob = await Person.register(client, "ada"), await Person.register(client, "bob")
        of_ada, of_bob = await base(ada, "many"), await base(bob, "one")
        names = [f"n{number}" for number in range(MANY)]
        urls = [await uploaded(ada, f"{name} is a short text".encode(), f"{name}.md") for name in names]
        files = await asyncio.gather(*(put_in(ada, of_ada, url) for url in urls))
        single = await put_in(bob, of_bob, await uploaded(bob, b"A single text", "single.md"))
        ended = await rows(database_url, "SELECT count(*) FROM knowledge_files WHERE status = 'success'")
        done = await succeeded(ada, *files)
        await succeeded(bob, single)
        assert [file["chunks"] for file in done] == [1] * MANY
        order = await rows(database_url, "SELECT knowledge_file_id FROM knowledge_files ORDER BY updated_at")
        # What had ended when it came goes before it, and what was at work or just being taken.
        assert [row[0] for row in order].index(single) <= ended[0][0] + 2
        assert set(embedding.times.values()) == {1}
