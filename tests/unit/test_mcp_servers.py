"""MCP servers: how they may be reached, and what is kept of what they said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.ids import McpServerId, UserId
from domain.tools.mcp_servers import (
    ARGS_MAX,
    HEADERS_MAX,
    MASK,
    STATUS_MAX,
    TOOL_NAME_MAX,
    TOOLS_SEEN_MAX,
    McpAddress,
    McpDraft,
    McpServer,
    McpTransport,
)

NOW = datetime(2026, 11, 3, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
HTTP, STDIO = McpTransport.STREAMABLE_HTTP, McpTransport.STDIO
URL = "https://mcp.example.org/mcp"
NAMES = st.text(st.sampled_from("abcdefgh"), min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20).filter(MASK.__ne__)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=4).map(lambda found: tuple(found.items()))


def make(**said: Any) -> McpServer:
    draft = McpDraft(**({"name": "files", "transport": HTTP, "url": URL} | said))
    return McpServer.create(McpServerId("m"), UserId("ann"), draft, NOW)


def local(**said: Any) -> McpServer:
    return make(**({"transport": STDIO, "url": None, "command": "server"} | said))


@given(HEADERS, st.data())
def test_a_masked_value_stands_for_the_one_that_is_stored(headers: Any, data: st.DataObject) -> None:
    server = make(headers=headers)
    kept = data.draw(st.lists(st.sampled_from(headers), unique=True)) if headers else []
    new = data.draw(HEADERS)
    known = {name for name, _ in new}
    sent = (*((name, MASK) for name, _ in kept if name not in known), *new)
    changed = server.change(McpDraft(headers=sent), LATER)
    assert dict(changed.address.headers) == {**dict(kept), **dict(new)}


def test_a_mask_without_a_value_behind_it_is_refused() -> None:
    for field in ("headers", "env"):
        with pytest.raises(InvalidValue, match="masked"):
            make(**{field: (("X-Key", MASK),)})


def test_a_change_keeps_what_it_does_not_name() -> None:
    server = make(description="d", headers=(("X-Key", "secret"),)).seen(["a"])
    changed = server.change(McpDraft(name="new"), LATER)
    assert (changed.name, changed.description, changed.address) == ("new", "d", server.address)
    assert (changed.tools, changed.status, changed.updated_at) == (("a",), "ok", LATER)
    assert server.change(McpDraft(headers=()), LATER).address.headers == ()


@pytest.mark.parametrize(
    "draft",
    [
        McpDraft(url=URL + "2"),
        McpDraft(headers=()),
        McpDraft(transport=McpTransport.SSE),
        McpDraft(transport=STDIO, command="server"),
    ],
)
def test_at_another_address_nothing_is_known_of_it(draft: McpDraft) -> None:
    changed = make(headers=(("X-Key", "secret"),)).seen(["a"]).change(draft, LATER)
    assert (changed.tools, changed.status) == ((), "unknown")


def test_another_transport_leaves_nothing_of_the_one_before() -> None:
    there = make(headers=(("X-Key", "secret"),)).change(
        McpDraft(transport=STDIO, command="run", env=(("A", "1"),)), NOW
    )
    assert there.address == McpAddress(STDIO, command="run", env=(("A", "1"),))
    back = there.change(McpDraft(transport=McpTransport.SSE, url=URL), LATER)
    assert back.address == McpAddress(McpTransport.SSE, url=URL)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mcp.example.org",
        "ftp://mcp.example.org/",
        "file:///etc/passwd",
        "http://",
        "http:///mcp",
        "https://ann:secret@mcp.example.org/",
        "https://ann@mcp.example.org/",
        "https://@mcp.example.org/",
        "https://mcp.example.org:0/",
        "https://mcp.example.org:99999/",
        "https://mcp.example.org:x/",
        "https://mcp example.org/",
        "https://mcp.example.org\\@evil.example/",
        "https://mcp.example.org/\r\nX: 1",
        "https://[::1/",
        "https://mcp.example.org/" + "x" * 2048,
    ],
)
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    for before in (None, make()):
        with pytest.raises(InvalidValue) as refused:
            make(url=url) if before is None else before.change(McpDraft(url=url), LATER)
        assert refused.value.fields[0].name == "url"
        assert "secret" not in refused.value.message


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:9000", "https://[::1]:8443/mcp?key=1", "https://例子.example/"])
def test_an_address_stays_as_it_was_said(url: str) -> None:
    assert make(url=f" {url}#part").address.url == url


BAD_PARTS: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "x" * 65},
    {"description": "x" * 2001},
    {"transport": None},
    {"headers": (("Host", "evil.example"),)},
    {"headers": (("X Key", "1"),)},
    {"headers": (("X-Key", "1\r\nX-Admin: 1"),)},
    {"headers": (("X-Key", "1"), ("x-key", "2"))},
    {"headers": tuple((f"X-{one}", "1") for one in range(HEADERS_MAX + 1))},
    {"transport": STDIO},
    {"transport": STDIO, "command": " "},
    {"transport": STDIO, "command": "a\x00"},
    {"transport": STDIO, "command": "a", "args": ("\x00",)},
    {"transport": STDIO, "command": "a", "args": ("x",) * (ARGS_MAX + 1)},
    {"transport": STDIO, "command": "a", "env": (("A=B", "1"),)},
    {"transport": STDIO, "command": "a", "env": (("A", "\x00"),)},
    {"transport": STDIO, "command": "a", "env": (("", "1"),)},
]


@pytest.mark.parametrize("said", BAD_PARTS)
def test_what_can_not_be_reached_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        make(**said)


@given(st.lists(st.text(max_size=2 * TOOL_NAME_MAX), max_size=20), st.text(max_size=2 * STATUS_MAX))
def test_whatever_a_server_says_can_be_stored_and_shown(names: list[str], reason: str) -> None:
    seen, away = make().seen([*names, "\ud800\x00"]), make().seen(["a"]).not_reached(reason)
    for text in (*seen.tools, away.status):
        assert text.encode().decode() == text
        assert text.isprintable()
    assert [one for one in names if one.isprintable() and len(one) <= TOOL_NAME_MAX and one not in seen.tools] == []
    assert len(away.status) <= STATUS_MAX
    assert away.status not in {"", "ok"} or reason == "ok"
    assert away.tools == ("a",)


def test_a_server_that_offers_without_end_fills_nothing() -> None:
    assert len(make().seen(["x" * 10_000] * 10_000).tools) == TOOLS_SEEN_MAX


def test_secrets_are_not_printed() -> None:
    server = make(headers=(("X-Key", "s3cret"),))
    draft = McpDraft(headers=(("X-Key", "s3cret"),), env=(("A", "s3cret"),))
    assert "s3cret" not in repr([server, draft, local(env=(("A", "s3cret"),))])


SECRET = (("X-Key", "secret"),)
MASKED = (("X-Key", "******"),)


@pytest.mark.parametrize(
    "url",
    ["https://evil.example/mcp", URL.replace("https", "http"), URL.replace(".org", ".org:8443"), URL[:-8] + "x/mcp"],
)
@pytest.mark.parametrize("transport", [None, McpTransport.SSE])
def test_another_origin_is_not_told_stored_headers(url: str, transport: McpTransport | None) -> None:
    server = make(headers=SECRET)
    for kept in (None, MASKED, (("X-New", "1"), *MASKED)):
        with pytest.raises(InvalidValue) as refused:
            server.change(McpDraft(url=url, headers=kept, transport=transport), LATER)
        assert refused.value.code == "auth_needed_again"
        assert refused.value.fields[0].name == "headers"
    for said in ((), (("X-Key", "new"),), (("X-Other", "1"),)):
        assert server.change(McpDraft(url=url, headers=said, transport=transport), LATER).address.headers == said
    assert make().change(McpDraft(url=url), LATER).address.headers == ()


@pytest.mark.parametrize("url", [URL + "/v2?a=1", URL.replace(".org", ".org:443"), URL.replace("mcp.", "MCP.")])
def test_another_path_of_the_same_origin_keeps_stored_headers(url: str) -> None:
    for kept in (None, MASKED):
        assert make(headers=SECRET).change(McpDraft(url=url, headers=kept), LATER).address.headers == SECRET


def test_another_program_is_not_told_stored_variables() -> None:
    server = local(env=(("A", "secret"),))
    for kept in (None, (("A", "******"),)):
        with pytest.raises(InvalidValue) as refused:
            server.change(McpDraft(command="other", env=kept), LATER)
        assert (refused.value.code, refused.value.fields[0].name) == ("auth_needed_again", "env")
    assert server.change(McpDraft(command="other", env=()), LATER).address.env == ()
    assert server.change(McpDraft(args=("-v",)), LATER).address.env == (("A", "secret"),)
