"""Users."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Text, bindparam, delete, insert, select, update

from adapters.database.errors import account_gone
from adapters.database.knowledge.knowledge_tables import knowledge_bases
from adapters.database.session import Rows, Session
from adapters.database.tables import dialogs, runs, users
from domain.accounts.users import Role, User, UserName
from domain.errors import NotFound
from domain.ids import KnowledgeId, UserId

_ADD: Final = insert(users)
_GET: Final = select(users).where(users.c.user_id == bindparam("user_id", type_=Text))
_BY_NAME: Final = select(users).where(users.c.name_key == bindparam("name_key", type_=Text))
# Not FOR UPDATE: that would hold back every insert that refers to the account, such as a question.
_LOCKED: Final = _GET.with_for_update(key_share=True)
_THIS: Final = users.c.user_id == bindparam("id", type_=Text)
_PROFILE: Final = ("email", "avatar", "description", "updated_at")
_SAVE_PROFILE: Final = (
    update(users).where(_THIS).values({name: bindparam(name, type_=users.c[name].type) for name in _PROFILE})
)
_SET_PASSWORD: Final = (
    update(users)
    .where(_THIS, users.c.password_hash == bindparam("expected", type_=Text))
    .values(password_hash=bindparam("new", type_=Text))
)
# In the order of everybody who locks several: dialogs before runs, runs by their ids. A cascade has none.
_HOLD_DIALOGS: Final = (
    select(dialogs.c.dialog_id)
    .where(dialogs.c.user_id == bindparam("user_id", type_=Text))
    .order_by(dialogs.c.dialog_id)
    .with_for_update()
)
_HOLD_RUNS: Final = (
    select(runs.c.run_id)
    .where(runs.c.user_id == bindparam("user_id", type_=Text), runs.c.closed_at.is_(None))
    .order_by(runs.c.run_id)
    .with_for_update()
)
_BASES: Final = select(knowledge_bases.c.knowledge_id).where(
    knowledge_bases.c.user_id == bindparam("user_id", type_=Text)
)
_REMOVE: Final = delete(users).where(users.c.user_id == bindparam("user_id", type_=Text))


class UserRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, user: User) -> None:
        values = {
            "user_id": user.user_id,
            "name": user.name.value,
            "name_key": user.name.key,
            "password_hash": user.password_hash,
            "role": user.role.value,
            "created_at": user.created_at,
            **_profile(user),
        }
        await self._session.affected(_ADD, values)

    async def get(self, user_id: UserId) -> User:
        rows = await self._session.rows(_GET, {"user_id": user_id})
        if not rows:
            raise NotFound("user", user_id)
        return to_user(rows[0])

    async def caller(self, user_id: UserId) -> User:
        return _there(await self._session.rows(_GET, {"user_id": user_id}))

    async def locked(self, user_id: UserId) -> User:
        return _there(await self._session.rows(_LOCKED, {"user_id": user_id}))

    async def by_name(self, name: UserName) -> User | None:
        rows = await self._session.rows(_BY_NAME, {"name_key": name.key})
        return to_user(rows[0]) if rows else None

    async def save_profile(self, user: User) -> None:
        if not await self._session.affected(_SAVE_PROFILE, {"id": user.user_id, **_profile(user)}):
            raise NotFound("user", user.user_id)

    async def set_password(self, user_id: UserId, new_hash: str, expected_hash: str) -> bool:
        values = {"id": user_id, "new": new_hash, "expected": expected_hash}
        if await self._session.affected(_SET_PASSWORD, values):
            return True
        await self.caller(user_id)
        return False

    async def remove(self, user_id: UserId) -> Sequence[KnowledgeId]:
        left = await self._session.together(partial(_remove, user_id=user_id))
        if left is None:
            raise NotFound("user", user_id)
        return left


def _remove(connection: Connection, user_id: UserId) -> Sequence[KnowledgeId] | None:
    # Before anything is held, so that nobody waits for it.
    bases = connection.execute(_BASES, {"user_id": user_id}).fetchall()
    for statement in (_HOLD_DIALOGS, _HOLD_RUNS):
        connection.execute(statement, {"user_id": user_id}).fetchall()
    removed = connection.execute(_REMOVE, {"user_id": user_id}).rowcount
    return [row[0] for row in bases] if removed else None


def to_user(row: Any) -> User:
    user_id, name, _, password_hash, role, email, avatar, description, created_at, updated_at = row
    return User(user_id, UserName(name), password_hash, Role(role), email, avatar, description, created_at, updated_at)


def _there(rows: Rows) -> User:
    if not rows:
        raise account_gone()
    return to_user(rows[0])


def _profile(user: User) -> dict[str, Any]:
    return {
        "email": user.email,
        "avatar": user.avatar,
        "description": user.description,
        "updated_at": user.updated_at,
    }
