"""A document becomes an agent of whoever sends it: all of it, or nothing."""

from dataclasses import dataclass, replace
from typing import Final

from application.agents.imported_parts import Gathered, ImportServers, ImportTools, within
from application.models.models import ModelCatalogue
from application.paging import Window
from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from domain.agents.agent_files import AgentFile, KnowledgeEntry, Missing, Need, Part
from domain.agents.agents import NAME_MAX, Agent, AgentDraft
from domain.errors import NotFound
from domain.ids import AgentId, KnowledgeId, ModelId, UserId, new_id
from domain.knowledge.knowledge import NAME_MAX as KNOWLEDGE_NAME_MAX
from domain.models.models import ModelKind
from domain.text import line, search_key

MODEL_MAX: Final = 128
NO_BASE: Final = "You have no knowledge base of this name: what is in one goes into no document."
NO_MODEL: Final = "There is no model of this name for you: the default model answers instead."


@dataclass(frozen=True, slots=True)
class ImportedAgent:
    """`needs` are secrets, which no document carries."""

    agent: Agent
    created: tuple[Part, ...]
    reused: tuple[Part, ...]
    missing: tuple[Missing, ...]
    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class ImportAgent:
    """What the caller has of it already serves again, so that the same document makes nothing twice."""

    transactions: Transactions
    clock: Clock
    catalogue: ModelCatalogue
    tools: ImportTools
    servers: ImportServers

    async def __call__(self, actor: UserId, file: AgentFile, name: str | None = None) -> ImportedAgent:
        """Under `name` if given. Raises InvalidValue, Conflict `agent_name_taken`, `too_many_tools` and the like."""
        file.refuse_too_many()
        now, out = self.clock.now(), Gathered()
        with within("agent"):
            draft = _draft(file, name)
            model = line("model", file.model, maximum=MODEL_MAX)
        keys = _name_keys(file)
        tools = await self.tools.read(actor, file.tools, now)
        servers = self.servers.read(actor, file.mcp_servers, now)
        async with self.transactions.begin() as tx:
            # The same person's imports take turns: else two would both make what neither found.
            await tx.users.locked(actor)
            linked = replace(
                draft,
                knowledge_ids=tuple(await _bases(tx, actor, keys, out)),
                tool_ids=tuple(await self.tools.into(tx, actor, tools, out)),
                mcp_ids=tuple(await self.servers.into(tx, actor, servers, out)),
                llm_id=await self._model(tx, actor, model, out, own_first=file.own_model),
                require_approval=tuple(out.waiting),
            )
            agent = Agent.create(AgentId(new_id()), actor, linked, now)
            await tx.agents.add(agent)
        return ImportedAgent(agent, tuple(out.created), tuple(out.reused), tuple(out.missing), tuple(out.needs))

    async def _model(
        self, tx: Transaction, owner: UserId, name: str, out: Gathered, *, own_first: bool
    ) -> ModelId | None:
        """The system's of that name or one of the caller's own: the other kind where there is none of the first."""
        if not name:
            return None
        system = self._system(name)
        if system is not None and not own_first:
            return system
        own = await tx.models.list(Window(), owner=owner)
        ids = [one.llm_id for one in own if one.model == name and one.kind is ModelKind.LLM]
        held = await tx.models.held(ids, owner=owner) if ids else frozenset()
        for llm_id in ids:
            if llm_id in held:
                out.reused.append(Part("model", llm_id, name))
                return llm_id
        if system is None:
            out.missing.append(Missing("model", name, NO_MODEL))
        return system

    def _system(self, name: str) -> ModelId | None:
        try:
            return self.catalogue.answering(ModelId(name)).llm_id
        except NotFound:
            return None


def _draft(file: AgentFile, name: str | None) -> AgentDraft:
    """What stands in the document itself, every rule applied."""
    return AgentDraft(
        name=line("name", file.name if name is None else name, minimum=1, maximum=NAME_MAX),
        description=file.description,
        logo_url=file.logo_url,
        system_prompt=file.system_prompt,
        enable_memory=file.enable_memory,
    ).cleaned()


def _name_keys(file: AgentFile) -> dict[str, KnowledgeEntry]:
    """Names that are alike are one."""
    keys: dict[str, KnowledgeEntry] = {}
    for number, entry in enumerate(file.knowledge):
        with within(f"knowledge[{number}]"):
            name = line("name", entry.name, minimum=1, maximum=KNOWLEDGE_NAME_MAX)
        keys.setdefault(search_key(name), replace(entry, name=name))
    return keys


async def _bases(tx: Transaction, owner: UserId, keys: dict[str, KnowledgeEntry], out: Gathered) -> list[KnowledgeId]:
    if not keys:
        return []
    named = await tx.knowledge.named([*keys], owner=owner)
    held = await tx.knowledge.these([one.knowledge_id for one in named], owner=owner) if named else ()
    there = {search_key(one.name): one for one in held}
    for key, entry in keys.items():
        if key in there:
            out.reused.append(Part("knowledge", there[key].knowledge_id, there[key].name))
        else:
            out.missing.append(Missing("knowledge", entry.name, NO_BASE))
    return [there[key].knowledge_id for key in keys if key in there]
