"""Summaries of dialogs, and the wish for them."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, Select, Text, and_, bindparam, case, exists, func, select, update

from adapters.database.conversations.message_rows import storable, to_exchange
from adapters.database.conversations.past_rows import BYTES, DIALOG, ONE, weighed
from adapters.database.conversations.summary_tables import dialog_summaries
from adapters.database.dialects import INSERT, for_each
from adapters.database.errors import BrokenReference
from adapters.database.owners import OWNER, beside_owner, owned_rows
from adapters.database.session import Session
from adapters.database.tables import dialogs, messages
from application.ports.summaries import SummaryState
from domain.dialogs.messages import Exchange
from domain.dialogs.past import Summary
from domain.dialogs.summaries import MOST_FAILURES, REST_EXCHANGES
from domain.ids import DialogId, MessageId, UserId

_THIS: Final = and_(dialog_summaries.c.user_id == OWNER, dialog_summaries.c.dialog_id == DIALOG)
_COVERS: Final = bindparam("covers_", type_=Integer)
_EXPECTED: Final = dialog_summaries.c.covers == bindparam("expected", type_=Integer)
_WANTED: Final = bindparam("wanted_", type_=Integer)
_STATE: Final = beside_owner(
    select(
        dialog_summaries.c.covers,
        dialog_summaries.c.content,
        dialog_summaries.c.wanted,
        dialog_summaries.c.failures,
    )
    .where(_THIS)
    .subquery()
)
_LAST: Final = exists(
    select(messages.c.message_id).where(
        messages.c.user_id == OWNER,
        messages.c.dialog_id == DIALOG,
        messages.c.position == 2 * _COVERS - 1,
        messages.c.message_id == bindparam("last", type_=Text),
    )
)
_SAVE: Final = (
    update(dialog_summaries)
    .where(_THIS, _EXPECTED, dialog_summaries.c.covers < _COVERS, _LAST)
    .values(covers=_COVERS, content=bindparam("content_", type_=Text), failures=0)
)
_FAILED: Final = (
    update(dialog_summaries)
    .where(_THIS, _EXPECTED)
    .values(failures=dialog_summaries.c.failures + 1)
    .returning(dialog_summaries.c.failures)
)


def _want(dialect: str) -> Any:
    """After too many failures the wish lies as it is, until the dialog has grown by some exchanges more."""
    new: Any = INSERT[dialect](dialog_summaries).from_select(
        ["user_id", "dialog_id", "covers", "content", "wanted", "failures"],
        select(
            dialogs.c.user_id,
            dialogs.c.dialog_id,
            bindparam("none", 0, Integer),
            bindparam("empty", "", Text),
            _WANTED,
            bindparam("none", 0, Integer),
        ).where(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == DIALOG),
    )
    row, wish = dialog_summaries.c, new.excluded.wanted
    rests: ColumnElement[bool] = and_(row.failures >= MOST_FAILURES, wish < row.wanted + REST_EXCHANGES)
    more = func.max(row.wanted, wish) if dialect == "sqlite" else func.greatest(row.wanted, wish)
    return new.on_conflict_do_update(
        index_elements=[row.user_id, row.dialog_id],
        set_={
            "wanted": case((rests, row.wanted), else_=more),
            "failures": case((and_(row.failures >= MOST_FAILURES, ~rests), 0), else_=row.failures),
        },
    ).returning(row.failures)


def _stretch(dialect: str) -> Select[Any]:
    one = weighed(dialect, messages.c.position > 2 * _COVERS, messages.c.position < 2 * _WANTED, newest_first=False)
    rounds = case((one.c.weight <= BYTES, one.c.rounds), else_="[]")
    some = select(one.c.message_id, one.c.position, one.c.question, one.c.content, rounds.label("rounds"))
    page = some.where((one.c.texts <= BYTES) | (one.c.place == ONE)).subquery("page")
    return beside_owner(page, page.c.position)


_WANT: Final = for_each(_want)
_STRETCH: Final = for_each(_stretch)


class SummaryRows:
    __slots__ = ("_session", "_stretch", "_want")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._want = _WANT[dialect]
        self._stretch = _STRETCH[dialect]

    async def want(self, dialog_id: DialogId, covers: int, *, owner: UserId) -> bool:
        try:
            rows = await self._session.written(self._want, {"owner": owner, "dialog": dialog_id, "wanted_": covers})
        except BrokenReference:
            # The dialog went between the look at it and the row.
            return False
        return bool(rows) and rows[0][0] < MOST_FAILURES

    async def state(self, dialog_id: DialogId, *, owner: UserId) -> SummaryState | None:
        rows = await owned_rows(self._session, _STATE, {"owner": owner, "dialog": dialog_id})
        if not rows:
            return None
        covers, content, wanted, failures = rows[0]
        return SummaryState(Summary(content, covers), wanted, failures)

    async def stretch(
        self, dialog_id: DialogId, state: SummaryState, limit: int, most_bytes: int, *, owner: UserId
    ) -> Sequence[tuple[MessageId, Exchange]]:
        values = {
            "owner": owner,
            "dialog": dialog_id,
            "covers_": state.summary.covers,
            "wanted_": state.wanted,
            "row_limit": limit,
            "most_bytes": most_bytes,
        }
        rows = await owned_rows(self._session, self._stretch, values)
        return [
            (message_id, to_exchange((position, question, None, answer, rounds)))
            for message_id, position, question, answer, rounds in rows
        ]

    async def save(
        self, dialog_id: DialogId, summary: Summary, expected: int, last: MessageId, *, owner: UserId
    ) -> bool:
        values = {
            "owner": owner,
            "dialog": dialog_id,
            "covers_": summary.covers,
            "content_": storable(summary.text),
            "expected": expected,
            "last": last,
        }
        return bool(await self._session.affected(_SAVE, values))

    async def failed(self, dialog_id: DialogId, expected: int, *, owner: UserId) -> int:
        rows = await self._session.written(_FAILED, {"owner": owner, "dialog": dialog_id, "expected": expected})
        return rows[0][0] if rows else 0
