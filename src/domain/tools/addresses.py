"""Which addresses and ports may be asked in the name of a user, who may write any that he likes.

The tables are our own: those of Python's `is_global` differ from version to version.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

IpAddress = IPv4Address | IPv6Address
IpNetwork = IPv4Network | IPv6Network

USUAL_PORTS: Final = (80, 443, 8080, 8443)
HIGHEST_PORT: Final = 65_535
LONGEST_HOST: Final = 253
_NAME: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_.])?", re.ASCII)

_CLOSED_V4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' NAT, and metadata of Alibaba
            "127.0.0.0/8",
            "168.63.129.16/32",  # what Azure tells its machines, at an address that looks public
            "169.254.0.0/16",  # link-local, and metadata of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocols, and metadata of Oracle
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays to IPv6
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_OPEN_V6: Final = IPv6Network("2000::/3")
"""All that was ever given out."""
_CLOSED_V6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocols: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3ffe::/16",  # given back
            "3fff::/20",  # documentation
        ),
    )
)
_HOLD_V4: Final = tuple(
    map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48"))
)
"""Their last 32 bits are an address of IPv4, to which a router or the kernel may pass the packets on."""


def is_public(address: IpAddress) -> bool:
    """Somebody's on the open internet, and not by way of an address of the other family."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)


def held_in(address: IpAddress) -> Iterator[IPv4Address]:
    """The addresses of IPv4 that one of IPv6 leads to."""
    if isinstance(address, IPv4Address) or address.is_loopback or address.is_unspecified:
        return
    if any(address in network for network in _HOLD_V4):
        yield IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


@dataclass(frozen=True, slots=True)
class Reach:
    """What users may point the server at: public addresses, and the networks that the operator opened to them.

    On those networks any port, elsewhere some.
    """

    opened: tuple[IpNetwork, ...] = ()
    ports: frozenset[int] = frozenset(USUAL_PORTS)

    @classmethod
    def of(cls, networks: Iterable[str], ports: Iterable[int] = USUAL_PORTS) -> "Reach":
        """Raises ValueError for what is no network."""
        return cls(tuple(map(ip_network, networks)), frozenset(ports))

    def has_address(self, address: str) -> bool:
        """Not so for what isn't an address in the usual way of writing, such as 0x7f.1."""
        try:
            found = ip_address(address)
        except ValueError:
            return False
        # An opened network opens none that lies hidden in its addresses.
        return all(is_public(one) or self._opens(one) for one in (found, *held_in(found)))

    def has(self, address: str, port: int) -> bool:
        if not self.has_address(address) or not 0 < port <= HIGHEST_PORT:
            return False
        return port in self.ports or self._opens(ip_address(address))

    def may_have_port(self, port: int) -> bool:
        """Whether there is any address at all with this port."""
        return 0 < port <= HIGHEST_PORT and (port in self.ports or bool(self.opened))

    def _opens(self, address: IpAddress) -> bool:
        return any(address in network for network in self.opened)


def is_host(host: str) -> bool:
    """A name as the DNS has it, in small letters, or an address in the usual way, that of IPv6 in brackets.

    Clients of HTTP read other spellings each in its own way, or not at all.
    """
    try:
        if host.startswith("["):
            return host.endswith("]") and IPv6Address(host[1:-1]).scope_id is None
        if looks_numeric(host):
            return str(IPv4Address(host)) == host
    except ValueError:
        return False
    return len(host) <= LONGEST_HOST and ".." not in host and _NAME.fullmatch(host) is not None


def looks_numeric(host: str) -> bool:
    """Whether a resolver may take the name for an address of IPv4: 2130706433, 0x7f.1, 127.1, 127.0.0.1."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    digits = "0123456789abcdef" if last.startswith("0x") else "0123456789"
    return bool(last) and not last.removeprefix("0x").strip(digits)
