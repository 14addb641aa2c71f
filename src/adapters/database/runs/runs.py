"""Runs: one open in a dialog, one closer wins, and its log goes on until then."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.exc import IntegrityError

from adapters.database.conversations.dialogs import from_dialog
from adapters.database.conversations.message_rows import from_answer
from adapters.database.errors import BrokenReference
from adapters.database.owners import owned_row, owned_rows, refuse_missing
from adapters.database.runs.run_log_rows import from_piece, to_recorded, to_rows, to_unseen
from adapters.database.runs.run_rows import asked_to_stop, from_opening, to_run
from adapters.database.runs.run_statements import (
    ABANDONED,
    BY_KEY,
    CLOSED_BEFORE,
    CLOSED_SO,
    FOLLOW,
    FORGET_LOGS,
    GET,
    HOLD_ABANDONED,
    IS_STORED,
    LOG,
    LOGGED_BEFORE,
    OPEN_IN,
    RELEASE_KEY,
    REMOVE_LOGS,
    REMOVE_RUNS,
    UNSEEN,
)
from adapters.database.runs.runs_on_postgres import PostgresRuns
from adapters.database.runs.runs_on_sqlite import SqliteRuns
from adapters.database.session import Session, Values
from adapters.database.usage.usage_rows import from_attempts
from application.ports.runs import LogPiece, Unseen
from domain.chat.chat_events import Recorded
from domain.dialogs.dialogs import Dialog
from domain.dialogs.messages import Answer, Question
from domain.errors import Conflict, NotFound
from domain.ids import DialogId, RunId, UserId
from domain.runs.runs import Run


class RunRows:
    __slots__ = ("_session", "_writes")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._writes = PostgresRuns(session) if dialect == "postgresql" else SqliteRuns(session)

    async def open(self, run: Run, question: Question, answer: Answer, *, dialog: Dialog | None = None) -> None:
        values = from_opening(run, question, answer)
        try:
            await self._writes.open(values, None if dialog is None else from_dialog(dialog))
        except (Conflict, IntegrityError):
            # What is in the way may be this very run, stored by a try whose acknowledgement was lost.
            if not (self._session.alone and await self._session.rows(IS_STORED, values)):
                raise
        except BrokenReference as broken:
            # SQLite does not say which reference broke, and lets the transaction go on to find out.
            if broken.constraint is None:
                await refuse_missing(self._session, run.user_id, "dialog", run.dialog_id)
            if broken.constraint in {"messages_dialog", "runs_dialog"}:
                raise NotFound("dialog", run.dialog_id) from broken
            raise

    async def get(self, run_id: RunId, *, owner: UserId) -> Run:
        return to_run(await owned_row(self._session, GET, {"owner": owner, "id": run_id}, "run", run_id))

    async def open_in(self, dialog_id: DialogId, *, owner: UserId) -> Run:
        values = {"owner": owner, "dialog": dialog_id}
        return to_run(await owned_row(self._session, OPEN_IN, values, "run", dialog_id))

    async def by_key(self, key: str, *, owner: UserId) -> Run | None:
        rows = await owned_rows(self._session, BY_KEY, {"owner": owner, "key": key})
        return to_run(rows[0]) if rows else None

    async def release_key(self, run_id: RunId) -> None:
        await self._session.written(RELEASE_KEY, {"id": run_id})

    async def begun(self, run_ids: Sequence[RunId]) -> None:
        if run_ids:
            await self._writes.begin(list(run_ids))

    async def append(self, pieces: Sequence[LogPiece]) -> Mapping[RunId, bool]:
        rows = [row for one in pieces for row in to_rows(one)]
        return asked_to_stop(await self._writes.append(rows)) if rows else {}

    async def log(self, run_id: RunId, after: int, limit: int) -> Sequence[Recorded]:
        rows = await self._session.rows(LOG, {"id": run_id, "after": after, "row_limit": limit})
        return [one for row in rows for one in to_recorded(*row) if one.seq > after]

    async def unseen(self, run_id: RunId) -> Unseen | None:
        rows = await self._session.rows(UNSEEN, {"id": run_id})
        return to_unseen(rows[0][0]) if rows else None

    async def close(self, answer: Answer, pieces: Sequence[LogPiece], *, owner: UserId) -> bool:
        values = {
            **from_answer(answer),
            "owner": owner,
            "dialog": answer.dialog_id,
            "id": answer.run_id,
            "message": answer.message_id,
            "a_closed_at": answer.closed_at or datetime.now(UTC),
        }
        attempts = from_attempts(answer.attempts, answer.run_id)
        if await self._writes.close(values, [from_piece(one) for one in pieces], attempts):
            return True
        return bool(await self._session.rows(CLOSED_SO, values))

    async def renew(self, run_ids: Sequence[RunId], lease_until: datetime) -> Mapping[RunId, bool]:
        return asked_to_stop(await self._writes.renew(list(run_ids), lease_until)) if run_ids else {}

    async def follow(self, run_id: RunId, until: datetime) -> None:
        await self._session.written(FOLLOW, {"id": run_id, "until": until})

    async def request_stop(self, run_id: RunId) -> None:
        await self._writes.request_stop(run_id)

    async def abandoned(self, now: datetime, limit: int) -> Sequence[Run]:
        return [to_run(row) for row in await self._session.rows(ABANDONED, {"now": now, "row_limit": limit})]

    async def hold_abandoned(self, run_id: RunId, now: datetime) -> bool:
        return bool(await self._session.rows(HOLD_ABANDONED, {"id": run_id, "now": now}))

    async def remove_logs(self, closed_before: datetime, limit: int) -> int:
        return await self._swept(LOGGED_BEFORE, (REMOVE_LOGS, FORGET_LOGS), closed_before, limit)

    async def remove(self, closed_before: datetime, limit: int) -> int:
        return await self._swept(CLOSED_BEFORE, (REMOVE_RUNS,), closed_before, limit)

    async def _swept(self, chosen: Select[Any], writes: Sequence[Any], closed_before: datetime, limit: int) -> int:
        values = {"before": closed_before, "row_limit": limit}
        return await self._session.together(partial(_sweep, chosen=chosen, writes=writes, values=values))


def _sweep(connection: Connection, chosen: Select[Any], writes: Sequence[Any], values: Values) -> int:
    ids = connection.execute(chosen, values).scalars().all()
    for write in writes if ids else ():
        connection.execute(write, {"ids": ids})
    return len(ids)
