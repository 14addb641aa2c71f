"""The object graph: settings in, use cases out. All but the caller of a request lives as long as the process."""

import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from dishka import AsyncContainer, Provider, Scope, from_context, make_async_container, provide, provide_all
from dishka.integrations.litestar import LitestarProvider

from adapters.database.transactions import DatabaseTransactions
from adapters.security import Argon2Hasher, JwtIssuer, RandomTokens, SystemClock, read_or_make_secret_keys
from adapters.web.client import WebClient
from application import agents, api_keys, dialogs, health, models, passwords, run_control, sessions, users
from application.agent_loop import AgentLoop
from application.builtin_tools import builtin_tools
from application.chat import ChatLimits, KeepAnswer, StartChat
from application.password_check import CheckPassword
from application.ports.chat_model import ChatModels
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.ports.security import OpaqueTokens, PasswordHasher, TokenIssuer
from application.ports.tool_runner import ToolRunner
from application.run_registry import KeepRunsAlive, RunRegistry
from domain.errors import DomainError
from domain.ids import ModelId, RunId, ToolId
from entrypoints.chat_models import ConfiguredModels
from entrypoints.http.auth import CallerProvider
from entrypoints.http.http_config import HttpConfig
from entrypoints.settings import Settings, model_specs

log = logging.getLogger("agentchat.runs")

SMALLEST_BODY_LIMIT: Final = 2_000_000
ESCAPED_BYTES: Final = 12
"""Of a character that JSON writes as two escapes, such as an emoji."""
BESIDE_INPUT: Final = 64 * 1024

Tools = Mapping[ToolId, ToolRunner]


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
    async def transactions(self, settings: Settings) -> AsyncIterator[Transactions]:
        transactions = DatabaseTransactions.open(settings.database_url.reveal(), pool_size=settings.pool_size)
        yield transactions
        await transactions.aclose()

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
    def chat_models(self, settings: Settings, http: WebClient) -> ChatModels:
        return ConfiguredModels(settings, http)

    @provide
    def tools(self, clock: Clock) -> Tools:
        return {tool.spec.tool_id: tool for tool in builtin_tools(clock)}


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
    """Agents, dialogs, history and models."""

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
        models.ListModels,
        models.ListOwnModels,
        models.SearchModels,
        models.ShowModel,
    )

    @provide
    def catalogue(self, settings: Settings) -> models.ModelCatalogue:
        return models.ModelCatalogue.of(model_specs(settings), ModelId(settings.default_model))

    @provide
    def links(self, catalogue: models.ModelCatalogue, tools: Tools) -> agents.AgentLinks:
        return agents.AgentLinks(catalogue, tools.keys())


class Chat(Provider):
    """The main job."""

    scope = Scope.APP
    use_cases = provide_all(run_control.FindRun, run_control.StopRun)

    @provide
    def registry(self, settings: Settings) -> RunRegistry:
        return RunRegistry(settings.max_concurrent_runs, settings.max_runs_per_user, settings.lease_seconds)

    @provide
    def alive(self, registry: RunRegistry, transactions: Transactions, clock: Clock) -> KeepRunsAlive:
        return KeepRunsAlive(registry, transactions, clock, on_trouble=_lease_trouble)

    @provide
    def keep(self, transactions: Transactions, clock: Clock) -> KeepAnswer:
        return KeepAnswer(transactions, clock, on_trouble=_store_trouble)

    @provide
    def start(
        self,
        transactions: Transactions,
        clock: Clock,
        catalogue: models.ModelCatalogue,
        providers: ChatModels,
        tools: Tools,
        registry: RunRegistry,
        keep: KeepAnswer,
        settings: Settings,
    ) -> StartChat:
        return StartChat(
            transactions,
            clock,
            catalogue,
            providers,
            tools,
            AgentLoop(settings.max_agent_turns, settings.tool_timeout_seconds),
            registry,
            keep,
            ChatLimits(settings.max_input_chars, settings.max_run_seconds, settings.disconnect_grace_seconds),
            on_crash=_crashed,
        )

    @provide
    def http_config(self, settings: Settings) -> HttpConfig:
        return http_config(settings)

    @provide
    def health(self, transactions: Transactions) -> health.CheckHealth:
        return health.CheckHealth((DatabaseHealth(transactions),))


def http_config(settings: Settings) -> HttpConfig:
    return HttpConfig(
        version("agentchat"),
        settings.cors_origins,
        max_body_bytes=max(SMALLEST_BODY_LIMIT, settings.max_input_chars * ESCAPED_BYTES + BESIDE_INPUT),
        public_url=settings.public_url,
        heartbeat_seconds=settings.heartbeat_seconds,
    )


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """The configured keys, else those that the embedded mode keeps in its data folder."""
    if settings.secret_keys:
        return tuple(key.reveal() for key in settings.secret_keys)
    return read_or_make_secret_keys(settings.data_dir)


def make_container(settings: Settings) -> AsyncContainer:
    return make_async_container(
        Adapters(),
        Accounts(),
        AgentsAndDialogs(),
        Chat(),
        CallerProvider(),
        LitestarProvider(),
        context={Settings: settings},
    )


def _crashed(run_id: RunId, error: BaseException) -> None:
    log.error("run_crashed", extra={"run_id": run_id}, exc_info=error)


def _store_trouble(run_id: RunId, trouble: DomainError) -> None:
    log.warning("answer_not_stored_yet", extra={"run_id": run_id, "code": trouble.code})


def _lease_trouble(trouble: Exception) -> None:
    log.warning("leases_not_renewed", exc_info=None if isinstance(trouble, DomainError) else trouble)
