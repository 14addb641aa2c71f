"""Dialogs, with the name and logo of their agent as it is, or as it last was."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Text, and_, bindparam, delete, func, insert, literal_column, or_, select, update

from adapters.database.agents.agents import USABLE, to_agent
from adapters.database.agents.model_tables import models
from adapters.database.agents.models import to_model
from adapters.database.errors import account_gone
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
from adapters.database.tables import agents, dialogs, runs, users
from application.paging import Window
from application.ports.persistence import Scene
from domain.agents.agents import DEFAULT_AGENT
from domain.dialogs.dialogs import Dialog
from domain.ids import AgentId, DialogId, UserId

_MINE: Final = dialogs.c.user_id == OWNER
_THIS: Final = and_(_MINE, dialogs.c.dialog_id == bindparam("id", type_=Text))
_live: Final = agents.alias("live")
_AGENT_OF_DIALOG: Final = and_(
    _live.c.agent_id == dialogs.c.agent_id, or_(_live.c.user_id == OWNER, _live.c.user_id.is_(None))
)
_COLUMNS: Final = (
    dialogs.c.dialog_id,
    dialogs.c.user_id,
    dialogs.c.name,
    dialogs.c.agent_id,
    func.coalesce(_live.c.name, dialogs.c.agent_name).label("agent_name"),
    func.coalesce(_live.c.logo_url, dialogs.c.logo_url).label("logo_url"),
    dialogs.c.created_at,
    dialogs.c.updated_at,
)
_SHOWN: Final = select(*_COLUMNS).select_from(dialogs.outerjoin(_live, _AGENT_OF_DIALOG))

ADD_DIALOG: Final = insert(dialogs)
_GET: Final = beside_owner(_SHOWN.where(_THIS).subquery())
_LIST: Final = newest_first(_SHOWN.where(_MINE), dialogs, "dialog_id")
_WAITS: Final = runs.c.status == literal_column("'waiting'")


def _open_runs(kind: ColumnElement[bool]) -> Any:
    return (
        select(func.count())
        .select_from(runs)
        .where(runs.c.user_id == OWNER, runs.c.closed_at.is_(None), kind)
        .scalar_subquery()
    )


_SCENE: Final = (
    select(_open_runs(~_WAITS), _open_runs(_WAITS), *_COLUMNS, *agents.c, *models.c)
    .select_from(
        users.outerjoin(dialogs, _THIS)
        .outerjoin(_live, _AGENT_OF_DIALOG)
        .outerjoin(
            agents,
            and_(
                agents.c.agent_id
                == func.coalesce(
                    bindparam("agent", type_=Text), dialogs.c.agent_id, literal_column(f"'{DEFAULT_AGENT}'", Text)
                ),
                USABLE,
            ),
        )
        .outerjoin(models, and_(models.c.llm_id == agents.c.llm_id, models.c.user_id == OWNER))
    )
    .where(users.c.user_id == OWNER)
)
_BEFORE_MODEL: Final = len(_COLUMNS) + len(agents.c)
_SAVE: Final = (
    update(dialogs)
    .where(_THIS)
    .values(
        {
            name: bindparam(name, type_=dialogs.c[name].type)
            for name in ("name", "agent_id", "agent_name", "logo_url", "updated_at")
        }
    )
)
_REMOVE: Final = delete(dialogs).where(_THIS)


class DialogRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, dialog: Dialog) -> None:
        await self._session.affected(ADD_DIALOG, from_dialog(dialog))

    async def get(self, dialog_id: DialogId, *, owner: UserId) -> Dialog:
        row = await owned_row(self._session, _GET, {"owner": owner, "id": dialog_id}, "dialog", dialog_id)
        return Dialog(*row)

    async def list(self, window: Window, *, owner: UserId) -> Sequence[Dialog]:
        return [Dialog(*row) for row in await owned_rows(self._session, _LIST, window_values(window, owner))]

    async def scene(self, dialog_id: DialogId, agent_id: AgentId | None, *, owner: UserId) -> Scene:
        rows = await self._session.rows(_SCENE, {"owner": owner, "id": dialog_id, "agent": agent_id})
        if not rows:
            raise account_gone()
        open_runs, waiting, *row = rows[0]
        dialog, agent = row[: len(_COLUMNS)], row[len(_COLUMNS) : _BEFORE_MODEL]
        model = row[_BEFORE_MODEL:]
        return Scene(
            None if dialog[0] is None else Dialog(*dialog),
            None if agent[0] is None else to_agent(agent),
            open_runs,
            waiting,
            None if model[0] is None else to_model(model),
        )

    async def save(self, dialog: Dialog) -> None:
        values = {"owner": dialog.user_id, "id": dialog.dialog_id, **_changeable(dialog)}
        if not await self._session.affected(_SAVE, values):
            await refuse_missing(self._session, dialog.user_id, "dialog", dialog.dialog_id)

    async def remove(self, dialog_id: DialogId, *, owner: UserId) -> None:
        if not await self._session.affected(_REMOVE, {"owner": owner, "id": dialog_id}):
            await refuse_missing(self._session, owner, "dialog", dialog_id)


def from_dialog(dialog: Dialog) -> dict[str, Any]:
    return {
        "dialog_id": dialog.dialog_id,
        "user_id": dialog.user_id,
        "created_at": dialog.created_at,
        **_changeable(dialog),
    }


def _changeable(dialog: Dialog) -> dict[str, Any]:
    return {
        "name": dialog.name,
        "agent_id": dialog.agent_id,
        "agent_name": dialog.agent_name,
        "logo_url": dialog.logo_url,
        "updated_at": dialog.updated_at,
    }
