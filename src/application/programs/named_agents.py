"""Agents as other programs call them: by their ids, or by their exact names."""

from application.ports.persistence import Transaction
from domain.agents.agents import Agent
from domain.errors import NotFound
from domain.ids import AgentId, UserId
from domain.text import search_key


async def agent_of_id(tx: Transaction, actor: UserId, agent_id: str) -> Agent | None:
    try:
        return await tx.agents.get(AgentId(agent_id), owner=actor)
    except NotFound:
        return None


async def agent_of_name(tx: Transaction, actor: UserId, name: str) -> Agent | None:
    """Their own come before one that everybody has."""
    alike = await tx.agents.named(search_key(name), owner=actor)
    return max((one for one in alike if one.name == name), key=lambda agent: agent.is_custom, default=None)
