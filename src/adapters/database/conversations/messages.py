"""Messages, as they are read and rated. They are written with their runs."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import (
    Integer,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    update,
)

from adapters.database.conversations.message_rows import to_message
from adapters.database.conversations.past_rows import PAST, to_past
from adapters.database.owners import LIMIT, OWNER, beside_owner, owned_row, owned_rows, refuse_missing, row_limit
from adapters.database.session import Session
from adapters.database.tables import dialogs, messages, users
from application.paging import Window
from domain.dialogs.messages import Feedback, Message
from domain.dialogs.past import Past
from domain.errors import NotFound
from domain.ids import DialogId, MessageId, UserId

_DIALOG: Final = bindparam("dialog", type_=Text)
_MINE: Final = messages.c.user_id == OWNER
_THIS: Final = and_(_MINE, messages.c.message_id == bindparam("id", type_=Text))
_IN_DIALOG: Final = and_(_MINE, messages.c.dialog_id == _DIALOG)
_SHOWN: Final = tuple(column for column in messages.c if column.name not in {"user_id", "position"})
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
_GET: Final = beside_owner(select(*_SHOWN).where(_THIS).subquery())
_RATE: Final = update(messages).where(_THIS).values(feedback=bindparam("rating", type_=Text))


class MessageRows:
    __slots__ = ("_past", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._past = PAST[dialect]

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

    async def past(self, dialog_id: DialogId, limit: int, most_bytes: int, *, owner: UserId) -> Past:
        values = {"owner": owner, "dialog": dialog_id, "row_limit": limit, "most_bytes": most_bytes}
        return to_past(await owned_rows(self._session, self._past, values))

    async def get(self, message_id: MessageId, *, owner: UserId) -> Message:
        values = {"owner": owner, "id": message_id}
        return to_message(await owned_row(self._session, _GET, values, "message", message_id))

    async def rate(self, message_id: MessageId, feedback: Feedback | None, *, owner: UserId) -> None:
        values = {"owner": owner, "id": message_id, "rating": None if feedback is None else feedback.value}
        if not await self._session.affected(_RATE, values):
            await refuse_missing(self._session, owner, "message", message_id)
