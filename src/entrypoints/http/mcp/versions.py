"""Which revision of MCP a request speaks: those that begin with `initialize`, or the one whose requests stand alone."""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrypoints.http.mcp.messages import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    UNSUPPORTED_VERSION,
    Message,
    RpcError,
)

HANDSHAKE: Final = ("2025-03-26", "2025-06-18", "2025-11-25")
ALONE: Final = "2026-07-28"
SUPPORTED: Final = (*HANDSHAKE, ALONE)

VERSION_HEADER: Final = "mcp-protocol-version"
METHOD_HEADER: Final = "mcp-method"
NAME_HEADER: Final = "mcp-name"
SESSION_HEADER: Final = "mcp-session-id"
_ROUTING: Final = (VERSION_HEADER, METHOD_HEADER, NAME_HEADER, SESSION_HEADER)
_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
_CAPABILITIES_KEY: Final = "io.modelcontextprotocol/clientCapabilities"
_ENCODED: Final = "=?base64?"
_LONGEST_SESSION: Final = 255
_STATUS_ALONE: Final[Mapping[int, int]] = {METHOD_NOT_FOUND: 404, INVALID_PARAMS: 400, HEADER_MISMATCH: 400}
_STATUS: Final[Mapping[int, int]] = {PARSE_ERROR: 400, INVALID_REQUEST: 400, UNSUPPORTED_VERSION: 400}


@dataclass(frozen=True, slots=True)
class Spoken:
    """How the request at hand is spoken. `session` is what `initialize` gave the client to name itself by."""

    version: str
    session: str | None
    headers: Mapping[str, str]

    @classmethod
    def of(cls, lines: Iterable[tuple[bytes, bytes]]) -> "Spoken":
        """Raises RpcError. A header that is there twice could be read one way by a proxy, and another way here."""
        found: dict[str, str] = {}
        for raw, value in lines:
            name = raw.decode("latin-1").lower()
            if name in found:
                raise RpcError(HEADER_MISMATCH, f"The header {name} must be there once.")
            if name in _ROUTING:
                found[name] = value.decode("latin-1")
        version, session = found.get(VERSION_HEADER, HANDSHAKE[0]), found.get(SESSION_HEADER)
        if version not in SUPPORTED:
            raise unsupported(version)
        if session is not None and not _is_session(session):
            raise RpcError(INVALID_REQUEST, "Mcp-Session-Id must be what initialize gave.")
        return cls(version, session, found)

    @property
    def alone(self) -> bool:
        """Whether requests stand alone: then a client cancels one by closing its connection, and only so."""
        return self.version == ALONE

    def check(self, message: Message) -> None:
        """Raises RpcError where the headers of a request that stands alone say another thing than its body."""
        if not self.alone or message.request_id is None:
            return
        missing = [key for key in (_VERSION_KEY, _CAPABILITIES_KEY) if key not in message.meta]
        if missing:
            raise RpcError(INVALID_PARAMS, f"params._meta must have {' and '.join(missing)}.")
        name = message.params.get("name") if message.method == "tools/call" else None
        wanted: Sequence[tuple[str, Any]] = (
            (VERSION_HEADER, message.meta[_VERSION_KEY]),
            (METHOD_HEADER, message.method),
            *([(NAME_HEADER, name)] if name is not None else []),
        )
        for header, value in wanted:
            if _plain(self.headers.get(header)) != value:
                raise RpcError(HEADER_MISMATCH, f"The header {header} says another thing than the body.")

    def result(self, value: Mapping[str, Any], *, cached: bool = False) -> Mapping[str, Any]:
        """A result as this revision has it."""
        if not self.alone:
            return value
        lasting = {"ttlMs": 300_000, "cacheScope": "private"} if cached else {}
        return {"resultType": "complete", **value, **lasting}

    def status_of(self, code: int) -> int:
        """To older clients 404 would say that their session has ended."""
        return _STATUS.get(code, _STATUS_ALONE.get(code, 200) if self.alone else 200)


def unsupported(version: str) -> RpcError:
    data = {"supported": list(SUPPORTED), "requested": version[:64]}
    return RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def settled(asked: object) -> str:
    """The version of `initialize`: the one that was asked for, else our newest."""
    return asked if isinstance(asked, str) and asked in HANDSHAKE else HANDSHAKE[-1]


def _is_session(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_SESSION and all("!" <= char <= "~" for char in text)


def _plain(value: str | None) -> str | None:
    """What is not printable ASCII is sent in base64."""
    if value is None or not (value.startswith(_ENCODED) and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[len(_ENCODED) : -2], validate=True).decode()
    except (binascii.Error, ValueError):
        return None
