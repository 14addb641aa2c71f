"""The writes of runs on Postgres: each is one statement, and tells whoever listens in the same.

Of CTEs only those that write, or that somebody reads, are executed: so the word to listeners is in the main SELECT.
Whoever locks several runs does it in the order of their ids, and dialogs before runs: so nobody waits in a circle.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Text, bindparam, func, insert, literal_column, null, select, union_all, update
from sqlalchemy.dialects.postgresql import ARRAY, INTEGER
from sqlalchemy.dialects.postgresql import insert as postgres_insert

from adapters.database.columns import Moment
from adapters.database.owners import OWNER
from adapters.database.runs.run_statements import (
    ADD_MESSAGES,
    ADD_RUN,
    BEGIN,
    CLOSE_RUN,
    DIALOG,
    FINISH_ANSWER,
    IS_BESIDE,
    IS_OPEN,
    IS_QUEUED,
    RENEW,
    REQUEST_STOP,
    THE_OPEN_ONE,
)
from adapters.database.runs.signals import IDS_PER_WORD, LOG_CHANNEL, STOP_CHANNEL
from adapters.database.session import Rows, Session, Values
from adapters.database.tables import dialogs, messages, run_log, runs
from adapters.database.usage.usage_rows import as_json
from adapters.database.usage.usage_statements import of_closed_run

_THESE: Final = runs.c.run_id == func.any(bindparam("ids", type_=ARRAY(Text)))
_pieces: Final = (
    func.unnest(
        bindparam("ids", type_=ARRAY(Text)),
        bindparam("firsts", type_=ARRAY(INTEGER)),
        bindparam("lasts", type_=ARRAY(INTEGER)),
        bindparam("data", type_=ARRAY(Text)),
    )
    .table_valued("run_id", "first_seq", "last_seq", "data", name="pieces")
    .render_derived()
)
_COLUMNS: Final = [column.name for column in run_log.c]


def _told(channel: str, payload: Any) -> Any:
    return func.pg_notify(literal_column(f"'{channel}'"), payload, type_=Text)


OPEN: Final = ADD_MESSAGES.add_cte(ADD_RUN.cte("new_run"))
OPEN_WITH_DIALOG: Final = OPEN.add_cte(
    insert(dialogs)
    .values({column.name: bindparam(f"d_{column.name}", type_=column.type) for column in dialogs.c})
    .cte("new_dialog")
)

# FOR SHARE is the fence: whoever closes the run at the same moment sees the piece, or it is not written.
_live: Final = (
    select(runs.c.run_id, runs.c.stop_requested)
    .where(_THESE, IS_OPEN)
    .order_by(runs.c.run_id)
    .with_for_update(read=True)
    .cte("live")
)
_new: Final = postgres_insert(run_log).from_select(
    _COLUMNS, select(*_pieces.c).join(_live, _live.c.run_id == _pieces.c.run_id)
)
_added: Final = _new.on_conflict_do_update(
    index_elements=run_log.primary_key.columns, set_={"data": _new.excluded.data}, where=IS_BESIDE
).cte("added")
_words: Final = func.unnest(bindparam("words", type_=ARRAY(Text))).table_valued("ids", name="words").render_derived()
APPEND: Final = union_all(
    select(_live.c.run_id, _live.c.stop_requested, null()),
    select(null(), null(), _told(LOG_CHANNEL, _words.c.ids)),
).add_cte(_added)

_place: Final = (
    select(dialogs.c.dialog_id)
    .where(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == DIALOG)
    .with_for_update(key_share=True)
    .cte("place")
)
_closed: Final = (
    CLOSE_RUN.where(THE_OPEN_ONE, runs.c.dialog_id == _place.c.dialog_id)
    .returning(runs.c.run_id, runs.c.message_id, runs.c.dialog_id)
    .cte("closed")
)
_answered: Final = FINISH_ANSWER.where(messages.c.message_id == _closed.c.message_id).cte("answered")
_touched: Final = (
    update(dialogs)
    .where(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == _closed.c.dialog_id)
    .values(updated_at=bindparam("a_closed_at", type_=Moment))
    .cte("touched")
)
_logged: Final = (
    postgres_insert(run_log)
    .from_select(_COLUMNS, select(*_pieces.c).join(_closed, _closed.c.run_id == _pieces.c.run_id))
    .on_conflict_do_nothing()
    .cte("logged")
)
_charged: Final = of_closed_run(_closed).cte("charged")
CLOSE: Final = select(_closed.c.run_id, _told(LOG_CHANNEL, _closed.c.run_id)).add_cte(
    _answered, _touched, _logged, _charged
)

_ordered: Final = select(runs.c.run_id).order_by(runs.c.run_id).with_for_update(key_share=True)
_open_ones: Final = _ordered.where(_THESE, IS_OPEN).cte("open_ones")
_queued_ones: Final = _ordered.where(_THESE, IS_QUEUED).cte("queued_ones")
RENEW_THESE: Final = RENEW.where(runs.c.run_id == _open_ones.c.run_id)
BEGIN_THESE: Final = BEGIN.where(runs.c.run_id == _queued_ones.c.run_id)

_asked: Final = REQUEST_STOP.returning(runs.c.run_id).cte("asked")
STOP: Final = select(_told(STOP_CHANNEL, _asked.c.run_id))


class PostgresRuns:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def open(self, values: Values, dialog: Values | None) -> None:
        if dialog is None:
            await self._session.written(OPEN, values)
        else:
            named = {f"d_{name}": value for name, value in dialog.items()}
            await self._session.written(OPEN_WITH_DIALOG, {**values, **named})

    async def append(self, pieces: Sequence[Values]) -> Rows:
        values = _arrays(pieces)
        # Of what lies beside a log no reader is told.
        told = [piece["run_id"] for piece in pieces if piece["first_seq"]]
        rows = await self._session.written(APPEND, {**values, "words": words_of(told)})
        return [row for row in rows if row[0] is not None]

    async def close(self, values: Values, pieces: Sequence[Values], attempts: Sequence[Values]) -> bool:
        whole = {**values, **_arrays(pieces), "attempts": as_json(attempts)}
        return bool(await self._session.written(CLOSE, whole))

    async def begin(self, ids: list[str]) -> None:
        await self._session.written(BEGIN_THESE, {"ids": ids})

    async def renew(self, ids: list[str], until: Any) -> Rows:
        return await self._session.written(RENEW_THESE, {"ids": ids, "until": until})

    async def request_stop(self, run_id: str) -> None:
        await self._session.written(STOP, {"id": run_id})


def _arrays(pieces: Sequence[Values]) -> dict[str, list[Any]]:
    return {
        "ids": [piece["run_id"] for piece in pieces],
        "firsts": [piece["first_seq"] for piece in pieces],
        "lasts": [piece["last_seq"] for piece in pieces],
        "data": [piece["data"] for piece in pieces],
    }


def words_of(ids: Sequence[str]) -> list[str]:
    """The ids with commas between, in as few payloads as Postgres takes."""
    return [",".join(ids[begin : begin + IDS_PER_WORD]) for begin in range(0, len(ids), IDS_PER_WORD)]
