"""What agents remember about users."""

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_UNTAUGHT = (
    "DELETE FROM memories WHERE memory_id = OLD.memory_id "
    "AND NOT EXISTS (SELECT 1 FROM memory_sources WHERE memory_id = OLD.memory_id);"
)
# The lock first: another dialog may be teaching the memory in this moment, and the next statement sees what it did.
_LOCKED = "PERFORM 1 FROM memories WHERE memory_id = OLD.memory_id FOR UPDATE;"


def upgrade() -> None:
    _memories()
    op.create_table(
        "memory_sources",
        sa.Column("memory_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("dialog_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("taught_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["memory_id"], ["memories.memory_id"], name="memory_sources_memory", ondelete="CASCADE"
        ),
        _dialog("memory_sources"),
        sa.PrimaryKeyConstraint("memory_id", "dialog_id", name="memory_sources_pk"),
    )
    op.create_index("memory_sources_by_dialog", "memory_sources", ["user_id", "dialog_id"])
    op.create_table(
        "memory_states",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("forgotten_at", Moment()),
        *_owners("memory_states"),
        sa.PrimaryKeyConstraint("user_id", "agent_id", name="memory_states_pk"),
    )
    op.create_index("memory_states_by_agent", "memory_states", ["agent_id"])
    _forgotten()
    op.create_table(
        "memory_cursors",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("dialog_id", sa.Text(), nullable=False),
        sa.Column("learnt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        _dialog("memory_cursors"),
        sa.PrimaryKeyConstraint("user_id", "dialog_id", name="memory_cursors_pk"),
    )
    _trigger()


def _memories() -> None:
    op.create_table(
        "memories",
        sa.Column("memory_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("useful_at", Moment(), nullable=False),
        sa.Column("vector_model", sa.Text()),
        sa.Column("vector", sa.LargeBinary()),
        *_owners("memories"),
        sa.PrimaryKeyConstraint("memory_id", name="memories_pk"),
    )
    op.create_index("memories_by_user", "memories", ["user_id", "created_at", "memory_id"])
    op.create_index("memories_by_agent", "memories", ["agent_id", "user_id"])


def _forgotten() -> None:
    op.create_table(
        "forgotten_memories",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("forgotten_at", Moment(), nullable=False),
        *_owners("forgotten_memories"),
        sa.PrimaryKeyConstraint("user_id", "agent_id", "fingerprint", name="forgotten_memories_pk"),
    )
    op.create_index("forgotten_memories_by_agent", "forgotten_memories", ["agent_id"])


def _trigger() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER memories_untaught AFTER DELETE ON memory_sources BEGIN {_UNTAUGHT} END")
        return
    op.execute(
        "CREATE FUNCTION memories_untaught() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {_LOCKED} {_UNTAUGHT} RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER memories_untaught AFTER DELETE ON memory_sources "
        "FOR EACH ROW EXECUTE FUNCTION memories_untaught()"
    )


def _owners(table: str) -> tuple[sa.ForeignKeyConstraint, ...]:
    return (
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name=f"{table}_user", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.agent_id"], name=f"{table}_agent", ondelete="CASCADE"),
    )


def _dialog(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id", "dialog_id"], ["dialogs.user_id", "dialogs.dialog_id"], name=f"{table}_dialog", ondelete="CASCADE"
    )


def downgrade() -> None:
    for table in ("memory_cursors", "forgotten_memories", "memory_states", "memory_sources", "memories"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION memories_untaught()")
