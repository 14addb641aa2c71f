"""What agents remember about users."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from adapters.database.errors import BrokenReference, account_gone
from adapters.database.memory.forgotten_statements import (
    FORGET_BEFORE,
    FORGOTTEN,
    MARK,
    TO_FORGET,
    UNMARK_ALL,
    UNMARK_OLDER,
)
from adapters.database.memory.memory_statements import (
    ADD,
    BEGIN_CURSOR,
    BEGIN_STATE,
    COUNT_CHANGE,
    COUNT_REMOVAL,
    FAIL,
    FORGET,
    FORGET_ALL,
    FORGET_STATES,
    GET,
    HOLD_DIALOG,
    KNOWN,
    LESSON,
    LIST,
    LIST_OF_AGENT,
    MOVE_CURSOR,
    TEACH,
    TOUCH,
    USEFUL,
)
from adapters.database.owners import owned_row, owned_rows, refuse_missing, window_values
from adapters.database.session import Session, Values
from application.paging import Window
from domain.chat.callers import is_results_text
from domain.ids import AgentId, DialogId, MemoryId, UserId
from domain.knowledge.embeddings import Vector
from domain.memory.forgotten_memories import MOST_FORGOTTEN, Forgotten, fingerprint
from domain.memory.memories import MOST, Changes, Known, Memory, New
from domain.memory.memory_lessons import MOST_SAID, Lesson, Said


class _Stale(Exception):
    """Rolls back: somebody was first."""


class MemoryRows:
    __slots__ = ("_dialect", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._dialect = dialect

    async def list(self, window: Window, agent_id: AgentId | None, *, owner: UserId) -> Sequence[Memory]:
        values = window_values(window, owner)
        if agent_id is None:
            return [Memory(*row) for row in await owned_rows(self._session, LIST, values)]
        return [Memory(*row) for row in await owned_rows(self._session, LIST_OF_AGENT, values | {"agent": agent_id})]

    async def get(self, memory_id: MemoryId, *, owner: UserId) -> Memory:
        values = {"owner": owner, "id": memory_id}
        return Memory(*await owned_row(self._session, GET, values, "memory", memory_id))

    async def known(self, agent_id: AgentId, model: str, few: int, *, owner: UserId) -> Sequence[Known]:
        values = {"owner": owner, "agent": agent_id, "model": model, "few": few, "row_limit": MOST}
        return [_to_known(*row) for row in await self._session.rows(KNOWN, values)]

    async def lesson(self, dialog_id: DialogId, *, owner: UserId) -> Lesson | None:
        values = {"owner": owner, "dialog": dialog_id, "row_limit": MOST_SAID + 1}
        rows = await owned_rows(self._session, LESSON, values)
        return _to_lesson(rows) if rows else None

    async def learn(
        self, dialog_id: DialogId, lesson: Lesson, changes: Changes, now: datetime, *, owner: UserId
    ) -> bool:
        values = {**_place(dialog_id, lesson, owner), "now": now}
        try:
            return await self._session.together(partial(_learn, dialect=self._dialect, changes=changes, values=values))
        except (_Stale, BrokenReference):
            return False

    async def failed(self, dialog_id: DialogId, lesson: Lesson, *, owner: UserId) -> int:
        values = _place(dialog_id, lesson, owner)
        try:
            return await self._session.together(partial(_fail, dialect=self._dialect, values=values))
        except BrokenReference:
            return 0

    async def forgotten(self, agent_id: AgentId, *, owner: UserId) -> Forgotten:
        rows = await self._session.rows(FORGOTTEN, {"owner": owner, "agent": agent_id, "row_limit": MOST_FORGOTTEN})
        return Forgotten(owner, agent_id, {row[0]: row[1] for row in rows})

    async def remove(self, memory_id: MemoryId, now: datetime, *, owner: UserId) -> None:
        values = {"owner": owner, "id": memory_id, "ids": [memory_id], "now": now}
        if not await self._session.together(partial(_remove, dialect=self._dialect, values=values)):
            await refuse_missing(self._session, owner, "memory", memory_id)

    async def remove_all(self, agent_id: AgentId | None, now: datetime, *, owner: UserId) -> None:
        values = {"owner": owner, "agent": agent_id, "now": now}
        if not await self._session.together(partial(_remove_all, dialect=self._dialect, values=values)):
            if agent_id is None:
                raise account_gone()
            await refuse_missing(self._session, owner, "agent", agent_id)


def _place(dialog_id: DialogId, lesson: Lesson, owner: UserId) -> dict[str, Any]:
    return {
        "owner": owner,
        "dialog": dialog_id,
        "agent": lesson.agent_id,
        "version_": lesson.version,
        "expected": lesson.learnt,
        "until": lesson.until,
        "last": lesson.last,
    }


def _learn(connection: Connection, dialect: str, changes: Changes, values: Values) -> bool:
    # Whoever deletes the dialog holds it, and waits for the memories next: so it is held here before them.
    if not connection.execute(HOLD_DIALOG, values).first():
        raise _Stale
    if changes.alters:
        connection.execute(BEGIN_STATE[dialect], values)
        if not connection.execute(COUNT_CHANGE, values).rowcount:
            raise _Stale
    connection.execute(BEGIN_CURSOR[dialect], values)
    if not connection.execute(MOVE_CURSOR, values).rowcount:
        raise _Stale
    _change(connection, dialect, changes, values)
    return True


def _change(connection: Connection, dialect: str, changes: Changes, values: Values) -> None:
    now = values["now"]
    if changes.removed:
        connection.execute(FORGET, {**values, "ids": list(changes.removed)})
    if changes.added:
        connection.execute(ADD, [_from_new(one, values) for one in changes.added])
    if changes.confirmed:
        connection.execute(TOUCH, [{"owner": values["owner"], "id": one, "now": now} for one in changes.confirmed])
    taught = {one.memory_id: one.message_id for one in changes.added} | dict(changes.confirmed)
    if taught:
        source = {"user_id": values["owner"], "dialog_id": values["dialog"], "taught_at": now}
        rows = [{**source, "memory_id": memory, "message_id": message} for memory, message in taught.items()]
        connection.execute(TEACH[dialect], rows)
    if changes.useful:
        connection.execute(USEFUL, {**values, "ids": list(changes.useful)})


def _fail(connection: Connection, dialect: str, values: Values) -> int:
    connection.execute(BEGIN_CURSOR[dialect], values)
    failures: int = connection.execute(FAIL, values).scalar() or 0
    return failures


def _remove(connection: Connection, dialect: str, values: Values) -> bool:
    there = connection.execute(TO_FORGET, values).first()
    if there is None:
        return False
    connection.execute(COUNT_REMOVAL, values)
    if not connection.execute(FORGET, values).rowcount:
        return False
    agent_id, content = there
    mark = fingerprint(values["owner"], agent_id, content)
    connection.execute(MARK[dialect], {**values, "agent": agent_id, "fingerprint": mark})
    # Whoever deletes more than is kept finds nothing back either: what was asked so long ago teaches nothing.
    for statement in (FORGET_BEFORE, UNMARK_OLDER):
        connection.execute(statement, {**values, "agent": agent_id, "most": MOST_FORGOTTEN})
    return True


def _remove_all(connection: Connection, dialect: str, values: Values) -> bool:
    if not connection.execute(FORGET_STATES[dialect], values).fetchall():
        return False
    connection.execute(FORGET_ALL, values)
    connection.execute(UNMARK_ALL, values)
    return True


def _from_new(one: New, values: Values) -> dict[str, Any]:
    return {
        "memory_id": one.memory_id,
        "user_id": values["owner"],
        "agent_id": values["agent"],
        "content": one.content,
        "created_at": values["now"],
        "updated_at": values["now"],
        "useful_at": values["now"],
        "vector_model": one.model,
        "vector": one.vector,
    }


def _to_known(memory_id: MemoryId, content: str, useful_at: datetime, vector: bytes | None) -> Known:
    return Known(memory_id, content, useful_at, None if vector is None else Vector(bytes(vector)))


def _to_lesson(rows: Sequence[Any]) -> Lesson:
    """Its first messages to one agent. What programs brought it is nobody's word."""
    first = rows[0]
    agent_id = first[2]
    others = [number for number, row in enumerate(rows) if row[2] != agent_id]
    taken = rows[: min([MOST_SAID, *others])]
    _, _, _, learnt, failures, version, *_ = first
    said = (Said(question_id, question, before or "", asked) for *_, question_id, question, before, asked in taken)
    return Lesson(
        agent_id,
        tuple(one for one in said if not is_results_text(one.text)),
        learnt,
        until=taken[-1][0],
        last=taken[-1][1],
        version=version,
        failures=failures,
        has_more=len(taken) < len(rows),
    )
