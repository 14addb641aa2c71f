"""Ids in addresses and bodies: opaque, 1 to 128 characters, nothing that no database stores."""

from typing import Annotated, Final

from litestar.params import QueryParameter
from msgspec import Meta

from domain.errors import InvalidValue, NotFound
from entrypoints.http.front import ENCODED_SLASH

MAX_LENGTH: Final = 128

Identifier = Annotated[str, Meta(min_length=1, max_length=MAX_LENGTH, pattern=r"^(?![\s\S]*[\x00-\x1f\x7f])")]
"""An id in a body. The pattern means the same to Python and to readers of the OpenAPI document; `$` would not."""

Limit = Annotated[int | None, QueryParameter(description="1 to 200; without it the whole list comes")]
Cursor = Annotated[str | None, QueryParameter(description="The next_cursor of the page before")]


def from_path(kind: str, raw: str) -> str:
    """The id as the client encoded it, %2F included. What can't be an id is not found."""
    identifier = raw.replace(ENCODED_SLASH, "/")
    if not 1 <= len(identifier) <= MAX_LENGTH or not identifier.isprintable():
        raise NotFound(kind, identifier)
    return identifier


def of_delete(kind: str, in_body: str | None, in_query: str | None, *, field: str | None = None) -> str:
    """DELETE takes its id in the body, or in the query for clients that send none."""
    if in_body and in_query and in_body != in_query:
        message = f"the body says {in_body[:MAX_LENGTH]!r} and the query {in_query[:MAX_LENGTH]!r}: name one"
        raise InvalidValue(f"{kind}_id", message)
    given = in_body or in_query
    if not given:
        raise InvalidValue(field or f"{kind}_id", "is required, in the body or in the query")
    return from_path(kind, given)
