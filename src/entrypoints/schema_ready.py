"""The database's tables before anything serves: the embedded mode migrates itself, a server's database is asked."""

from adapters.database import schema
from entrypoints.settings import Settings


async def prepare_database(settings: Settings) -> None:
    """Raises Unavailable, which names the command, for an external database on another schema."""
    url = settings.database_url.reveal()
    if settings.embedded:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        await schema.migrate(url)
    else:
        await schema.require_current(url)
