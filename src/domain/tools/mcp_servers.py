"""MCP servers: other programs whose tools an agent may call."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from domain.errors import InvalidValue
from domain.ids import McpServerId, UserId
from domain.text import block, line
from domain.tools.header_rules import header_name, header_value
from domain.tools.web_addresses import http_address, origin_of

NAME_MAX: Final = 64
DESCRIPTION_MAX: Final = 2000
TEXT_MAX: Final = 4096
HEADERS_MAX: Final = 20
ARGS_MAX: Final = 64
SERVERS_MAX: Final = 50
TOOLS_SEEN_MAX: Final = 500
TOOL_NAME_MAX: Final = 128
STATUS_MAX: Final = 500
UNKNOWN: Final = "unknown"
OK: Final = "ok"
LEFT_OUT: Final = "***"
"""Stands in the path of an address that came with a document for a part that may be a secret."""
MASK: Final = "******"
"""Shown for the value of a header or a variable; sent back, it stands for the value that is stored."""

_AGAIN: Final = "are stored for another {}: send their values again, or {{}} to remove them"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

Pairs = tuple[tuple[str, str], ...]


class McpTransport(StrEnum):
    STREAMABLE_HTTP = "streamable_http"
    SSE = "sse"
    STDIO = "stdio"


@dataclass(frozen=True, slots=True)
class McpAddress:
    """How a server is reached: `url` and `headers`, or for stdio `command`, `args` and `env`.

    Secrets are not printed.
    """

    transport: McpTransport
    url: str = ""
    headers: Pairs = field(default=(), repr=False)
    command: str = ""
    args: tuple[str, ...] = ()
    env: Pairs = field(default=(), repr=False)

    @property
    def awaited(self) -> tuple[str, ...]:
        """Names of headers whose values are still to be sent: no other header has an empty one."""
        return tuple(name for name, value in self.headers if not value)

    @property
    def lacks(self) -> str:
        """What its owner must send before it can be used; "" for nothing."""
        lacking = [f"the values of its headers ({', '.join(self.awaited)})"] if self.awaited else []
        lacking += ["the parts of its url that are ***"] if not is_whole(self.url) else []
        return " and ".join(lacking)

    def awaiting(self, names: Sequence[str]) -> "McpAddress":
        """With these headers, whose values its owner must send before it can be used. Raises InvalidValue."""
        checked = _headers(tuple((name, MASK) for name in names))
        return replace(self, headers=tuple((name, "") for name, _ in checked))

    def cleaned(self) -> "McpAddress":
        """With every rule applied, and nothing that its transport does not use. Raises InvalidValue."""
        if self.transport is McpTransport.STDIO:
            command = line("command", self.command, minimum=1, maximum=TEXT_MAX)
            return McpAddress(self.transport, command=command, args=_args(self.args), env=_env(self.env))
        return McpAddress(self.transport, url=_url(self.url), headers=_headers(self.headers))


@dataclass(frozen=True, slots=True)
class McpDraft:
    """What a person says of a server, unchecked. None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    transport: McpTransport | None = None
    url: str | None = None
    headers: Pairs | None = field(default=None, repr=False)
    command: str | None = None
    args: tuple[str, ...] | None = None
    env: Pairs | None = field(default=None, repr=False)

    def address(self, stored: McpAddress) -> McpAddress:
        """Raises InvalidValue."""
        said = McpAddress(
            stored.transport if self.transport is None else self.transport,
            stored.url if self.url is None else self.url,
            stored.headers if self.headers is None else _unmasked("headers", self.headers, stored.headers),
            stored.command if self.command is None else self.command,
            stored.args if self.args is None else self.args,
            stored.env if self.env is None else _unmasked("env", self.env, stored.env),
        )
        there = said.cleaned()
        self._refuse_elsewhere(stored, there)
        return there

    def _refuse_elsewhere(self, stored: McpAddress, there: McpAddress) -> None:
        """Secrets were given for one server: for another one, or another program, they must be said again."""
        if there.headers and _keeps(self.headers, stored.headers) and origin_of(there.url) != origin_of(stored.url):
            raise InvalidValue("headers", _AGAIN.format("url"), code="auth_needed_again")
        if there.env and _keeps(self.env, stored.env) and there.command != stored.command:
            raise InvalidValue("env", _AGAIN.format("command"), code="auth_needed_again")

    @property
    def says_address(self) -> bool:
        said = (self.transport, self.url, self.headers, self.command, self.args, self.env)
        return any(one is not None for one in said)


@dataclass(frozen=True, slots=True)
class McpServer:
    """`tools` and `status` are what was seen when it was last asked: "unknown", "ok", or why it could not be."""

    server_id: McpServerId
    user_id: UserId
    name: str
    address: McpAddress
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tools: tuple[str, ...] = ()
    status: str = UNKNOWN

    @classmethod
    def create(cls, server_id: McpServerId, owner: UserId, draft: McpDraft, now: datetime) -> "McpServer":
        if draft.transport is None:
            raise InvalidValue("type", "must be streamable_http, sse or stdio")
        blank = cls(server_id, owner, "", McpAddress(draft.transport), now, now)
        # A new server without an address is refused, whatever its draft says.
        return blank.change(replace(draft, name=draft.name or "", url=draft.url or ""), now)

    def change(self, draft: McpDraft, now: datetime) -> "McpServer":
        """At another address nothing is known of it any more. Raises InvalidValue."""
        changed = replace(
            self,
            name=self.name if draft.name is None else line("server_name", draft.name, minimum=1, maximum=NAME_MAX),
            description=self.description
            if draft.description is None
            else block("description", draft.description, maximum=DESCRIPTION_MAX),
            updated_at=now,
        )
        address = draft.address(self.address) if draft.says_address else self.address
        return changed if address == self.address else replace(changed, address=address, tools=(), status=UNKNOWN)

    def seen(self, tools: Sequence[str]) -> "McpServer":
        names = tuple(_legible(name, TOOL_NAME_MAX) for name in tools[:TOOLS_SEEN_MAX])
        return replace(self, tools=names, status=OK)

    def not_reached(self, reason: str) -> "McpServer":
        """It keeps the names of its tools: they may be back soon."""
        return replace(self, status=_legible(reason, STATUS_MAX) or "unavailable")


def is_whole(url: str) -> bool:
    """Whether no part of an address is left out."""
    return LEFT_OUT not in urlsplit(url).path.split("/")


def _keeps(said: Pairs | None, stored: Pairs) -> bool:
    """Whether any value is still the stored one."""
    return bool(stored) and (said is None or any(value == MASK for _, value in said))


def _legible(text: str, longest: int) -> str:
    """Another program wrote it: anything may be in it, also what no database stores."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:longest])


def _url(raw: str) -> str:
    return http_address("url", raw, "https://mcp.example.org/mcp")


def _headers(pairs: Pairs) -> Pairs:
    if len(pairs) > HEADERS_MAX:
        raise InvalidValue("headers", f"must be at most {HEADERS_MAX}")
    cleaned = tuple((header_name("headers", name), header_value(f"headers.{name}", value)) for name, value in pairs)
    if len({name.lower() for name, _ in cleaned}) < len(cleaned):
        raise InvalidValue("headers", "must name each header once, whatever its case")
    return cleaned


def _args(args: tuple[str, ...]) -> tuple[str, ...]:
    if len(args) > ARGS_MAX:
        raise InvalidValue("args", f"must be at most {ARGS_MAX}")
    return tuple(block("args", arg, maximum=TEXT_MAX) for arg in args)


def _env(pairs: Pairs) -> Pairs:
    if len(pairs) > ARGS_MAX:
        raise InvalidValue("env", f"must be at most {ARGS_MAX}")
    for name, _ in pairs:
        if not _VARIABLE.fullmatch(name):
            raise InvalidValue("env", "must be named as variables are: letters, digits and _, first no digit")
    return tuple((name, block(f"env.{name}", value, maximum=TEXT_MAX)) for name, value in pairs)


def _unmasked(field: str, said: Pairs, stored: Pairs) -> Pairs:
    known = dict(stored)
    for name, value in said:
        if value == MASK and name not in known:
            raise InvalidValue(f"{field}.{name[:TOOL_NAME_MAX]}", "is shown masked: send its value, or leave it out")
    return tuple((name, known[name] if value == MASK else value) for name, value in said)
