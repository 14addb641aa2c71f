"""Knowledge bases, the files in them, and what these hold: chunks, their terms and their vectors."""

import sqlalchemy as sa
from alembic import op

from adapters.database.columns import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHUNK_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_AT_WORK = "removed_at IS NULL AND status = 'process'"

_TERMS = {
    # The index keeps no text: what was put in must be said again to take it out. Each term begins with its base.
    "sqlite": (
        "CREATE TABLE chunk_terms ("
        "chunk_id INTEGER NOT NULL CONSTRAINT chunk_terms_pk PRIMARY KEY "
        "CONSTRAINT chunk_terms_chunk REFERENCES chunks (chunk_id) ON DELETE CASCADE, "
        "scope TEXT NOT NULL, terms TEXT NOT NULL)",
        "CREATE VIRTUAL TABLE chunk_terms_index USING fts5(terms, content = '', tokenize = 'ascii')",
        "CREATE TRIGGER chunk_terms_added AFTER INSERT ON chunk_terms BEGIN "
        "INSERT INTO chunk_terms_index (rowid, terms) "
        "VALUES (new.chunk_id, replace(new.terms, ' ', ' ' || new.scope)); "
        "END",
        "CREATE TRIGGER chunk_terms_removed AFTER DELETE ON chunk_terms BEGIN "
        "INSERT INTO chunk_terms_index (chunk_terms_index, rowid, terms) "
        "VALUES ('delete', old.chunk_id, replace(old.terms, ' ', ' ' || old.scope)); "
        "END",
    ),
    "postgresql": (
        "CREATE TABLE chunk_terms ("
        "chunk_id BIGINT NOT NULL CONSTRAINT chunk_terms_pk PRIMARY KEY "
        "CONSTRAINT chunk_terms_chunk REFERENCES chunks (chunk_id) ON DELETE CASCADE, "
        # The index alone reads the terms: out of line they leave rows of which many are in a page.
        "length INTEGER NOT NULL, terms TSVECTOR NOT NULL) WITH (toast_tuple_target = 128)",
        # Searches read the list of what is not sorted in yet from its begin to its end: there shall be none.
        "CREATE INDEX chunk_terms_held ON chunk_terms USING gin (terms) WITH (fastupdate = off)",
    ),
}


def upgrade() -> None:
    _create_bases()
    _create_files()
    _create_chunks()
    for statement in _TERMS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.drop_table("chunk_terms_index")
    # Made where pgvector was asked for; it refers to chunks.
    op.execute("DROP TABLE IF EXISTS chunk_embeddings")
    for table in ("chunk_terms", "chunk_vectors", "chunks", "knowledge_files", "vector_place", "knowledge_bases"):
        op.drop_table(table)


def _create_partial_index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _create_bases() -> None:
    op.create_table(
        "knowledge_bases",
        sa.Column("knowledge_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text()),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("model", sa.Text()),
        sa.Column("incomplete", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("removed_at", Moment()),
        sa.Column("grown", sa.BigInteger(), nullable=False),
        sa.Column("shrunk", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.user_id"], name="knowledge_bases_user", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("knowledge_id", name="knowledge_bases_pk"),
        sa.UniqueConstraint("user_id", "name_key", name="knowledge_bases_name"),
    )
    op.create_index("knowledge_bases_by_user", "knowledge_bases", ["user_id", "created_at", "knowledge_id"])
    _create_partial_index(
        "knowledge_bases_gone", "knowledge_bases", ["knowledge_id"], "user_id IS NULL OR removed_at IS NOT NULL"
    )
    op.create_table(
        "vector_place",
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="vector_place_pk"),
    )


def _create_files() -> None:
    op.create_table(
        "knowledge_files",
        sa.Column("knowledge_file_id", sa.Text(), nullable=False),
        sa.Column("knowledge_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("file_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("chunks", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer()),
        sa.Column("plan", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("replanned", sa.Integer(), nullable=False),
        sa.Column("furthest", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("removed_at", Moment()),
        sa.ForeignKeyConstraint(["knowledge_id"], ["knowledge_bases.knowledge_id"], name="knowledge_files_base"),
        sa.PrimaryKeyConstraint("knowledge_file_id", name="knowledge_files_pk"),
    )
    op.create_index("knowledge_files_by_base", "knowledge_files", ["knowledge_id", "created_at", "knowledge_file_id"])
    live = sa.text("removed_at IS NULL")
    op.create_index(
        "knowledge_files_upload",
        "knowledge_files",
        ["knowledge_id", "file_id"],
        unique=True,
        sqlite_where=live,
        postgresql_where=live,
    )
    _create_partial_index("knowledge_files_sizes", "knowledge_files", ["knowledge_id", "size"], "removed_at IS NULL")
    _create_partial_index("knowledge_files_at_work", "knowledge_files", ["updated_at"], _AT_WORK)
    _create_partial_index("knowledge_files_gone", "knowledge_files", ["knowledge_file_id"], "removed_at IS NOT NULL")
    _create_partial_index("knowledge_files_of_user", "knowledge_files", ["user_id"], _AT_WORK)


def _create_chunks() -> None:
    op.create_table(
        "chunks",
        sa.Column("chunk_id", _CHUNK_ID, sa.Identity(), nullable=False),
        sa.Column("knowledge_file_id", sa.Text(), nullable=False),
        sa.Column("knowledge_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("page", sa.Integer()),
        sa.Column("begins", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("headings", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["knowledge_file_id"], ["knowledge_files.knowledge_file_id"], name="chunks_file"),
        sa.PrimaryKeyConstraint("chunk_id", name="chunks_pk"),
        sa.UniqueConstraint("knowledge_file_id", "ordinal", name="chunks_order"),
        sqlite_autoincrement=True,
    )
    op.create_index("chunks_by_base", "chunks", ["knowledge_id", "chunk_id"])
    op.create_table(
        "chunk_vectors",
        sa.Column("chunk_id", _CHUNK_ID, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("knowledge_id", sa.Text(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["chunk_id"], ["chunks.chunk_id"], name="chunk_vectors_chunk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("chunk_id", "model", name="chunk_vectors_pk"),
    )
    op.create_index("chunk_vectors_by_base", "chunk_vectors", ["knowledge_id", "model", "chunk_id"])
