"""Opens a session with the SDK, over the transport that an address names. Importing this imports the SDK."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import httpx2
import mcp_types as types
from mcp.client._transport import TransportStreams
from mcp.client.session import ClientSession
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import McpHttpClientFactory
from mcp.shared.exceptions import MCPError

from adapters.mcp.failures import closed, ours, why
from adapters.mcp.guarded_exchange import CarefulExchange
from adapters.mcp.inbound import WatchedReads
from adapters.mcp.limits import McpLimits
from adapters.mcp.masks import mask_of
from adapters.mcp.stdio import stdio_streams
from adapters.mcp.wire import SdkWire
from adapters.mcp.words import Masked
from application.ports.mcp_connections import McpUnavailable
from domain.tools.mcp_servers import McpAddress, McpTransport

if TYPE_CHECKING:
    from adapters.mcp.connection import Line, Open, Wire

US: Final = types.Implementation(name="agentchat", version=version("agentchat"))

# They log what servers send, and the ids of sessions, which are as good as keys. "client" is the SDK's session.
for _name in ("mcp", "client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)


class Session(ClientSession):
    """Declines what servers ask of clients, as the SDK does by itself."""

    async def validate_tool_result(self, name: str, result: types.CallToolResult) -> None:
        """Not checked: the schema is the server's own, and its patterns may hold up the process for hours."""

    def _absorb_tool_listing(self, result: types.ListToolsResult, *, complete: bool) -> types.ListToolsResult:
        absorbed = super()._absorb_tool_listing(result, complete=complete)
        # Kept for that check alone, from every page of a list that may have no end.
        self._tool_output_schemas.clear()
        return absorbed


def opener(address: McpAddress, make_client: Callable[[], httpx2.AsyncClient], limits: McpLimits) -> "Open":
    """Called in a thread: the first client takes its time."""
    client = None if address.transport is McpTransport.STDIO else make_client()

    def streams(line: "Line") -> AbstractAsyncContextManager[TransportStreams]:
        if client is None:
            return stdio_streams(address, line, limits)
        return http_streams(address, line, limits, client)

    masked = Masked(address)

    @asynccontextmanager
    async def opened(line: "Line") -> "AsyncIterator[Wire]":
        try:
            async with streams(line) as (reads, writes):
                async with Session(WatchedReads(reads, line), writes, client_info=US) as session:
                    await greet(session, masked)
                    yield SdkWire(session, line, limits, masked, mask_of(address))
        except Exception as error:  # noqa: BLE001 - whatever the SDK makes of what a server sends
            raise McpUnavailable(why(error)) from None

    return opened


@asynccontextmanager
async def http_streams(
    address: McpAddress, line: "Line", limits: McpLimits, guarded: httpx2.AsyncClient
) -> AsyncIterator[TransportStreams]:
    by_events = address.transport is McpTransport.SSE
    broken = line.broken if by_events else None
    exchange = CarefulExchange(guarded, limits, broken=broken, forgotten=line.broken)
    headers = httpx2.Headers(guarded.headers)
    headers.update(list(address.headers))
    client = httpx2.AsyncClient(
        transport=exchange,
        headers=headers,
        timeout=httpx2.Timeout(limits.connect_seconds, read=None),
        trust_env=False,
    )
    if by_events:
        # It closes the client by itself.
        async with sse_client(address.url, httpx_client_factory=_giving(client)) as streams:
            yield streams
        return
    async with (
        client,
        streamable_http_client(address.url, http_client=client, max_sse_event_size=limits.message_bytes) as streams,
    ):
        yield streams


def _giving(client: httpx2.AsyncClient) -> McpHttpClientFactory:
    def factory(
        headers: dict[str, str] | None = None,  # noqa: ARG001
        timeout: httpx2.Timeout | None = None,  # noqa: ARG001
        auth: httpx2.Auth | None = None,  # noqa: ARG001
    ) -> httpx2.AsyncClient:
        return client

    return factory


async def greet(session: ClientSession, masked: Masked) -> None:
    """As most servers want it; those that know nothing older than 2026 say so."""
    try:
        try:
            await session.initialize()
        except MCPError as error:
            if error.code not in (types.METHOD_NOT_FOUND, types.UNSUPPORTED_PROTOCOL_VERSION):
                raise
            await session.discover()
    except MCPError as error:
        if ours(error) or closed(error) or error.code == types.PARSE_ERROR:
            raise
        raise McpUnavailable(f"it refused to begin: {masked.line(error.message)}") from None
