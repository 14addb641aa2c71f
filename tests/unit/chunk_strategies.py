"""Documents with headings, pages and tables, in order and otherwise arbitrary, and sizes of chunks."""

from hypothesis import strategies as st

from domain.files.documents import Heading, Page, ParsedDocument, Table
from domain.knowledge.chunking import ChunkSize

_BLOCKS = st.one_of(
    st.sampled_from(
        [
            "A sentence. ",
            "第一句，也好。",
            "word ",
            "\n",
            "\n\n",
            " " * 40,
            "e.g. this ",
            "👨\u200d👩",
            "e\u0301",
            "1. ",
            "好" * 90,
        ]
    ),
    st.text(max_size=40),
    st.text(alphabet="ab. \n，。", max_size=120),
)


@st.composite
def structured(draw: st.DrawFn) -> ParsedDocument:
    text = ""
    headings: list[Heading] = []
    tables: list[Table] = []
    pages: list[Page] = []
    page_start = draw(st.sampled_from([None, 0]))
    for kind in draw(st.lists(st.sampled_from(["text", "text", "text", "heading", "table", "page"]), max_size=25)):
        if kind == "text":
            text += "".join(draw(st.lists(_BLOCKS, max_size=6)))
        elif kind == "heading":
            level = draw(st.integers(1, 6))
            headings.append(Heading(level, f"title {len(headings)}", len(text)))
            text += f"{'#' * level} title\n\n"
        elif kind == "table":
            rows = draw(st.integers(0, 30))
            table = "\n".join(["| a | 好 |", "| --- | --- |", *["| 1.5 | An item. |"] * rows])
            tables.append(Table(len(text), len(text) + len(table)))
            text += f"{table}\n\n"
        elif page_start is not None:
            pages.append(Page(len(pages) + 1, "page", page_start, len(text)))
            text += draw(st.sampled_from(["", "\n\n", "between "]))
            page_start = len(text)
    return ParsedDocument(text, tuple(pages), tuple(headings), tuple(tables))


sizes = st.integers(1, 120).flatmap(lambda most: st.builds(ChunkSize, st.just(most), st.integers(0, (most - 1) // 2)))
