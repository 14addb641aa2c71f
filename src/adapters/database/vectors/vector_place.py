"""In which table the vectors of a database are kept, as the process that started last was told to.

Another one has nothing at first: it is filled by the same work that fills a base for another model.
"""

from typing import Any, Final, Literal

from sqlalchemy import Connection, Text, bindparam, delete, insert, select, update

from adapters.database.knowledge.chunk_tables import chunk_vectors
from adapters.database.knowledge.knowledge_bases import BASE_IS_THERE
from adapters.database.knowledge.knowledge_tables import knowledge_bases, vector_place
from adapters.database.schema import alone

VectorKind = Literal["embedded", "pgvector"]

_REMEMBERED: Final = select(vector_place.c.place)
_FORGET: Final = delete(vector_place)
_REMEMBER: Final = insert(vector_place).values(number=1, place=bindparam("new_place", type_=Text))
_with_model = (BASE_IS_THERE, knowledge_bases.c.model.is_not(None), ~knowledge_bases.c.incomplete)
# Held in the order in which others hold several of them, so that nobody waits in a circle.
_IN_ORDER: Final = (
    select(knowledge_bases.c.knowledge_id)
    .where(*_with_model)
    .order_by(knowledge_bases.c.knowledge_id)
    .with_for_update(key_share=True)
)
_MARK: Final = update(knowledge_bases).where(knowledge_bases.c.knowledge_id.in_(_IN_ORDER)).values(incomplete=True)


def table_of(kind: VectorKind) -> Any:
    if kind == "embedded":
        return chunk_vectors
    # Loaded by those alone who use it.
    from adapters.database.vectors.pgvector_table import chunk_embeddings

    return chunk_embeddings


async def keep_vectors(url: str, kind: VectorKind) -> int:
    """How many bases are to be filled, for the process that started before kept them in another place; mostly 0.

    Raises Unavailable. Processes that still use the other place can't take a base for filled any more.
    """
    return await alone(url, lambda connection: _keep(connection, table_of(kind).name))


def _keep(connection: Connection, place: str) -> int:
    if connection.execute(_REMEMBERED).scalar() == place:
        return 0
    # First what is remembered: whoever holds a base meanwhile, and goes on after the mark, sees that.
    connection.execute(_FORGET)
    connection.execute(_REMEMBER, {"new_place": place})
    return connection.execute(_MARK).rowcount
