"""Knowledge bases and the files in them. What is found in these files is in chunk_tables."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from adapters.database.columns import Moment
from adapters.database.tables import metadata, partial_index

LIVE_FILE = "removed_at IS NULL AND status = 'process'"
GONE = "user_id IS NULL OR removed_at IS NOT NULL"

# A deleted account leaves its bases behind, without their owner: what is in them goes in portions, and they go last.
knowledge_bases = Table(
    "knowledge_bases",
    metadata,
    Column("knowledge_id", Text, nullable=False),
    Column("user_id", Text, ForeignKey("users.user_id", name="knowledge_bases_user", ondelete="SET NULL")),
    Column("name", Text, nullable=False),
    Column("name_key", Text),
    Column("description", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("model", Text),
    Column("incomplete", Boolean, nullable=False, server_default=text("false")),
    Column("removed_at", Moment),
    # They tell an index in memory what it has missed: rows were added, or removed, since it looked.
    Column("grown", BigInteger, nullable=False),
    Column("shrunk", BigInteger, nullable=False),
    PrimaryKeyConstraint("knowledge_id", name="knowledge_bases_pk"),
    UniqueConstraint("user_id", "name_key", name="knowledge_bases_name"),
    Index("knowledge_bases_by_user", "user_id", "created_at", "knowledge_id"),
    partial_index("knowledge_bases_gone", "knowledge_id", where=GONE),
)

# One row at most: the table of vectors that the server or worker that started last was told to use.
vector_place = Table(
    "vector_place",
    metadata,
    Column("number", Integer, nullable=False, autoincrement=False),
    Column("place", Text, nullable=False),
    PrimaryKeyConstraint("number", name="vector_place_pk"),
)

_IN_BASE = ForeignKey("knowledge_bases.knowledge_id", name="knowledge_files_base")
knowledge_files = Table(
    "knowledge_files",
    metadata,
    Column("knowledge_file_id", Text, nullable=False),
    Column("knowledge_id", Text, _IN_BASE, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("file_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("total", Integer),
    Column("plan", Text),
    Column("attempts", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("replanned", Integer, nullable=False),
    Column("furthest", Integer, nullable=False),
    Column("error_code", Text),
    Column("error_message", Text),
    Column("removed_at", Moment),
    PrimaryKeyConstraint("knowledge_file_id", name="knowledge_files_pk"),
    Index("knowledge_files_by_base", "knowledge_id", "created_at", "knowledge_file_id"),
    partial_index("knowledge_files_upload", "knowledge_id", "file_id", where="removed_at IS NULL", unique=True),
    # The number of a base's files and their bytes are told without reading the rows.
    partial_index("knowledge_files_sizes", "knowledge_id", "size", where="removed_at IS NULL"),
    partial_index("knowledge_files_at_work", "updated_at", where=LIVE_FILE),
    partial_index("knowledge_files_of_user", "user_id", where=LIVE_FILE),
    partial_index("knowledge_files_gone", "knowledge_file_id", where="removed_at IS NOT NULL"),
)
