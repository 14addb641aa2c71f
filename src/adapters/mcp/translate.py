"""What MCP servers list and answer, as text and tools of ours. Pure."""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Final

import mcp_types as types

from adapters.mcp.limits import DESCRIPTION_CHARS, LISTING_CHARS, SCHEMA_CHARS
from application.ports.mcp_connections import McpTool
from domain.tools.call_limits import MOST_IMAGES_OF_CALL
from domain.tools.masking import Mask
from domain.tools.mcp_servers import TOOL_NAME_MAX
from domain.tools.tool_schemas import CanNotBeMended, mended
from domain.tools.tools import JsonValue

_CUT: Final = "\n[cut: the result is longer]"
_UNITS: Final = ("bytes", "KB", "MB")


class Listing:
    """The tools of a server, page by page. Of a name the first counts; what no model can be offered says why."""

    def __init__(self, most: int, mask: Mask) -> None:
        self._most = most
        self._mask = mask
        self._left = LISTING_CHARS
        self._tools: dict[str, McpTool] = {}
        self.full = False

    @property
    def tools(self) -> tuple[McpTool, ...]:
        return tuple(self._tools.values())

    def add(self, page: Iterable[types.Tool]) -> None:
        for tool in page:
            size = len(json.dumps(tool.input_schema))
            # What is left out counts too: a list of nothing else would have no end.
            self._left -= size + len(tool.name) + len(tool.description or "")
            if self._left < 0 or len(self._tools) >= self._most:
                self.full = True
                return
            read = self._read(tool, size)
            self._tools.setdefault(read.name, read)

    def _read(self, tool: types.Tool, size: int) -> McpTool:
        mask = self._mask
        name, title = clean(tool.name), mask(clean(tool.title or "")[: TOOL_NAME_MAX * 2])
        shown = mask(name[: TOOL_NAME_MAX * 2])[:TOOL_NAME_MAX]
        try:
            schema = _offered(tool.input_schema, size, mask, named=bool(name) and shown == name)
        except CanNotBeMended as trouble:
            return McpTool(shown, "", "", {"type": "object"}, str(trouble))
        described = mask.beginning(clean(tool.description or ""), DESCRIPTION_CHARS)
        return McpTool(name, title[:TOOL_NAME_MAX], _shortened(described, DESCRIPTION_CHARS), schema)


def text_of(result: types.CallToolResult, most: int, mask: Mask) -> str:
    """What a model can read of it, at most so many characters, without the secrets of the server."""
    parts = list(_bounded(_parts(result.content), most))
    if not any(isinstance(block, types.TextContent) and block.text for block in result.content):
        structured = result.structured_content
        if structured is not None:
            parts.append(json.dumps(structured, ensure_ascii=False, separators=(",", ":")))
    return shown_of("\n".join(parts), most, mask)


def images_of(result: types.CallToolResult) -> tuple[bytes, ...]:
    """The first ones, in the order in which the text numbers them. Nothing stands for what can't be decoded."""
    images = (_decoded(block.data) for block in result.content if isinstance(block, types.ImageContent))
    return tuple(islice(images, MOST_IMAGES_OF_CALL))


def shown_of(text: str, most: int, mask: Mask) -> str:
    # Masked before it is cut: half a secret at the end would be left.
    return _cut(mask.beginning(clean(text), most), most)


def _bounded(parts: Iterator[str], most: int) -> Iterator[str]:
    for part in parts:
        yield part
        most -= len(part)
        if most < 0:
            return


def _parts(blocks: Iterable[types.ContentBlock]) -> Iterator[str]:
    numbers = count(1)
    for block in blocks:
        match block:
            case types.TextContent(text=text):
                if text:
                    yield text
            case types.ImageContent(data=data, mime_type=kind):
                yield f"[image {next(numbers)}, {_shown(kind)}, {_size(data)}: only models that see are shown it]"
            case types.AudioContent(data=data, mime_type=kind):
                yield f"[a recording, {_shown(kind)}, {_size(data)}: only text can be shown here]"
            case types.ResourceLink(name=name, uri=uri, description=described):
                yield f"[{name}]({uri})" + (f": {described}" if described else "")
            case types.EmbeddedResource(resource=types.TextResourceContents(uri=uri, text=text)):
                yield f"{uri}:\n{text}"
            case types.EmbeddedResource(resource=types.BlobResourceContents(uri=uri, blob=data, mime_type=kind)):
                yield f"[{uri}, {_shown(kind or 'a file')}, {_size(data)}: only text can be shown here]"


def clean(text: str) -> str:
    """Without what no database or wire takes."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _offered(schema: Mapping[str, JsonValue], size: int, mask: Mask, *, named: bool) -> Mapping[str, JsonValue]:
    """Raises CanNotBeMended."""
    if not named:
        raise CanNotBeMended("its name is empty, too long, or holds a secret")
    if size > SCHEMA_CHARS:
        raise CanNotBeMended("its parameters are too large")
    return mended(_masked(schema, mask))


def _masked(schema: Mapping[str, JsonValue], mask: Mask) -> Mapping[str, JsonValue]:
    """Raises CanNotBeMended."""
    text = json.dumps(schema, ensure_ascii=False)
    masked = clean(mask(text))
    if masked == text:
        return schema
    try:
        read = json.loads(masked)
    except ValueError:
        raise CanNotBeMended("its parameters hold a secret") from None
    return read if isinstance(read, dict) else {}


def _decoded(base64: str) -> bytes:
    try:
        return b64decode(base64)
    except ValueError:
        return b""


def _size(base64: str) -> str:
    size = len(base64) * 3 / 4 - base64[-2:].count("=")
    unit = 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{size:.0f} {_UNITS[unit]}"


def _shown(kind: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in kind[:100])


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT
