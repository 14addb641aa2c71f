"""What was asked of models' providers, and what it cost: a row for each attempt."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text

from adapters.database.tables import metadata, owner_column

# `at` is milliseconds since 1970: a day of UTC is a division in either dialect, and days are what is asked for.
# The key begins with what every question asks for. Neither run nor agent is referred to: the rows outlive both.
usage_ledger = Table(
    "usage_ledger",
    metadata,
    owner_column("usage_ledger"),
    Column("at", BigInteger, nullable=False),
    Column("entry_id", Text, nullable=False),
    Column("run_id", Text),
    Column("agent_id", Text),
    Column("purpose", Text, nullable=False),
    Column("llm_id", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("cost_nanos", BigInteger),
    Column("currency", Text, nullable=False),
    Column("first_token_ms", Integer),
    Column("duration_ms", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    PrimaryKeyConstraint("user_id", "at", "entry_id", name="usage_ledger_pk"),
    Index("usage_ledger_by_time", "at"),
    sqlite_with_rowid=False,
)
