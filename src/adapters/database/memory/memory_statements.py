"""The statements about memories."""

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    update,
)

from adapters.database.agents.agent_tables import agent_versions
from adapters.database.agents.agents import USABLE
from adapters.database.columns import Moment
from adapters.database.dialects import INSERT, for_each
from adapters.database.memory.memory_tables import memories, memory_cursors, memory_sources, memory_states
from adapters.database.owners import LIMIT, OWNER, beside_owner, newest_first
from adapters.database.tables import agents, dialogs, messages, users

MOST_BEHIND: Final = 50
"""Answers that a dialog still learns from when nothing was learnt for long, the newest."""
BEGINNING: Final = 3_000
END: Final = 1_000
"""Characters of a message that are looked at; of an answer, its end."""

_DIALOG: Final = bindparam("dialog", type_=Text)
_AGENT: Final = bindparam("agent", type_=Text)
_NOW: Final = bindparam("now", type_=Moment)
_ID: Final = bindparam("id", type_=Text)
_MINE: Final = memories.c.user_id == OWNER
_THIS: Final = and_(_MINE, memories.c.memory_id == _ID)
_CURSOR: Final = and_(memory_cursors.c.user_id == OWNER, memory_cursors.c.dialog_id == _DIALOG)
_ZERO: Final = literal_column("0", Integer)
_NOWHERE: Final = literal_column("-1", Integer)


def _newest_source(column: ColumnElement[str]) -> ColumnElement[str]:
    order = (memory_sources.c.taught_at.desc(), memory_sources.c.dialog_id)
    newest = select(column).where(memory_sources.c.memory_id == memories.c.memory_id).order_by(*order).limit(1)
    return newest.correlate(memories).scalar_subquery()


_shown: Final = select(
    memories.c.memory_id,
    memories.c.agent_id,
    memories.c.content,
    _newest_source(memory_sources.c.dialog_id).label("dialog_id"),
    _newest_source(memory_sources.c.message_id).label("message_id"),
    memories.c.created_at,
    memories.c.updated_at,
)
LIST: Final = newest_first(_shown.where(_MINE), memories, "memory_id")
LIST_OF_AGENT: Final = newest_first(_shown.where(_MINE, memories.c.agent_id == _AGENT), memories, "memory_id")
GET: Final = beside_owner(_shown.where(_THIS).subquery())
KNOWN: Final = (
    select(
        memories.c.memory_id,
        memories.c.content,
        memories.c.useful_at,
        case(
            (
                and_(
                    func.sum(func.length(memories.c.content)).over() > bindparam("few", type_=Integer),
                    memories.c.vector_model == bindparam("model", type_=Text),
                ),
                memories.c.vector,
            )
        ),
    )
    .where(_MINE, memories.c.agent_id == _AGENT)
    .order_by(memories.c.updated_at.desc(), memories.c.memory_id)
    .limit(LIMIT)
)


def _said(content: ColumnElement[str]) -> ColumnElement[str]:
    """The beginning and the end: what a text is pasted for stands in one of them."""
    long = func.substr(content, 1, BEGINNING) + literal_column("'\n…\n'", Text) + _end(content)
    return case((func.length(content) <= BEGINNING + END, content), else_=long)


def _end(content: ColumnElement[str]) -> ColumnElement[str]:
    ended: ColumnElement[str] = func.substr(content, func.length(content) - END + 1)
    return case((func.length(content) <= END, content), else_=ended)


def _beside(column: ColumnElement[Any], place: Any, back: int, after: Any = None) -> ColumnElement[Any]:
    """Of the message so many places before; of one that is not older than `after`, if that is given."""
    asked = messages.alias(f"back_{back}_{column.name}")
    at = asked.c.position == place - literal_column(str(back), Integer)
    wanted = select(asked.c[column.name]).where(asked.c.user_id == OWNER, asked.c.dialog_id == _DIALOG, at)
    if after is not None:
        wanted = wanted.where(or_(after.is_(None), asked.c.created_at > after))
    return wanted.scalar_subquery()


def _lesson() -> Select[Any]:
    # An agent remembers what it was asked while it did, by its version then, and only while it still does.
    then = and_(agent_versions.c.agent_id == messages.c.agent_id, agent_versions.c.version == messages.c.agent_version)
    state = and_(memory_states.c.user_id == OWNER, memory_states.c.agent_id == messages.c.agent_id)
    learnt = func.coalesce(select(memory_cursors.c.learnt).where(_CURSOR).scalar_subquery(), _NOWHERE)
    recent = (
        select(
            messages.c.position,
            messages.c.message_id,
            messages.c.agent_id,
            learnt.label("learnt"),
            func.coalesce(memory_cursors.c.failures, _ZERO).label("failures"),
            func.coalesce(memory_states.c.version, _ZERO).label("version"),
            memory_states.c.forgotten_at,
        )
        .select_from(
            messages.join(agents, and_(agents.c.agent_id == messages.c.agent_id, USABLE))
            .join(agent_versions, then)
            .outerjoin(memory_cursors, _CURSOR)
            .outerjoin(memory_states, state)
        )
        .where(
            messages.c.user_id == OWNER,
            messages.c.dialog_id == _DIALOG,
            messages.c.status == literal_column("'complete'"),
            messages.c.position > learnt,
            agents.c.enable_memory,
            agent_versions.c.enable_memory,
            or_(memory_states.c.forgotten_at.is_(None), messages.c.created_at > memory_states.c.forgotten_at),
        )
        .order_by(messages.c.position.desc())
        .limit(MOST_BEHIND)
        .subquery("recent")
    )
    oldest = select(recent).order_by(recent.c.position).limit(LIMIT).subquery("oldest")
    page = select(
        *oldest.c,
        _beside(messages.c.message_id, oldest.c.position, 1).label("question_id"),
        _said(_beside(messages.c.content, oldest.c.position, 1)).label("question"),
        _end(_beside(messages.c.content, oldest.c.position, 2, oldest.c.forgotten_at)).label("before"),
        _beside(messages.c.created_at, oldest.c.position, 1).label("asked_at"),
    ).subquery("page")
    return beside_owner(page, page.c.position)


LESSON: Final = _lesson()
_ENABLED: Final = exists(select(agents.c.agent_id).where(agents.c.agent_id == _AGENT, USABLE, agents.c.enable_memory))
HOLD_DIALOG: Final = (
    select(dialogs.c.dialog_id)
    .where(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == _DIALOG)
    .with_for_update(read=True, key_share=True)
)
COUNT_CHANGE: Final = (
    update(memory_states)
    .where(
        memory_states.c.user_id == OWNER,
        memory_states.c.agent_id == _AGENT,
        memory_states.c.version == bindparam("version_", type_=Integer),
        _ENABLED,
    )
    .values(version=memory_states.c.version + 1)
)
_LAST: Final = exists(
    select(messages.c.message_id).where(
        messages.c.user_id == OWNER,
        messages.c.dialog_id == _DIALOG,
        messages.c.position == bindparam("until", type_=Integer),
        messages.c.message_id == bindparam("last", type_=Text),
    )
)
_EXPECTED: Final = memory_cursors.c.learnt == bindparam("expected", type_=Integer)
MOVE_CURSOR: Final = (
    update(memory_cursors)
    .where(_CURSOR, _EXPECTED, _LAST)
    .values(learnt=bindparam("until", type_=Integer), failures=_ZERO)
)
FAIL: Final = (
    update(memory_cursors)
    .where(_CURSOR, _EXPECTED, _LAST)
    .values(failures=memory_cursors.c.failures + 1)
    .returning(memory_cursors.c.failures)
)
ADD: Final = insert(memories)
TOUCH: Final = update(memories).where(_THIS).values(updated_at=_NOW, useful_at=_NOW)
USEFUL: Final = (
    update(memories)
    .where(_MINE, memories.c.memory_id.in_(bindparam("ids", type_=Text, expanding=True)))
    .values(useful_at=_NOW)
)
# Of a memory its sources are taken away, in the order in which the end of a dialog does it: two that wait for each
# other would be a deadlock.
FORGET: Final = delete(memory_sources).where(
    memory_sources.c.memory_id.in_(
        select(memories.c.memory_id).where(
            _MINE, memories.c.memory_id.in_(bindparam("ids", type_=Text, expanding=True))
        )
    )
)
FORGET_ALL: Final = delete(memory_sources).where(
    memory_sources.c.memory_id.in_(
        select(memories.c.memory_id).where(_MINE, or_(_AGENT.is_(None), memories.c.agent_id == _AGENT))
    )
)
COUNT_REMOVAL: Final = (
    update(memory_states)
    .where(
        memory_states.c.user_id == OWNER,
        memory_states.c.agent_id == select(memories.c.agent_id).where(_THIS).scalar_subquery(),
    )
    .values(version=memory_states.c.version + 1)
)


def _begin_state(dialect: str) -> Any:
    row = select(OWNER, agents.c.agent_id, _ZERO, null()).where(agents.c.agent_id == _AGENT, USABLE)
    columns = ["user_id", "agent_id", "version", "forgotten_at"]
    return INSERT[dialect](memory_states).from_select(columns, row).on_conflict_do_nothing()


def _begin_cursor(dialect: str) -> Any:
    row = select(dialogs.c.user_id, dialogs.c.dialog_id, _NOWHERE, _ZERO)
    row = row.where(dialogs.c.user_id == OWNER, dialogs.c.dialog_id == _DIALOG)
    columns = ["user_id", "dialog_id", "learnt", "failures"]
    return INSERT[dialect](memory_cursors).from_select(columns, row).on_conflict_do_nothing()


def _forget_states(dialect: str) -> Any:
    """Of every agent that the user may have: a lesson may be under way with one that has no memory yet."""
    one = literal_column("1", Integer)
    row = select(users.c.user_id, agents.c.agent_id, one, _NOW).select_from(users.join(agents, USABLE))
    row = row.where(users.c.user_id == OWNER, or_(_AGENT.is_(None), agents.c.agent_id == _AGENT))
    insertion = INSERT[dialect](memory_states).from_select(["user_id", "agent_id", "version", "forgotten_at"], row)
    return insertion.on_conflict_do_update(
        index_elements=["user_id", "agent_id"],
        set_={"version": memory_states.c.version + 1, "forgotten_at": insertion.excluded.forgotten_at},
    ).returning(memory_states.c.agent_id)


def _teach(dialect: str) -> Any:
    insertion = INSERT[dialect](memory_sources)
    told = {"message_id": insertion.excluded.message_id, "taught_at": insertion.excluded.taught_at}
    return insertion.on_conflict_do_update(index_elements=["memory_id", "dialog_id"], set_=told)


BEGIN_STATE: Final = for_each(_begin_state)
BEGIN_CURSOR: Final = for_each(_begin_cursor)
FORGET_STATES: Final = for_each(_forget_states)
TEACH: Final = for_each(_teach)
