"""What is known of dialogs whose beginnings fell out of the window."""

from sqlalchemy import Column, ForeignKeyConstraint, Integer, PrimaryKeyConstraint, Table, Text

from adapters.database.tables import metadata

# `covers` exchanges are summed up in `content`, `wanted` are to be; `failures` in a row since then.
dialog_summaries = Table(
    "dialog_summaries",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("dialog_id", Text, nullable=False),
    Column("covers", Integer, nullable=False),
    Column("content", Text, nullable=False),
    Column("wanted", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    PrimaryKeyConstraint("user_id", "dialog_id", name="dialog_summaries_pk"),
    ForeignKeyConstraint(
        ["user_id", "dialog_id"],
        ["dialogs.user_id", "dialogs.dialog_id"],
        name="dialog_summaries_dialog",
        ondelete="CASCADE",
    ),
)
