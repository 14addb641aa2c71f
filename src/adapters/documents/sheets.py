"""Workbooks: one page a sheet, the sheet as one table of the values that were last calculated."""

import datetime
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO, Final
from xml.etree.ElementTree import ParseError

import openpyxl  # type: ignore[import-untyped]
from lxml import etree  # type: ignore[import-untyped]
from openpyxl.utils.exceptions import InvalidFileException  # type: ignore[import-untyped]
from openpyxl.worksheet._read_only import ReadOnlyWorksheet  # type: ignore[import-untyped]
from openpyxl.worksheet._reader import ROW_TAG, WorkSheetParser  # type: ignore[import-untyped]

from adapters.documents.office import opened, refusal_of
from adapters.documents.writing import DocumentWriter
from application.ports.document_parser import DocumentRefused

_LEVEL: Final = 1
Row = dict[int, str]


def read_sheets(content: BinaryIO, writer: DocumentWriter) -> None:
    warnings.simplefilter("ignore")
    try:
        book = opened(content, _load, kind="Excel")
        for sheet in book.worksheets:
            writer.page(sheet.title, of=len(book.worksheets))
            rows, is_whole = _filled(book, sheet, writer.limits.max_chars - writer.length)
            if rows:
                writer.heading(_LEVEL, sheet.title)
                writer.table(_dense(rows))
            if not is_whole:
                writer.cut_short()
    except etree.XMLSyntaxError as error:
        raise refusal_of(error) from error
    except (ParseError, InvalidFileException) as error:
        raise DocumentRefused("file_broken", "is damaged: a part of it is no XML") from error
    _refuse_nothing(writer)


def _load(content: BinaryIO) -> Any:
    # To learn a size that may be a lie it would read each sheet once more.
    ReadOnlyWorksheet._get_size = lambda _sheet: None
    return openpyxl.load_workbook(content, read_only=True, data_only=True, keep_links=False)


def _filled(book: Any, sheet: Any, room: int) -> tuple[list[Row], bool]:
    """The cells with something in them, by column, as long as there is room for them; and whether that is all."""
    rows: list[Row] = []
    for cells in _rows(book, sheet):
        row = {cell["column"]: text for cell in cells if (text := _text(cell["value"]))}
        if row:
            rows.append(row)
            room -= sum(len(text) + 3 for text in row.values())
        if room < 0:
            return rows, False
    return rows, True


def _rows(book: Any, sheet: Any) -> Iterator[list[dict[str, Any]]]:
    """As they are in the file: the library's own rows have all the empty ones between, as many as a file claims."""
    if not isinstance(sheet, ReadOnlyWorksheet):
        return
    with sheet._get_source() as source:
        parser = WorkSheetParser(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        # Its own loop is Python all the way. libxml2's takes a third of the time, and counts nesting.
        for _event, row in etree.iterparse(source, tag=ROW_TAG, resolve_entities=False, no_network=True):
            _number, cells = parser.parse_row(row)
            yield cells
            row.clear()
            while row.getprevious() is not None:
                del row.getparent()[0]


def _dense(rows: list[Row]) -> Iterator[list[str]]:
    """Without the columns that are empty everywhere."""
    columns = sorted({column for row in rows for column in row})
    for row in rows:
        last = max(row)
        yield [row.get(column, "") for column in columns if column <= last]


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case float():
            return f"{value:.15g}"
        case datetime.datetime():
            return value.isoformat(" ", "auto").removesuffix(" 00:00:00")
        case _:
            return str(value).strip()


def _refuse_nothing(writer: DocumentWriter) -> None:
    if writer.is_blank:
        raise DocumentRefused("file_empty", "has nothing in its cells")
