"""Dialogs of programs that keep their conversations themselves: what was said in each, as a digest."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, PrimaryKeyConstraint, Table, Text

from adapters.database.tables import metadata

told_conversations = Table(
    "told_conversations",
    metadata,
    Column("user_id", Text, nullable=False),
    Column("dialog_id", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    PrimaryKeyConstraint("user_id", "dialog_id", name="told_conversations_pk"),
    ForeignKeyConstraint(
        ["user_id", "dialog_id"],
        ["dialogs.user_id", "dialogs.dialog_id"],
        name="told_conversations_dialog",
        ondelete="CASCADE",
    ),
    Index("told_conversations_by_digest", "user_id", "conversation", "dialog_id"),
)
