"""What MCP servers say becomes text and tools of bounded size, whatever they say."""

import json
from base64 import b64encode
from urllib.parse import quote

import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mcp.limits import DESCRIPTION_CHARS, LISTING_CHARS, SCHEMA_CHARS
from adapters.mcp.masks import mask_of
from adapters.mcp.translate import Listing, images_of, text_of
from adapters.mcp.words import DOTS, SAID_CHARS, Masked
from domain.tools.call_limits import MOST_IMAGES_OF_CALL
from domain.tools.mcp_servers import TOOL_NAME_MAX, McpAddress, McpTransport

ANY = st.text(st.characters(codec=None, categories=None), max_size=40)
NONE = mask_of(McpAddress(McpTransport.SSE))
OBJECT = {"type": "object"}


def text(said: str) -> types.TextContent:
    return types.TextContent(type="text", text=said)


def result(*content: types.ContentBlock, structured: object = None) -> types.CallToolResult:
    return types.CallToolResult.model_construct(content=list(content), structured_content=structured, is_error=False)


def tool(name: str, description: str = "", schema: dict[str, object] | None = None) -> types.Tool:
    return types.Tool(name=name, description=description, input_schema=OBJECT if schema is None else schema)


def test_texts_are_joined() -> None:
    assert text_of(result(text("a"), text(""), text("b")), 100, NONE) == "a\nb"


def test_structured_content_speaks_where_there_is_no_text() -> None:
    assert text_of(result(structured={"a": [1, "ü"]}), 100, NONE) == '{"a":[1,"ü"]}'
    assert text_of(result(text("words"), structured={"a": 1}), 100, NONE) == "words"


def test_nothing_is_an_empty_text() -> None:
    assert text_of(result(), 100, NONE) == ""


def test_what_is_no_text_is_named_with_its_kind_and_size() -> None:
    said = text_of(
        result(
            types.ImageContent(type="image", data="QUJD" * 1024, mime_type="image/png"),
            types.AudioContent(type="audio", data="QUI=", mime_type="audio/wav"),
            types.ResourceLink(type="resource_link", name="n", uri="file:///n", description="d"),
            types.EmbeddedResource(
                type="resource", resource=types.TextResourceContents(uri="file:///t", text="inside")
            ),
            types.EmbeddedResource(type="resource", resource=types.BlobResourceContents(uri="file:///b", blob="QUJD")),
        ),
        1000,
        NONE,
    )
    assert said.splitlines() == [
        "[image 1, image/png, 3 KB: only models that see are shown it]",
        "[a recording, audio/wav, 2 bytes: only text can be shown here]",
        "[n](file:///n): d",
        "file:///t:",
        "inside",
        "[file:///b, a file, 3 bytes: only text can be shown here]",
    ]


@given(st.lists(st.none() | st.binary(max_size=9) | st.sampled_from(["%%%", "A", "é", "Q=="]), max_size=30))
def test_images_are_numbered_in_the_text_as_they_are_given(blocks: list[bytes | str | None]) -> None:
    encoded = [one if isinstance(one, str) else b64encode(one or b"").decode() for one in blocks]
    told = result(
        *(
            text("and")
            if block is None
            else types.ImageContent.model_construct(type="image", data=data, mime_type="image/png")
            for block, data in zip(blocks, encoded, strict=True)
        )
    )
    wanted = [one for one in blocks if one is not None]
    said = text_of(told, 10_000, NONE)
    assert [f"[image {number}, image/png" in said for number in range(1, 32)] == [
        number <= len(wanted) for number in range(1, 32)
    ]
    assert images_of(told) == tuple(one if isinstance(one, bytes) else b"" for one in wanted[:MOST_IMAGES_OF_CALL])


@given(st.lists(ANY, max_size=8), st.integers(40, 120))
def test_every_result_is_text_that_can_be_stored_and_not_too_long(said: list[str], most: int) -> None:
    read = text_of(result(*(types.TextContent.model_construct(type="text", text=one) for one in said)), most, NONE)
    assert len(read) <= most
    assert "\x00" not in read
    read.encode()


@given(st.integers(1, 50), st.integers(0, 60))
def test_a_list_has_at_most_so_many_tools(most: int, offered: int) -> None:
    listing = Listing(most, NONE)
    listing.add(tool(f"t{number}") for number in range(offered))
    assert len(listing.tools) == min(most, offered)
    assert listing.full == (offered > most)


def test_all_tools_together_are_bounded() -> None:
    listing = Listing(10_000, NONE)
    listing.add(tool(f"t{number}", "d" * DESCRIPTION_CHARS) for number in range(1000))
    assert listing.full
    assert sum(len(one.description) for one in listing.tools) <= LISTING_CHARS


def test_what_is_left_out_counts_too() -> None:
    listing = Listing(10, NONE)
    listing.add(tool("x" * 1_000) for _ in range(10_000))
    assert listing.full
    assert len(listing.tools) <= 1


def test_keys_in_addresses_and_arguments_are_masked_too() -> None:
    key = "abcdef123456"
    for address in (
        McpAddress(McpTransport.SSE, url=f"https://mcp.example.org/{key}/sse"),
        McpAddress(McpTransport.SSE, url=f"https://mcp.example.org/sse?k={key}"),
        McpAddress(McpTransport.STDIO, command="c", args=(f"--key={key}",)),
        McpAddress(McpTransport.STDIO, command="c", args=("--key", key)),
    ):
        assert Masked(address)(f"no entry with {key} today") == f"no entry with {DOTS} today"


@pytest.mark.parametrize(
    "left_out",
    [
        tool(""),
        tool("x" * 129),
        tool("array", schema={"type": "array"}),
        tool("huge", schema={"type": "object", "description": "x" * SCHEMA_CHARS}),
    ],
    ids=lambda one: one.name[:10],
)
def test_a_tool_that_can_not_be_used_costs_itself_alone(left_out: types.Tool) -> None:
    listing = Listing(10, NONE)
    listing.add([tool("before"), left_out, tool("after")])
    assert [one.name for one in listing.tools if not one.unusable] == ["before", "after"]
    assert [bool(one.unusable) for one in listing.tools] == [False, True, False]
    assert len(listing.tools[1].name) <= TOOL_NAME_MAX


def test_the_first_of_a_name_counts_and_long_descriptions_are_cut() -> None:
    listing = Listing(10, NONE)
    listing.add([tool("a", "first"), tool("a", "second"), tool("b", "d" * (DESCRIPTION_CHARS + 1))])
    assert [one.description[:5] for one in listing.tools] == ["first", "ddddd"]
    assert len(listing.tools[1].description) == DESCRIPTION_CHARS


def test_a_schema_without_a_type_is_one_of_objects() -> None:
    listing = Listing(10, NONE)
    listing.add([tool("a", schema={"properties": {"x": {}}})])
    assert json.loads(json.dumps(listing.tools[0].parameters)) == {"properties": {"x": {}}, "type": "object"}


@given(ANY, st.text("abcdef", min_size=4, max_size=12), ANY)
def test_no_secret_is_left_in_what_is_shown(before: str, secret: str, after: str) -> None:
    masked = Masked(
        McpAddress(McpTransport.SSE, headers=(("authorization", f"Bearer {secret}"),), env=(("KEY", secret),))
    )
    shown = masked.line(f"{before} {secret} {after}")
    assert secret not in shown.replace(DOTS, " ")
    assert len(shown) <= SAID_CHARS + 1
    assert shown == "" or shown.isprintable()


@given(st.integers(4, 300), st.integers(1, 3_000), st.integers(0, 30))
def test_where_the_looking_ends_no_part_of_a_secret_is_left(length: int, times: int, shift: int) -> None:
    address = McpAddress(McpTransport.SSE, headers=(("x-key", "k" * length),))
    flood = " " * shift + "k" * (length * times)
    assert "k" not in Masked(address).line(flood)
    assert "k" not in mask_of(address).beginning(flood, 10)


KEY = "opensesame/4711 ü"
KEYED = mask_of(McpAddress(McpTransport.SSE, headers=(("authorization", f"Bearer {KEY}"),), env=(("DEBUG", "true"),)))


@pytest.mark.parametrize("form", [KEY, json.dumps(KEY)[1:-1], json.dumps(json.dumps(KEY))[3:-3], quote(KEY, "")])
@pytest.mark.parametrize("before", ["", "x" * 35, "x" * 60_000], ids=len)
def test_a_key_stands_in_no_result_however_it_is_written_and_wherever_it_is_cut(form: str, before: str) -> None:
    for most in range(40, 80):
        read = text_of(result(text(before + form), structured={"a": form}), most, KEYED)
        assert len(read) <= most
        assert "opensesame" not in read


def test_words_that_are_no_secrets_stay() -> None:
    assert text_of(result(structured={"ok": True}), 100, KEYED) == '{"ok":true}'


def test_a_key_stands_in_nothing_that_is_said_of_a_tool() -> None:
    listing = Listing(10, KEYED)
    schema = {"type": "object", "properties": {"a": {"type": "string", "default": KEY}}}
    listing.add([tool("a", f"Ask with {KEY}", schema), tool(f"b {KEY}"), tool("c" * 115 + KEY)])
    assert "opensesame" not in repr(listing.tools)
    assert [bool(one.unusable) for one in listing.tools] == [False, True, True]
    assert listing.tools[0].parameters["properties"] == {"a": {"type": "string", "default": DOTS}}
