"""Which addresses of servers are taken: those that every client of HTTP reads alike."""

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.web.guarded_url import checked
from domain.errors import InvalidValue
from domain.tools.web_addresses import http_address

EXAMPLE = "https://models.example.org/v1"
HOSTS = st.text("a1x0fv.-:[]%_１ⓛſ。é界", min_size=1, max_size=12) | st.from_regex(
    r"[0-9]{1,4}(\.[0-9]{1,4}){3}", fullmatch=True
)


@given(HOSTS)
@example("0177.0.0.1")
@example("256.1.1.1")
@example("[v1.x]")
def test_what_is_taken_can_be_read_by_the_clients_that_ask(host: str) -> None:
    try:
        url = http_address("base_url", f"http://{host}/v1", EXAMPLE)
    except InvalidValue:
        return
    assert checked(url).path == "/v1"
    assert httpx2.URL(url).path == "/v1"


@pytest.mark.parametrize(
    "host",
    [
        "0177.0.0.1",
        "１２７.０.０.１",
        "ⓛocalhost",
        "[v1.x]",
        "127.1",
        "2130706433",
        "0x7f.1",
        "256.1.1.1",
        "ſ.de",
        "a\xad.de",
        "[fe80::1%25eth0]",
        "a..b",
        "-a",
        "a,b",
        "a%41",
        "a" * 254,
        "a。b",
        "[::1",
    ],
)
def test_a_host_with_more_than_one_reading_is_refused(host: str) -> None:
    with pytest.raises(InvalidValue, match="base_url"):
        http_address("base_url", f"http://{host}/", EXAMPLE)


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8000",
        "127.0.0.1:1234",
        "[::1]:80",
        "[2001:DB8::1]",
        "a_b.internal",
        "münchen.de",
        "BÜCHER.de",
        "日本.jp",
        "straße.de",
        "xn--mnchen-3ya.de",
        "example.org.",
        "api.example.org",
        "1password.com",
        "v1",
        "0é",
    ],
)
def test_names_of_all_scripts_and_addresses_are_taken(host: str) -> None:
    url = f"http://{host}/v1"
    assert http_address("base_url", url, EXAMPLE) == url
    assert httpx2.URL(url).path == "/v1"
