"""An agent as one document: what makes it, by names, without ids, and without anything that is secret."""

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

from domain.agents.agents import MAX_LINKS
from domain.errors import InvalidValue
from domain.knowledge.knowledge import KnowledgeBase
from domain.tools.mcp_servers import LEFT_OUT, McpServer, McpTransport, is_whole
from domain.tools.user_tools import ApiDocument, AuthType, BuiltInTool, UserTool

_T = TypeVar("_T")
_PLAIN: Final = re.compile(r"[a-z-]{0,15}|v[0-9]{1,2}((alpha|beta)[0-9]{0,2})?")
"""Parts of a path that are no key. Keys look like anything, so whatever else there is may be one."""


@dataclass(frozen=True, slots=True)
class ToolEntry:
    """A tool in full, but of what it proves itself with the type alone; of a built-in one the name."""

    name: str
    built_in: bool = False
    display_name: str = ""
    description: str = ""
    logo_url: str = ""
    document: ApiDocument | None = None
    auth_type: AuthType | None = None
    require_approval: bool = False

    @classmethod
    def of(cls, tool: UserTool, *, waits: bool) -> "ToolEntry":
        return cls(
            tool.en_name,
            False,
            tool.zh_name,
            tool.description,
            without_secrets(tool.logo_url),
            tool.document,
            None if tool.auth is None else tool.auth.type,
            waits,
        )

    @property
    def likeness(self) -> tuple[object, ...]:
        """By which a tool that is there already is taken for this one."""
        return self.name, self.document

    @classmethod
    def of_built_in(cls, tool: BuiltInTool, *, waits: bool) -> "ToolEntry":
        return cls(tool.tool_id, built_in=True, require_approval=waits)


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """An MCP server: of its headers the names alone, of its address where it leads, of a program nothing."""

    name: str
    transport: McpTransport
    url: str = ""
    description: str = ""
    headers: tuple[str, ...] = ()
    require_approval: bool = False

    @classmethod
    def of(cls, server: McpServer, *, waits: bool) -> "ServerEntry":
        address = server.address
        url = _keyless(without_secrets(address.url))
        names = tuple(name for name, _ in address.headers)
        return cls(server.name, address.transport, url, server.description, names, waits)

    @property
    def likeness(self) -> tuple[object, ...]:
        """By which a server that is there already is taken for this one."""
        return self.name, self.transport, self.url

    @property
    def is_whole(self) -> bool:
        """Whether its address is all there."""
        return is_whole(self.url)


_Entry = TypeVar("_Entry", ToolEntry, ServerEntry)


@dataclass(frozen=True, slots=True)
class KnowledgeEntry:
    name: str
    description: str = ""

    @classmethod
    def of(cls, base: KnowledgeBase) -> "KnowledgeEntry":
        return cls(base.name, base.description)


@dataclass(frozen=True, slots=True)
class AgentFile:
    """`model` is the name of a model, "" for the default one. `own_model`: not one of the system's of that name."""

    name: str
    description: str = ""
    logo_url: str = ""
    system_prompt: str = ""
    model: str = ""
    enable_memory: bool = False
    tools: tuple[ToolEntry, ...] = ()
    mcp_servers: tuple[ServerEntry, ...] = ()
    knowledge: tuple[KnowledgeEntry, ...] = ()
    own_model: bool = False

    def refuse_too_many(self) -> None:
        for field in ("tools", "mcp_servers", "knowledge"):
            refuse_too_many(field, len(getattr(self, field)))


@dataclass(frozen=True, slots=True)
class Part:
    """What an agent uses: `kind` is tool, mcp_server, knowledge or model."""

    kind: str
    identifier: str
    name: str


@dataclass(frozen=True, slots=True)
class Missing:
    """What an agent should use, and does not; `why` is a sentence for its owner."""

    kind: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Need:
    """A secret that no document carries: until it is set the part can't be used."""

    part: Part
    what: str


def refuse_too_many(field: str, count: int) -> None:
    if count > MAX_LINKS:
        raise InvalidValue(field, f"an agent carries at most {MAX_LINKS}")


def paired(wanted: Sequence[_Entry], there: Sequence[tuple[_Entry, _T]]) -> list[_T | None]:
    """For each that is wanted one that is there: the same in everything, else one that is alike.

    Each serves once, so that two which differ in their secrets alone stay two.
    """
    found: list[_T | None] = [None] * len(wanted)
    taken: set[int] = set()
    for key in (_same, _alike):
        fitting: dict[object, deque[int]] = {}
        for number, (entry, _) in enumerate(there):
            if number not in taken:
                fitting.setdefault(key(entry), deque()).append(number)
        for place, one in enumerate(wanted):
            if found[place] is None and (numbers := fitting.get(key(one))):
                taken.add(number := numbers.popleft())
                found[place] = there[number][1]
    return found


def _same(entry: ToolEntry | ServerEntry) -> object:
    return replace(entry, require_approval=False)


def _alike(entry: ToolEntry | ServerEntry) -> object:
    return entry.likeness


def without_secrets(url: str) -> str:
    """An address without name, password, query and fragment, in which secrets are usual."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme and not parts.netloc:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _keyless(url: str) -> str:
    """Of MCP servers the path is a usual place for keys, too."""
    parts = urlsplit(url)
    path = "/".join(one if _PLAIN.fullmatch(one) else LEFT_OUT for one in parts.path.split("/"))
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
