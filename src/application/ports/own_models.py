"""Models that people brought, as the database knows them, and what of all people lies sealed there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from application.paging import Window
from domain.ids import ModelId, UserId
from domain.models.own_models import OwnModel


class OwnModels(Protocol):
    """Each call is atomic alone."""

    async def add(self, model: OwnModel) -> None: ...

    async def get(self, llm_id: ModelId, *, owner: UserId) -> OwnModel:
        """In a transaction nobody else changes or removes it until its end. Raises NotFound `llm_not_found`."""
        ...

    async def list(self, window: Window, *, owner: UserId) -> Sequence[OwnModel]:
        """Newest first."""
        ...

    async def held(self, llm_ids: Sequence[ModelId], *, owner: UserId) -> frozenset[ModelId]:
        """Those that are there, the owner's, and answer; nobody removes them until the end of the transaction."""
        ...

    async def count(self, *, owner: UserId) -> int: ...

    async def save(self, model: OwnModel) -> None:
        """Raises NotFound."""
        ...

    async def remove(self, llm_id: ModelId, now: datetime, *, owner: UserId) -> None:
        """Agents that had it take the default model, other models lose it as a fallback. Raises NotFound."""
        ...


class SealedKind(StrEnum):
    TOOLS = "tools"
    MCP_SERVERS = "mcp_servers"
    MODELS = "models"


@dataclass(frozen=True, slots=True)
class SealedText:
    identifier: str
    sealed: str = field(repr=False)


class SealedTexts(Protocol):
    """Everybody's: for the operator, who changes the keys that they lie under."""

    async def portion(self, kind: SealedKind, after: str, limit: int) -> Sequence[SealedText]:
        """Those whose identifiers come behind `after`, in the order of identifiers."""
        ...

    async def replace(self, kind: SealedKind, before: SealedText, sealed: str) -> bool:
        """False, and nothing done, when it is gone or another one by now. Atomic alone."""
        ...
