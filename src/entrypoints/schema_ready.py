"""The database's tables before anything serves: the embedded mode migrates itself, a server's database is asked."""

import asyncio
import logging
import random
from contextlib import suppress
from typing import Final

from adapters.database import schema
from adapters.database.engine import postgres_creator
from adapters.database.refusals import refusal_in
from domain.errors import Unavailable
from entrypoints.settings.loading import Settings

log = logging.getLogger("agentchat.knowledge")

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 5.0


async def bring_up_to_date(settings: Settings) -> None:
    """What `agentchat migrate` does. Raises Unavailable."""
    await schema.migrate(settings.database_url.reveal())
    if not settings.embedded:
        from adapters.jobs import PostgresJobs

        table = PostgresJobs(postgres_creator(settings.database_url.reveal()))
        try:
            await table.prepare()
        finally:
            await table.aclose()
        await prepare_vectors(settings)


async def prepare_vectors(settings: Settings) -> None:
    """The extension, table and index that pgvector needs for the configured model. Raises Unavailable."""
    if settings.vector.kind != "pgvector":
        return
    from adapters.database.vectors.pgvector_table import ensure_pgvector
    from entrypoints.graph.embedders import model_of

    await ensure_pgvector(settings.database_url.reveal(), model_of(settings.embedding))


async def prepare_database(settings: Settings) -> None:
    """Raises Unavailable, which names the command, for an external database on another schema."""
    url = settings.database_url.reveal()
    if settings.embedded:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        await schema.migrate(url)
    else:
        await schema.require_current(url)
        await prepare_vectors(settings)


async def prepare_to_serve(settings: Settings) -> None:
    """Vectors are kept from now on where these settings say. Raises Unavailable.

    Of processes with different settings the one that starts last is right, and the others say that they differ: no two
    change it in turns.
    """
    await prepare_database(settings)
    if settings.embedded:
        return
    from adapters.database.vectors.vector_place import keep_vectors

    kind = settings.vector.kind or "embedded"
    if to_fill := await keep_vectors(settings.database_url.reveal(), kind):
        log.warning("vectors_to_be_made_anew", extra={"vector_kind": kind, "bases": to_fill})


async def await_database(settings: Settings, stop: asyncio.Event) -> bool:
    """Prepare it, as soon as it is there; False when `stop` came first.

    Raises Unavailable for what no waiting mends: another schema, a login that is refused. The adapter tells the log of
    the outage and of its end.
    """
    delay = FIRST_DELAY
    while not stop.is_set():
        if await _prepared(settings, stop):
            break
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        delay = min(2 * delay, LONGEST_DELAY)
    return not stop.is_set()


async def _prepared(settings: Settings, stop: asyncio.Event) -> bool:
    """One try, which a database that never answers does not hold up when `stop` comes."""
    preparing, stopped = asyncio.create_task(prepare_to_serve(settings)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([preparing, stopped], return_when=asyncio.FIRST_COMPLETED)
        if not preparing.done():
            return False
        await preparing
    except Exception as trouble:
        if refusal := refusal_in(trouble):
            raise Unavailable("database_refused", refusal) from trouble
        if settings.embedded or not (isinstance(trouble, Unavailable) and trouble.code == "database_unavailable"):
            raise
        return False
    finally:
        for task in (preparing, stopped):
            task.cancel()
        await asyncio.wait([preparing, stopped])
    return True
