"""What agents remember about users, and which dialogs taught it."""

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from adapters.database.columns import Moment
from adapters.database.tables import metadata, owner_column


def _agent_column(table: str) -> Column[str]:
    agent = ForeignKey("agents.agent_id", name=f"{table}_agent", ondelete="CASCADE")
    return Column("agent_id", Text, agent, nullable=False)


def _dialog(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["user_id", "dialog_id"], ["dialogs.user_id", "dialogs.dialog_id"], name=f"{table}_dialog", ondelete="CASCADE"
    )


memories = Table(
    "memories",
    metadata,
    Column("memory_id", Text, nullable=False),
    owner_column("memories"),
    _agent_column("memories"),
    Column("content", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("useful_at", Moment, nullable=False),
    Column("vector_model", Text),
    Column("vector", LargeBinary),
    PrimaryKeyConstraint("memory_id", name="memories_pk"),
    Index("memories_by_user", "user_id", "created_at", "memory_id"),
    Index("memories_by_agent", "agent_id", "user_id"),
)

# A trigger takes a memory away with the last of its sources: so whatever deletes a dialog deletes what only it taught.
memory_sources = Table(
    "memory_sources",
    metadata,
    Column(
        "memory_id",
        Text,
        ForeignKey("memories.memory_id", name="memory_sources_memory", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("user_id", Text, nullable=False),
    Column("dialog_id", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("taught_at", Moment, nullable=False),
    PrimaryKeyConstraint("memory_id", "dialog_id", name="memory_sources_pk"),
    _dialog("memory_sources"),
    Index("memory_sources_by_dialog", "user_id", "dialog_id"),
)

# `version` changes with every change of the memories; what was asked until `forgotten_at` teaches nothing.
memory_states = Table(
    "memory_states",
    metadata,
    owner_column("memory_states"),
    _agent_column("memory_states"),
    Column("version", Integer, nullable=False),
    Column("forgotten_at", Moment),
    PrimaryKeyConstraint("user_id", "agent_id", name="memory_states_pk"),
    Index("memory_states_by_agent", "agent_id"),
)

# What the user deleted, by fingerprint: what they said of it until `forgotten_at` doesn't bring it back.
forgotten_memories = Table(
    "forgotten_memories",
    metadata,
    owner_column("forgotten_memories"),
    _agent_column("forgotten_memories"),
    Column("fingerprint", Text, nullable=False),
    Column("forgotten_at", Moment, nullable=False),
    PrimaryKeyConstraint("user_id", "agent_id", "fingerprint", name="forgotten_memories_pk"),
    Index("forgotten_memories_by_agent", "agent_id"),
)

# Up to position `learnt` a dialog has taught what it can; `failures` in a row since then.
memory_cursors = Table(
    "memory_cursors",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("dialog_id", Text, nullable=False),
    Column("learnt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    PrimaryKeyConstraint("user_id", "dialog_id", name="memory_cursors_pk"),
    _dialog("memory_cursors"),
)
