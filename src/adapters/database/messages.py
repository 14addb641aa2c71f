"""Messages: a question and its open answer come together, and one closer wins."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Insert,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from adapters.database.columns import Moment
from adapters.database.dialogs import ADD_DIALOG, from_dialog
from adapters.database.errors import BrokenReference, LostAcknowledgement
from adapters.database.message_rows import from_answer, to_exchange, to_message
from adapters.database.owners import LIMIT, OWNER, beside_owner, owned_row, owned_rows, refuse_missing, row_limit
from adapters.database.session import Session, Values
from adapters.database.tables import dialogs, messages, users
from application.paging import Window
from domain.dialogs import Dialog
from domain.errors import Conflict, NotFound
from domain.ids import DialogId, MessageId, UserId
from domain.messages import Answer, AnswerStatus, Exchange, Feedback, Message, Question

_DIALOG: Final = bindparam("dialog", type_=Text)
_MINE: Final = messages.c.user_id == OWNER
_THIS: Final = and_(_MINE, messages.c.message_id == bindparam("id", type_=Text))
_IN_DIALOG: Final = and_(_MINE, messages.c.dialog_id == _DIALOG)
# A literal, not a parameter: only so do both planners take the partial indices.
_OPEN: Final = messages.c.status == literal_column("'running'")

_SHOWN: Final = tuple(column for column in messages.c if column.name not in {"user_id", "position", "lease_until"})


_OF_ANSWERS: Final = (
    "status",
    "run_id",
    "model",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "estimated",
    "steps",
    "rounds",
    "citations",
    "finish_reason",
    "failure",
    "closed_at",
    "lease_until",
)


def _asked_and_answered() -> Insert:
    """Both rows in one statement, at the two positions after the last."""
    last = select(func.coalesce(func.max(messages.c.position), literal_column("-1", Integer))).where(_IN_DIALOG)

    def row(side: str, step: int, own: dict[str, ColumnElement[Any]]) -> Select[Any]:
        values = {
            "user_id": OWNER,
            "dialog_id": _DIALOG,
            "position": last.scalar_subquery() + literal_column(str(step), Integer),
            **{name: _value(side, name) for name in ("message_id", "created_at", "content")},
            **own,
        }
        return select(*(value.label(name) for name, value in values.items()))

    asked = row("q", 1, dict.fromkeys(_OF_ANSWERS, null()))
    answered = row("a", 2, {name: _value("a", name) for name in _OF_ANSWERS})
    return insert(messages).from_select(list(asked.selected_columns.keys()), union_all(answered, asked))


def _value(side: str, column: str) -> BindParameter[Any]:
    return bindparam(f"{side}_{column}", type_=messages.c[column].type)


_OPEN_BOTH: Final = _asked_and_answered()
# `close_abandoned` leaves the lease where it was: so its run, if it lives after all, knows the row as its own still.
_ABANDONED: Final = and_(
    messages.c.status == literal_column(f"'{AnswerStatus.INTERRUPTED.value}'"),
    messages.c.lease_until.is_not(None),
    messages.c.run_id == _value("a", "run_id"),
)
_CLOSE: Final = (
    update(messages)
    .where(_THIS, or_(_OPEN, _ABANDONED))
    .values({name: _value("a", name) for name in ("content", *_OF_ANSWERS) if name not in {"run_id", "lease_until"}})
    .values(lease_until=None)
)
_OF_THIS_RUN: Final = select(messages.c.message_id).where(_THIS, messages.c.run_id == _value("a", "run_id"))
_CLOSED_SO: Final = _OF_THIS_RUN.where(
    messages.c.lease_until.is_(None),
    *(messages.c[name] == _value("a", name) for name in ("status", "closed_at", "content")),
)
_NEW_DIALOG: Final = insert(dialogs).values(
    {column.name: bindparam(f"d_{column.name}", type_=column.type) for column in dialogs.c}
)
# Postgres does both in one round trip; SQLite has no such CTEs, and no round trips.
_OPEN_WITH_DIALOG: Final = _OPEN_BOTH.add_cte(_NEW_DIALOG.cte("new_dialog"))
_TOUCH: Final = (
    update(dialogs)
    .where(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == _DIALOG)
    .values(updated_at=bindparam("now", type_=Moment))
)
_closed: Final = _CLOSE.returning(messages.c.dialog_id).cte("closed")
_CLOSE_AND_TOUCH: Final = (
    update(dialogs)
    .where(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == select(_closed.c.dialog_id).scalar_subquery())
    .values(updated_at=bindparam("now", type_=Moment))
)
_page: Final = (
    select(*_SHOWN, messages.c.position)
    .where(
        _IN_DIALOG,
        messages.c.position
        > func.coalesce(
            select(messages.c.position)
            .where(_MINE, messages.c.message_id == bindparam("after", type_=Text))
            .scalar_subquery(),
            literal_column("-1", Integer),
        ),
    )
    .order_by(messages.c.position)
    .limit(LIMIT)
    .subquery("page")
)
_HISTORY: Final = (
    select(dialogs.c.dialog_id.label("dialog"), *(_page.c[column.name] for column in _SHOWN))
    .select_from(
        users.outerjoin(dialogs, and_(dialogs.c.user_id == users.c.user_id, dialogs.c.dialog_id == _DIALOG)).outerjoin(
            _page, dialogs.c.dialog_id == _page.c.dialog_id
        )
    )
    .where(users.c.user_id == OWNER)
    .order_by(_page.c.position)
)
# The question is looked up for the few rows that are left: as a join, a planner may read the whole dialog for it.
_last: Final = (
    select(messages.c.position, messages.c.content, messages.c.rounds)
    .where(_IN_DIALOG, messages.c.status != literal_column("'running'"))
    .order_by(messages.c.position.desc())
    .limit(LIMIT)
    .subquery("last_ones")
)
_RECENT: Final = (
    select(
        _last.c.position,
        select(messages.c.content)
        .where(_IN_DIALOG, messages.c.position == _last.c.position - literal_column("1", Integer))
        .scalar_subquery(),
        _last.c.content,
        _last.c.rounds,
    )
    .select_from(users.outerjoin(_last, true()))
    .where(users.c.user_id == OWNER)
    .order_by(_last.c.position)
)
_GET: Final = beside_owner(select(*_SHOWN).where(_THIS).subquery())
_RATE: Final = update(messages).where(_THIS).values(feedback=bindparam("rating", type_=Text))
_RENEW: Final = (
    update(messages)
    .where(_OPEN, messages.c.message_id.in_(bindparam("ids", type_=Text, expanding=True)))
    .values(lease_until=bindparam("until", type_=Moment))
)
_ABANDON: Final = (
    update(messages)
    .where(_OPEN, messages.c.lease_until < bindparam("now", type_=Moment))
    .values(status=AnswerStatus.INTERRUPTED.value, closed_at=bindparam("closed", type_=Moment))
)


class MessageRows:
    __slots__ = ("_one_statement", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._one_statement = dialect == "postgresql"

    async def open(
        self,
        question: Question,
        answer: Answer,
        *,
        owner: UserId,
        lease_until: datetime,
        dialog: Dialog | None = None,
    ) -> None:
        values = {
            "owner": owner,
            "dialog": question.dialog_id,
            "q_message_id": question.message_id,
            "q_created_at": question.created_at,
            "q_content": question.content,
            "a_message_id": answer.message_id,
            "a_created_at": answer.created_at,
            "a_lease_until": lease_until,
            **from_answer(answer),
        }
        try:
            await self._open_once(values, None if dialog is None else from_dialog(dialog))
        except BrokenReference as broken:
            # SQLite does not say which reference broke, and lets the transaction go on to find out.
            if broken.constraint is None:
                await refuse_missing(self._session, owner, "dialog", question.dialog_id)
            if broken.constraint == "messages_dialog":
                raise NotFound("dialog", question.dialog_id) from broken
            raise

    async def _open_once(self, values: Values, dialog: Values | None) -> None:
        try:
            await self._open(values, dialog)
        except LostAcknowledgement:
            try:
                await self._open(values, dialog)
            except (Conflict, IntegrityError):
                ours = {"owner": values["owner"], "id": values["a_message_id"], "a_run_id": values["a_run_id"]}
                if not await self._session.rows(_OF_THIS_RUN, ours):
                    raise

    async def _open(self, values: Values, dialog: Values | None) -> None:
        if dialog is None:
            await self._session.affected(_OPEN_BOTH, values)
        elif self._one_statement:
            named = {f"d_{name}": value for name, value in dialog.items()}
            await self._session.affected(_OPEN_WITH_DIALOG, {**values, **named})
        else:
            await self._session.affected_together((ADD_DIALOG, dialog), (_OPEN_BOTH, values))

    async def close(self, answer: Answer, *, owner: UserId) -> bool:
        closed = {"owner": owner, "id": answer.message_id, **from_answer(answer)}
        now = answer.closed_at or datetime.now(UTC)
        try:
            done = await self._close(closed, answer.dialog_id, now)
        except LostAcknowledgement:
            done = await self._close(closed, answer.dialog_id, now)
        return done or bool(await self._session.rows(_CLOSED_SO, closed))

    async def _close(self, closed: Values, dialog_id: DialogId, now: datetime) -> bool:
        if self._one_statement:
            return bool(await self._session.affected(_CLOSE_AND_TOUCH, {**closed, "now": now}))
        touched = {"owner": closed["owner"], "dialog": dialog_id, "now": now}
        return await self._session.affected_together((_CLOSE, closed), (_TOUCH, touched))

    async def history(self, dialog_id: DialogId, window: Window, *, owner: UserId) -> Sequence[Message]:
        values = {
            "owner": owner,
            "dialog": dialog_id,
            "after": None if window.after is None else window.after.identifier,
            "row_limit": row_limit(window),
        }
        rows = await owned_rows(self._session, _HISTORY, values)
        if not rows:
            raise NotFound("dialog", dialog_id)
        return [to_message(row[1:]) for row in rows if row[1] is not None]

    async def recent(self, dialog_id: DialogId, limit: int, *, owner: UserId) -> Sequence[Exchange]:
        values = {"owner": owner, "dialog": dialog_id, "row_limit": limit}
        return [to_exchange(row) for row in await owned_rows(self._session, _RECENT, values)]

    async def get(self, message_id: MessageId, *, owner: UserId) -> Message:
        values = {"owner": owner, "id": message_id}
        return to_message(await owned_row(self._session, _GET, values, "message", message_id))

    async def rate(self, message_id: MessageId, feedback: Feedback | None, *, owner: UserId) -> None:
        values = {"owner": owner, "id": message_id, "rating": None if feedback is None else feedback.value}
        if not await self._session.affected(_RATE, values):
            await refuse_missing(self._session, owner, "message", message_id)

    async def renew_leases(self, message_ids: Sequence[MessageId], lease_until: datetime) -> None:
        if message_ids:
            await self._session.affected(_RENEW, {"ids": list(message_ids), "until": lease_until})

    async def close_abandoned(self, now: datetime) -> int:
        return await self._session.affected(_ABANDON, {"now": now, "closed": min(now, datetime.now(UTC))})
