"""Agents: a name, instructions, a model and what the model may use."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Final, TypeVar

from domain.accounts.users import parse_url
from domain.errors import Conflict, Forbidden, InvalidValue
from domain.ids import AgentId, ModelId, ToolId, UserId
from domain.text import block, line, search_key

DEFAULT_AGENT: Final = AgentId("default")
"""The built-in agent that every user has; it answers in dialogs that name no other."""

_Id = TypeVar("_Id", bound=str)

NAME_MAX = 64
DESCRIPTION_MAX = 2000
PROMPT_MAX = 100_000
MAX_LINKS = 128
KEPT_VERSIONS: Final = 100
"""Of one agent; the oldest fall away."""


@dataclass(frozen=True, slots=True)
class AgentDraft:
    """What a person says of an agent. In a change, None means: leave as it is."""

    name: str | None = None
    description: str | None = None
    logo_url: str | None = None
    system_prompt: str | None = None
    llm_id: ModelId | None = None
    """"" takes the default model."""
    tool_ids: tuple[ToolId, ...] | None = None
    mcp_ids: tuple[str, ...] | None = None
    knowledge_ids: tuple[str, ...] | None = None
    enable_memory: bool | None = None
    require_approval: tuple[str, ...] | None = None

    def cleaned(self) -> "AgentDraft":
        """The draft with every rule applied. Raises InvalidValue that names the field."""
        return replace(
            self,
            name=None if self.name is None else line("name", self.name, minimum=1, maximum=NAME_MAX),
            description=_optional_block("description", self.description, DESCRIPTION_MAX),
            logo_url=None if self.logo_url is None else parse_url("logo_url", self.logo_url),
            system_prompt=_optional_block("system_prompt", self.system_prompt, PROMPT_MAX),
            llm_id=None if self.llm_id is None else ModelId(line("llm_id", self.llm_id, maximum=128)),
            tool_ids=_links("tool_ids", self.tool_ids),
            mcp_ids=_links("mcp_ids", self.mcp_ids),
            knowledge_ids=_links("knowledge_ids", self.knowledge_ids),
            require_approval=_links("require_approval", self.require_approval, 2 * MAX_LINKS),
        )


@dataclass(frozen=True, slots=True)
class AgentVersion:
    """One save of an agent. `changed` names fields as in the draft; of the oldest that is kept nothing is known."""

    version: int
    saved_at: datetime
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Agent:
    """`user_id` is None for built-in agents, which everyone may use and nobody may change."""

    agent_id: AgentId
    user_id: UserId | None
    name: str
    created_at: datetime
    updated_at: datetime
    description: str = ""
    logo_url: str = ""
    system_prompt: str = ""
    llm_id: ModelId | None = None
    """None takes the default model."""
    tool_ids: tuple[ToolId, ...] = ()
    mcp_ids: tuple[str, ...] = ()
    knowledge_ids: tuple[str, ...] = ()
    enable_memory: bool = False
    version: int = 1
    require_approval: tuple[str, ...] = ()
    """Of `tool_ids` and `mcp_ids` those whose calls wait for a person."""

    @classmethod
    def create(cls, agent_id: AgentId, owner: UserId, draft: AgentDraft, now: datetime) -> "Agent":
        if draft.name is None:
            raise InvalidValue("name", f"is required, 1 to {NAME_MAX} characters")
        blank = cls(agent_id, owner, draft.name, now, now)
        return replace(blank._with(draft), version=1)

    @property
    def is_custom(self) -> bool:
        return self.user_id is not None

    @property
    def name_key(self) -> str:
        return search_key(self.name)

    def change(self, draft: AgentDraft, now: datetime, *, expected_version: int | None = None) -> "Agent":
        """The agent with the draft's fields, one version on. Raises Forbidden (built in) or Conflict (stale)."""
        self.refuse_if_built_in()
        if expected_version is not None and expected_version != self.version:
            raise Conflict(
                "agent_version_stale",
                f"The agent is at version {self.version}, not {expected_version}: load it again.",
                field="version",
            )
        return replace(self._with(draft), updated_at=now, version=self.version + 1)

    def roll_back(self, to: "Agent", now: datetime, name: str | None = None) -> "Agent":
        """What it was at a version of its own, one version on, and under `name` if given."""
        named = replace(to, name=to.name if name is None else line("name", name, minimum=1, maximum=NAME_MAX))
        return replace(named, updated_at=now, version=self.version + 1)

    def refuse_if_built_in(self) -> None:
        if not self.is_custom:
            raise Forbidden("agent_built_in", "A built-in agent can't be changed or deleted.")

    def _with(self, draft: AgentDraft) -> "Agent":
        clean = draft.cleaned()
        given = {
            field.name: getattr(clean, field.name) for field in fields(clean) if getattr(clean, field.name) is not None
        }
        if given.get("llm_id") == "":
            given["llm_id"] = None
        drawn = replace(self, **given)
        for one in clean.require_approval or ():
            if one not in drawn.tool_ids and one not in drawn.mcp_ids:
                raise InvalidValue("require_approval", f"{one!r} must be among the agent's tool_ids or mcp_ids")
        return drawn.with_links(drawn.tool_ids, drawn.mcp_ids)

    def with_links(self, tool_ids: tuple[ToolId, ...], mcp_ids: tuple[str, ...]) -> "Agent":
        """What it does not call any more needs no approval."""
        waiting = tuple(one for one in self.require_approval if one in tool_ids or one in mcp_ids)
        return replace(self, tool_ids=tool_ids, mcp_ids=mcp_ids, require_approval=waiting)


def _optional_block(field: str, value: str | None, maximum: int) -> str | None:
    return None if value is None else block(field, value, maximum=maximum)


def _links(field: str, ids: tuple[_Id, ...] | None, maximum: int = MAX_LINKS) -> tuple[_Id, ...] | None:
    if ids is None:
        return None
    if len(ids) > maximum:
        raise InvalidValue(field, f"an agent carries at most {maximum}")
    for one in ids:
        line(field, one, minimum=1, maximum=128)
    return tuple(dict.fromkeys(ids))
