"""The statements about memories that a user deleted one by one."""

from typing import Any, Final

from sqlalchemy import Integer, Text, and_, bindparam, delete, or_, select, update

from adapters.database.columns import Moment
from adapters.database.dialects import INSERT, for_each
from adapters.database.memory.memory_tables import forgotten_memories, memories, memory_states
from adapters.database.owners import LIMIT, OWNER

_AGENT: Final = bindparam("agent", type_=Text)
_MARKS: Final = and_(forgotten_memories.c.user_id == OWNER, forgotten_memories.c.agent_id == _AGENT)
_STATE: Final = and_(memory_states.c.user_id == OWNER, memory_states.c.agent_id == _AGENT)

FORGOTTEN: Final = (
    select(forgotten_memories.c.fingerprint, forgotten_memories.c.forgotten_at)
    .where(_MARKS)
    .order_by(forgotten_memories.c.forgotten_at.desc())
    .limit(LIMIT)
)
TO_FORGET: Final = select(memories.c.agent_id, memories.c.content).where(
    memories.c.user_id == OWNER, memories.c.memory_id == bindparam("id", type_=Text)
)
_NEWEST_TOO_MANY: Final = (
    select(forgotten_memories.c.forgotten_at)
    .where(_MARKS)
    .order_by(forgotten_memories.c.forgotten_at.desc())
    .limit(1)
    .offset(bindparam("most", type_=Integer))
    .scalar_subquery()
)
FORGET_BEFORE: Final = (
    update(memory_states)
    .where(_STATE, or_(memory_states.c.forgotten_at.is_(None), memory_states.c.forgotten_at < _NEWEST_TOO_MANY))
    .where(_NEWEST_TOO_MANY.is_not(None))
    .values(forgotten_at=_NEWEST_TOO_MANY)
)
UNMARK_OLDER: Final = delete(forgotten_memories).where(
    _MARKS, forgotten_memories.c.forgotten_at <= select(memory_states.c.forgotten_at).where(_STATE).scalar_subquery()
)
UNMARK_ALL: Final = delete(forgotten_memories).where(
    forgotten_memories.c.user_id == OWNER, or_(_AGENT.is_(None), forgotten_memories.c.agent_id == _AGENT)
)


def _mark(dialect: str) -> Any:
    insertion = INSERT[dialect](forgotten_memories).values(
        user_id=OWNER,
        agent_id=_AGENT,
        fingerprint=bindparam("fingerprint", type_=Text),
        forgotten_at=bindparam("now", type_=Moment),
    )
    later = {"forgotten_at": insertion.excluded.forgotten_at}
    return insertion.on_conflict_do_update(index_elements=["user_id", "agent_id", "fingerprint"], set_=later)


MARK: Final = for_each(_mark)
