"""From what a web server answered to text: by what the content is, never only by what the server says that it is."""

import asyncio
import codecs
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import urlsplit

from application.ports.document_parser import DocumentParser, DocumentRefused
from application.ports.guarded_web import WebAnswer
from application.ports.tool_runner import ToolFailed
from domain.errors import DomainError, InvalidValue
from domain.files.file_kinds import KindRefused, KindSniffer
from domain.files.files import FileKind
from domain.files.plain_text import AS_BROWSERS_DO

_CHARSET: Final = re.compile(r";\s*charset\s*=\s*[\"']?([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE | re.ASCII)
_OF_PAGES: Final = re.compile(
    r"utf-?8|utf-?16(-?[lb]e)?|(us-)?ascii|gb-?2312|gbk|gb-?18030|big5(-hkscs)?|euc-(jp|kr)|shift-jis|sjis|cp932|cp949"
    r"|iso-?2022-jp|iso-?8859-?[0-9]{1,2}|latin-?[0-9]|windows-?125[0-9]|cp125[0-9]|koi8-[ru]|macintosh|tis-620"
)
"""Python knows others too, some of which take minutes for a megabyte."""
_EXTENSIONS: Final[Mapping[str, str]] = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "md",
    "text/csv": "csv",
    "application/json": "json",
}
_LONGEST_EXTENSION: Final = 10
_LONG: Final = 64 * 1024
_AS_IT_IS: Final = frozenset({FileKind.TEXT, FileKind.JSON, FileKind.CSV, FileKind.MARKDOWN})


async def text_of(answer: WebAnswer, parser: DocumentParser, place: AbstractAsyncContextManager[None]) -> str:
    """Pages are parsed where they harm nobody. Raises ToolFailed, whose message goes on after the address.

    `place`: held while a parser works, so that other documents find one too.
    """
    # Megabytes of another encoding take a tenth of a second.
    is_long = len(answer.body) > _LONG
    kind, body, text = await asyncio.to_thread(_looked_at, answer) if is_long else _looked_at(answer)
    if text is not None:
        return text
    try:
        async with place:
            return (await parser.parse(kind, _whole(body))).text
    except DocumentRefused as refusal:
        raise ToolFailed(f"{refusal.reason.rstrip('.')}.") from refusal
    except DomainError as trouble:
        raise ToolFailed("can't be read now: what reads documents is not available.") from trouble


def _looked_at(answer: WebAnswer) -> tuple[FileKind, bytes, str | None]:
    """The text where it needs no parser."""
    body = _in_utf_8(answer)
    kind = _kind_of(answer, body)
    if kind in _AS_IT_IS:
        try:
            return kind, body, codecs.getincrementaldecoder("utf-8-sig")().decode(body, final=not answer.cut)
        except UnicodeDecodeError:
            # The parser knows more encodings.
            return kind, body, None
    if answer.cut and kind is not FileKind.HTML:
        raise ToolFailed("is too large to be read.")
    return kind, body, None


def _kind_of(answer: WebAnswer, body: bytes) -> FileKind:
    sniffer = KindSniffer(f"page.{_extension(answer)}")
    try:
        sniffer.feed(body)
        kind = sniffer.kind()
    except KindRefused as refusal:
        raise ToolFailed("is neither a page nor a document that can be read here.") from refusal
    except InvalidValue as refusal:
        raise ToolFailed("is empty.") from refusal
    if kind.is_image:
        raise ToolFailed("is a picture, which can't be read here.")
    return kind


def _extension(answer: WebAnswer) -> str:
    """The server's word chooses among kinds of text; where it says nothing, the name in the address does."""
    media = _media_type(answer)
    if known := _EXTENSIONS.get(media):
        return known
    if media.endswith("+json"):
        return "json"
    if media.startswith("text/") or media.endswith(("/xml", "+xml", "/javascript", "/yaml")):
        return "txt"
    name = urlsplit(answer.url).path.rpartition("/")[2]
    extension = name.rpartition(".")[2].lower()
    return extension if extension.isalnum() and len(extension) <= _LONGEST_EXTENSION else ""


def _media_type(answer: WebAnswer) -> str:
    return answer.header("content-type").partition(";")[0].strip().lower()


def _in_utf_8(answer: WebAnswer) -> bytes:
    """The encoding that the server names counts more than the page's own word, where the bytes don't contradict it."""
    named = _CHARSET.search(answer.header("content-type"))
    if named is None:
        return answer.body
    name = named[1].lower().replace("_", "-")
    if not _OF_PAGES.fullmatch(name) or answer.body.startswith(codecs.BOM_UTF8):
        return answer.body
    try:
        decoder = codecs.getincrementaldecoder(AS_BROWSERS_DO.get(name, name))()
        text = decoder.decode(answer.body, final=not answer.cut).removeprefix("\ufeff")
        return codecs.BOM_UTF8 + text.encode() if text else b""
    except (LookupError, ValueError):
        return answer.body


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body
