"""The numbers of the server, for Prometheus. Operators' business: whoever asks from elsewhere finds nothing here."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final, Protocol

from dishka import FromDishka
from dishka.integrations.litestar import inject
from litestar import HttpMethod, Response, route
from litestar.connection import ASGIConnection
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi.datastructures import ResponseSpec

from entrypoints.http.auth import PUBLIC

TEXT_FORMAT: Final = "text/plain; version=0.0.4"
"""Litestar adds the charset."""
FORWARDED: Final = ("x-forwarded-for", "forwarded", "x-real-ip")

Network = IPv4Network | IPv6Network


class Exposition(Protocol):
    """All numbers in Prometheus' text format, as they are now."""

    async def __call__(self) -> bytes: ...


def networks_of(names: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ip_network(name) for name in names)


def refuse_strangers(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """The same 404 as for an address that leads nowhere."""
    if not is_admitted(connection.scope, connection.app.state.metrics_networks):
        raise NotFoundException


def is_admitted(scope: Any, networks: Sequence[Network]) -> bool:
    """Whether the client, as the server knows it, is in one of the networks.

    What came through a proxy that nobody named as trusted has the proxy's address, which says nothing about who asked.
    The server knows a port only of those that it is connected to: one that a trusted proxy told of has none.
    """
    client = scope.get("client")
    if client is None:
        return False
    host, port = client
    if port and any(name.decode("latin-1") in FORWARDED for name, _ in scope["headers"]):
        return False
    try:
        address = _plain(ip_address(host))
    except ValueError:
        return False
    return any(address in network for network in networks)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Sockets that serve both families write ::ffff:127.0.0.1."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


@route(
    "/metrics",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    summary="The server's numbers for Prometheus, to those in metrics_networks",
    tags=["operations"],
    opt=PUBLIC,
    guards=[refuse_strangers],
    responses={
        200: ResponseSpec(
            str, generate_examples=False, media_type="text/plain", description="Prometheus' text format, version 0.0.4."
        )
    },
)
@inject
async def metrics(numbers: FromDishka[Exposition]) -> Response[bytes]:
    return Response(await numbers(), media_type=TEXT_FORMAT)
