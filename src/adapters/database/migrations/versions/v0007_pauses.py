"""Runs that wait for a person; and the default agent reads pages of the web."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("pause", sa.LargeBinary()))
    op.add_column("runs", sa.Column("pauses", sa.Integer(), nullable=False, server_default=sa.text("0")))
    _equip('["current_time","calculator","web_fetch"]')


def downgrade() -> None:
    # An older server knows nobody who waits: it closes them as left by a process that died.
    op.execute("UPDATE runs SET status = 'running', lease_until = created_at WHERE status = 'waiting'")
    _equip('["current_time","calculator"]')
    op.drop_column("runs", "pauses")
    op.drop_column("runs", "pause")


def _equip(tool_ids: str) -> None:
    agents = sa.table("agents", sa.column("agent_id", sa.Text()), sa.column("tool_ids", sa.Text()))
    op.execute(agents.update().where(agents.c.agent_id == "default").values(tool_ids=tool_ids))
