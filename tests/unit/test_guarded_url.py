"""One reading of an address: others read it the same, and where it leads decides who is told a secret."""

from itertools import pairwise
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from adapters.web.guarded_exchange import Step
from adapters.web.guarded_url import checked, origin, redirected, with_query, without_query
from application.ports.guarded_web import WebRefused
from domain.tools.credentials import Credentials

MESSY = st.text(
    st.sampled_from("aZ09.-_:/@?#[]%\\&=+~ \t\n\r\x00\x7f字é。①\u202e\u00ad\udc80\ud800'\"<>|^`{}"), max_size=30
)
URLS = st.builds(
    lambda scheme, host, port, path: f"{scheme}://{host}{port}{path}",
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.example", "b.example", "[2606:4700::1111]", "1.1.1.1"]),
    st.sampled_from(["", ":80", ":443", ":8080"]),
    st.sampled_from(["", "/", "/x?y=z", "?q"]),
)
KEY = Credentials((("X-Key", "k"),), (("key", "s3cret"),))


@given(st.sampled_from(["http://", "https://", "HTTP://", "//", ""]), MESSY, MESSY)
def test_what_is_taken_is_read_the_same_by_every_reader(scheme: str, host: str, rest: str) -> None:
    try:
        url = checked(f"{scheme}{host}{rest}")
    except WebRefused:
        return
    written = str(url)
    assert written.isascii()
    assert written.isprintable()
    assert " " not in written
    assert checked(written) == url
    read, other = urlsplit(written), httpx2.URL(written)
    assert (read.scheme, read.hostname) == (url.scheme, url.raw_host)
    assert (other.scheme, other.raw_host.decode()) == (url.scheme, url.raw_host)
    assert (read.port or url.port, other.port or url.port) == (url.port, url.port)
    assert read.username is read.password is None


@given(URLS, MESSY)
def test_a_redirect_leads_to_an_address_or_nowhere(base: str, location: str) -> None:
    try:
        url = redirected(checked(base), location)
    except WebRefused:
        return
    assert checked(str(url)) == url


@given(st.lists(URLS, min_size=2, max_size=6), st.sampled_from([301, 302, 303, 307, 308]))
def test_credentials_are_kept_until_the_first_step_to_another_origin(chain: list[str], status: int) -> None:
    """A step from https to http is one too."""
    steps = [Step("POST", checked(chain[0]), (("Authorization", "x"),), b"body", KEY)]
    for location in chain[1:]:
        steps.append(steps[-1].after(status, location))
    origins = [origin(step.url) for step in steps]
    for number, step in enumerate(steps):
        at_home = len(set(origins[: number + 1])) == 1
        assert step.credentials == (KEY if at_home else Credentials())
        assert bool(step.headers) == at_home
    for before, after in pairwise(steps):
        assert not (after.credentials and origin(before.url) != origin(after.url))


PAIRS = st.lists(st.tuples(st.text(min_size=1, max_size=5), st.text(max_size=8)), max_size=4).filter(
    lambda pairs: all(text.isprintable() for pair in pairs for text in pair)
)


@given(PAIRS, st.sampled_from(["", "?a=b%2Fc", "?x", "?a=b&c=%20"]))
def test_secret_parameters_are_added_and_nothing_else_changes(secrets: list[tuple[str, str]], query: str) -> None:
    plain = checked(f"https://a.example/p%2Fq{query}")
    sent = with_query(plain, Credentials(query=tuple(secrets)))
    assert str(sent).startswith(str(plain))
    read = parse_qsl(sent.raw_query_string, keep_blank_values=True)
    assert read[len(read) - len(secrets) :] == secrets
    assert checked(str(sent)) == sent


@given(PAIRS.filter(lambda pairs: all(len(value) > 2 for _, value in pairs)))
def test_secret_parameters_that_come_back_are_taken_out(secrets: list[tuple[str, str]]) -> None:
    plain = checked("https://a.example/?q=1")
    given_back = with_query(plain, Credentials(query=tuple(secrets)))
    assert without_query(given_back, Credentials(query=tuple(secrets))) == plain


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("http://EXAMPLE.org", "http://example.org/"),
        ("https://example.org:443/a/../b/%2E%2E?q=%2f+é#part", "https://example.org/a/../b/%2E%2E?q=%2f+%C3%A9"),
        ("http://例え.jp/ä ö", "http://xn--r8jz45g.jp/%C3%A4%20%C3%B6"),
        ("  http://example.org:8080?x  ", "http://example.org:8080/?x"),
        ("http://[2606:4700:0:0::1]/", "http://[2606:4700::1]/"),
    ],
)
def test_an_address_is_sent_as_it_was_written(written: str, sent: str) -> None:
    url = checked(written)
    assert str(url) == sent
    assert isinstance(url, yarl.URL)
