"""The object graph: settings in, use cases out. All but the caller of a request lives as long as the process."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from dishka import AsyncContainer, Provider, Scope, from_context, make_async_container, provide, provide_all
from dishka.integrations.litestar import LitestarProvider

from adapters.database.runs.signals import LocalSignals, PostgresSignals
from adapters.database.transactions import DatabaseTransactions
from adapters.security import Argon2Hasher, JwtIssuer, RandomTokens, SystemClock, read_or_make_secret_keys
from adapters.web.client import WebClient
from application import health
from application.accounts import api_keys, passwords, sessions, users
from application.accounts.password_check import CheckPassword
from application.agents import agents
from application.dialogs import dialogs
from application.jobs.backlog import JobsHealth, LookAtBacklog
from application.models.models import ModelCatalogue
from application.ports.clock import Clock, SharedClock
from application.ports.document_parser import DocumentParser
from application.ports.embedder import Embedders
from application.ports.file_storage import FileStorage
from application.ports.guarded_web import GuardedWeb
from application.ports.knowledge import VectorIndex
from application.ports.persistence import Transactions
from application.ports.run_signals import RunSignals
from application.ports.security import OpaqueTokens, PasswordHasher, TokenIssuer
from application.runs.run_registry import RunRegistry
from application.tools.builtin_tools import builtin_tools
from application.tools.tools import BuiltInTools
from application.tools.web_tools import web_tools
from entrypoints.graph.agent_files import AgentFiles
from entrypoints.graph.asides import Asides
from entrypoints.graph.chat import Chat, Tools
from entrypoints.graph.compatible import Compatible
from entrypoints.graph.documents import Documents
from entrypoints.graph.embedding import Embedding, EmbeddingHealth
from entrypoints.graph.files import Files, StorageHealth
from entrypoints.graph.jobs import Jobs
from entrypoints.graph.knowledge import Knowledge, VectorHealth
from entrypoints.graph.memory import Memory
from entrypoints.graph.metrics import Numbers
from entrypoints.graph.models import Models
from entrypoints.graph.models_asked import ModelsAsked
from entrypoints.graph.shared_agents import SharedAgents
from entrypoints.graph.tools import ToolsAndServers
from entrypoints.graph.usage import Usage
from entrypoints.graph.web import GuardedAccess, Searching
from entrypoints.http.auth import CallerProvider
from entrypoints.http.http_config import HttpConfig
from entrypoints.http.http_statistics import HttpStatistics
from entrypoints.metrics.workers import WorkerPlace
from entrypoints.settings.loading import Settings

SMALLEST_BODY_LIMIT: Final = 2_000_000
ESCAPED_BYTES: Final = 12
"""Of a character that JSON writes as two escapes, such as an emoji."""
BESIDE_INPUT: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    transactions: Transactions
    name: str = "database"

    async def check(self) -> None:
        await self.transactions.ping()


class Adapters(Provider):
    """What talks to the outside."""

    scope = Scope.APP
    settings = from_context(Settings)
    tokens = provide(RandomTokens, provides=OpaqueTokens)
    clock = provide(SystemClock, provides=Clock)

    @provide
    async def database(self, settings: Settings) -> AsyncIterator[DatabaseTransactions]:
        transactions = DatabaseTransactions.open(
            settings.database_url.reveal(), pool_size=settings.pool_size, vectors=settings.vector.kind or "embedded"
        )
        yield transactions
        await transactions.aclose()

    @provide
    def transactions(self, database: DatabaseTransactions) -> Transactions:
        return database

    @provide
    def shared_clock(self, database: DatabaseTransactions) -> SharedClock:
        return database

    @provide
    def signals(self, settings: Settings, registry: RunRegistry) -> RunSignals:
        signals: RunSignals = LocalSignals() if settings.embedded else PostgresSignals(settings.database_url.reveal())
        signals.on_stop(registry.stop)
        return signals

    @provide
    def hasher(self) -> PasswordHasher:
        return Argon2Hasher()

    @provide
    def issuer(self, settings: Settings) -> TokenIssuer:
        lifetime = timedelta(minutes=settings.access_token_minutes)
        return JwtIssuer(secrets_of(settings), lifetime=lifetime)

    @provide
    async def web(self) -> AsyncIterator[WebClient]:
        client = WebClient()
        yield client
        await client.aclose()

    @provide
    def tools(
        self, clock: Clock, web: GuardedWeb, parser: DocumentParser, searching: Searching, settings: Settings
    ) -> Tools:
        readers = (settings.documents.workers + 1) // 2
        known = (*builtin_tools(clock), *web_tools(web, parser, searching.engine, readers=readers))
        return {tool.spec.tool_id: tool for tool in known}


class Accounts(Provider):
    """Users, logins and API keys."""

    scope = Scope.APP
    use_cases = provide_all(
        api_keys.CreateApiKey,
        api_keys.DeleteApiKey,
        api_keys.ListApiKeys,
        api_keys.ShowApiKey,
        passwords.ConfirmPassword,
        sessions.Authenticate,
        sessions.LogIn,
        sessions.LogOut,
        sessions.RefreshSession,
        users.CreateAdmin,
        users.DeleteUser,
        users.ShowUser,
        users.UpdateUser,
    )

    @provide
    def check_password(self, transactions: Transactions, hasher: PasswordHasher, clock: Clock) -> CheckPassword:
        return CheckPassword(transactions, hasher, clock)

    @provide
    def register(
        self, transactions: Transactions, hasher: PasswordHasher, clock: Clock, settings: Settings
    ) -> users.RegisterUser:
        return users.RegisterUser(transactions, hasher, clock, settings.password_min_length)

    @provide
    def change_password(
        self,
        transactions: Transactions,
        confirm: passwords.ConfirmPassword,
        hasher: PasswordHasher,
        settings: Settings,
    ) -> passwords.ChangePassword:
        return passwords.ChangePassword(transactions, confirm, hasher, settings.password_min_length)

    @provide
    def issue_tokens(self, issuer: TokenIssuer, tokens: OpaqueTokens, settings: Settings) -> sessions.IssueTokens:
        return sessions.IssueTokens(issuer, tokens, timedelta(days=settings.refresh_token_days))


class AgentsAndDialogs(Provider):
    """Agents, dialogs and history."""

    scope = Scope.APP
    use_cases = provide_all(
        agents.ChangeAgent,
        agents.CreateAgent,
        agents.DeleteAgent,
        agents.ListAgents,
        agents.SearchAgents,
        agents.ShowAgent,
        dialogs.CreateDialog,
        dialogs.DeleteDialog,
        dialogs.ListDialogs,
        dialogs.RateMessage,
        dialogs.RenameDialog,
        dialogs.ShowDialog,
        dialogs.ShowHistory,
        dialogs.ShowMessage,
    )

    @provide
    def links(self, catalogue: ModelCatalogue, built_in: BuiltInTools) -> agents.AgentLinks:
        return agents.AgentLinks(catalogue, built_in.tools.keys())


class Web(Provider):
    """What the HTTP layer needs beside use cases."""

    scope = Scope.APP

    @provide
    def http_config(self, settings: Settings) -> HttpConfig:
        return http_config(settings)

    @provide
    def health(
        self,
        transactions: Transactions,
        storage: FileStorage,
        vectors: VectorIndex,
        embedders: Embedders,
        backlog: LookAtBacklog,
    ) -> health.CheckHealth:
        needed = (DatabaseHealth(transactions), StorageHealth(storage), VectorHealth(vectors))
        return health.CheckHealth(needed, dispensable=(EmbeddingHealth(embedders), JobsHealth(backlog)))


def http_config(settings: Settings) -> HttpConfig:
    return HttpConfig(
        version("agentchat"),
        settings.cors_origins,
        max_body_bytes=max(SMALLEST_BODY_LIMIT, settings.max_input_chars * ESCAPED_BYTES + BESIDE_INPUT),
        public_url=settings.public_url,
        heartbeat_seconds=settings.heartbeat_seconds,
        metrics_networks=settings.metrics_networks,
    )


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """The configured keys, else those that the embedded mode keeps in its data folder."""
    if settings.secret_keys:
        return tuple(key.reveal() for key in settings.secret_keys)
    return read_or_make_secret_keys(settings.data_dir)


def make_container(
    settings: Settings,
    statistics: HttpStatistics | None = None,
    place: WorkerPlace | None = None,
    instead: Sequence[Provider] = (),
) -> AsyncContainer:
    """What `instead` provides takes the place of what is provided here."""
    return make_async_container(
        Adapters(),
        Accounts(),
        AgentsAndDialogs(),
        AgentFiles(),
        Chat(),
        Compatible(),
        ModelsAsked(),
        Asides(),
        Files(secrets_of),
        Documents(),
        Embedding(),
        Jobs(),
        Knowledge(),
        Memory(),
        GuardedAccess(),
        Models(),
        ToolsAndServers(secrets_of),
        SharedAgents(),
        Usage(),
        Web(),
        Numbers(),
        CallerProvider(),
        LitestarProvider(),
        *instead,
        context={
            Settings: settings,
            HttpStatistics: statistics or HttpStatistics(),
            WorkerPlace: place or WorkerPlace(),
        },
    )
