"""Word documents: paragraphs and tables in their order, headings by their outline level, footnotes at the end."""

from collections.abc import Iterator
from typing import BinaryIO, Final

import docx
from docx.opc.constants import RELATIONSHIP_TYPE
from lxml import etree  # type: ignore[import-untyped]

from adapters.documents.office import opened
from adapters.documents.writing import DocumentWriter

_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MATH_TEXT: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_FALLBACK: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_LEFT_OUT: Final = frozenset({f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", _FALLBACK})
"""What was deleted, what looks are, and the second copy of what newer programs show otherwise."""
_WRAPPERS: Final = frozenset(
    {f"{_W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag")}
)
_AS_TEXT: Final = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_BOX: Final = f"{_W}txbxContent"
_MOST_COLUMNS: Final = 63
"""What Word allows."""
_BODY_LEVEL: Final = 9
_DEEPEST_STYLE: Final = 20


def read_word(content: BinaryIO, writer: DocumentWriter) -> None:
    document = opened(content, docx.Document, kind="Word")
    _Word(writer, _levels(document.styles.element)).write(document.element.body)
    for relation in document.part.rels.values():
        if relation.reltype == RELATIONSHIP_TYPE.FOOTNOTES and not relation.is_external:
            _write_notes(relation.target_part.blob, writer)


class _Word:
    def __init__(self, writer: DocumentWriter, levels: dict[str, int]) -> None:
        self._writer = writer
        self._levels = levels

    def write(self, blocks: etree._Element) -> None:
        for block in blocks:
            if block.tag == f"{_W}p":
                self._paragraph(block)
            elif block.tag == f"{_W}tbl":
                self._writer.table(_rows(block))
            elif block.tag in _WRAPPERS:
                self.write(block)

    def _paragraph(self, paragraph: etree._Element) -> None:
        text = "".join(_texts(paragraph))
        level = self._level(paragraph)
        if level is not None:
            self._writer.heading(level, text)
        elif text.strip() and paragraph.find(f"{_W}pPr/{_W}numPr") is not None:
            self._writer.block("- " + text.strip())
        else:
            self._writer.block(text)
        for box in paragraph.iter(_BOX):
            if not any(parent.tag in {_BOX, _FALLBACK} for parent in box.iterancestors()):
                self.write(box)

    def _level(self, paragraph: etree._Element) -> int | None:
        own = _outline_level(paragraph)
        if own is not None:
            return own if own <= _BODY_LEVEL else None
        style = paragraph.find(f"{_W}pPr/{_W}pStyle")
        return self._levels.get(style.get(f"{_W}val", "")) if style is not None else None


def _texts(element: etree._Element) -> Iterator[str]:
    for child in element:
        tag = child.tag
        if tag in {f"{_W}t", _MATH_TEXT}:
            yield child.text or ""
        elif tag in _AS_TEXT:
            yield _AS_TEXT[tag]
        elif tag == f"{_W}footnoteReference":
            yield f"[^{child.get(f'{_W}id')}]"
        elif tag not in _LEFT_OUT and tag != _BOX and isinstance(tag, str):
            yield from _texts(child)


def _rows(table: etree._Element) -> Iterator[list[str]]:
    for child in table:
        if child.tag == f"{_W}tr":
            yield [text for cell in _cells(child) for text in _cell_texts(cell)][:_MOST_COLUMNS]
        elif child.tag in _WRAPPERS:
            yield from _rows(child)


def _cells(row: etree._Element) -> Iterator[etree._Element]:
    for child in row:
        if child.tag == f"{_W}tc":
            yield child
        elif child.tag in _WRAPPERS:
            yield from _cells(child)


def _cell_texts(cell: etree._Element) -> list[str]:
    """A table in a cell becomes part of its text. A wide cell takes the places that it covers."""
    paragraphs = ("".join(_texts(paragraph)) for paragraph in cell.iter(f"{_W}p"))
    return [" ".join(paragraphs), *[""] * (_span(cell) - 1)]


def _span(cell: etree._Element) -> int:
    span = cell.find(f"{_W}tcPr/{_W}gridSpan")
    return min(_number(span), _MOST_COLUMNS) or 1


def _number(element: etree._Element | None) -> int:
    said = element.get(f"{_W}val", "") if element is not None else ""
    return int(said) if said.isascii() and said.isdigit() and len(said) < 9 else 0


def _outline_level(element: etree._Element) -> int | None:
    level = element.find(f"{_W}pPr/{_W}outlineLvl")
    return _number(level) + 1 if level is not None else None


def _is_title(style: etree._Element) -> bool:
    """The style of a document's title has no level. Its inner name is the same in every language."""
    name = style.find(f"{_W}name")
    return name is not None and name.get(f"{_W}val", "").lower() == "title"


def _levels(styles: etree._Element) -> dict[str, int]:
    """The level of each style of headings: its names are in any language, and styles inherit."""
    named = {style.get(f"{_W}styleId", ""): style for style in styles.iter(f"{_W}style")}
    levels = {}
    for name, style in named.items():
        if _is_title(style):
            levels[name] = 1
        for _ in range(_DEEPEST_STYLE):
            level = _outline_level(style)
            parent = style.find(f"{_W}basedOn")
            if level is not None:
                if level <= _BODY_LEVEL:
                    levels[name] = level
                break
            if parent is None or parent.get(f"{_W}val") not in named:
                break
            style = named[parent.get(f"{_W}val", "")]
    return levels


def _write_notes(blob: bytes, writer: DocumentWriter) -> None:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    for note in etree.fromstring(blob, parser).iter(f"{_W}footnote"):
        text = " ".join("".join(_texts(paragraph)) for paragraph in note.iter(f"{_W}p")).strip()
        if text and note.get(f"{_W}type") is None:
            writer.block(f"[^{note.get(f'{_W}id')}]: {text}")
