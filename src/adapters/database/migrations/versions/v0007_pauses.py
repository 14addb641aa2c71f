"""Runs that wait for a person."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("pause", sa.LargeBinary()))


def downgrade() -> None:
    op.drop_column("runs", "pause")
