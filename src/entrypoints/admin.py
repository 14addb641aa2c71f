"""Making an admin from the command line, through the same use case as everything else."""

from application.accounts.users import CreateAdmin
from entrypoints.graph.container import make_container
from entrypoints.schema_ready import prepare_database
from entrypoints.settings.loading import Settings


async def make_admin(settings: Settings, name: str, password: str, email: str | None) -> None:
    """Raises DomainError."""
    await prepare_database(settings)
    container = make_container(settings)
    try:
        create = await container.get(CreateAdmin)
        await create(name, password, email)
    finally:
        await container.close()
