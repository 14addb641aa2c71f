"""What is said to the database about chunks.

On Postgres whoever writes holds the base first, then the file: so nobody waits in a circle, and the chunks of a base
are numbered in the order in which they can be seen.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Delete,
    Integer,
    Select,
    Table,
    Text,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from adapters.database.columns import Moment
from adapters.database.knowledge.chunk_tables import CHUNK_ID, chunks
from adapters.database.knowledge.knowledge_bases import BASE_IS_MINE, BASE_IS_THERE
from adapters.database.knowledge.knowledge_file_statements import AT_WORK, FILE_IS, FURTHEST
from adapters.database.knowledge.knowledge_tables import knowledge_bases, knowledge_files, vector_place
from adapters.database.owners import LIMIT, beside_owner

_FILE: Final = bindparam("file", type_=Text)
_BASE: Final = bindparam("id", type_=Text)
_MODEL: Final = bindparam("of_model", type_=Text)
_AMONG: Final = chunks.c.chunk_id.in_(bindparam("ids", type_=CHUNK_ID, expanding=True))
_BASE_IS: Final = knowledge_bases.c.knowledge_id == _BASE

HOLD_FILE: Final = (
    select(knowledge_files.c.knowledge_file_id)
    .where(
        FILE_IS,
        AT_WORK,
        _BASE_IS,
        knowledge_files.c.generation == bindparam("begun", type_=Integer),
        knowledge_files.c.plan == bindparam("cut_by", type_=Text),
    )
    .with_for_update(of=knowledge_files)
)
ORDINALS: Final = select(chunks.c.ordinal).where(
    chunks.c.knowledge_file_id == _FILE,
    chunks.c.ordinal >= bindparam("first", type_=Integer),
    chunks.c.ordinal <= bindparam("last", type_=Integer),
)
ADD: Final = {
    "sqlite": sqlite.insert(chunks).on_conflict_do_nothing().returning(chunks.c.chunk_id, chunks.c.ordinal),
    "postgresql": postgresql.insert(chunks).on_conflict_do_nothing().returning(chunks.c.chunk_id, chunks.c.ordinal),
}
# Whoever has not heard that the base was switched again must not take away what it is searched by now.
HOLD_IF_SEARCHED: Final = (
    select(knowledge_bases.c.knowledge_id)
    .where(_BASE_IS, BASE_IS_THERE, knowledge_bases.c.model == _MODEL)
    .with_for_update()
)
GROW: Final = update(knowledge_bases).where(_BASE_IS).values(grown=knowledge_bases.c.grown + 1)

_stored: Final = select(func.count()).where(chunks.c.knowledge_file_id == _FILE).scalar_subquery()
ADVANCE: Final = (
    update(knowledge_files)
    .where(FILE_IS)
    .values(
        chunks=_stored,
        stage=bindparam("new_stage", type_=Text),
        updated_at=bindparam("now", type_=Moment),
    )
)
COUNT_OF_FILE: Final = update(knowledge_files).where(FILE_IS).values(chunks=_stored, furthest=FURTHEST)

_SHRINK: Final = update(knowledge_bases).values(shrunk=knowledge_bases.c.shrunk + 1)
SHRINK_BASE: Final = _SHRINK.where(_BASE_IS, exists().where(chunks.c.knowledge_id == _BASE))
SHRINK_BASE_OF_FILE: Final = _SHRINK.where(
    knowledge_bases.c.knowledge_id
    == select(chunks.c.knowledge_id).where(chunks.c.knowledge_file_id == _FILE).limit(1).scalar_subquery()
)
MOST_REMOVED: Final = 12_000
"""Characters, after which a portion is full, of however few chunks: each may have as many terms as characters."""


def _portion(of: ColumnElement[bool], by: ColumnElement[int], *, backwards: bool = False) -> Delete:
    """At least one, as long as there are any."""
    size = func.length(chunks.c.content).label("size")
    order = by.desc() if backwards else by
    first = select(chunks.c.chunk_id, size, by.label("place")).where(of).order_by(order).limit(LIMIT).subquery()
    until = func.sum(first.c.size).over(order_by=first.c.place.desc() if backwards else first.c.place)
    summed = select(first.c.chunk_id, (until - first.c.size).label("before")).subquery()
    return delete(chunks).where(chunks.c.chunk_id.in_(select(summed.c.chunk_id).where(summed.c.before < MOST_REMOVED)))


REMOVE_OF_FILE: Final = _portion(chunks.c.knowledge_file_id == _FILE, chunks.c.ordinal, backwards=True)
REMOVE_OF_BASE: Final = _portion(chunks.c.knowledge_id == _BASE, chunks.c.chunk_id)

_window: Final = (
    select(chunks.c.chunk_id)
    .where(chunks.c.knowledge_id == _BASE, chunks.c.chunk_id > bindparam("after", type_=CHUNK_ID))
    .order_by(chunks.c.chunk_id)
    .limit(bindparam("window", type_=Integer))
    .subquery()
)
END_OF_WINDOW: Final = select(func.max(_window.c.chunk_id))

_file_is: Final = knowledge_files.c.knowledge_file_id == chunks.c.knowledge_file_id
SHOWN: Final = beside_owner(
    select(
        chunks.c.chunk_id,
        chunks.c.knowledge_id,
        chunks.c.knowledge_file_id,
        chunks.c.ordinal,
        knowledge_files.c.name,
        chunks.c.content,
        chunks.c.page,
        chunks.c.begins,
        chunks.c.ends,
    )
    .where(
        _AMONG,
        _file_is,
        knowledge_files.c.knowledge_id == knowledge_bases.c.knowledge_id,
        knowledge_files.c.removed_at.is_(None),
        BASE_IS_MINE,
    )
    .subquery()
)
HIDDEN: Final = (
    select(chunks.c.chunk_id)
    .where(
        _file_is,
        knowledge_files.c.knowledge_id.in_(bindparam("bases", type_=Text, expanding=True)),
        knowledge_files.c.removed_at.is_not(None),
    )
    .limit(LIMIT)
)
STILL_THERE: Final = (
    select(chunks.c.chunk_id)
    .where(_AMONG, chunks.c.knowledge_id == _BASE)
    .order_by(chunks.c.chunk_id)
    .with_for_update(key_share=True, read=True)
)


@dataclass(frozen=True, slots=True)
class VectorStatements:
    """Those that name the table of the vectors."""

    add: dict[str, Any]
    lacking: Select[Any]
    remove: Delete
    switch: Update
    mark_incomplete: Update
    elsewhere: Select[Any]
    """A row, when a process that started later keeps vectors in another table."""

    @classmethod
    def of(cls, table: Table) -> "VectorStatements":
        mine = and_(table.c.chunk_id == chunks.c.chunk_id, table.c.model == _MODEL)
        lacking = (
            select(chunks.c.chunk_id, chunks.c.content, chunks.c.headings, knowledge_files.c.name)
            .where(_file_is, chunks.c.knowledge_id == _BASE, ~exists().where(mine))
            .where(
                chunks.c.chunk_id > bindparam("after", type_=CHUNK_ID),
                chunks.c.chunk_id <= bindparam("until", type_=CHUNK_ID),
            )
            .order_by(chunks.c.chunk_id)
            .limit(LIMIT)
        )
        # What comes before and behind in the index: unequal alone would walk through all that stay.
        some = select(table.c.chunk_id, table.c.model).where(table.c.knowledge_id == _BASE).limit(LIMIT)
        apart = (some.where(table.c.model < _MODEL).subquery(), some.where(table.c.model > _MODEL).subquery())
        both = union_all(*(select(one.c.chunk_id, one.c.model) for one in apart)).limit(LIMIT).subquery()
        others = select(both.c.chunk_id, both.c.model)
        # Counted in the indexes alone: looking for the vector of each chunk takes five times as long.
        of_base = select(func.count()).where(chunks.c.knowledge_id == _BASE).scalar_subquery()
        of_model = select(func.count()).where(table.c.knowledge_id == _BASE, table.c.model == _MODEL).scalar_subquery()
        elsewhere = exists().where(vector_place.c.place != table.name)
        lacks_one = or_(knowledge_bases.c.model.is_distinct_from(_MODEL), elsewhere)
        return cls(
            {
                "sqlite": sqlite.insert(table).on_conflict_do_nothing(),
                "postgresql": postgresql.insert(table).on_conflict_do_nothing(),
            },
            lacking,
            delete(table).where(tuple_(table.c.chunk_id, table.c.model).in_(others)),
            update(knowledge_bases)
            .where(_BASE_IS, BASE_IS_THERE, of_base == of_model, ~elsewhere)
            .values(model=_MODEL, incomplete=False),
            # Until the next switch somebody has to look for chunks that lack the vector by which the base is searched.
            update(knowledge_bases).where(_BASE_IS, ~knowledge_bases.c.incomplete, lacks_one).values(incomplete=True),
            select(vector_place.c.place).where(vector_place.c.place != table.name),
        )
