"""API keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Text, bindparam, delete, insert, or_, select

from adapters.database.accounts.users import to_user
from adapters.database.columns import Moment
from adapters.database.owners import (
    OWNER,
    beside_owner,
    newest_first,
    owned_row,
    owned_rows,
    refuse_missing,
    window_values,
)
from adapters.database.session import Session
from adapters.database.tables import api_keys, users
from application.paging import Window
from domain.accounts.users import ApiKey, User
from domain.ids import ApiKeyId, UserId

_MINE: Final = api_keys.c.user_id == OWNER
_THIS: Final = api_keys.c.api_key_id == bindparam("id", type_=Text)
_ADD: Final = insert(api_keys)
_OWNER_OF: Final = (
    select(users)
    .join(api_keys, api_keys.c.user_id == users.c.user_id)
    .where(
        api_keys.c.key_hash == bindparam("hash", type_=Text),
        or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > bindparam("now", type_=Moment)),
    )
)
_LIST: Final = newest_first(select(api_keys).where(_MINE), api_keys, "api_key_id")
_GET: Final = beside_owner(select(api_keys).where(_MINE, _THIS).subquery())
_REMOVE: Final = delete(api_keys).where(_MINE, _THIS)


class ApiKeyRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, key: ApiKey) -> None:
        values = {
            "api_key_id": key.api_key_id,
            "user_id": key.user_id,
            "name": key.name,
            "key_hash": key.key_hash,
            "hint": key.hint,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        }
        await self._session.affected(_ADD, values)

    async def owner_of(self, key_hash: str, now: datetime) -> User | None:
        rows = await self._session.rows(_OWNER_OF, {"hash": key_hash, "now": now})
        return to_user(rows[0]) if rows else None

    async def list(self, window: Window, *, owner: UserId) -> Sequence[ApiKey]:
        return [_to_key(row) for row in await owned_rows(self._session, _LIST, window_values(window, owner))]

    async def get(self, api_key_id: ApiKeyId, *, owner: UserId) -> ApiKey:
        values = {"owner": owner, "id": api_key_id}
        return _to_key(await owned_row(self._session, _GET, values, "api_key", api_key_id))

    async def remove(self, api_key_id: ApiKeyId, *, owner: UserId) -> None:
        if not await self._session.affected(_REMOVE, {"owner": owner, "id": api_key_id}):
            await refuse_missing(self._session, owner, "api_key", api_key_id)


def _to_key(row: Any) -> ApiKey:
    return ApiKey(*row)
