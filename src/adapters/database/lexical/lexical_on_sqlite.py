"""The LexicalIndex on SQLite: FTS5 over our own terms, asked in threads, so that the event loop goes on."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from adapters.database.engine import sqlite_engine
from adapters.database.errors import FAILURES
from adapters.database.lexical.lexemes import MOST_KEPT, asked, scope
from adapters.database.session import Attempts, refuse
from domain.ids import ChunkId, KnowledgeId
from domain.knowledge.retrieval import Hit

_AT_ONCE: Final = 2
ENOUGH: Final = 3000
"""No more chunks than this are counted for a term, and no more than twice as many are ranked: the commonest terms are
left out while rarer ones are there, and who asks for nothing else gets some of what holds it."""

_REPEATED: Final = 50
"""More often than this a term counts no more."""

_ADD: Final = text("INSERT INTO chunk_terms (chunk_id, scope, terms) VALUES (:chunk, :scope, :terms)")
_HELD: Final = text(
    "SELECT count(*) FROM (SELECT 1 FROM chunk_terms_index WHERE chunk_terms_index MATCH :query LIMIT :enough)"
)
_BEST: Final = text(
    "SELECT chunk, score FROM (SELECT rowid AS chunk, -bm25(chunk_terms_index) AS score FROM chunk_terms_index "
    "WHERE chunk_terms_index MATCH :query LIMIT :most) ORDER BY score DESC, chunk LIMIT :row_limit"
)


def add_terms(connection: Connection, knowledge_id: str, terms: Mapping[ChunkId, Mapping[str, int]]) -> None:
    base = scope(knowledge_id)
    rows = [
        {
            "chunk": chunk_id,
            "scope": base,
            # Each begins with a space: there the index puts the scope.
            "terms": "".join(f" {one}" * min(count, _REPEATED) for one, count in found.items()),
        }
        for chunk_id, found in terms.items()
    ]
    if rows:
        connection.execute(_ADD, rows)


class _Interruptible:
    """One search in its thread, that may be given up from another one at any time: never the next one there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._driver: Any = None
        self._is_given_up = False

    def give_up(self) -> None:
        with self._lock:
            self._is_given_up = True
            if self._driver is not None:
                self._driver.interrupt()

    @contextmanager
    def on(self, connection: Connection) -> Iterator[None]:
        with self._lock:
            self._driver = connection.connection.driver_connection
        try:
            self.go_on()
            yield
        finally:
            with self._lock:
                self._driver = None

    def go_on(self) -> None:
        """Raises _GivenUp. An interrupt between two statements is none."""
        if self._is_given_up:
            raise _GivenUp


class _GivenUp(Exception):
    """Nobody waits for it any more."""


class SqliteLexicalIndex:
    """Each thread has a connection of its own, which only reads. Close it with `aclose`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lexical")
        self._own = threading.local()
        self._engines: list[Engine] = []

    async def search(self, terms: Sequence[str], knowledge_ids: Sequence[KnowledgeId], limit: int) -> Sequence[Hit]:
        wanted = asked(terms)
        if not wanted or not knowledge_ids or limit < 1:
            return ()
        scopes = [scope(one) for one in dict.fromkeys(knowledge_ids)]
        attempts: Attempts | None = None
        loop = asyncio.get_running_loop()
        try:
            while True:
                running = _Interruptible()
                try:
                    return await loop.run_in_executor(self._threads, self._search, running, wanted, scopes, limit)
                except asyncio.CancelledError:
                    # There are few threads: others wait for this one.
                    running.give_up()
                    raise
                except DBAPIError as error:
                    attempts = attempts or Attempts()
                    if not await attempts.again(error):
                        raise
        except FAILURES as error:
            refuse(error)

    async def aclose(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)
        for engine in self._engines:
            engine.dispose()

    def _search(
        self, running: _Interruptible, wanted: Sequence[str], scopes: Sequence[str], limit: int
    ) -> Sequence[Hit]:
        with self._engine().connect() as connection, running.on(connection):
            kept = _rarest(connection, wanted, scopes, running)
            if not kept:
                return ()
            running.go_on()
            most = max(2 * ENOUGH, limit)
            query = _holding(kept, scopes)
            rows = connection.execute(_BEST, {"query": query, "most": most, "row_limit": limit})
            return [Hit(ChunkId(chunk), score) for chunk, score in rows]

    def _engine(self) -> Engine:
        engine: Engine | None = getattr(self._own, "engine", None)
        if engine is None:
            engine = self._own.engine = sqlite_engine(self._file, autocommit=True)
            self._engines.append(engine)
        return engine


def _rarest(connection: Connection, wanted: Sequence[str], scopes: Sequence[str], running: _Interruptible) -> list[str]:
    """Those that are there, beginning with the rarest, while few chunks hold them: at least one."""
    counts: dict[str, int] = {}
    for one in wanted:
        running.go_on()
        asking = {"query": _holding([one], scopes), "enough": ENOUGH}
        if found := connection.execute(_HELD, asking).scalar_one():
            counts[one] = found
    kept: list[str] = []
    room = 2 * ENOUGH
    for one in sorted(counts, key=lambda term: counts[term]):
        room -= counts[one]
        is_common = counts[one] >= ENOUGH > counts[kept[0]] if kept else False
        if is_common or (kept and room < 0) or len(kept) == MOST_KEPT:
            break
        kept.append(one)
    return kept


def _holding(wanted: Sequence[str], scopes: Sequence[str]) -> str:
    # Lexemes hold no quotes: nothing in them can end a string, or be an operator.
    return " OR ".join(f'"{base}{one}"' for one in wanted for base in scopes)
