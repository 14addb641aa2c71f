"""Users."""

from typing import Any, Final

from sqlalchemy import Text, bindparam, delete, insert, select, update

from adapters.database.errors import account_gone
from adapters.database.session import Rows, Session
from adapters.database.tables import users
from domain.errors import NotFound
from domain.ids import UserId
from domain.users import Role, User, UserName

_ADD: Final = insert(users)
_GET: Final = select(users).where(users.c.user_id == bindparam("user_id", type_=Text))
_BY_NAME: Final = select(users).where(users.c.name_key == bindparam("name_key", type_=Text))
_SAVE: Final = (
    update(users)
    .where(users.c.user_id == bindparam("id", type_=Text))
    .values(
        {
            column.name: bindparam(column.name, type_=column.type)
            for column in users.c
            if column.name not in {"user_id", "name", "name_key"}
        }
    )
)
_REMOVE: Final = delete(users).where(users.c.user_id == bindparam("user_id", type_=Text))


class UserRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, user: User) -> None:
        values = {"user_id": user.user_id, "name": user.name.value, "name_key": user.name.key, **_changeable(user)}
        await self._session.affected(_ADD, values)

    async def get(self, user_id: UserId) -> User:
        rows = await self._find(user_id)
        if not rows:
            raise NotFound("user", user_id)
        return to_user(rows[0])

    async def caller(self, user_id: UserId) -> User:
        rows = await self._find(user_id)
        if not rows:
            raise account_gone()
        return to_user(rows[0])

    async def by_name(self, name: UserName) -> User | None:
        rows = await self._session.rows(_BY_NAME, {"name_key": name.key})
        return to_user(rows[0]) if rows else None

    async def save(self, user: User) -> None:
        if not await self._session.affected(_SAVE, {"id": user.user_id, **_changeable(user)}):
            raise NotFound("user", user.user_id)

    async def remove(self, user_id: UserId) -> None:
        if not await self._session.affected(_REMOVE, {"user_id": user_id}):
            raise NotFound("user", user_id)

    async def _find(self, user_id: UserId) -> Rows:
        return await self._session.rows(_GET, {"user_id": user_id})


def to_user(row: Any) -> User:
    user_id, name, _, password_hash, role, email, avatar, description, created_at, updated_at = row
    return User(user_id, UserName(name), password_hash, Role(role), email, avatar, description, created_at, updated_at)


def _changeable(user: User) -> dict[str, Any]:
    return {
        "password_hash": user.password_hash,
        "role": user.role.value,
        "email": user.email,
        "avatar": user.avatar,
        "description": user.description,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
    }
