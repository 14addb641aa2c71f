"""Users, their tokens and keys, agents with the built-in one, dialogs and messages."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_DEFAULT_AGENT = {
    "agent_id": "default",
    "user_id": None,
    "name": "Assistant",
    "name_key": "assistant",
    "created_at": datetime(2026, 1, 1, tzinfo=UTC),
    "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
    "description": "A general assistant that can tell the time and calculate.",
    "logo_url": "",
    "system_prompt": (
        "You are a helpful, honest assistant. Answer in the language of the user's last message, clearly and to the "
        "point. Say so when you don't know something. Use the tools for the present time and for calculations instead "
        "of guessing."
    ),
    "llm_id": None,
    "tool_ids": '["current_time","calculator"]',
    "mcp_ids": "[]",
    "knowledge_ids": "[]",
    "enable_memory": False,
    "version": 1,
}


def upgrade() -> None:
    _create_users()
    _create_refresh_tokens()
    _create_api_keys()
    _create_login_failures()
    _create_agents()
    _create_dialogs()
    _create_messages()
    op.bulk_insert(sa.table("agents", *(sa.column(name, _type_of(name)) for name in _DEFAULT_AGENT)), [_DEFAULT_AGENT])


def downgrade() -> None:
    for table in ("messages", "dialogs", "agents", "login_failures", "api_keys", "refresh_tokens", "users"):
        op.drop_table(table)


def _type_of(column: str) -> sa.types.TypeEngine[Any]:
    types: dict[str, sa.types.TypeEngine[Any]] = {
        "created_at": Moment(),
        "updated_at": Moment(),
        "enable_memory": sa.Boolean(),
        "version": sa.Integer(),
    }
    return types.get(column, sa.Text())


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("avatar", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="users_pk"),
        sa.UniqueConstraint("name_key", name="users_name"),
    )


def _create_refresh_tokens() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("family_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("spent_at", Moment()),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="refresh_tokens_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("token_hash", name="refresh_tokens_pk"),
    )
    op.create_index("refresh_tokens_by_expiry", "refresh_tokens", ["expires_at"])
    op.create_index("refresh_tokens_by_family", "refresh_tokens", ["family_id"])
    op.create_index("refresh_tokens_by_user", "refresh_tokens", ["user_id"])


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("api_key_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment()),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="api_keys_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("api_key_id", name="api_keys_pk"),
        sa.UniqueConstraint("key_hash", name="api_keys_hash"),
    )
    op.create_index("api_keys_by_user", "api_keys", ["user_id", "created_at", "api_key_id"])


def _create_login_failures() -> None:
    op.create_table(
        "login_failures",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="login_failures_pk"),
    )
    op.create_index("login_failures_by_time", "login_failures", ["last_at"])


def _create_agents() -> None:
    op.create_table(
        "agents",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("logo_url", sa.Text(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("llm_id", sa.Text()),
        sa.Column("tool_ids", sa.Text(), nullable=False),
        sa.Column("mcp_ids", sa.Text(), nullable=False),
        sa.Column("knowledge_ids", sa.Text(), nullable=False),
        sa.Column("enable_memory", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="agents_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("agent_id", name="agents_pk"),
        sa.UniqueConstraint("user_id", "name_key", name="agents_name"),
    )
    op.create_index("agents_by_user", "agents", ["user_id", "created_at", "agent_id"])


def _create_dialogs() -> None:
    op.create_table(
        "dialogs",
        sa.Column("dialog_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("agent_name", sa.Text(), nullable=False),
        sa.Column("logo_url", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="dialogs_user", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "dialog_id", name="dialogs_pk"),
    )
    op.create_index("dialogs_by_agent", "dialogs", ["user_id", "agent_id"])
    op.create_index("dialogs_by_user", "dialogs", ["user_id", "created_at", "dialog_id"])


def _create_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("dialog_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("feedback", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("run_id", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("cached_tokens", sa.Integer()),
        sa.Column("estimated", sa.Boolean()),
        sa.Column("steps", sa.Text()),
        sa.Column("rounds", sa.Text()),
        sa.Column("citations", sa.Text()),
        sa.Column("finish_reason", sa.Text()),
        sa.Column("failure", sa.Text()),
        sa.Column("closed_at", Moment()),
        sa.Column("lease_until", Moment()),
        # Before the dialog's: Postgres checks in this order, and a deleted account is to be named first.
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="messages_user", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["user_id", "dialog_id"],
            ["dialogs.user_id", "dialogs.dialog_id"],
            name="messages_dialog",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", name="messages_pk"),
        sa.UniqueConstraint("user_id", "dialog_id", "position", name="messages_order"),
    )
    op.create_index(
        "messages_leases",
        "messages",
        ["lease_until"],
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
    op.create_index(
        "messages_open",
        "messages",
        ["user_id", "dialog_id"],
        unique=True,
        sqlite_where=sa.text("status = 'running'"),
        postgresql_where=sa.text("status = 'running'"),
    )
