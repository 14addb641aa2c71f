"""`agentchat rotate-keys`: what lies sealed in the database under older keys is sealed anew under the first."""

from collections.abc import Mapping
from typing import Final

from application.ports.own_models import SealedKind
from application.sealed_upkeep import SealAnew, Sealed
from entrypoints.graph.container import make_container
from entrypoints.schema_ready import prepare_database
from entrypoints.settings.loading import Settings

NAMES: Final[Mapping[SealedKind, str]] = {
    SealedKind.TOOLS: "tools",
    SealedKind.MCP_SERVERS: "MCP servers",
    SealedKind.MODELS: "models",
}
DONE: Final = "Nothing lies under an older key any more: those behind the first of secret_keys are not needed here."
AGAIN: Final = "Some were changed meanwhile: run the command again."
BROKEN: Final = (
    "What can't be opened was sealed under a key that secret_keys does not have. Put that key back at the end of the "
    "list and run the command again; or let the owners send these secrets again."
)


async def seal_anew(settings: Settings) -> dict[SealedKind, Sealed]:
    """Raises DomainError."""
    await prepare_database(settings)
    container = make_container(settings)
    try:
        seal: SealAnew = await container.get(SealAnew)
        return await seal()
    finally:
        await container.close()


def is_complete(found: Mapping[SealedKind, Sealed]) -> bool:
    return not any(one.broken or one.changed for one in found.values())


def told(found: Mapping[SealedKind, Sealed]) -> list[str]:
    """For the operator: what was done, and what is left to do."""
    lines = [
        f"{NAMES[kind]}: {one.renewed} sealed anew, {one.current} were already, "
        f"{one.changed} changed meanwhile, {one.broken} can't be opened"
        for kind, one in found.items()
    ]
    lines += [f"can't be opened: {NAMES[kind]} {', '.join(one.names)}" for kind, one in found.items() if one.names]
    if is_complete(found):
        return [*lines, DONE]
    if any(one.broken for one in found.values()):
        lines.append(BROKEN)
    return [*lines, AGAIN] if any(one.changed for one in found.values()) else lines
