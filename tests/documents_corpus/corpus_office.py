"""Good documents of Office, by the libraries that others use too."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import docx
import openpyxl
import pptx
from pptx.util import Inches

from documents_corpus.corpus_case import Case
from domain.files.files import FileKind


def word(write: Callable[[Any], None]) -> bytes:
    document = docx.Document()
    write(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def plain_word() -> bytes:
    return word(lambda document: document.add_paragraph("A paragraph of its own."))


def _report(document: Any) -> None:
    document.add_heading("年度报告", 0)
    document.add_heading("第一章", 1)
    document.add_paragraph("公司在二〇二五年取得了很大的进步。")
    table = document.add_table(2, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "项目", "金额"
    table.cell(1, 0).text, table.cell(1, 1).text = "收入|支出", "100"
    document.add_heading("第二章", 2)
    document.add_paragraph("结束。")


def _nested(document: Any) -> None:
    outer = document.add_table(1, 2)
    outer.cell(0, 0).text = "outer"
    outer.cell(0, 1).add_table(1, 1).cell(0, 0).text = "inner"
    merged = document.add_table(2, 3)
    merged.cell(0, 0).merge(merged.cell(0, 1)).text = "wide"
    merged.cell(0, 2).text, merged.cell(1, 2).text = "right", "below"


def presentation() -> bytes:
    made = pptx.Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Our plan"
    first.placeholders[1].text = "First point\nSecond point"
    first.notes_slide.notes_text_frame.text = "Smile here."
    second = made.slides.add_slide(made.slide_layouts[6])
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    table.cell(0, 0).text, table.cell(1, 1).text = "Key", "Value"
    group = made.slides.add_slide(made.slide_layouts[6]).shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "In a group"
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def workbook(write: Callable[[Any], None]) -> bytes:
    book = openpyxl.Workbook()
    write(book)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheets(book: Any) -> None:
    book.active.title = "Umsatz"
    for row in (["Year", None, "Sum"], [2024, None, 1.5], [2025, None, 1e6]):
        book.active.append(row)
    book.active["C9"] = True
    book.active["A10"] = "=SUM(A2:A3)"
    book.create_sheet("Empty")
    book.create_sheet("表格").append(["你好"])


def _merged(book: Any) -> None:
    book.active["A1"] = "Head of both"
    book.active.merge_cells("A1:B1")
    book.active.append(["left", "right"])


def _far(book: Any) -> None:
    book.active["A1"] = "near"
    book.active["XFD1048576"] = "far"


def many_rows(rows: int) -> bytes:
    """As openpyxl writes them, but not by it: its objects for them take three seconds."""
    package = workbook(lambda book: setattr(book.active, "title", "Many"))
    cells = "".join(
        f'<row r="{number + 1}"><c r="A{number + 1}"><v>{number}</v></c>'
        f'<c r="B{number + 1}" t="inlineStr"><is><t>name {number}</t></is></c>'
        f'<c r="C{number + 1}"><v>{number / 4}</v></c></row>'
        for number in range(rows)
    )
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"</sheetData>", f"{cells}</sheetData>".encode()))
    return out.getvalue()


CASES = (
    Case(
        "Chinese report",
        FileKind.DOCX,
        lambda: word(_report),
        holds=("公司在二〇二五年取得了很大的进步。", "| 收入\\|支出 | 100 |", "100 |\n\n## 第二章\n\n结束。"),
        headings=("1 年度报告", "1 第一章", "2 第二章"),
        tables=1,
    ),
    Case(
        "tables in tables",
        FileKind.DOCX,
        lambda: word(_nested),
        holds=("| outer | inner |", "| wide |  | right |\n| --- | --- | --- |\n|  |  | below |"),
        tables=2,
    ),
    Case("no text", FileKind.DOCX, lambda: word(lambda _document: None), codes=("file_empty",)),
    Case(
        "notes and tables",
        FileKind.PPTX,
        presentation,
        holds=(
            "First point\nSecond point",
            "Notes: Smile here.",
            "| Key |  |\n| --- | --- |\n|  | Value |",
            "In a group",
        ),
        labels=("slide 1", "slide 2", "slide 3"),
        headings=("1 Our plan",),
        tables=1,
    ),
    Case(
        "several sheets",
        FileKind.XLSX,
        lambda: workbook(_sheets),
        holds=("| Year | Sum |\n| --- | --- |\n| 2024 | 1.5 |\n| 2025 | 1000000 |\n|  | TRUE |", "| 你好 |"),
        lacks=("SUM(",),
        labels=("Umsatz", "Empty", "表格"),
        tables=2,
    ),
    Case("merged cells", FileKind.XLSX, lambda: workbook(_merged), holds=("| Head of both |  |", "| left | right |")),
    Case("far apart", FileKind.XLSX, lambda: workbook(_far), holds=("| near |  |\n| --- | --- |\n|  | far |",)),
    Case(
        "100,000 rows",
        FileKind.XLSX,
        lambda: many_rows(100_000),
        holds=("| 99999 | name 99999 | 24999.75 |",),
        tables=1,
    ),
    Case("empty sheet", FileKind.XLSX, lambda: workbook(lambda _book: None), codes=("file_empty",)),
)
