"""Workers and servers are killed in every stage of the work on a file: it ends as if nothing had been."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import httpx

from live.live_knowledge import (
    PATIENCE,
    HeldEmbeddings,
    document,
    embedded_by,
    filled,
    status,
    stored,
    succeeded,
    worker,
    working,
)
from live.live_server import SECRETS, LiveServer, Person
from live.s3_settings import s3
from servers.byte_server import ByteServer
from servers.seaweedfs import SeaweedFS

LOCK = 4711
# What leads out of each stage waits in the database for a lock that the test holds.
HOLD = f"""
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN NEW; END $$;
CREATE TRIGGER hold_stage BEFORE UPDATE ON knowledge_files FOR EACH ROW
    WHEN (OLD.stage <> NEW.stage AND NEW.name = OLD.stage || '.md') EXECUTE FUNCTION hold();
CREATE TRIGGER hold_end BEFORE UPDATE ON knowledge_files FOR EACH ROW
    WHEN (NEW.status = 'success' AND NEW.name = 'end.md') EXECUTE FUNCTION hold();
CREATE TRIGGER hold_chunk BEFORE INSERT ON chunks FOR EACH ROW
    WHEN (NEW.ordinal = 3 AND NEW.content LIKE '%store%') EXECUTE FUNCTION hold();
"""
WAITING = f"FROM pg_locks WHERE locktype = 'advisory' AND objid = {LOCK} AND NOT granted"
STAGES = {
    "queued": "queued",
    "parse": "parse",
    "chunk": "chunk",
    "first": "embed",
    "third": "embed",
    "store": "embed",
    "end": "embed",
}
"""Names of files, and the stage in which the worker on them is killed."""
IN_DATABASE = 5
"""So many of them are held there, the others by the embedding server."""


@asynccontextmanager
async def held(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(HOLD)
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
        yield connection
    finally:
        await connection.close()


async def at_a_stand(connection: asyncpg.Connection, upstream: HeldEmbeddings) -> None:
    await upstream.until_held()
    async with asyncio.timeout(PATIENCE):
        while await connection.fetchval(f"SELECT count(*) {WAITING}") < IN_DATABASE:
            await asyncio.sleep(0.02)


async def let_go(connection: asyncpg.Connection) -> None:
    """What the dead worker's connections were about to write is not written."""
    await connection.execute(f"SELECT pg_terminate_backend(pid) {WAITING}")
    await connection.execute("DROP FUNCTION hold CASCADE")
    await connection.execute("SELECT pg_advisory_unlock_all()")


async def begun(person: Person, label: str, names: Iterable[str]) -> dict[str, str]:
    """Each of the files in a base of its own, where none waits for another."""
    return {name: (await filled(person, f"{label} {name}", document(name), f"{name}.md"))[1] for name in names}


async def the_same(person: Person, url: str, disturbed: dict[str, str], vectors: str) -> None:
    undisturbed = await begun(person, "undisturbed", disturbed)
    counts = [file["chunks"] for file in await succeeded(person, *undisturbed.values())]
    assert [file["chunks"] for file in await succeeded(person, *disturbed.values())] == counts
    assert min(counts) >= 8
    for name, file_id in disturbed.items():
        assert await stored(url, file_id, vectors) == await stored(url, undisturbed[name], vectors), name


async def test_a_worker_killed_in_any_stage_leaves_the_chunks_of_an_undisturbed_run(
    postgres_url: str, tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    embedding = HeldEmbeddings({"first.md": 0, "third.md": 2})
    async with ByteServer(embedding) as upstream:
        given = {"DATABASE_URL": postgres_url, "SECRET_KEYS": SECRETS}
        server = LiveServer(tmp_path, s3(seaweedfs, **embedded_by(upstream, **given)))
        with ExitStack() as processes:
            processes.callback(server.kill)
            await server.start()
            killed = processes.enter_context(worker(server, "killed"))
            await working(tmp_path / "killed")
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client, held(postgres_url) as connection:
                person = await Person.register(client)
                files = await begun(person, "disturbed", STAGES)
                await at_a_stand(connection, embedding)
                assert {name: (await status(person, file_id))["stage"] for name, file_id in files.items()} == STAGES
                processes.enter_context(worker(server, "other"))
                await working(tmp_path / "other")
                os.kill(killed.pid, signal.SIGKILL)
                killed.wait()
                await let_go(connection)
                await succeeded(person, *files.values())
                # Of what was stored before, nothing is asked for again.
                asked = [count for text, count in embedding.times.items() if text.startswith("third.md")]
                assert (asked[:6], set(asked[6:])) == ([1, 1, 1, 1, 2, 2], {1})
                await the_same(person, postgres_url, files, "chunk_embeddings")


async def test_a_server_killed_in_mid_embedding_again_and_again_goes_on_where_it_was(tmp_path: Path) -> None:
    embedding = HeldEmbeddings({"first.md": 0, "third.md": 2})
    url = f"sqlite:///{tmp_path / 'agentchat.db'}"
    async with ByteServer(embedding) as upstream:
        server = LiveServer(tmp_path, embedded_by(upstream))
        try:
            await server.start()
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
                person = await Person.register(client)
                files = await begun(person, "disturbed", ("first", "third"))
                await embedding.until_held()
                assert [(await status(person, files[one]))["chunks"] for one in ("first", "third")] == [0, 4]
                embedding.hold_anew(first=1, third=1)
                await server.restart()
                await embedding.until_held()
                assert [(await status(person, files[one]))["chunks"] for one in ("first", "third")] == [2, 6]
                embedding.hold_anew()
                await server.restart()
                await succeeded(person, *files.values())
                await the_same(person, url, files, "chunk_vectors")
        finally:
            server.kill()
