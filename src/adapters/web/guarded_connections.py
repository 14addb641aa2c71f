"""Connections to addresses that users may reach, and to no others, whatever a name resolves to."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.abc import AbstractResolver, ResolveResult

from adapters.web.guarded_url import shown
from application.ports.guarded_web import WebRefused
from domain.tools.addresses import Reach

KEEPALIVE_SECONDS: Final = 30.0
LOOKUP_SECONDS: Final = 10.0
MOST_ADDRESSES: Final = 8
"""Of one name: each that doesn't answer costs time."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises OSError."""


class GuardedResolver(AbstractResolver):
    """Gives the addresses of a name that may be asked. A name without any is refused."""

    def __init__(self, reach: Reach, resolve: Resolve) -> None:
        self._reach = reach
        self._resolve = resolve

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        refuse_port(self._reach, port)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._resolve(host)
        except (TimeoutError, UnicodeError) as error:
            raise OSError(None, "no answer about the name") from error
        if not found:
            raise OSError(None, "the name has no address")
        if not any(map(self._reach.has_address, found)):
            raise private(host)
        reached = [address for address in found if self._reach.has(address, port)]
        if not reached:
            raise closed_port(self._reach, port)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in reached[:MOST_ADDRESSES]
        ]

    async def close(self) -> None:
        """Nothing to close: the lookups belong to whoever made them."""


def guarded_connector(reach: Reach, resolve: Resolve, tls: ssl.SSLContext, *, keep: bool) -> aiohttp.TCPConnector:
    """`keep`: whether connections serve further requests to the same host."""

    def opened(info: AddrInfoType) -> socket.socket:
        # The one check that counts: nothing comes between it and the connect, and no host of any spelling avoids it.
        family, kind, protocol, _, address = info
        host, port = str(address[0]), int(address[1])
        if not reach.has_address(host):
            raise private(host)
        if not reach.has(host, port):
            raise closed_port(reach, port)
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        limit=0,
        ssl=tls,
        resolver=GuardedResolver(reach, resolve),
        use_dns_cache=False,
        socket_factory=opened,
        force_close=not keep,
        keepalive_timeout=KEEPALIVE_SECONDS if keep else None,
    )


def guarded_session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    """No cookies, no proxies or passwords of the environment."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=LOOKUP_SECONDS),
    )


def refuse_port(reach: Reach, port: int) -> None:
    """Before anything is asked, as far as that can be known."""
    if not reach.may_have_port(port):
        raise closed_port(reach, port)


def private(host: str) -> WebRefused:
    return WebRefused(f"{shown(host)} may not be asked: it is on a private or reserved network.")


def closed_port(reach: Reach, port: int) -> WebRefused:
    return WebRefused(f"Port {port} may not be asked; allowed are {', '.join(map(str, sorted(reach.ports)))}.")
