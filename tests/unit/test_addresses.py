"""Which addresses users may reach: laws over all addresses, and the ones that attackers use."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.tools.addresses import USUAL_PORTS, Reach, held_in, is_public, looks_numeric

V4 = st.ip_addresses(v=4)
V6 = st.ip_addresses(v=6)
ANY = V4 | V6
PORTS = st.integers(1, 65_535)
ODD = PORTS.filter(lambda port: port not in USUAL_PORTS)
PRIVATE_V4 = st.sampled_from(
    [
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4"),
        *("240.0.0.0/4", "255.255.255.255/32", "168.63.129.16/32"),
    ]
).flatmap(lambda network: st.ip_addresses(network=network))
PRIVATE_V6 = st.sampled_from(
    [
        *(
            "::/96",
            "::1/128",
            "::ffff:0:0/96",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/32",
            "2001:2::/48",
        ),
        *("2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
    ]
).flatmap(lambda network: st.ip_addresses(network=network))


@given(PRIVATE_V4 | PRIVATE_V6, PORTS)
def test_nothing_private_or_reserved_is_reached(address: IPv4Address | IPv6Address, port: int) -> None:
    assert not Reach().has(str(address), port)
    assert not Reach(ports=frozenset(range(65_536))).has(str(address), port)


@given(ANY, PORTS)
def test_what_is_reached_is_global_to_python_too(address: IPv4Address | IPv6Address, port: int) -> None:
    if Reach().has(str(address), port):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_link_local
        assert not address.is_reserved
        assert port in USUAL_PORTS


@given(ANY, ODD)
def test_other_ports_are_closed_on_every_address(address: IPv4Address | IPv6Address, port: int) -> None:
    assert not Reach().has(str(address), port)
    assert not Reach().may_have_port(port)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "8.8.8.8", "99.255.255.255", "128.0.0.1", "223.255.255.255", "172.32.0.1"]
)
@pytest.mark.parametrize("port", USUAL_PORTS)
def test_public_addresses_are_reached(address: str, port: int) -> None:
    assert Reach().has(address, port)


@pytest.mark.parametrize("address", ["2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:4860:4860::8888"])
def test_public_addresses_of_ipv6_are_reached(address: str) -> None:
    assert Reach().has(address, 443)


@given(V4, st.integers(0, 32), PORTS)
def test_an_opened_network_is_reached_on_every_port(address: IPv4Address, bits: int, port: int) -> None:
    network = IPv4Network((address, bits), strict=False)
    assert Reach.of([str(network)]).has(str(address), port)


@given(V4, V4, PORTS)
def test_an_opened_network_opens_no_other_address(opened: IPv4Address, other: IPv4Address, port: int) -> None:
    reach = Reach.of([f"{opened}/32"])
    if other != opened:
        assert reach.has(str(other), port) == Reach().has(str(other), port)


@given(PRIVATE_V4, st.sampled_from(["::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::"]), PORTS)
def test_no_opened_network_opens_an_address_hidden_in_its_own(hidden: IPv4Address, prefix: str, port: int) -> None:
    holding = IPv6Address(int(IPv6Address(prefix)) | int(hidden))
    if int(holding) > 1:
        assert hidden in held_in(holding)
        assert not Reach.of([f"{prefix}/96"]).has(str(holding), port)


@given(PRIVATE_V4, st.integers(0, 2**80 - 1))
def test_6to4_and_teredo_hide_nothing_either(hidden: IPv4Address, rest: int) -> None:
    sixtofour = IPv6Address((0x2002 << 112) | (int(hidden) << 80) | rest)
    teredo = IPv6Address((0x20010000 << 96) | (rest >> 16 << 32) | (int(hidden) ^ 0xFFFF_FFFF))
    reach = Reach.of(["2002::/16", "2001::/32"])
    assert not reach.has_address(str(sixtofour))
    assert not reach.has_address(str(teredo))


@given(V4)
def test_a_mapped_address_is_never_public(address: IPv4Address) -> None:
    assert not is_public(IPv6Address(f"::ffff:{address}"))


def test_loopback_of_ipv6_can_be_opened() -> None:
    assert Reach.of(["::1/128"]).has("::1", 5000)
    assert not Reach.of(["::1/128"]).has("127.0.0.1", 80)


@pytest.mark.parametrize(
    "text", ["", "localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "127.0.0.1.", " 1.1.1.1"]
)
def test_what_is_no_plain_address_is_not_reached(text: str) -> None:
    assert not Reach.of(["0.0.0.0/0", "::/0"]).has(text, 80)


@given(st.integers(max_value=0) | st.integers(min_value=65_536))
def test_there_are_no_other_ports(port: int) -> None:
    open_to_all = Reach(tuple(map(IPv4Network, ["0.0.0.0/0"])), frozenset([port]))
    assert not open_to_all.has("1.1.1.1", port)
    assert not open_to_all.may_have_port(port)


@given(V4, st.sampled_from([str, int, hex, lambda a: f"0x{int(a):x}.", lambda a: f"{a}.", lambda a: f"0{a}"]))
def test_every_way_to_write_an_address_looks_numeric(address: IPv4Address, written: object) -> None:
    assert callable(written)
    value = int(address) if written is hex else address
    assert looks_numeric(str(written(value)))


@given(st.from_regex(r"([a-z0-9-]{1,8}\.){0,3}[a-z][a-wyz]{1,5}\.?", fullmatch=True))
def test_names_look_like_names(name: str) -> None:
    assert not looks_numeric(name)


@given(st.ip_addresses(network="fe80::/10"))
def test_a_zone_makes_no_difference(address: IPv6Address) -> None:
    assert not Reach().has_address(f"{address}%eth0")
    assert ip_address(f"{address}%eth0") in IPv6Network("fe80::/10")
    assert not is_public(ip_address(f"{address}%1"))
