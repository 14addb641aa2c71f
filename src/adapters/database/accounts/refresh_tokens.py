"""Refresh tokens: each is spent once."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, Text, bindparam, delete, insert, literal_column, select, update

from adapters.database.columns import Moment
from adapters.database.session import Session
from adapters.database.tables import refresh_tokens, users
from domain.accounts.users import RefreshToken
from domain.ids import FamilyId, UserId

_HASH: Final = refresh_tokens.c.token_hash == bindparam("hash", type_=Text)
_ADD: Final = insert(refresh_tokens)
_GET: Final = select(refresh_tokens).where(_HASH)
_LOCK_OWNER: Final = (
    select(users.c.user_id)
    .join(refresh_tokens, refresh_tokens.c.user_id == users.c.user_id)
    .where(_HASH)
    .with_for_update(of=users, key_share=True)
)
_SPEND: Final = (
    update(refresh_tokens)
    .where(_HASH, refresh_tokens.c.spent_at.is_(None))
    .values(spent_at=bindparam("now", type_=Moment))
    .returning(*refresh_tokens.c)
)
_LIVE: Final = (
    select(refresh_tokens.c.family_id)
    .where(
        refresh_tokens.c.family_id == bindparam("family", type_=Text),
        refresh_tokens.c.user_id == bindparam("user", type_=Text),
        refresh_tokens.c.spent_at.is_(None),
        refresh_tokens.c.expires_at > bindparam("now", type_=Moment),
    )
    .limit(literal_column("1", Integer))
)
_REMOVE_FAMILY: Final = delete(refresh_tokens).where(refresh_tokens.c.family_id == bindparam("family", type_=Text))
_REMOVE_ALL: Final = delete(refresh_tokens).where(
    refresh_tokens.c.user_id == bindparam("user", type_=Text),
    refresh_tokens.c.family_id != bindparam("but", type_=Text),
)
_REMOVE_EXPIRED: Final = delete(refresh_tokens).where(refresh_tokens.c.expires_at <= bindparam("now", type_=Moment))


class RefreshTokenRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, token: RefreshToken) -> None:
        values = {
            "token_hash": token.token_hash,
            "family_id": token.family_id,
            "user_id": token.user_id,
            "expires_at": token.expires_at,
            "spent_at": token.spent_at,
        }
        await self._session.affected(_ADD, values)

    async def spend(self, token_hash: str, now: datetime) -> RefreshToken | None:
        # The owner before the token: who ends logins locks in this order too, so they never wait for each other.
        await self._session.rows(_LOCK_OWNER, {"hash": token_hash})
        fresh = await self._session.rows(_SPEND, {"hash": token_hash, "now": now})
        if fresh:
            return _to_token(fresh[0], spent_at=None)
        spent = await self._session.rows(_GET, {"hash": token_hash})
        return _to_token(spent[0], spent_at=spent[0][4]) if spent else None

    async def is_live(self, family_id: FamilyId, now: datetime, *, owner: UserId) -> bool:
        return bool(await self._session.rows(_LIVE, {"family": family_id, "user": owner, "now": now}))

    async def remove_family(self, family_id: FamilyId) -> None:
        await self._session.affected(_REMOVE_FAMILY, {"family": family_id})

    async def remove_all(self, user_id: UserId, *, but: FamilyId | None = None) -> None:
        await self._session.affected(_REMOVE_ALL, {"user": user_id, "but": but or ""})

    async def remove_expired(self, now: datetime) -> None:
        await self._session.affected(_REMOVE_EXPIRED, {"now": now})


def _to_token(row: Any, *, spent_at: datetime | None) -> RefreshToken:
    token_hash, family_id, user_id, expires_at, _ = row
    return RefreshToken(token_hash, family_id, user_id, expires_at, spent_at)
