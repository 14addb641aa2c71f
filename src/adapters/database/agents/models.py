"""Models that people brought."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Text, bindparam, delete, insert, literal_column, select, update

from adapters.database.agents.agent_keeping import keep_version
from adapters.database.agents.model_tables import models
from adapters.database.columns import Moment
from adapters.database.owners import (
    OWNER,
    beside_owner,
    newest_first,
    number_of,
    owned_number,
    owned_row,
    owned_rows,
    refuse_missing,
    window_values,
)
from adapters.database.session import Session
from adapters.database.tables import agents
from application.paging import Window
from domain.ids import ModelId, UserId
from domain.models.models import ModelKind, Prices, Provider
from domain.models.own_models import OwnModel

_MINE: Final = models.c.user_id == OWNER
_THIS: Final = models.c.llm_id == bindparam("id", type_=Text)
_AMONG: Final = models.c.llm_id.in_(bindparam("ids", type_=Text, expanding=True))
_ANSWERS: Final = models.c.kind == literal_column(f"'{ModelKind.LLM.value}'")

_ADD: Final = insert(models)
_GET: Final = beside_owner(select(models).where(_MINE, _THIS).subquery())
# In a transaction the model stays as it is until the end: of two who change it one would undo the other's change.
_HOLD: Final = select(models.c.llm_id).where(_MINE, _THIS).with_for_update()
_LIST: Final = newest_first(select(models).where(_MINE), models, "llm_id")
# Whoever links them to an agent and whoever removes them take turns.
_HELD: Final = (
    select(models.c.llm_id).where(_MINE, _AMONG, _ANSWERS).order_by(models.c.llm_id).with_for_update(read=True)
)
_THESE: Final = beside_owner(select(models.c.llm_id).where(_MINE, _AMONG, _ANSWERS).subquery())
_COUNT: Final = number_of(_MINE)
_CHANGEABLE: Final = [column for column in models.c if column.name not in {"llm_id", "user_id", "created_at"}]
_SAVE: Final = (
    update(models)
    .where(_MINE, _THIS)
    .values({column: bindparam(f"new_{column.name}", type_=column.type) for column in _CHANGEABLE})
)
_REMOVE: Final = delete(models).where(_MINE, _THIS)
# In the order in which others hold them.
_LINKED: Final = (
    select(agents.c.agent_id)
    .where(agents.c.user_id == OWNER, agents.c.llm_id == bindparam("id", type_=Text))
    .order_by(agents.c.agent_id)
    .with_for_update(key_share=True)
)
# Another version, so that nobody who read the agent before can write the reference again.
_UNLINK: Final = (
    update(agents)
    .where(agents.c.user_id == OWNER, agents.c.llm_id == bindparam("id", type_=Text))
    .values(llm_id=None, version=agents.c.version + 1, updated_at=bindparam("now", type_=Moment))
)
_FALLING_BACK: Final = (
    select(models.c.llm_id, models.c.fallbacks)
    .where(_MINE, models.c.fallbacks != "[]")
    .order_by(models.c.llm_id)
    .with_for_update()
)
_LEAVE: Final = update(models).where(_THIS).values(fallbacks=bindparam("left", type_=Text))

_ids_of: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_prices_of: Final = msgspec.json.Decoder(Prices).decode


class ModelRows:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, model: OwnModel) -> None:
        await self._session.affected(_ADD, _from_model(model))

    async def get(self, llm_id: ModelId, *, owner: UserId) -> OwnModel:
        values = {"owner": owner, "id": llm_id}
        if not self._session.alone:
            await self._session.rows(_HOLD, values)
        return to_model(await owned_row(self._session, _GET, values, "llm", llm_id))

    async def list(self, window: Window, *, owner: UserId) -> Sequence[OwnModel]:
        return [to_model(row) for row in await owned_rows(self._session, _LIST, window_values(window, owner))]

    async def held(self, llm_ids: Sequence[ModelId], *, owner: UserId) -> frozenset[ModelId]:
        values = {"owner": owner, "ids": [*llm_ids]}
        rows = await self._session.rows(_HELD, values)
        return frozenset(row[0] for row in rows or await owned_rows(self._session, _THESE, values))

    async def count(self, *, owner: UserId) -> int:
        return await owned_number(self._session, _COUNT, owner)

    async def save(self, model: OwnModel) -> None:
        stored = _from_model(model)
        new = {f"new_{column.name}": stored[column.name] for column in _CHANGEABLE}
        if not await self._session.affected(_SAVE, {"owner": model.user_id, "id": model.llm_id, **new}):
            await refuse_missing(self._session, model.user_id, "llm", model.llm_id)

    async def remove(self, llm_id: ModelId, now: datetime, *, owner: UserId) -> None:
        if not await self._session.together(partial(_remove, llm_id=llm_id, owner=owner, now=now)):
            await refuse_missing(self._session, owner, "llm", llm_id)


def _remove(connection: Connection, *, llm_id: ModelId, owner: UserId, now: datetime) -> bool:
    this = {"id": llm_id, "owner": owner}
    if not connection.execute(_REMOVE, this).rowcount:
        return False
    linked = connection.execute(_LINKED, this).scalars().all()
    connection.execute(_UNLINK, {**this, "now": now})
    for agent_id in linked:
        keep_version(connection, agent_id)
    for other, stored in connection.execute(_FALLING_BACK, {"owner": owner}).fetchall():
        if llm_id in (fallbacks := _ids_of(stored)):
            left = msgspec.json.encode([one for one in fallbacks if one != llm_id]).decode()
            connection.execute(_LEAVE, {"id": other, "left": left})
    return True


def to_model(row: Any) -> OwnModel:
    llm_id, user_id, model, provider, created_at, updated_at, base_url, kind, window, output, vision, tools, *rest = row
    prices, fallbacks, max_concurrent, requests_a_minute, sealed_key = rest
    return OwnModel(
        llm_id,
        user_id,
        model,
        Provider(provider),
        created_at,
        updated_at,
        base_url,
        ModelKind(kind),
        window,
        output,
        vision,
        tools,
        None if prices is None else _prices_of(prices),
        () if fallbacks == "[]" else tuple(map(ModelId, _ids_of(fallbacks))),
        max_concurrent,
        requests_a_minute,
        sealed_key,
    )


def _from_model(model: OwnModel) -> dict[str, Any]:
    return {
        **{column.name: getattr(model, column.name) for column in models.c},
        "provider": model.provider.value,
        "kind": model.kind.value,
        "prices": None if model.prices is None else msgspec.json.encode(model.prices).decode(),
        "fallbacks": msgspec.json.encode(model.fallbacks).decode(),
    }
