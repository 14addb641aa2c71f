"""Runs and their logs: who has a dialog, until when, and what was said. Answers under way end as interrupted."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_RUNNING = "status = 'running'"


def upgrade() -> None:
    _end_open_answers()
    op.drop_index("messages_open", "messages")
    op.drop_index("messages_leases", "messages")
    op.drop_column("messages", "lease_until")
    _create_runs()
    _create_run_log()


def downgrade() -> None:
    _end_open_answers()
    op.drop_table("run_log")
    op.drop_table("runs")
    op.add_column("messages", sa.Column("lease_until", Moment()))
    _create_partial_index("messages_leases", "messages", ["lease_until"], _RUNNING)
    _create_partial_index("messages_open", "messages", ["user_id", "dialog_id"], _RUNNING, unique=True)


def _end_open_answers() -> None:
    messages = sa.table("messages", sa.column("status", sa.Text()), sa.column("closed_at", Moment()))
    end = sa.update(messages).where(messages.c.status == "running")
    op.execute(end.values(status="interrupted", closed_at=sa.bindparam("now", datetime.now(UTC), Moment())))


def _create_partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("dialog_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("lease_until", Moment(), nullable=False),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_digest", sa.Text()),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("followed_until", Moment()),
        sa.Column("closed_at", Moment()),
        sa.Column("has_log", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id", "dialog_id"],
            ["dialogs.user_id", "dialogs.dialog_id"],
            name="runs_dialog",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("run_id", name="runs_pk"),
    )
    op.create_index("runs_by_dialog", "runs", ["user_id", "dialog_id"])
    _create_partial_index("runs_closed", "runs", ["closed_at"], "closed_at IS NOT NULL")
    _create_partial_index(
        "runs_key", "runs", ["user_id", "idempotency_key"], "idempotency_key IS NOT NULL", unique=True
    )
    _create_partial_index("runs_leases", "runs", ["lease_until"], "closed_at IS NULL")
    _create_partial_index("runs_logs", "runs", ["closed_at"], "closed_at IS NOT NULL AND has_log")
    _create_partial_index("runs_open", "runs", ["user_id", "dialog_id"], "closed_at IS NULL", unique=True)


def _create_run_log() -> None:
    op.create_table(
        "run_log",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("first_seq", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name="run_log_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "first_seq", name="run_log_pk"),
        sqlite_with_rowid=False,
    )
