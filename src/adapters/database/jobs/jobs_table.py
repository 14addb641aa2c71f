"""The table of the embedded queue; it stays empty on Postgres, where the jobs are kept by adapters/jobs."""

from typing import Final

from sqlalchemy import Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text, text

from adapters.database.columns import Moment
from adapters.database.tables import metadata

WAITS: Final = "owner IS NULL"
HELD: Final = "owner IS NOT NULL"
READY: Final = "owner IS NULL AND is_ready"
DELAYED: Final = "owner IS NULL AND NOT is_ready"

# `number` orders the jobs of a rank. `owner` is the process that holds the job; of likes one may wait. A job `is_ready`
# from when it was found to be due: whoever takes the next one by rank walks past none that is to wait.
jobs = Table(
    "jobs",
    metadata,
    Column("number", Integer, nullable=False, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("rank", Integer, nullable=False),
    Column("due", Moment, nullable=False),
    Column("is_ready", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("owner", Text),
    PrimaryKeyConstraint("number", name="jobs_pk"),
    Index(
        "jobs_waiting",
        "kind",
        "subject",
        "generation",
        unique=True,
        sqlite_where=text(WAITS),
        postgresql_where=text(WAITS),
    ),
    Index("jobs_turn", "rank", "number", sqlite_where=text(READY), postgresql_where=text(READY)),
    Index("jobs_delayed", "due", sqlite_where=text(DELAYED), postgresql_where=text(DELAYED)),
    # The next one of each kind, and how many there are, without a look at the jobs themselves.
    Index("jobs_due", "kind", "due", sqlite_where=text(WAITS), postgresql_where=text(WAITS)),
    # Whether a like is at work is asked of each job that waits.
    Index("jobs_held", "kind", "subject", "generation", sqlite_where=text(HELD), postgresql_where=text(HELD)),
    sqlite_autoincrement=True,
)
