"""Agents' references to what was removed."""

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import Column, Connection, Text, bindparam, select, update

from adapters.database.agents.agent_keeping import keep_version
from adapters.database.columns import Moment
from adapters.database.owners import OWNER
from adapters.database.tables import agents

_ids_of: Final = msgspec.json.Decoder(tuple[str, ...]).decode


class AgentLinks:
    """The references in one column. It is called in the transaction of the removal, after it.

    Statement after statement: only so this one sees the links of whoever held the removed object until now.
    """

    def __init__(self, column: Column[str]) -> None:
        self._linked = (
            select(agents.c.agent_id, column, agents.c.require_approval)
            .where(agents.c.user_id == OWNER, column != "[]")
            .order_by(agents.c.agent_id)
            .with_for_update(key_share=True)
        )
        # Another version, so that nobody who read the agent before can write the reference again. It is kept like
        # every other: an answer that names it can be looked up.
        self._unlink = (
            update(agents)
            .where(agents.c.agent_id == bindparam("agent", type_=Text))
            .values(
                {
                    column: bindparam("left", type_=Text),
                    agents.c.require_approval: bindparam("waiting", type_=Text),
                    agents.c.version: agents.c.version + 1,
                    agents.c.updated_at: bindparam("now", type_=Moment),
                }
            )
        )

    def drop(self, connection: Connection, identifier: str, owner: str, now: datetime) -> None:
        for agent_id, stored, waiting in connection.execute(self._linked, {"owner": owner}).fetchall():
            if identifier in (links := _ids_of(stored)):
                left, waits = _without(identifier, links), _without(identifier, _ids_of(waiting))
                values = {"agent": agent_id, "left": left, "waiting": waits, "now": now}
                connection.execute(self._unlink, values)
                keep_version(connection, agent_id)


def _without(identifier: str, ids: tuple[str, ...]) -> str:
    return msgspec.json.encode([one for one in ids if one != identifier]).decode()
