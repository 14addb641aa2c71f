"""The database's tables before anything serves: the embedded mode migrates itself, a server's database is asked."""

from adapters.database import schema
from adapters.database.engine import postgres_creator
from entrypoints.settings import Settings


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
    from adapters.database.pgvector_table import ensure_pgvector
    from entrypoints.embedders import model_of

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
