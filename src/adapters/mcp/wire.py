"""An open session of the SDK: listing and calling, with what comes back cut to what may be."""

import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, TypeVar, cast

import anyio
import mcp_types as types
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from adapters.mcp import words
from adapters.mcp.connection import Line
from adapters.mcp.deliveries import DELIVERY, Cut, Undelivered
from adapters.mcp.failures import BAD_STREAM, closed, ours
from adapters.mcp.limits import McpLimits
from adapters.mcp.translate import Listing, images_of, shown_of, text_of
from adapters.mcp.words import Masked
from application.ports.mcp_connections import McpTool, McpUnavailable
from application.ports.tool_runner import ToolFailed, ToolOutput
from application.tools.asking_depth import META_KEY, asking_depth
from domain.tools.masking import Mask
from domain.tools.tools import JsonValue

_T = TypeVar("_T")
_DEEPEST: Final = 64
_ASKS_BACK: Final = "The tool asks for more than the call says, and nobody can answer it here."


class SdkWire:
    def __init__(self, session: ClientSession, line: Line, limits: McpLimits, masked: Masked, mask: Mask) -> None:
        self._session = session
        self._line = line
        self._limits = limits
        self._masked = masked
        self._mask = mask

    async def tools(self) -> Sequence[McpTool]:
        try:
            return await self._listed()
        except MCPError as error:
            if error.code == types.METHOD_NOT_FOUND:
                return ()
            raise McpUnavailable(f"it does not list its tools: {self._masked.line(error.message)}") from None

    async def call(self, tool: str, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        check_sendable(tool, arguments)
        try:
            asked = self._session.call_tool(tool, dict(arguments), meta=_meta(), allow_input_required=True)
            result = await self._sent(asked)
        except MCPError as error:
            raise ToolFailed(shown_of(error.message, self._limits.result_chars, self._mask)) from None
        if isinstance(result, types.InputRequiredResult):
            raise ToolFailed(_ASKS_BACK)
        text = text_of(result, self._limits.result_chars, self._mask)
        if result.is_error:
            raise ToolFailed(text or "The tool failed, and did not say why.")
        return ToolOutput(text, images=images_of(result))

    async def _listed(self) -> Sequence[McpTool]:
        listing = Listing(self._limits.tools, self._mask)
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(self._limits.pages):
            params = None if cursor is None else types.PaginatedRequestParams(cursor=cursor)
            page = await self._sent(self._session.list_tools(params=params))
            listing.add(page.tools)
            cursor = page.next_cursor
            # A list that leads back to itself has no end.
            if not cursor or cursor in seen or listing.full:
                break
            seen.add(cursor)
        return listing.tools

    async def _sent(self, asked: Awaitable[_T]) -> _T:
        """Raises Undelivered, Cut, McpUnavailable, and the server's own MCPError."""
        try:
            return await asked
        except MCPError as error:
            self._raise_own(error)
            raise
        except (ValidationError, RuntimeError):
            raise McpUnavailable(words.NOT_MCP) from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            raise self._cut() from None

    def _raise_own(self, error: MCPError) -> None:
        if closed(error):
            if error.message.startswith(BAD_STREAM):
                heavy = words.TOO_MANY in error.message
                raise McpUnavailable(words.TOO_MANY if heavy else words.too_long(self._limits.message_bytes))
            raise self._cut()
        if error.code == types.PARSE_ERROR:
            raise McpUnavailable(words.NOT_MCP) from None
        if not ours(error):
            return
        delivery = DELIVERY.get()
        if delivery is not None and not delivery.handed_over:
            raise Undelivered(error.message) from None
        raise McpUnavailable(error.message) from None

    def _cut(self) -> McpUnavailable:
        delivery = DELIVERY.get()
        if delivery is not None and not delivery.handed_over:
            return Undelivered(words.CUT)
        return Cut(words.CUT_IN_CALL)


def check_sendable(tool: str, arguments: Mapping[str, JsonValue]) -> None:
    """What the SDK can't write ends its session, with the calls of everybody else. Raises ToolFailed."""
    try:
        json.dumps([tool, dict(arguments)], allow_nan=False, ensure_ascii=False).encode()
        _check_depth(dict(arguments), _DEEPEST)
    except (ValueError, RecursionError):
        raise ToolFailed("The arguments hold what can't be sent as JSON, or are nested too deeply.") from None


def _check_depth(value: JsonValue, left: int) -> None:
    if isinstance(value, dict | list):
        if not left:
            raise RecursionError
        for part in value.values() if isinstance(value, dict) else value:
            _check_depth(part, left - 1)


def _meta() -> types.RequestParamsMeta | None:
    """Only a run that an agent began tells of it: it could be asking itself."""
    depth = asking_depth.get()
    return cast("types.RequestParamsMeta", {META_KEY: depth}) if depth else None
