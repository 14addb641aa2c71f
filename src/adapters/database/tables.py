"""The tables. Deleting a row of `users` takes everything of the user along, but files: their contents go first."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from adapters.database.columns import Moment

metadata = MetaData()

users = Table(
    "users",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("email", Text),
    Column("avatar", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    PrimaryKeyConstraint("user_id", name="users_pk"),
    UniqueConstraint("name_key", name="users_name"),
)


def owner_column(table: str, *, nullable: bool = False) -> Column[str]:
    account = ForeignKey("users.user_id", name=f"{table}_user", ondelete="CASCADE")
    return Column("user_id", Text, account, nullable=nullable)


refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("token_hash", Text, nullable=False),
    Column("family_id", Text, nullable=False),
    owner_column("refresh_tokens"),
    Column("expires_at", Moment, nullable=False),
    Column("spent_at", Moment),
    PrimaryKeyConstraint("token_hash", name="refresh_tokens_pk"),
    Index("refresh_tokens_by_family", "family_id"),
    Index("refresh_tokens_by_user", "user_id"),
    Index("refresh_tokens_by_expiry", "expires_at"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("api_key_id", Text, nullable=False),
    owner_column("api_keys"),
    Column("name", Text, nullable=False),
    Column("key_hash", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    PrimaryKeyConstraint("api_key_id", name="api_keys_pk"),
    UniqueConstraint("key_hash", name="api_keys_hash"),
    Index("api_keys_by_user", "user_id", "created_at", "api_key_id"),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("key", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("last_at", Moment, nullable=False),
    PrimaryKeyConstraint("key", name="login_failures_pk"),
    Index("login_failures_by_time", "last_at"),
)

agents = Table(
    "agents",
    metadata,
    Column("agent_id", Text, nullable=False),
    owner_column("agents", nullable=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("description", Text, nullable=False),
    Column("logo_url", Text, nullable=False),
    Column("system_prompt", Text, nullable=False),
    Column("llm_id", Text),
    Column("tool_ids", Text, nullable=False),
    Column("mcp_ids", Text, nullable=False),
    Column("knowledge_ids", Text, nullable=False),
    Column("enable_memory", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("require_approval", Text, nullable=False, server_default=text("'[]'")),
    PrimaryKeyConstraint("agent_id", name="agents_pk"),
    UniqueConstraint("user_id", "name_key", name="agents_name"),
    Index("agents_by_user", "user_id", "created_at", "agent_id"),
)

# agent_id refers to nothing: a dialog outlives its agent and then shows the name and logo kept here.
dialogs = Table(
    "dialogs",
    metadata,
    Column("dialog_id", Text, nullable=False),
    owner_column("dialogs"),
    Column("name", Text, nullable=False),
    Column("agent_id", Text, nullable=False),
    Column("agent_name", Text, nullable=False),
    Column("logo_url", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    PrimaryKeyConstraint("user_id", "dialog_id", name="dialogs_pk"),
    Index("dialogs_by_user", "user_id", "created_at", "dialog_id"),
    Index("dialogs_by_agent", "user_id", "agent_id"),
)

# agent_id and agent_version say who answered, and refer to nothing either.
# `position` orders a dialog by itself, whatever the clocks of several machines say: 2n asks, 2n + 1 answers.
messages = Table(
    "messages",
    metadata,
    Column("message_id", Text, nullable=False),
    owner_column("messages"),
    Column("dialog_id", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("content", Text, nullable=False),
    Column("feedback", Text),
    Column("status", Text),
    Column("run_id", Text),
    Column("model", Text),
    Column("input_tokens", Integer),
    Column("output_tokens", Integer),
    Column("cached_tokens", Integer),
    Column("estimated", Boolean),
    Column("steps", Text),
    Column("rounds", Text),
    Column("citations", Text),
    Column("finish_reason", Text),
    Column("failure", Text),
    Column("closed_at", Moment),
    Column("attachments", Text),
    Column("agent_id", Text),
    Column("agent_version", Integer),
    PrimaryKeyConstraint("message_id", name="messages_pk"),
    ForeignKeyConstraint(
        ["user_id", "dialog_id"],
        ["dialogs.user_id", "dialogs.dialog_id"],
        name="messages_dialog",
        ondelete="CASCADE",
    ),
    UniqueConstraint("user_id", "dialog_id", "position", name="messages_order"),
)


def partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


# `pause` is what a run that waits for a person needs to go on, `pauses` how often it did.
# `has_log` until `remove_logs` took the log away: so it finds what is left to do without reading every old run.
runs = Table(
    "runs",
    metadata,
    Column("run_id", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("dialog_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("lease_until", Moment, nullable=False),
    Column("idempotency_key", Text),
    Column("request_digest", Text),
    Column("stop_requested", Boolean, nullable=False),
    Column("followed_until", Moment),
    Column("closed_at", Moment),
    Column("has_log", Boolean, nullable=False),
    Column("pause", LargeBinary),
    Column("pauses", Integer, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("run_id", name="runs_pk"),
    ForeignKeyConstraint(
        ["user_id", "dialog_id"],
        ["dialogs.user_id", "dialogs.dialog_id"],
        name="runs_dialog",
        ondelete="CASCADE",
    ),
    Index("runs_by_dialog", "user_id", "dialog_id"),
    partial_index("runs_open", "user_id", "dialog_id", where="closed_at IS NULL", unique=True),
    partial_index("runs_key", "user_id", "idempotency_key", where="idempotency_key IS NOT NULL", unique=True),
    partial_index("runs_leases", "lease_until", where="closed_at IS NULL"),
    partial_index("runs_closed", "closed_at", where="closed_at IS NOT NULL"),
    partial_index("runs_logs", "closed_at", where="closed_at IS NOT NULL AND has_log"),
)

run_log = Table(
    "run_log",
    metadata,
    Column("run_id", Text, ForeignKey("runs.run_id", name="run_log_run", ondelete="CASCADE"), nullable=False),
    Column("first_seq", Integer, nullable=False),
    Column("last_seq", Integer, nullable=False),
    Column("data", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "first_seq", name="run_log_pk"),
    sqlite_with_rowid=False,
)

GONE_WITH_CONTENT = "has_content AND (user_id IS NULL OR removed_at IS NOT NULL)"
WITHOUT_CONTENT = "NOT has_content"

# A deleted account leaves its rows behind, without their owner: so the upkeep knows which contents are to be removed.
files = Table(
    "files",
    metadata,
    Column("file_id", Text, nullable=False),
    Column("user_id", Text, ForeignKey("users.user_id", name="files_user", ondelete="SET NULL")),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("removed_at", Moment),
    Column("has_content", Boolean, nullable=False),
    PrimaryKeyConstraint("file_id", name="files_pk"),
    Index("files_by_user", "user_id", "created_at", "file_id"),
    partial_index("files_sizes", "user_id", "size", where="removed_at IS NULL"),
    partial_index("files_by_content", "sha256", where="user_id IS NOT NULL AND removed_at IS NULL"),
    partial_index("files_gone", "file_id", where=GONE_WITH_CONTENT),
    partial_index("files_emptied", "created_at", where=WITHOUT_CONTENT),
)

# They belong to contents, not to files: what two people uploaded is read once.
readings = Table(
    "readings",
    metadata,
    Column("sha256", Text, nullable=False),
    Column("parser", Text, nullable=False),
    Column("outcome", LargeBinary, nullable=False),
    PrimaryKeyConstraint("sha256", "parser", name="readings_pk"),
)
