"""What of all people lies sealed: read in portions, and put anew only where it is still what was read."""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Column, Integer, Select, Text, Update, bindparam, select, update

from adapters.database.agents.model_tables import models
from adapters.database.agents.tool_tables import mcp_servers, tools
from adapters.database.session import Session
from application.ports.own_models import SealedKind, SealedText

_COLUMNS: Final[Mapping[SealedKind, tuple[Column[str], Column[str]]]] = {
    SealedKind.TOOLS: (tools.c.tool_id, tools.c.sealed),
    SealedKind.MCP_SERVERS: (mcp_servers.c.server_id, mcp_servers.c.sealed),
    SealedKind.MODELS: (models.c.llm_id, models.c.sealed_key),
}


def _portion(identifier: Column[str], sealed: Column[str]) -> Select[str, str]:
    behind = identifier > bindparam("after", type_=Text)
    some = select(identifier, sealed).where(behind, sealed.is_not(None), sealed != "")
    return some.order_by(identifier).limit(bindparam("row_limit", type_=Integer))


def _replace(identifier: Column[str], sealed: Column[str]) -> Update:
    this = identifier == bindparam("id", type_=Text)
    still = sealed == bindparam("before", type_=Text)
    return update(identifier.table).where(this, still).values({sealed.name: bindparam("anew", type_=Text)})


_PORTIONS: Final = {kind: _portion(*columns) for kind, columns in _COLUMNS.items()}
_REPLACE: Final = {kind: _replace(*columns) for kind, columns in _COLUMNS.items()}


class SealedRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def portion(self, kind: SealedKind, after: str, limit: int) -> Sequence[SealedText]:
        rows = await self._session.rows(_PORTIONS[kind], {"after": after, "row_limit": limit})
        return [SealedText(*row) for row in rows]

    async def replace(self, kind: SealedKind, before: SealedText, sealed: str) -> bool:
        values = {"id": before.identifier, "before": before.sealed, "anew": sealed}
        return await self._session.affected(_REPLACE[kind], values) > 0
