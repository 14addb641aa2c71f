"""The ledger of usage: what models' providers were asked, kept for whoever pays for it."""

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import Connection, Insert

from adapters.database.conversations.message_rows import storable
from adapters.database.errors import account_gone
from adapters.database.owners import owned_rows
from adapters.database.session import Session, Values
from adapters.database.usage.usage_rows import as_bound, as_json, from_attempts, to_spent, to_sum
from adapters.database.usage.usage_statements import ADD, REMOVE_OLD, REPLACE, REPORT, SPENT
from domain.dialogs.messages import Answer
from domain.ids import AgentId, ModelId, RunId, UserId, new_id
from domain.models.attempts import Attempt
from domain.usage.quotas import Spent
from domain.usage.usage import Grouping, Period, UsageSum


class LedgerRows:
    __slots__ = ("_dialect", "_session")

    def __init__(self, session: Session, dialect: str) -> None:
        self._session = session
        self._dialect = dialect

    async def begin(self, owner: UserId, agent_id: AgentId | None, call: str, attempts: Sequence[Attempt]) -> None:
        await self.add(owner, agent_id, None, attempts, call)

    async def add(
        self,
        owner: UserId,
        agent_id: AgentId | None,
        run_id: RunId | None,
        attempts: Sequence[Attempt],
        call: str | None = None,
    ) -> None:
        rows = from_attempts(attempts, call or new_id())
        await self._add(owner, agent_id, run_id, rows, REPLACE if call else ADD)

    async def keep_used(self, answer: Answer, *, owner: UserId) -> None:
        # As `Runs.close` calls them: whoever closes the run brings the same rows.
        rows = from_attempts(answer.attempts, answer.run_id)
        await self._add(owner, answer.agent_id, answer.run_id, rows, ADD)

    async def _add(
        self,
        owner: UserId,
        agent_id: AgentId | None,
        run_id: RunId | None,
        rows: Sequence[Values],
        written: Mapping[str, Insert],
    ) -> None:
        if not rows:
            return
        values = {"owner": owner, "agent": agent_id, "run": run_id}
        if self._dialect == "postgresql":
            await self._session.written(written["postgresql"], {**values, "attempts": as_json(rows)})
        else:
            bound = [values | as_bound(row) for row in rows]
            await self._session.together(partial(_execute, statement=written["sqlite"], rows=bound))

    async def report(self, grouping: Grouping, period: Period, limit: int, *, owner: UserId) -> Sequence[UsageSum]:
        values = {"owner": owner, "since": period.since, "until": period.until, "row_limit": limit}
        return [to_sum(grouping, row) for row in await owned_rows(self._session, REPORT[grouping], values)]

    async def spent(self, since: int, system: Sequence[ModelId], *, owner: UserId, but: RunId | None = None) -> Spent:
        values = {"owner": owner, "since": since, "system": [storable(one) for one in system], "run": but or ""}
        rows = await self._session.rows(SPENT, values)
        if not rows:
            raise account_gone()
        return to_spent(rows)

    async def remove_before(self, moment: int, limit: int) -> int:
        return len(await self._session.written(REMOVE_OLD, {"before": moment, "row_limit": limit}))


def _execute(connection: Connection, statement: Insert, rows: Sequence[Values]) -> None:
    connection.execute(statement, rows)
