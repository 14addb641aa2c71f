"""What agents were: listed, shown, and gone back to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from application.agents.agents import AgentLinks
from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from domain.agents.agent_files import Missing
from domain.agents.agents import KEPT_VERSIONS, Agent, AgentDraft, AgentVersion
from domain.errors import InvalidValue, NotFound
from domain.ids import AgentId, UserId

NEWEST: Final = 2**31 - 1
GONE: Final = "It was removed since then, or is not to be had any more."


@dataclass(frozen=True, slots=True)
class ListAgentVersions:
    """Those that are kept, newest first."""

    transactions: Transactions

    async def __call__(self, actor: UserId, agent_id: AgentId, window: Window) -> Page[AgentVersion]:
        before, limit = _before(window), window.fetch or KEPT_VERSIONS
        async with self.transactions.autocommit() as tx:
            rows = await tx.agent_versions.list(agent_id, before, limit, owner=actor)
        return Page.cut(rows, window, lambda one: Position(one.saved_at, str(one.version)))


@dataclass(frozen=True, slots=True)
class ShowAgentVersion:
    transactions: Transactions

    async def __call__(self, actor: UserId, agent_id: AgentId, version: int) -> Agent:
        async with self.transactions.autocommit() as tx:
            return await tx.agent_versions.get(agent_id, version, owner=actor)


@dataclass(frozen=True, slots=True)
class RolledBack:
    """`missing` is what the version had, and the agent can't have any more."""

    agent: Agent
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class RollBackAgent:
    """Nothing is undone: what was becomes the newest version."""

    transactions: Transactions
    clock: Clock
    links: AgentLinks

    async def __call__(self, actor: UserId, agent_id: AgentId, version: int, name: str | None = None) -> RolledBack:
        """Under `name` where its old name is another agent's by now. Raises NotFound, Forbidden, Conflict."""
        async with self.transactions.begin() as tx:
            agent = await tx.agents.get(agent_id, owner=actor)
            agent.refuse_if_built_in()
            then = await tx.agent_versions.get(agent_id, version, owner=actor)
            back = agent.roll_back(then, self.clock.now(), name)
            there = await self._settled(tx, back, actor)
            await tx.agents.save(there)
        return RolledBack(there, _missing(back, there))

    async def _settled(self, tx: Transaction, back: Agent, owner: UserId) -> Agent:
        """Of links a draft that names none leaves out what is gone, and refuses nobody. A model is asked for."""
        try:
            return await self.links.settled(tx, back, AgentDraft(llm_id=back.llm_id), owner)
        except NotFound as gone:
            if gone.kind != "llm":
                raise
            return await self.links.settled(tx, replace(back, llm_id=None), AgentDraft(), owner)


def _missing(wanted: Agent, there: Agent) -> tuple[Missing, ...]:
    links: dict[str, tuple[Sequence[str], Sequence[str]]] = {
        "model": ([wanted.llm_id or ""], [there.llm_id or ""]),
        "tool": (wanted.tool_ids, there.tool_ids),
        "mcp_server": (wanted.mcp_ids, there.mcp_ids),
        "knowledge": (wanted.knowledge_ids, there.knowledge_ids),
    }
    return tuple(
        Missing(kind, one, GONE) for kind, (before, after) in links.items() for one in before if one not in after
    )


def _before(window: Window) -> int:
    if window.after is None:
        return NEWEST
    number = window.after.identifier
    if not (number.isascii() and number.isdecimal() and len(number) < len(str(NEWEST))):
        raise InvalidValue("cursor", "must be a next_cursor of this list")
    return int(number)
