"""What is found in files: chunks, and their vectors for the embedded index.

Their terms are in `chunk_terms`, which differs between the dialects: see lexical_on_sqlite and lexical_on_postgres.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from adapters.database.tables import metadata

CHUNK_ID: Final = BigInteger().with_variant(Integer, "sqlite")

# No number is ever given twice, though SQLite would: whoever remembers a chunk that is gone must not meet another.
chunks = Table(
    "chunks",
    metadata,
    Column("chunk_id", CHUNK_ID, Identity(), nullable=False),
    Column(
        "knowledge_file_id",
        Text,
        ForeignKey("knowledge_files.knowledge_file_id", name="chunks_file"),
        nullable=False,
    ),
    Column("knowledge_id", Text, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("page", Integer),
    Column("begins", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Column("headings", Text, nullable=False),
    PrimaryKeyConstraint("chunk_id", name="chunks_pk"),
    UniqueConstraint("knowledge_file_id", "ordinal", name="chunks_order"),
    Index("chunks_by_base", "knowledge_id", "chunk_id"),
    sqlite_autoincrement=True,
)

chunk_vectors = Table(
    "chunk_vectors",
    metadata,
    Column(
        "chunk_id",
        CHUNK_ID,
        ForeignKey("chunks.chunk_id", name="chunk_vectors_chunk", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("model", Text, nullable=False),
    Column("knowledge_id", Text, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    PrimaryKeyConstraint("chunk_id", "model", name="chunk_vectors_pk"),
    Index("chunk_vectors_by_base", "knowledge_id", "model", "chunk_id"),
)
