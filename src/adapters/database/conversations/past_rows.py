"""What a dialog remembers: exchanges within a number and a weight, and the summary of what was before them."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Subquery,
    Text,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    select,
    true,
)

from adapters.database.conversations.message_rows import to_exchange
from adapters.database.conversations.summary_tables import dialog_summaries
from adapters.database.dialects import for_each
from adapters.database.owners import LIMIT, OWNER
from adapters.database.tables import messages, users
from domain.dialogs.past import Past, Summary

DIALOG: Final = bindparam("dialog", type_=Text)
BYTES: Final = bindparam("most_bytes", type_=Integer)
_IN_DIALOG: Final = and_(messages.c.user_id == OWNER, messages.c.dialog_id == DIALOG)
_CLOSED: Final = messages.c.status != literal_column("'running'")
ONE: Final = literal_column("1", Integer)
_COVERED: Final = func.coalesce(dialog_summaries.c.covers, literal_column("0", Integer))


def _bytes(text: ColumnElement[str], dialect: str) -> ColumnElement[int]:
    """Postgres knows them without reading the text; SQLite counts characters."""
    return func.octet_length(text) if dialect == "postgresql" else func.length(text)


def weighed(dialect: str, *conditions: ColumnElement[bool], newest_first: bool) -> Subquery:
    """Answers with their questions, and how heavy each is with those before it in this order."""
    sign = messages.c.position.desc() if newest_first else messages.c.position
    asked = messages.alias("asked")
    theirs = and_(asked.c.user_id == OWNER, asked.c.dialog_id == DIALOG)
    # The question is looked up for the few rows that are left: as a join, a planner may read the whole dialog for it.
    before_it = and_(theirs, asked.c.position == messages.c.position - ONE)
    some = (
        select(
            messages.c.message_id,
            messages.c.position,
            messages.c.content,
            messages.c.rounds,
            select(asked.c.content).where(before_it).scalar_subquery().label("question"),
            select(asked.c.attachments).where(before_it).scalar_subquery().label("attachments"),
        )
        .where(_IN_DIALOG, _CLOSED, *conditions)
        .order_by(sign)
        .limit(LIMIT)
        .subquery("some")
    )
    turn = some.c.position.desc() if newest_first else some.c.position
    texts = func.sum(_bytes(some.c.content, dialect) + _bytes(some.c.question, dialect)).over(order_by=turn)
    rounds = func.sum(_bytes(some.c.rounds, dialect)).over(order_by=turn)
    place = func.row_number().over(order_by=turn)
    return select(some, texts.label("texts"), rounds.label("weight"), place.label("place")).subquery("weighed")


def _past(dialect: str) -> Select[Any]:
    one = weighed(dialect, newest_first=True)
    first = one.c.place == ONE
    shown = and_(one.c.position > 2 * _COVERED, (one.c.texts <= BYTES) | first)
    summary = dialog_summaries
    return (
        select(
            one.c.position,
            case((shown, one.c.question)),
            one.c.attachments,
            case((shown, one.c.content)),
            case((and_(shown, one.c.weight <= BYTES), one.c.rounds)),
            case((first, summary.c.covers)),
            case((first, summary.c.content)),
        )
        .select_from(
            users.outerjoin(one, true()).outerjoin(
                summary, and_(summary.c.user_id == users.c.user_id, summary.c.dialog_id == DIALOG)
            )
        )
        .where(users.c.user_id == OWNER)
        .order_by(one.c.position)
    )


PAST: Final = for_each(_past)


def to_past(rows: Sequence[Any]) -> Past:
    """Rows of PAST, oldest first. None of them lies between two that have their texts."""
    if not rows:
        return Past()
    shown = [row for row in rows if row[1] is not None]
    older = rows[: len(rows) - len(shown)]
    covers, content = rows[-1][5:]
    before = (rows[-1][0] + 1) // 2 - len(shown)
    files = [file for row in reversed(older) for file in to_exchange((row[0], "", row[2], "", "[]")).attachments]
    return Past(
        tuple(to_exchange((*row[:4], row[4] or "[]")) for row in shown),
        before,
        Summary(content, covers) if covers else None,
        tuple(files),
    )
