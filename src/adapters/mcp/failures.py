"""What the SDK and HTTP raise, in our words."""

import json
from collections.abc import Iterator
from typing import Final

import httpx2
from mcp.shared.exceptions import MCPError
from mcp_types import CONNECTION_CLOSED

from adapters.mcp import words
from application.ports.guarded_web import WebRefused
from application.ports.mcp_connections import McpUnavailable

UNAVAILABLE: Final = -32950
"""In place of an answer that did not come: the message is ours. Servers may use the number too: see `ours`."""
BAD_STREAM: Final = "SSE stream failed"
"""So the SDK says that an event was too long."""
_ENDINGS: Final = ("Connection closed", "SSE stream ended", BAD_STREAM)
_MARK: Final = "\x00agentchat"


class TooMuch(httpx2.SSEError):
    """An event that is not read. The SDK passes on what such an error says."""


def ours(error: MCPError) -> bool:
    return error.code == UNAVAILABLE and error.data == _MARK


def in_place_of_an_answer(request: httpx2.Request, number: object, message: str) -> httpx2.Response:
    error = {"code": UNAVAILABLE, "message": message, "data": _MARK}
    body = json.dumps({"jsonrpc": "2.0", "id": number, "error": error}).encode()
    return httpx2.Response(502, headers={"content-type": "application/json"}, content=body, request=request)


def never_left(error: BaseException) -> bool:
    return isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))


def why(error: BaseException) -> str:
    """A sentence, and nothing that another program wrote."""
    said = next(filter(None, map(_said, _leaves(error))), "")
    return said or words.NO_CONNECTION


def closed(error: MCPError) -> bool:
    """Whether the SDK says that the connection ended. Servers use its number for errors of their own."""
    return error.code == CONNECTION_CLOSED and error.message.startswith(_ENDINGS)


def _said(error: BaseException) -> str:
    match error:
        case McpUnavailable():
            return str(error)
        case MCPError():
            return _said_by_session(error)
        case TooMuch():
            return words.TOO_MANY
        case httpx2.HTTPStatusError():
            return words.status(error.response.status_code)
        case httpx2.ConnectError() if isinstance(error.__cause__, WebRefused):
            return str(error.__cause__)
        case httpx2.ConnectError() | httpx2.ConnectTimeout() | httpx2.UnsupportedProtocol():
            return words.NO_CONNECTION
        case httpx2.SSEError() | httpx2.RemoteProtocolError() | ValueError():
            return words.NOT_MCP
        case httpx2.TransportError() | ConnectionError():
            return words.CUT
        case RuntimeError():
            return words.OTHER_VERSION if "protocol version" in str(error) else words.NOT_MCP
    return ""


def _said_by_session(error: MCPError) -> str:
    if ours(error):
        return error.message
    return words.CUT if closed(error) else words.NOT_MCP


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
