"""Web pages: what a reader would see. Nothing is run, and nothing that they point to is fetched."""

import codecs
import re
from collections.abc import Iterator
from typing import BinaryIO, Final

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from adapters.documents.encodings import decoded
from adapters.documents.writing import DocumentWriter
from domain.files.plain_text import AS_BROWSERS_DO

MAX_SOURCE: Final = 16_000_000
"""Characters. Its tree takes up to forty times as much memory."""
_WIDEST: Final = 4
_UNSEEN: Final = frozenset(
    re.findall(
        r"\w+",
        "script style noscript template nav svg math iframe object embed canvas audio video head select button",
    )
)
_BLOCKS: Final = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure footer "
        "form header hgroup hr html legend li main ol p pre section summary ul tr td th caption table thead tbody",
    )
)
_HEADINGS: Final = {f"h{level}": level for level in range(1, 7)}
_SPACES: Final = re.compile(r"[ \t\r\n\f]+")
_HIDDEN: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_DECLARED: Final = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_-]{1,40})", re.IGNORECASE)
_PRESCAN: Final = 4096

_OF_NO_PAGE: Final = frozenset(
    re.findall(
        r"[\w-]+",
        "utf-16 utf-16-le utf-16-be utf-32 utf-32-le utf-32-be utf-7 unicode-escape raw-unicode-escape punycode idna",
    )
)
"""Python knows them, browsers don't; or they could not be declared in letters of one byte."""


def read_web_page(content: BinaryIO, writer: DocumentWriter) -> None:
    source = _text(content.read(_WIDEST * (MAX_SOURCE + 1)))
    tree = _parsed(source[:MAX_SOURCE])
    root = tree.body or tree.root
    title = tree.css_first("head title")
    if title is not None and tree.css_first("h1") is None:
        writer.heading(1, title.text())
    if root is not None:
        _Page(writer).write(root)
    if len(source) > MAX_SOURCE or content.read(1):
        writer.full(f"only the first {MAX_SOURCE:,} characters of the page's source were read")


def _parsed(text: str) -> LexborHTMLParser:
    """No page is too broken to be parsed: when it fails it is for want of memory."""
    try:
        return LexborHTMLParser(text)
    except SelectolaxError as error:
        raise MemoryError from error


def _text(data: bytes) -> str:
    """The page's own word for its encoding counts where its bytes don't contradict it."""
    declared = _DECLARED.search(data[:_PRESCAN])
    if declared is not None and not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = declared[1].decode("ascii").lower()
        try:
            encoding = codecs.lookup(AS_BROWSERS_DO.get(name, name))
            if encoding._is_text_encoding and encoding.name.replace("_", "-") not in _OF_NO_PAGE:
                return data.decode(encoding.name)
        except (LookupError, UnicodeError):
            pass
    return decoded(data)


class _Page:
    """Walks the tree without recursion: a page may nest as deep as it likes."""

    def __init__(self, writer: DocumentWriter) -> None:
        self._writer = writer
        self._inline: list[str] = []
        self._heading = 0
        self._item = False
        self._pre = 0

    def write(self, root: LexborNode) -> None:
        for node, is_end in _walk(root):
            tag = node.tag or ""
            if tag == "table" and not is_end and not _is_layout(node):
                self._flush()
                self._writer.table(_rows(node))
            elif is_end:
                self._leave(tag)
            else:
                self._enter(node, tag)
        self._flush()

    def _enter(self, node: LexborNode, tag: str) -> None:
        if tag == "-text":
            text = node.text_content or ""
            self._inline.append(text if self._pre else _SPACES.sub(" ", text))
        elif tag == "br":
            self._inline.append("\n")
        elif tag in _HEADINGS:
            self._flush()
            self._heading = _HEADINGS[tag]
        elif tag in _BLOCKS:
            self._flush()
            self._item = tag == "li" or (self._item and tag in {"p", "div"})
            self._pre += tag == "pre"

    def _leave(self, tag: str) -> None:
        if tag in _HEADINGS:
            self._flush()
            self._heading = 0
        elif tag in _BLOCKS:
            self._flush()
            self._item = False
            self._pre = max(0, self._pre - (tag == "pre"))

    def _flush(self) -> None:
        text = "".join(self._inline)
        self._inline.clear()
        if not text.strip():
            return
        if self._heading:
            self._writer.heading(self._heading, text)
        elif self._pre:
            self._writer.block(text)
        else:
            lines = "\n".join(line.strip() for line in text.split("\n"))
            self._writer.block("- " + lines.strip() if self._item else lines)
        self._item = False


def _is_unseen(node: LexborNode) -> bool:
    if node.tag in _UNSEEN:
        return True
    if not node.is_element_node:
        return False
    attributes = node.attributes
    return (
        "hidden" in attributes
        or attributes.get("aria-hidden") == "true"
        or _HIDDEN.search(attributes.get("style") or "") is not None
    )


def _is_layout(table: LexborNode) -> bool:
    """A table that holds chapters only puts them side by side."""
    return table.css_first("h1, h2, h3, h4, h5, h6") is not None


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Each node that is seen, at its beginning and at its end; not what is in a table."""
    open_nodes: list[LexborNode] = []
    node: LexborNode | None = root
    while True:
        while node is not None:
            child = None
            if not _is_unseen(node):
                yield node, False
                child = None if node.tag == "table" and not _is_layout(node) else node.child
            if child is not None:
                open_nodes.append(node)
                node = child
                continue
            if node.is_element_node and node.tag != "br":
                yield node, True
            node = None if not open_nodes else node.next
        if not open_nodes:
            return
        node = open_nodes.pop()
        yield node, True
        node = node.next if open_nodes else None


def _rows(table: LexborNode) -> Iterator[list[str]]:
    """A table in a cell is part of the cell's text."""
    row: list[str] = []
    for node in _inside(table):
        tag = node.tag
        if tag == "tr":
            if row:
                yield row
            row = []
        elif tag in {"td", "th", "caption"}:
            row.append(_seen_text(node))
    if row:
        yield row


def _inside(table: LexborNode) -> Iterator[LexborNode]:
    """The parts of a table, but not of the tables in its cells."""
    waiting = [table.child]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        waiting.append(node.next)
        if not _is_unseen(node):
            yield node
            if node.tag not in {"td", "th", "caption"}:
                waiting.append(node.child)


def _seen_text(root: LexborNode) -> str:
    pieces = []
    waiting = [root.child]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        waiting.append(node.next)
        if node.tag == "-text":
            pieces.append(node.text_content or "")
        elif not _is_unseen(node):
            if node.tag in _BLOCKS or node.tag == "br":
                pieces.append(" ")
            waiting.append(node.child)
    return "".join(pieces)
