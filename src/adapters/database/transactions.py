"""Transactions over either dialect."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Integer, func, literal_column, select

from adapters.database.accounts.api_keys import ApiKeyRows
from adapters.database.accounts.login_failures import LoginFailureRows
from adapters.database.accounts.refresh_tokens import RefreshTokenRows
from adapters.database.accounts.users import UserRows
from adapters.database.agents.agent_versions import AgentVersionRows
from adapters.database.agents.agents import AgentRows
from adapters.database.agents.mcp_servers import McpServerRows
from adapters.database.agents.models import ModelRows
from adapters.database.agents.tools import ToolRows
from adapters.database.columns import Moment
from adapters.database.conversations.conversations import ConversationRows
from adapters.database.conversations.dialogs import DialogRows
from adapters.database.conversations.messages import MessageRows
from adapters.database.conversations.summaries import SummaryRows
from adapters.database.engine import Database, Gate, open_database, sqlite_file
from adapters.database.files.files import FileRows
from adapters.database.files.readings import ReadingRows
from adapters.database.jobs.jobs import SqliteJobs
from adapters.database.knowledge.chunk_statements import VectorStatements
from adapters.database.knowledge.chunk_tables import chunk_vectors
from adapters.database.knowledge.chunks import ChunkRows
from adapters.database.knowledge.knowledge_bases import KnowledgeBaseRows
from adapters.database.knowledge.knowledge_files import KnowledgeFileRows
from adapters.database.lexical.lexical_on_postgres import PostgresLexicalIndex
from adapters.database.lexical.lexical_on_sqlite import SqliteLexicalIndex
from adapters.database.memory.memories import MemoryRows
from adapters.database.runs.pauses import PauseRows
from adapters.database.runs.runs import RunRows
from adapters.database.sealed_texts import SealedRows
from adapters.database.session import Lane, OpenTransaction, Session, SingleStatements
from adapters.database.usage.usage import LedgerRows
from adapters.database.vectors.vector_place import VectorKind, table_of
from application.ports.conversations import Conversations
from application.ports.files import Files, Readings
from application.ports.knowledge import Chunks, KnowledgeBases, KnowledgeFiles
from application.ports.memories import Memories
from application.ports.own_models import OwnModels, SealedTexts
from application.ports.pauses import Pauses
from application.ports.persistence import (
    Agents,
    AgentVersions,
    ApiKeys,
    Dialogs,
    LoginFailures,
    Messages,
    RefreshTokens,
    Transaction,
    Users,
)
from application.ports.runs import Runs
from application.ports.summaries import Summaries
from application.ports.tools import McpServers, Tools
from application.ports.usage import UsageLedger

_PING: Final = select(literal_column("1", Integer))
_NOW: Final = select(func.clock_timestamp(type_=Moment))
PATIENCE_SECONDS: Final = 10.0
EMBEDDED_VECTORS: Final = VectorStatements.of(chunk_vectors)


class Repositories:
    """Every repository on one session."""

    __slots__ = (
        "agent_versions",
        "agents",
        "api_keys",
        "chunks",
        "conversations",
        "dialogs",
        "files",
        "knowledge",
        "knowledge_files",
        "ledger",
        "login_failures",
        "mcp_servers",
        "memories",
        "messages",
        "models",
        "pauses",
        "readings",
        "refresh_tokens",
        "runs",
        "sealed",
        "summaries",
        "tools",
        "users",
    )

    def __init__(self, session: Session, dialect: str, vectors: VectorStatements) -> None:
        self.users: Users = UserRows(session)
        self.refresh_tokens: RefreshTokens = RefreshTokenRows(session)
        self.api_keys: ApiKeys = ApiKeyRows(session)
        self.login_failures: LoginFailures = LoginFailureRows(session, dialect)
        self.agents: Agents = AgentRows(session)
        self.agent_versions: AgentVersions = AgentVersionRows(session)
        self.dialogs: Dialogs = DialogRows(session)
        self.conversations: Conversations = ConversationRows(session, dialect)
        self.messages: Messages = MessageRows(session, dialect)
        self.runs: Runs = RunRows(session, dialect)
        self.pauses: Pauses = PauseRows(session)
        self.summaries: Summaries = SummaryRows(session, dialect)
        self.memories: Memories = MemoryRows(session, dialect)
        self.files: Files = FileRows(session, dialect)
        self.readings: Readings = ReadingRows(session, dialect)
        self.knowledge: KnowledgeBases = KnowledgeBaseRows(session, vectors.switch, vectors.elsewhere)
        self.knowledge_files: KnowledgeFiles = KnowledgeFileRows(session, dialect)
        self.chunks: Chunks = ChunkRows(session, dialect, vectors)
        self.tools: Tools = ToolRows(session)
        self.mcp_servers: McpServers = McpServerRows(session)
        self.models: OwnModels = ModelRows(session)
        self.sealed: SealedTexts = SealedRows(session)
        self.ledger: UsageLedger = LedgerRows(session, dialect)


class DatabaseTransactions:
    """The Transactions port. Close it with `aclose`."""

    def __init__(
        self,
        database: Database,
        *,
        patience: float = PATIENCE_SECONDS,
        vectors: VectorStatements = EMBEDDED_VECTORS,
        sqlite: Path | None = None,
    ) -> None:
        self.database = database
        self._vectors = vectors
        self._sqlite = sqlite
        self._lexical: SqliteLexicalIndex | PostgresLexicalIndex | None = None
        self._writers = Gate(database.writers, patience)
        self._single_statements = single_statements(database, self._writers, patience)
        self._singles = Repositories(self._single_statements, database.dialect, vectors)
        self._ending: set[asyncio.Task[None]] = set()

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10, vectors: VectorKind = "embedded") -> "DatabaseTransactions":
        """`vectors` says in which table the vectors of chunks are kept; that of pgvector must have been made."""
        database = open_database(url, pool_size=pool_size)
        file = sqlite_file(url) if database.dialect == "sqlite" else None
        return cls(database, vectors=_vectors_in(vectors), sqlite=file)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        await self._writers.enter()
        session = OpenTransaction(self.database.writer, self.database.run)
        try:
            yield Repositories(session, self.database.dialect, self._vectors)
            await session.commit()
        except BaseException:
            # A task of its own: the caller may be cancelled, even again and again, and the connection must come back.
            ending = asyncio.create_task(self._abandon(session))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)
            raise
        self._writers.leave()

    async def _abandon(self, session: OpenTransaction) -> None:
        try:
            await session.roll_back()
        finally:
            self._writers.leave()

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Transaction]:
        yield self._singles

    def jobs(self) -> SqliteJobs:
        """The embedded queue, which takes over the jobs of an earlier process."""
        return SqliteJobs(self._single_statements)

    def lexical(self) -> SqliteLexicalIndex | PostgresLexicalIndex:
        """The LexicalIndex port; it is closed with the transactions."""
        if self._lexical is None:
            self._lexical = (
                PostgresLexicalIndex(self._single_statements)
                if self._sqlite is None
                else SqliteLexicalIndex(self._sqlite)
            )
        return self._lexical

    async def now(self) -> datetime:
        """The SharedClock port. With SQLite there is one machine, and its clock."""
        if self.database.dialect == "sqlite":
            return datetime.now(UTC)
        rows = await self._single_statements.rows(_NOW, {})
        now: datetime = rows[0][0]
        return now

    async def ping(self) -> None:
        await self._single_statements.rows(_PING, {})

    async def aclose(self) -> None:
        await asyncio.gather(*self._ending, return_exceptions=True)
        if self._lexical is not None:
            await self._lexical.aclose()
        await self.database.aclose()


def single_statements(database: Database, writers: Gate, patience: float) -> SingleStatements:
    writes = Lane(database.writer, writers)
    shared = database.reader is database.writer
    reads = writes if shared else Lane(database.reader, Gate(database.readers, patience))
    return SingleStatements(reads, writes, database.run)


def _vectors_in(kind: VectorKind) -> VectorStatements:
    return EMBEDDED_VECTORS if kind == "embedded" else VectorStatements.of(table_of(kind))
