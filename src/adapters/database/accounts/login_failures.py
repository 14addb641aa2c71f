"""Failed logins."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Text, bindparam, delete, select

from adapters.database.columns import Moment
from adapters.database.dialects import INSERT, for_each
from adapters.database.session import Session
from adapters.database.tables import login_failures
from domain.accounts.users import FailedLogins

_AMONG: Final = login_failures.c.key.in_(bindparam("keys", type_=Text, expanding=True))
_FIND: Final = select(login_failures).where(_AMONG)
_REMOVE_BEFORE: Final = delete(login_failures).where(login_failures.c.last_at < bindparam("moment", type_=Moment))


def _upsert(dialect: str) -> Any:
    new = INSERT[dialect](login_failures)
    return new.on_conflict_do_update(
        index_elements=[login_failures.c.key],
        set_={"failures": new.excluded.failures, "last_at": new.excluded.last_at},
    )


_RECORD: Final = for_each(_upsert)


class LoginFailureRows:
    __slots__ = ("_dialect", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._dialect = dialect

    async def among(self, keys: Sequence[str]) -> Sequence[FailedLogins]:
        if not keys:
            return []
        return [FailedLogins(*row) for row in await self._session.rows(_FIND, {"keys": list(keys)})]

    async def record(self, failure: FailedLogins) -> None:
        values = {"key": failure.key, "failures": failure.failures, "last_at": failure.last_at}
        await self._session.affected(_RECORD[self._dialect], values)

    async def remove_before(self, moment: datetime) -> None:
        await self._session.affected(_REMOVE_BEFORE, {"moment": moment})
