"""Who sees the numbers: clients in the configured networks, as far as the server knows who asks."""

import json
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.http_config import HttpConfig
from entrypoints.http.metrics import is_admitted, networks_of
from entrypoints.settings.loading import Settings, SettingsError, load_settings

LOOPBACK = networks_of(HttpConfig().metrics_networks)


def asked(host: str | None, port: int = 50000, **headers: str) -> dict[str, object]:
    sent = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"client": None if host is None else (host, port), "headers": sent}


def test_by_default_both_say_loopback_alone() -> None:
    assert HttpConfig().metrics_networks == Settings().metrics_networks == ("127.0.0.0/8", "::1/128")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_let_in_however_it_is_written(host: str) -> None:
    assert is_admitted(asked(host), LOOPBACK)


@pytest.mark.parametrize(
    "host", [None, "", "testclient", "localhost", "10.0.0.1", "::2", "::ffff:10.0.0.1", "127.0.0.1.evil", "fe80::1%lo"]
)
def test_nobody_else_is(host: str | None) -> None:
    assert not is_admitted(asked(host), LOOPBACK)


@given(st.ip_addresses(), st.ip_addresses(v=4), st.integers(0, 32))
def test_an_address_is_let_in_exactly_if_a_network_holds_it(asker: object, base: object, length: int) -> None:
    network = ip_network(f"{base}/{length}", strict=False)
    assert is_admitted(asked(str(asker)), [network]) == (ip_address(str(asker)) in network or _inside(asker, network))


def _inside(asker: object, network: object) -> bool:
    mapped = getattr(asker, "ipv4_mapped", None)
    return mapped is not None and mapped in network  # type: ignore[operator]


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_a_proxy_that_nobody_trusts_does_not_lend_its_address(header: str) -> None:
    for told in ("203.0.113.5", "127.0.0.1"):
        scope = asked("127.0.0.1")
        scope["headers"] = [(b"accept", b"*/*"), (header.encode(), told.encode())]
        assert not is_admitted(scope, LOOPBACK)


def test_an_address_that_a_trusted_proxy_told_counts() -> None:
    """uvicorn puts it in the place of the proxy's, without a port."""
    assert is_admitted(asked("127.0.0.1", 0, x_forwarded_for="127.0.0.1"), LOOPBACK)
    assert not is_admitted(asked("203.0.113.5", 0, x_forwarded_for="203.0.113.5"), LOOPBACK)


@pytest.mark.parametrize("network", ["localhost", "10.0.0.1/8", "all", "::1/200"])
def test_what_is_no_network_is_a_mistake_of_the_configuration(tmp_path: Path, network: str) -> None:
    with pytest.raises(SettingsError, match="metrics_networks") as refused:
        load_settings({"AGENTCHAT_METRICS_NETWORKS": json.dumps([network])}, tmp_path)
    assert network in str(refused.value)


def test_no_network_lets_nobody_in() -> None:
    assert not is_admitted(asked("127.0.0.1"), ())
