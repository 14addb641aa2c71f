"""What was read in contents. Whoever reads a long one holds up nobody: it is encoded and decoded in a thread."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Text, bindparam, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from adapters.database.files.reading_lines import from_bytes, is_long, is_of_long, to_bytes
from adapters.database.owners import LIMIT
from adapters.database.session import Session
from adapters.database.tables import files, readings
from domain.files.documents import Reading

_GET: Final = select(readings.c.sha256, readings.c.outcome).where(
    readings.c.sha256.in_(bindparam("sha256s", type_=Text, expanding=True)),
    readings.c.parser == bindparam("version", type_=Text),
)
_KEY: Final = (readings.c.sha256, readings.c.parser)
_PUT: Final = {
    "sqlite": sqlite.insert(readings).on_conflict_do_nothing(index_elements=_KEY),
    "postgresql": postgresql.insert(readings).on_conflict_do_nothing(index_elements=_KEY),
}
_IN_USE: Final = (
    select(files.c.file_id)
    .where(files.c.sha256 == readings.c.sha256, files.c.user_id.is_not(None), files.c.removed_at.is_(None))
    .exists()
)
_unused: Final = select(*_KEY).where(~_IN_USE).order_by(*_KEY).limit(LIMIT).cte("unused").prefix_with("MATERIALIZED")
_REMOVE_UNUSED: Final = delete(readings).where(tuple_(*_KEY).in_(select(*_unused.c))).returning(readings.c.sha256)


class ReadingRows:
    __slots__ = ("_dialect", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._dialect = dialect

    async def get(self, sha256s: Sequence[str], parser: str) -> Mapping[str, Reading]:
        values = {"sha256s": [*sha256s], "version": parser}
        rows = await self._session.rows(_GET, values) if sha256s else ()
        return {sha256: await _to_reading(outcome) for sha256, outcome in rows}

    async def put(self, sha256: str, parser: str, reading: Reading) -> None:
        values = {"sha256": sha256, "parser": parser, "outcome": await _from_reading(reading)}
        await self._session.written(_PUT[self._dialect], values)

    async def remove_unused(self, limit: int) -> int:
        return len(await self._session.written(_REMOVE_UNUSED, {"row_limit": limit}))


async def _to_reading(stored: bytes) -> Reading:
    return await asyncio.to_thread(from_bytes, stored) if is_of_long(stored) else from_bytes(stored)


async def _from_reading(reading: Reading) -> bytes:
    return await asyncio.to_thread(to_bytes, reading) if is_long(reading) else to_bytes(reading)
