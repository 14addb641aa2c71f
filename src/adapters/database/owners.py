"""Ownership: every read asks with its owner and proves the account in the same statement."""

from collections.abc import Sequence
from typing import Any, Final, NoReturn

from sqlalchemy import ColumnElement, FromClause, Integer, Select, Table, Text, bindparam, func, select, true, tuple_

from adapters.database.columns import LAST_MOMENT, Moment
from adapters.database.errors import account_gone
from adapters.database.session import Rows, Session, Values
from adapters.database.tables import users
from application.paging import Window
from domain.errors import NotFound
from domain.ids import UserId

OWNER: Final = bindparam("owner", type_=Text)
LIMIT: Final = bindparam("row_limit", type_=Integer)
_EVERYTHING: Final = 2**31 - 1
_ACCOUNT: Final = select(users.c.user_id).where(users.c.user_id == OWNER)


def beside_owner(page: FromClause, *order: ColumnElement[Any]) -> Select[Any]:
    """No row when there is no such account; a row of NULLs when the account has none of these."""
    proof = select(*page.c).select_from(users.outerjoin(page, true())).where(users.c.user_id == OWNER)
    return proof.order_by(*order)


def newest_first(wanted: Select[Any], table: Table, identifier: str) -> Select[Any]:
    """The window of an owner's list, newest first; bound by `window_values`."""
    page = (
        wanted.where(before(table, identifier))
        .order_by(table.c.created_at.desc(), table.c[identifier].desc())
        .limit(LIMIT)
        .subquery("page")
    )
    return beside_owner(page, page.c.created_at.desc(), page.c[identifier].desc())


def before(table: Table, identifier: str) -> ColumnElement[bool]:
    """What a window shows, however long it is."""
    after = tuple_(bindparam("before", type_=Moment), bindparam("before_id", type_=Text))
    return tuple_(table.c.created_at, table.c[identifier]) < after


def number_of(mine: ColumnElement[bool]) -> Select[Any]:
    """How many of these the account has; no row when there is no such account."""
    return select(select(func.count()).where(mine).scalar_subquery()).where(users.c.user_id == OWNER)


def window_values(window: Window, owner: UserId) -> dict[str, Any]:
    after = window.after
    return {
        "owner": owner,
        "before": LAST_MOMENT if after is None else after.created_at,
        "before_id": "" if after is None else after.identifier,
        "row_limit": row_limit(window),
    }


def row_limit(window: Window) -> int:
    return _EVERYTHING if window.fetch is None else window.fetch


async def owned_rows(session: Session, statement: Select[Any], values: Values) -> Rows:
    """The rows of a list. Raises Unauthenticated when the owner's account is gone."""
    rows = await session.rows(statement, values)
    if not rows:
        raise account_gone()
    return rows if rows[0][0] is not None else ()


async def owned_number(session: Session, statement: Select[Any], owner: UserId) -> int:
    """Of `number_of`. Raises Unauthenticated when the owner's account is gone."""
    return int((await owned_rows(session, statement, {"owner": owner}))[0][0])


async def owned_row(session: Session, statement: Select[Any], values: Values, kind: str, identifier: str) -> Any:
    """The one row. Raises Unauthenticated or NotFound."""
    rows: Sequence[Any] = await owned_rows(session, statement, values)
    if not rows:
        raise NotFound(kind, identifier)
    return rows[0]


async def refuse_missing(session: Session, owner: UserId, kind: str, identifier: str) -> NoReturn:
    """Why a write touched nothing: the account is gone, or the object was not there."""
    if not await session.rows(_ACCOUNT, {"owner": owner}):
        raise account_gone()
    raise NotFound(kind, identifier)
