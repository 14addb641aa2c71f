"""Jobs of the embedded queue."""

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("due", Moment(), nullable=False),
        sa.Column("is_ready", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.PrimaryKeyConstraint("number", name="jobs_pk"),
        sqlite_autoincrement=True,
    )
    _create_index("jobs_waiting", ["kind", "subject", "generation"], unique=True)
    _create_index("jobs_turn", ["rank", "number"], where="owner IS NULL AND is_ready")
    _create_index("jobs_delayed", ["due"], where="owner IS NULL AND NOT is_ready")
    _create_index("jobs_due", ["kind", "due"])
    _create_index("jobs_held", ["kind", "subject", "generation"], where="owner IS NOT NULL")


def downgrade() -> None:
    op.drop_table("jobs")


def _create_index(name: str, columns: list[str], *, unique: bool = False, where: str = "owner IS NULL") -> None:
    op.create_index(name, "jobs", columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
