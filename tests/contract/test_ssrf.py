"""Nobody makes this server ask its own network: a listener there proves that nothing arrives."""

from collections.abc import Awaitable, Callable, Sequence

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.web.guarded import GuardedHttp
from application.ports.guarded_web import WebFailed, WebRefused, WebRequest
from domain.tools.addresses import Reach
from domain.tools.credentials import Credentials
from guarded_scene import TLS, Names, get, guarded, listening_at, saying, sending_to
from servers.byte_server import ByteServer

Attempt = Callable[[GuardedHttp, str], Awaitable[bytes]]
HOME = ["127.0.0.1"]
ELSEWHERE = "127.0.0.2"
SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7F.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0x7f.1",
    "0",
    "0.0.0.0",
    "127.0.0.1.",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "ip6-localhost",
    "[::]",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:7f00:0001]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
    "[::1%25lo]",
    "[::1%lo]",
    "１２７.０.０.１",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "l\u00adocalhost",
    "%31%32%37.0.0.1",
    "127.0.0.1%00.example.org",
    "127.0.0.1\x00.example.org",
    "127.0.0.1%20",
    "169.254.169.254",
]
TRICKS = [
    "http://example.org@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}@example.org/",
    "http://user:password@127.0.0.1:{port}/",
    "http://@127.0.0.1:{port}/",
    "http://example.org:80@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.org/",
    "http://example.org\\@127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "ht\ttp://127.0.0.1:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1:{port}\r\n\r\nGET /x HTTP/1.1/",
    "http://127.0.0.1:{port}/\r\nX-Injected: 1",
    "http://127.0.0.1:{port}/\n",
    "http://example.org#@127.0.0.1:{port}/",
    "http://example.org?@127.0.0.1:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://127.0.0.1 :{port}/",
    "http://127.0.0.1:{port}:80/",
    "http://127.0.0.1:+{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_GET",
    "ftp://127.0.0.1:{port}/",
    "javascript:alert(1)",
    "data:text/html,x",
    "",
    "http://",
    "http://[",
    "http://]:{port}",
    "http://[127.0.0.1]:{port}/",
    "http://\ud800:{port}/",
]


async def by_port(web: GuardedHttp, url: str) -> bytes:
    return (await web.send(get(url))).body


async def by_client(web: GuardedHttp, url: str) -> bytes:
    """Raises what stands behind the error of the SDK's own library."""
    async with web.client() as client:
        try:
            return (await client.get(url, timeout=10)).content
        except httpx2.ConnectError as error:
            if isinstance(error.__cause__, WebRefused):
                raise error.__cause__ from error
            raise WebFailed("not reached") from error
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, UnicodeError, ValueError, TypeError) as error:
            raise WebFailed("no address") from error


EVERY_WAY = pytest.mark.parametrize("attempt", [by_port, by_client])


@EVERY_WAY
async def test_the_listener_would_hear_it_if_it_were_allowed(attempt: Attempt) -> None:
    async with listening_at("127.0.0.1") as (listener, port), guarded(Names(localhost=[HOME])) as web:
        assert await attempt(web, f"http://127.0.0.1:{port}/") == b"secret"
        assert await attempt(web, f"http://localhost:{port}/") == b"secret"
        assert listener.connections == 2


@EVERY_WAY
@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_an_inner_address_is_reached(host: str, attempt: Attempt) -> None:
    """By the system's own lookup, which takes many of them."""
    async with listening_at("127.0.0.1") as (listener, port):
        web = GuardedHttp(Reach.of([], [port]), tls=TLS)
        with pytest.raises((WebRefused, WebFailed)):
            await attempt(web, f"http://{host}:{port}/")
        await web.aclose()
        assert listener.connections == 0


@EVERY_WAY
@pytest.mark.parametrize("trick", TRICKS)
async def test_no_trick_with_the_text_of_an_address_helps(trick: str, attempt: Attempt) -> None:
    names = Names(**{"example_org": [["127.0.0.1"]]})
    async with listening_at("127.0.0.1") as (listener, port), guarded(names, opened=[], ports=[port]) as web:
        with pytest.raises((WebRefused, WebFailed)):
            await attempt(web, trick.format(port=port))
        assert listener.connections == 0


@EVERY_WAY
async def test_a_name_that_leads_inside_is_refused_without_its_address(attempt: Attempt) -> None:
    names = Names(inner_example=[HOME])
    async with listening_at("127.0.0.1") as (listener, port), guarded(names, opened=[], ports=[port]) as web:
        with pytest.raises(WebRefused, match=r"inner\.example may not be asked") as refused:
            await attempt(web, f"http://inner.example:{port}/")
        assert listener.connections == 0
    assert "127.0.0.1" not in str(refused.value)


@EVERY_WAY
@pytest.mark.parametrize("answers", [[["127.0.0.1"], [ELSEWHERE]], [["127.0.0.1"], [ELSEWHERE, "::1"]]])
async def test_a_name_that_changes_its_mind_is_refused_the_second_time(
    answers: Sequence[Sequence[str]], attempt: Attempt
) -> None:
    """What stands for the public address is opened here; the other one is not."""
    names = Names(rebound_example=answers)
    async with listening_at("127.0.0.1") as (outer, port), listening_at(ELSEWHERE, port) as (inner, _):
        async with guarded(names) as web:
            assert await attempt(web, f"http://rebound.example:{port}/") == b"secret"
            assert outer.connections == 1
            assert names.asked == ["rebound.example"]
            with pytest.raises(WebRefused):
                await attempt(web, f"http://rebound.example:{port}/")
        assert (outer.connections, inner.connections) == (1, 0)


@EVERY_WAY
async def test_of_a_name_with_several_addresses_only_the_open_ones_are_tried(attempt: Attempt) -> None:
    names = Names(mixed_example=[[ELSEWHERE, "::1", "127.0.0.1", "169.254.169.254"]])
    async with listening_at("127.0.0.1") as (outer, port), listening_at(ELSEWHERE, port) as (inner, _):
        async with guarded(names) as web:
            assert await attempt(web, f"http://mixed.example:{port}/") == b"secret"
        assert (outer.connections, inner.connections) == (1, 0)


@EVERY_WAY
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://{}:{}/", "//{}:{}/", "HTTP://{}:{}/\t", "http:\\\\{}:{}", " http://a@{}:{}/"]
)
async def test_no_redirect_leads_inside(location: str, status: int, attempt: Attempt) -> None:
    async with listening_at(ELSEWHERE) as (inner, port):
        async with ByteServer(sending_to(location.format(ELSEWHERE, port), status)) as outer, guarded() as web:
            with pytest.raises(WebRefused):
                await attempt(web, outer.url)
            assert len(outer.exchanges) == 1
        assert inner.connections == 0


@EVERY_WAY
async def test_a_name_is_looked_up_again_after_a_redirect_to_itself(attempt: Attempt) -> None:
    names = Names(a_example=[["127.0.0.1"], [ELSEWHERE]])
    async with ByteServer(saying(b"", "location: /again\r\nconnection: close\r\n", 302)) as outer:
        port = int(outer.url.rpartition(":")[2])
        async with listening_at(ELSEWHERE, port) as (inner, _), guarded(names) as web:
            with pytest.raises(WebRefused):
                await attempt(web, f"http://a.example:{port}/")
        assert inner.connections == 0
    assert names.asked == ["a.example"] * 2


@EVERY_WAY
async def test_other_ports_than_the_usual_ones_are_refused_before_any_lookup(attempt: Attempt) -> None:
    names = Names(a_example=[["1.1.1.1"]])
    async with guarded(names, opened=[], ports=[80, 443]) as web:
        for port in (22, 25, 6379, 81, 65_535):
            with pytest.raises(WebRefused, match="allowed are 80, 443"):
                await attempt(web, f"http://a.example:{port}/")
    assert names.asked == []


@EVERY_WAY
async def test_opened_networks_open_no_ports_of_others(attempt: Attempt) -> None:
    names = Names(a_example=[["1.1.1.1"]])
    async with guarded(names, opened=["10.0.0.0/8"], ports=[80]) as web:
        with pytest.raises(WebRefused, match="Port 22"):
            await attempt(web, "http://a.example:22/")
        with pytest.raises(WebRefused, match="Port 22"):
            await attempt(web, "http://1.1.1.1:22/")


@pytest.mark.parametrize(
    "header",
    [
        ("Host", "metadata"),
        ("hOST", "metadata"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "upgrade"),
        ("Upgrade", "h2c"),
        ("Proxy-Authorization", "x"),
        ("X: y\r\nHost", "z"),
        ("X ", "y"),
        ("", "y"),
        ("X", "y\r\nHost: metadata"),
        ("X", "y\nz"),
        ("X", "y\x00"),
    ],
)
@pytest.mark.parametrize("proving", [False, True])
async def test_no_header_breaks_a_request_in_two(header: tuple[str, str], proving: bool) -> None:
    credentials, headers = (Credentials((header,)), ()) if proving else (Credentials(), (header,))
    async with listening_at("127.0.0.1") as (listener, port), guarded() as web:
        with pytest.raises(WebRefused):
            await web.send(WebRequest("GET", f"http://127.0.0.1:{port}/", headers, credentials=credentials))
        assert listener.connections == 0


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "get", "GET /x HTTP/1.1\r\n", ""])
async def test_only_methods_that_servers_know_are_sent(method: str) -> None:
    async with listening_at("127.0.0.1") as (listener, port), guarded() as web:
        with pytest.raises(WebRefused):
            await web.send(WebRequest(method, f"http://127.0.0.1:{port}/"))
        assert listener.connections == 0


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening_at("127.0.0.1") as (proxy, port), ByteServer(saying(b"direct")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        async with guarded() as web:
            assert await by_port(web, server.url) == b"direct"
            assert await by_client(web, server.url) == b"direct"
        assert proxy.connections == 0


HOSTS = st.text(st.sampled_from("0123456789abcdefx.:[]@%/\\?#\r\n\t ①。-_"), max_size=24)


@settings(max_examples=100)
@given(HOSTS)
async def test_whatever_stands_for_a_host_nothing_is_reached(host: str) -> None:
    async with listening_at("127.0.0.1") as (listener, port), guarded(Names(), opened=[], ports=[port]) as web:
        with pytest.raises((WebRefused, WebFailed)):
            await web.send(get(f"http://{host}:{port}/"))
        assert listener.connections == 0
