"""The writes of runs on SQLite: several short statements in one transaction, in which nobody else writes."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Text, bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert

from adapters.database.columns import Moment
from adapters.database.conversations.dialogs import ADD_DIALOG
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
from adapters.database.session import Rows, Session, Values
from adapters.database.tables import dialogs, messages, run_log, runs
from adapters.database.usage.usage_rows import as_bound
from adapters.database.usage.usage_statements import OF_CLOSED_RUN

# One parameter whatever the number of ids, so that the statement is compiled once.
_ids: Final = func.json_each(bindparam("ids", type_=Text)).table_valued("value", name="wanted")
_THESE: Final = runs.c.run_id.in_(select(_ids.c.value))

_LIVE: Final = select(runs.c.run_id, runs.c.stop_requested).where(_THESE, IS_OPEN)
_new: Final = insert(run_log)
_ADD_PIECES: Final = _new.on_conflict_do_update(
    index_elements=run_log.primary_key.columns, set_={"data": _new.excluded.data}, where=IS_BESIDE
)
_CLOSE: Final = CLOSE_RUN.where(THE_OPEN_ONE)
_FINISH: Final = FINISH_ANSWER.where(messages.c.message_id == bindparam("message", type_=Text))
_TOUCH: Final = (
    update(dialogs)
    .where(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == DIALOG)
    .values(updated_at=bindparam("a_closed_at", type_=Moment))
)
_RENEW_THESE: Final = RENEW.where(_THESE, IS_OPEN)
_BEGIN_THESE: Final = BEGIN.where(_THESE, IS_QUEUED)


class SqliteRuns:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def open(self, values: Values, dialog: Values | None) -> None:
        await self._session.together(partial(_open, values=values, dialog=dialog))

    async def append(self, pieces: Sequence[Values]) -> Rows:
        return await self._session.together(partial(_append, pieces=pieces))

    async def close(self, values: Values, pieces: Sequence[Values], attempts: Sequence[Values]) -> bool:
        return await self._session.together(partial(_close, values=values, pieces=pieces, attempts=attempts))

    async def begin(self, ids: Sequence[str]) -> None:
        await self._session.written(_BEGIN_THESE, {"ids": json.dumps(ids)})

    async def renew(self, ids: Sequence[str], until: datetime) -> Rows:
        return await self._session.written(_RENEW_THESE, {"ids": json.dumps(ids), "until": until})

    async def request_stop(self, run_id: str) -> None:
        await self._session.written(REQUEST_STOP, {"id": run_id})


def _open(connection: Connection, values: Values, dialog: Values | None) -> None:
    if dialog is not None:
        connection.execute(ADD_DIALOG, dialog)
    connection.execute(ADD_MESSAGES, values)
    connection.execute(ADD_RUN, values)


def _append(connection: Connection, pieces: Sequence[Values]) -> Rows:
    live = connection.execute(_LIVE, {"ids": json.dumps([piece["run_id"] for piece in pieces])}).fetchall()
    still_open = {run_id for run_id, _ in live}
    _add(connection, [piece for piece in pieces if piece["run_id"] in still_open])
    return live


def _close(connection: Connection, values: Values, pieces: Sequence[Values], attempts: Sequence[Values]) -> bool:
    if not connection.execute(_CLOSE, values).rowcount:
        return False
    connection.execute(_FINISH, values)
    connection.execute(_TOUCH, values)
    _add(connection, pieces)
    if attempts:
        common = {name: values[name] for name in ("id", "a_agent_id")}
        connection.execute(OF_CLOSED_RUN, [common | as_bound(attempt) for attempt in attempts])
    return True


def _add(connection: Connection, pieces: Sequence[Any]) -> None:
    if pieces:
        connection.execute(_ADD_PIECES, pieces)
