"""The conversation with the database: transactions, and repositories that ask with the owner in every query.

Every read with `owner` checks the caller's account in the same statement: `Unauthenticated` (`account_gone`) when the
account was deleted, `NotFound` when the object is missing or somebody else's. A write for a deleted account raises
`Unauthenticated` too. A database that can't be reached raises `Unavailable` (`database_unavailable`).
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from application.paging import Window
from application.ports.conversations import Conversations
from application.ports.files import Files, Readings
from application.ports.knowledge import Chunks, KnowledgeBases, KnowledgeFiles
from application.ports.memories import Memories
from application.ports.own_models import OwnModels, SealedTexts
from application.ports.pauses import Pauses
from application.ports.runs import Runs
from application.ports.summaries import Summaries
from application.ports.tools import McpServers, Tools
from application.ports.usage import UsageLedger
from domain.accounts.users import ApiKey, FailedLogins, RefreshToken, User, UserName
from domain.agents.agents import Agent, AgentVersion
from domain.dialogs.dialogs import Dialog
from domain.dialogs.messages import Feedback, Message
from domain.dialogs.past import Past
from domain.ids import AgentId, ApiKeyId, DialogId, FamilyId, KnowledgeId, MessageId, UserId
from domain.models.own_models import OwnModel


class Users(Protocol):
    async def add(self, user: User) -> None:
        """Raises Conflict `user_name_taken` when the name's key exists."""
        ...

    async def get(self, user_id: UserId) -> User:
        """Raises NotFound."""
        ...

    async def caller(self, user_id: UserId) -> User:
        """The caller's own account. Raises Unauthenticated `account_gone`."""
        ...

    async def locked(self, user_id: UserId) -> User:
        """As `caller`, and to the end of the transaction nobody else begins, renews or ends a login of the account."""
        ...

    async def by_name(self, name: UserName) -> User | None: ...

    async def save_profile(self, user: User) -> None:
        """Replace e-mail address, avatar, description and `updated_at`, and nothing else. Raises NotFound."""
        ...

    async def set_password(self, user_id: UserId, new_hash: str, expected_hash: str) -> bool:
        """Replace the hash, and lock as `locked` does. False, and nothing changed, when it is not the expected one.

        Raises Unauthenticated `account_gone`.
        """
        ...

    async def remove(self, user_id: UserId) -> Sequence[KnowledgeId]:
        """Remove the user and all that is theirs. Atomic alone. Raises NotFound.

        Of their knowledge bases nobody finds anything any more; these are left, to be taken away in portions.
        """
        ...


class RefreshTokens(Protocol):
    async def add(self, token: RefreshToken) -> None: ...

    async def spend(self, token_hash: str, now: datetime) -> RefreshToken | None:
        """Mark the token as spent and give it as it was before; None when there is none.

        Atomic: of two callers at once exactly one sees `spent_at` None. Locks the owner as `Users.locked` does.
        """
        ...

    async def is_live(self, family_id: FamilyId, now: datetime, *, owner: UserId) -> bool:
        """Whether the login goes on: one of its tokens is neither spent nor expired."""
        ...

    async def remove_family(self, family_id: FamilyId) -> None: ...

    async def remove_all(self, user_id: UserId, *, but: FamilyId | None = None) -> None: ...

    async def remove_expired(self, now: datetime) -> None: ...


class ApiKeys(Protocol):
    async def add(self, key: ApiKey) -> None: ...

    async def owner_of(self, key_hash: str, now: datetime) -> User | None:
        """The user of a key that exists and has not expired, in one statement."""
        ...

    async def list(self, window: Window, *, owner: UserId) -> Sequence[ApiKey]:
        """Newest first."""
        ...

    async def get(self, api_key_id: ApiKeyId, *, owner: UserId) -> ApiKey: ...

    async def remove(self, api_key_id: ApiKeyId, *, owner: UserId) -> None: ...


class LoginFailures(Protocol):
    async def among(self, keys: Sequence[str]) -> Sequence[FailedLogins]: ...

    async def record(self, failure: FailedLogins) -> None:
        """Insert or replace the count under the failure's key."""
        ...

    async def remove_before(self, moment: datetime) -> None: ...


class Agents(Protocol):
    async def add(self, agent: Agent) -> None:
        """Raises Conflict `agent_name_taken` when the owner has an agent of that name."""
        ...

    async def get(self, agent_id: AgentId, *, owner: UserId) -> Agent:
        """The owner's agent, or a built-in one."""
        ...

    async def list(self, window: Window, *, owner: UserId, name_part: str | None = None) -> Sequence[Agent]:
        """The owner's agents and the built-in ones, newest first, in one statement.

        `name_part` is a `search_key`: a literal substring of the agent's `name_key`.
        """
        ...

    async def named(self, name_key: str, *, owner: UserId) -> Sequence[Agent]:
        """Those whose name has this `search_key`: the owner's, and built-in ones. In one statement."""
        ...

    async def save(self, agent: Agent) -> None:
        """Replace it if the stored version is one less. Raises Conflict `agent_version_stale`, `agent_name_taken`."""
        ...

    async def remove(self, agent: Agent) -> None:
        """Its dialogs stay, with its name and logo as they were."""
        ...


class AgentVersions(Protocol):
    """What agents were: `Agents.add`, `Agents.save` and every removal of a link keep the version that they make.

    The newest KEPT_VERSIONS of an agent are there. They go with their agent."""

    async def list(self, agent_id: AgentId, before: int, limit: int, *, owner: UserId) -> Sequence[AgentVersion]:
        """Those below `before`, newest first, in one statement. Raises NotFound `agent_not_found`."""
        ...

    async def get(self, agent_id: AgentId, version: int, *, owner: UserId) -> Agent:
        """As it was then, in one statement. Raises NotFound `agent_not_found`, `agent_version_not_found`."""
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """What a chat begins from. `dialog` is None when the caller has none of that id yet.

    `agent` is the one asked for, else the dialog's, else the default one; None when it was asked for and is not to
    be found, or when the dialog's agent was deleted. `open_runs` counts the caller's, at all processes, but
    for `waiting_runs`, which wait for a person. `model` is the agent's, if it is one of the caller's own.
    """

    dialog: Dialog | None
    agent: Agent | None
    open_runs: int = 0
    waiting_runs: int = 0
    model: OwnModel | None = None


class Dialogs(Protocol):
    async def add(self, dialog: Dialog) -> None:
        """Raises Conflict `dialog_exists`."""
        ...

    async def get(self, dialog_id: DialogId, *, owner: UserId) -> Dialog: ...

    async def list(self, window: Window, *, owner: UserId) -> Sequence[Dialog]:
        """Newest first by creation, in one statement."""
        ...

    async def scene(self, dialog_id: DialogId, agent_id: AgentId | None, *, owner: UserId) -> Scene:
        """Account, dialog, agent, its model and the number of open runs in one statement."""
        ...

    async def save(self, dialog: Dialog) -> None: ...

    async def remove(self, dialog_id: DialogId, *, owner: UserId) -> None:
        """With its messages and its runs. Raises NotFound."""
        ...


class Messages(Protocol):
    async def history(self, dialog_id: DialogId, window: Window, *, owner: UserId) -> Sequence[Message]:
        """Oldest first, each question directly before its answer, in one statement. Raises NotFound for no dialog."""
        ...

    async def past(self, dialog_id: DialogId, limit: int, most_bytes: int, *, owner: UserId) -> Past:
        """The last `limit` closed exchanges at most, and the summary of what was before them, in one statement.

        The newest one always, and as many before it as have `most_bytes` in all. Their tool rounds are left out where
        these have more.
        """
        ...

    async def get(self, message_id: MessageId, *, owner: UserId) -> Message: ...

    async def rate(self, message_id: MessageId, feedback: Feedback | None, *, owner: UserId) -> None:
        """Raises NotFound."""
        ...


class Transaction(Protocol):
    users: Users
    refresh_tokens: RefreshTokens
    api_keys: ApiKeys
    login_failures: LoginFailures
    agents: Agents
    agent_versions: AgentVersions
    dialogs: Dialogs
    conversations: Conversations
    messages: Messages
    runs: Runs
    pauses: Pauses
    summaries: Summaries
    memories: Memories
    files: Files
    readings: Readings
    knowledge: KnowledgeBases
    knowledge_files: KnowledgeFiles
    chunks: Chunks
    tools: Tools
    mcp_servers: McpServers
    models: OwnModels
    sealed: SealedTexts
    ledger: UsageLedger


class Transactions(Protocol):
    """Short units of work. None is open while a model, a tool or a parser works."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """Commits on a clean exit, rolls back on an exception."""
        ...

    def autocommit(self) -> AbstractAsyncContextManager[Transaction]:
        """Every call is a transaction of its own: for reads, and for writes that say that they are atomic alone."""
        ...

    async def ping(self) -> None:
        """One round trip. Raises Unavailable."""
        ...
