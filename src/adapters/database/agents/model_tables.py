"""Models that people brought. Their keys lie sealed."""

from sqlalchemy import Boolean, Column, Index, Integer, PrimaryKeyConstraint, Table, Text

from adapters.database.columns import Moment
from adapters.database.tables import metadata, owner_column

# `prices` and `fallbacks` are JSON; `sealed_key` is empty for a model without a key.
models = Table(
    "models",
    metadata,
    Column("llm_id", Text, nullable=False),
    owner_column("models"),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("base_url", Text),
    Column("kind", Text, nullable=False),
    Column("context_window", Integer, nullable=False),
    Column("max_output_tokens", Integer),
    Column("vision", Boolean, nullable=False),
    Column("tools", Boolean, nullable=False),
    Column("prices", Text),
    Column("fallbacks", Text, nullable=False),
    Column("max_concurrent", Integer),
    Column("requests_a_minute", Integer),
    Column("sealed_key", Text, nullable=False),
    PrimaryKeyConstraint("llm_id", name="models_pk"),
    Index("models_by_user", "user_id", "created_at", "llm_id"),
)
