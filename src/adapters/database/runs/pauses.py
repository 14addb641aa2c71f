"""Runs that wait for a person: beside the run lies what it needs to go on."""

import asyncio
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Integer, LargeBinary, and_, bindparam, literal_column, null, or_, select, update

from adapters.database.owners import owned_row
from adapters.database.runs.pause_rows import from_pause, to_pause
from adapters.database.runs.run_rows import to_run
from adapters.database.runs.run_statements import GET, ID, IS_OPEN, UNTIL
from adapters.database.session import Session
from adapters.database.tables import dialogs, runs
from application.ports.pauses import WrittenPause
from domain.errors import Conflict
from domain.ids import RunId, UserId
from domain.runs.pauses import RunPause
from domain.runs.runs import Run, RunStatus

_STATE: Final = bindparam("state", type_=LargeBinary)
_NUMBER: Final = bindparam("number", type_=Integer)
_THIS: Final = runs.c.run_id == ID
_LIVE: Final = runs.c.status != literal_column("'waiting'")
_PUT: Final = (
    update(runs)
    .where(_THIS, IS_OPEN, _LIVE, runs.c.stop_requested.is_(False), runs.c.pauses == _NUMBER)
    .values(status=literal_column("'waiting'"), lease_until=UNTIL, pause=_STATE)
    .returning(runs.c.run_id)
)
# Whose word that it waits was lost may ask again: it waits, perhaps with approvals by now, or went on since.
_WAITED: Final = select(runs.c.run_id).where(
    _THIS, or_(runs.c.pauses > _NUMBER, and_(~_LIVE, IS_OPEN, runs.c.pauses == _NUMBER))
)
# Whoever closes a run locks its dialog before it. On SQLite the whole transaction is the lock.
_HOLD_DIALOG: Final = (
    select(runs.c.run_id)
    .join(dialogs, and_(dialogs.c.user_id == runs.c.user_id, dialogs.c.dialog_id == runs.c.dialog_id))
    .where(_THIS)
    .with_for_update(key_share=True, of=dialogs)
)
_HOLD: Final = (
    select(runs.c.run_id)
    .where(_THIS, IS_OPEN, runs.c.status == literal_column("'waiting'"))
    .with_for_update(key_share=True)
)
_GET: Final = select(runs.c.pause).where(_THIS)
_SAVE: Final = update(runs).where(_THIS).values(pause=_STATE)
_END: Final = (
    update(runs)
    .where(_THIS)
    .values(status=literal_column("'running'"), lease_until=UNTIL, pause=null(), pauses=runs.c.pauses + 1)
)


class PauseRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def written(self, pause: RunPause) -> WrittenPause:
        return WrittenPause(pause.number, await asyncio.to_thread(from_pause, pause))

    async def put(self, run_id: RunId, pause: WrittenPause, until: datetime) -> bool:
        values = {"id": run_id, "state": pause.data, "until": until, "number": pause.number}
        return bool(await self._session.written(_PUT, values) or await self._session.rows(_WAITED, values))

    async def find(self, run_id: RunId, *, owner: UserId) -> tuple[Run, RunPause]:
        return await self._found(run_id, owner, None)

    async def _found(self, run_id: RunId, owner: UserId, known: RunPause | None) -> tuple[Run, RunPause]:
        run = to_run(await owned_row(self._session, GET, {"owner": owner, "id": run_id}, "run", run_id))
        _refuse_awake(run)
        rows = await self._session.rows(_GET, {"id": run_id})
        if not rows or rows[0][0] is None:
            raise _awake()
        state: bytes = rows[0][0]
        if known is not None and known.stored == state:
            return run, known
        return run, replace(await asyncio.to_thread(to_pause, state), stored=state)

    async def held(self, run_id: RunId, *, owner: UserId, known: RunPause | None = None) -> tuple[Run, RunPause]:
        await self.hold(run_id)
        return await self._found(run_id, owner, known)

    async def save(self, run_id: RunId, pause: RunPause) -> None:
        state = await asyncio.to_thread(from_pause, pause)
        await self._session.affected(_SAVE, {"id": run_id, "state": state})

    async def end(self, run_id: RunId, lease_until: datetime) -> None:
        await self._session.affected(_END, {"id": run_id, "until": lease_until})

    async def hold(self, run_id: RunId) -> bool:
        await self._session.rows(_HOLD_DIALOG, {"id": run_id})
        return bool(await self._session.rows(_HOLD, {"id": run_id}))


def _refuse_awake(run: Run) -> None:
    if run.status is not RunStatus.WAITING or run.stop_requested:
        raise _awake()


def _awake() -> Conflict:
    return Conflict("approval_not_awaited", "This answer waits for nobody: no call of it is to be approved now.")
