"""What each format's reader does beyond what the corpus shows: limits, delimiters, code in Markdown, footnotes."""

import io
from itertools import pairwise

import docx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.documents.csv_table import delimiter_of
from adapters.documents.json_text import laid_out
from adapters.documents.limits import ParserLimits
from adapters.documents.reading import read
from application.ports.document_parser import DocumentRefused
from documents_corpus.corpus_hostile import DOCUMENT, book_with, paragraph, repacked, word_of
from documents_corpus.corpus_office import many_rows, plain_word, presentation, word, workbook
from documents_corpus.corpus_pdf import chapter, drawn, lines, long
from domain.files.documents import ParsedDocument
from domain.files.files import FileKind


def parsed(kind: FileKind, content: bytes, limits: ParserLimits | None = None) -> ParsedDocument:
    return read(kind, io.BytesIO(content), limits or ParserLimits())


@pytest.mark.parametrize(
    ("kind", "content", "pages", "cut"),
    [
        (FileKind.PDF, long(9), 2, "only the first 2 of 9 pages were read"),
        (FileKind.PPTX, presentation(), 2, "only the first 2 of 3 pages were read"),
        (
            FileKind.XLSX,
            workbook(lambda book: [book.create_sheet(f"{n}").append([n]) for n in range(3)]),
            2,
            "only the first 2 of 4 pages were read",
        ),
    ],
)
def test_pages_beyond_the_limit_are_left_out(kind: FileKind, content: bytes, pages: int, cut: str) -> None:
    document = parsed(kind, content, ParserLimits(max_pages=2))
    assert (len(document.pages), document.cut) == (pages, cut)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (FileKind.PDF, long(9)),
        (FileKind.DOCX, word(lambda document: [document.add_paragraph("words " * 50) for _ in range(9)])),
        (FileKind.XLSX, many_rows(500)),
        (FileKind.TEXT, "你好，世界。".encode() * 500),
        (FileKind.TEXT, "你好，世界。".encode("gb18030") * 500),
        (FileKind.MARKDOWN, b"# Title\n\n| a | b |\n| --- | --- |\n" + b"| 1 | 2 |\n" * 500),
        (FileKind.CSV, b"a,b\n" + b"1,2\n" * 3000),
        (FileKind.JSON, b'{"a": 1}\n' * 500),
        (FileKind.HTML, b"<h1>x</h1><p>words and words</p>" * 500),
    ],
)
def test_characters_beyond_the_limit_are_left_out(kind: FileKind, content: bytes) -> None:
    limits = ParserLimits(max_chars=1000)
    document = parsed(kind, content, limits)
    assert 900 < len(document.text) <= 1000
    assert document.cut == "only the first 1,000 characters were read"
    assert parsed(kind, content).text.startswith(document.text)


def test_what_is_as_long_as_the_limit_is_whole() -> None:
    for kind in (FileKind.TEXT, FileKind.MARKDOWN, FileKind.JSON):
        document = parsed(kind, "界".encode() * 500, ParserLimits(max_chars=500))
        assert (len(document.text), document.cut) == (500, None)


cells = st.text(st.characters(categories=["L", "N"], max_codepoint=0xFFFF), min_size=1, max_size=6)
tables = st.integers(2, 5).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=2))


@given(tables, st.sampled_from(",;\t|"))
def test_the_delimiter_of_a_table_is_found(table: list[list[str]], delimiter: str) -> None:
    text = "".join(delimiter.join(row) + "\n" for row in table)
    assert delimiter_of(text) == delimiter
    lines = parsed(FileKind.CSV, text.encode()).text.split("\n")
    assert [lines[0], *lines[2:]] == ["| " + " | ".join(row) + " |" for row in table]


def test_decimal_commas_delimit_nothing() -> None:
    assert delimiter_of("a;b\n1,5;2,5\n3,5;4\n") == ";"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values, st.booleans())
def test_json_that_was_laid_out_means_the_same(value: object, is_escaped: bool) -> None:
    import json

    text = json.dumps(value, ensure_ascii=is_escaped)
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert json.loads(laid_out(text)) == value


@given(st.text())
def test_what_is_no_json_stays_as_it_is(text: str) -> None:
    assert laid_out("{" + text) == "{" + text or text.strip().endswith("}")


def test_code_in_markdown_has_no_headings() -> None:
    text = "~~~\n# a\n```\n# b\n~~~\n# c\n\n    # code\n\n#hash\n####### seven\n# \n"
    text += "> # quoted\n---\nTitle\n===\n- item\n---\n"
    document = parsed(FileKind.MARKDOWN, text.encode())
    assert [(heading.level, heading.title) for heading in document.headings] == [(1, "c"), (1, "Title")]


def test_a_line_of_pipes_alone_is_no_table() -> None:
    text = "| a | b |\n\n| a |\n|---|\n| x |\ntext\n\n|no|\n|head|\n"
    document = parsed(FileKind.MARKDOWN, text.encode())
    assert [document.text[table.start : table.end] for table in document.tables] == ["| a |\n|---|\n| x |"]


def test_word_keeps_what_is_shown_and_leaves_out_what_was_deleted() -> None:
    def run(text: str) -> str:
        return f"<w:r><w:t>{text}</w:t></w:r>"

    body = (
        f"<w:p><w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins>{run('new')}</w:ins>"
        f"<w:hyperlink>{run(' link')}</w:hyperlink><w:r><w:tab/><w:t>tab</w:t><w:br/><w:t>line</w:t></w:r></w:p>"
        f"<w:sdt><w:sdtContent>{paragraph('in a field')}</w:sdtContent></w:sdt>"
        f"<w:p><w:pPr><w:outlineLvl w:val='2'/></w:pPr>{run('Own level')}</w:p>"
        f"<w:p><w:pPr><w:numPr/></w:pPr>{run('item')}</w:p>"
        f"<w:p><w:r><w:pict><w:txbxContent>{paragraph('in a box')}</w:txbxContent></w:pict></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val='99999999999'/></w:tcPr><w:p/></w:tc></w:tr>"
        f"<w:tr><w:tc>{paragraph('x')}</w:tc></w:tr></w:tbl>"
    )
    document = parsed(FileKind.DOCX, word_of(body))
    assert document.text.startswith("new link\ttab\nline\n\nin a field\n\n### Own level\n\n- item\n\nin a box\n\n| x |")
    assert [heading.level for heading in document.headings] == [3]


def test_footnotes_stand_at_the_end() -> None:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/footnotes"
    body = f'<w:p><w:r><w:t>Text</w:t><w:footnoteReference w:id="2"/></w:r></w:p>{paragraph("Last.")}'
    notes = (
        f'<w:footnotes xmlns:w="{space}"><w:footnote w:id="2">{paragraph("Small print.")}</w:footnote></w:footnotes>'
    )
    package = word_of(body)
    relations = "word/_rels/document.xml.rels"
    from documents_corpus.corpus_hostile import part_of

    more = f'<Relationship Id="rN" Type="{kind}" Target="footnotes.xml"/></Relationships>'.encode()
    changed = part_of(package, relations).replace(b"</Relationships>", more)
    package = repacked(package, {relations: changed, "word/footnotes.xml": notes.encode()})
    assert parsed(FileKind.DOCX, package).text == "Text[^2]\n\nLast.\n\n[^2]: Small print."


def test_a_heading_in_words_of_another_language_is_a_heading() -> None:
    def write(document: docx.document.Document) -> None:
        style = document.styles.add_style("Überschrift Eins", 1)
        style.base_style = document.styles["Heading 2"]
        document.add_paragraph("Inhalt", style=style)

    assert [(one.level, one.title) for one in parsed(FileKind.DOCX, word(write)).headings] == [(2, "Inhalt")]


def test_a_sheet_without_numbers_of_rows_and_cells_is_read() -> None:
    sheet = (
        "<sheetData><row><c><v>1</v></c><c t='inlineStr'><is><t>two</t></is></c></row><row><c t='b'><v>1</v></c></row>"
    )
    assert parsed(FileKind.XLSX, book_with(sheet + "</sheetData>")).text.endswith(
        "| 1 | two |\n| --- | --- |\n| TRUE |  |"
    )


def test_headings_of_an_outline_stand_where_their_lines_are() -> None:
    document = parsed(
        FileKind.PDF,
        drawn(
            chapter("Second", 0, "First", "Second", "Second"),
            chapter("Elsewhere", 0, "text"),
            lines("no entry"),
        ),
    )
    assert [(one.title, one.start) for one in document.headings] == [("Second", 6), ("Elsewhere", 21)]
    assert document.text[21:].startswith("text")
    assert all(earlier.end < later.start for earlier, later in pairwise(document.pages))


@pytest.mark.parametrize("part", ["[Content_Types].xml", "_rels/.rels", DOCUMENT, "word/styles.xml"])
@pytest.mark.parametrize("content", [b"", b"<", b"<a/>", b"\x00\x01", "<b>你</b>".encode("utf-16")])
def test_a_package_with_a_broken_part_never_hurts(part: str, content: bytes) -> None:
    from adapters.documents.child import answer_to
    from adapters.documents.messages import Parsed, Question, Refused

    package = io.BytesIO(repacked(plain_word(), {part: content}))
    answer = answer_to(Question(1, "parse", "docx"), package, ParserLimits())
    if isinstance(answer, Refused):
        assert answer.code in {"file_broken", "file_empty"}
    else:
        # Without styles there are no headings, and the text is there all the same.
        assert part == "word/styles.xml"
        assert isinstance(answer, Parsed)
        assert answer.document.text == "A paragraph of its own."


def test_an_image_is_no_document() -> None:
    with pytest.raises(DocumentRefused, match="no document"):
        parsed(FileKind.PNG, b"x")
