"""The document of an agent: what is taken out of addresses, which part serves for which, and the bytes."""

import base64
import json
import string
from dataclasses import replace
from urllib.parse import quote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_file_desk import FILES
from domain.agents.agent_files import AgentFile, ServerEntry, ToolEntry, paired, without_secrets
from domain.errors import InvalidValue
from domain.ids import McpServerId, UserId
from domain.tools.mcp_servers import McpAddress, McpServer, McpTransport
from domain.tools.user_tools import ApiDocument, AuthType
from entrypoints.http.v1.agent_files import SMALL, AgentDocument, written
from stored import NOW

decode = msgspec.json.Decoder(AgentDocument).decode
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('aé😀\\"\n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/é"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text("ab"), VALUES, max_size=4).map(
    lambda said: ApiDocument(msgspec.json.encode(said).decode(), is_object=True)
)
DOCUMENTS = st.none() | OBJECTS | st.text('a\n"\\é😀{', min_size=1).map(ApiDocument)
URLS = st.text("ab09/:?#@[].%*é\\-", max_size=40) | st.sampled_from(["https://u:p@x.org:8/a?b#c", "//u:p@x", "/a?b"])


@given(file=FILES, document=DOCUMENTS)
def test_bytes_say_the_whole_document(file: AgentFile, document: ApiDocument | None) -> None:
    file = replace(file, tools=(*file.tools, ToolEntry("last", display_name="x", document=document)))
    content = written(file)
    assert decode(content).file() == file
    assert written(decode(content).file()) == content


def test_long_documents_are_one_line_and_say_the_same() -> None:
    long = ApiDocument(json.dumps({"a": ["x"] * SMALL}, separators=(",", ":")), is_object=True)
    file = AgentFile("A", tools=(ToolEntry("t", document=long),))
    assert b"\n" in written(AgentFile("A"))
    assert b"\n" not in written(file)
    assert decode(written(file)).file() == file


def test_the_same_object_written_otherwise_is_the_same_document() -> None:
    bodies = ('{ "a" : [1.0, "\\u00e9"],\n "b":1}', '{"a":[1.0,"é"],"b":1}')
    said = '{"format": "agentchat.agent", "format_version": 1, "agent": {"name": "A"}, "tools": [%s]}'
    files = {decode(said % f'{{"name": "t", "openapi_schema": {body}}}').file() for body in bodies}
    assert len(files) == 1


@pytest.mark.parametrize("schema", ["1e999", "[1]", "true", "7", '{"a": 1e999}'])
def test_what_is_no_schema_is_refused_with_its_place(schema: str) -> None:
    said = '{"format": "agentchat.agent", "format_version": 1, "agent": {"name": "A"}, "tools": [%s]}'
    with pytest.raises(InvalidValue) as refused:
        decode(said % f'{{"name": "t"}}, {{"name": "t", "openapi_schema": {schema}}}').file()
    assert refused.value.fields[0].name == "tools[1].openapi_schema"


@given(url=URLS)
def test_of_addresses_nothing_stays_but_where_they_lead(url: str) -> None:
    bare = without_secrets(url)
    assert without_secrets(bare) == bare
    parts = urlsplit(bare)
    assert (parts.username, parts.password, parts.query, parts.fragment) == (None, None, "", "")


def server(url: str) -> McpServer:
    address = McpAddress(McpTransport.SSE, url, headers=(("X-Key", "s3cret"),))
    return McpServer(McpServerId("s"), UserId("u"), "s", address, NOW, NOW)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x.org/mcp", "https://x.org/mcp"),
        ("https://x.org:8443/a/mcp?key=s3cret", "https://x.org:8443/a/mcp"),
        ("https://x.org/s/sk_live_51HabcDEF45ghiJKL/mcp", "https://x.org/s/***/mcp"),
        ("https://x.org/3f2504e0-4f89-41d3-9a0c-0305e82c3301", "https://x.org/***"),
        ("https://ab12cd34ef56gh78ij90.x.org/mcp", "https://ab12cd34ef56gh78ij90.x.org/mcp"),
        ("https://x.org/v2/weather-server/sse", "https://x.org/v2/weather-server/sse"),
        ("https://x.org/v1beta1/mcp/", "https://x.org/v1beta1/mcp/"),
        ("https://x.org/weather-and-climate-server/2024", "https://x.org/***/***"),
        ("https://x.org/mcp;key=s3cret", "https://x.org/***"),
    ],
)
def test_what_is_no_plain_word_is_left_out_of_a_server_s_address(url: str, shown: str) -> None:
    entry = ServerEntry.of(server(url), waits=False)
    assert (entry.url, entry.headers) == (shown, ("X-Key",))
    assert entry.is_whole is ("***" not in shown)
    assert ServerEntry.of(server(shown), waits=False).url == shown


TOKENS = st.one_of(
    st.text(string.hexdigits.lower(), min_size=8, max_size=64).filter(lambda one: not one.isalpha()),
    st.text(string.ascii_lowercase, min_size=16, max_size=64),
    st.text(string.ascii_letters, min_size=8, max_size=64).filter(lambda one: not one.islower()),
    st.text(string.digits, min_size=4, max_size=40),
    st.binary(min_size=16, max_size=48).map(lambda one: base64.urlsafe_b64encode(one).decode()),
    st.binary(min_size=16, max_size=48).map(lambda one: quote(base64.b64encode(one), safe="")),
    st.binary(min_size=10, max_size=40).map(lambda one: base64.b32encode(one).decode()),
    st.uuids().map(str),
    st.builds("{}_{}".format, st.sampled_from(["sk", "pk_live", "token"]), st.text(string.ascii_lowercase, min_size=4)),
    st.lists(st.text(string.ascii_lowercase, min_size=3, max_size=8), min_size=5).map("-".join),
)


@given(TOKENS, st.sampled_from(["/{}/mcp", "/s/{}", "/{}", "/v1/{}/sse/", "//{}//", "/a/{};b=c", "/mcp/key={}"]))
def test_no_token_in_a_path_goes_out_whatever_its_kind(token: str, path: str) -> None:
    entry = ServerEntry.of(server(f"https://x.org{path.format(token)}"), waits=False)
    assert token not in entry.url
    assert not entry.is_whole
    assert ServerEntry.of(server(entry.url), waits=False) == entry


ENTRIES = st.builds(
    ToolEntry,
    name=st.sampled_from("ab"),
    description=st.sampled_from(["", "d"]),
    document=st.sampled_from([None, ApiDocument("x")]),
    auth_type=st.sampled_from([None, AuthType.BASIC]),
    require_approval=st.booleans(),
)


@given(wanted=st.lists(ENTRIES, max_size=6), there=st.lists(ENTRIES, max_size=6))
def test_each_part_serves_once_and_the_same_before_the_alike(wanted: list[ToolEntry], there: list[ToolEntry]) -> None:
    found = paired(wanted, [*zip(there, range(len(there)), strict=True)])
    used = [number for number in found if number is not None]
    assert len(found) == len(wanted)
    assert len(set(used)) == len(used)
    for entry, number in zip(wanted, found, strict=True):
        left = [one for place, one in enumerate(there) if place not in used]
        if number is None:
            assert entry.likeness not in {one.likeness for one in left}
            continue
        assert there[number].likeness == entry.likeness
        if not same(there[number], entry):
            assert not any(same(one, entry) for one in left)
    for entry in wanted:
        exact = sum(same(one, entry) for one in wanted), sum(same(one, entry) for one in there)
        served = sum(
            number is not None and same(one, entry) and same(there[number], entry)
            for one, number in zip(wanted, found, strict=True)
        )
        assert served == min(exact)


def same(one: ToolEntry, other: ToolEntry) -> bool:
    return replace(one, require_approval=True) == replace(other, require_approval=True)
