"""Parsed documents, valid and otherwise arbitrary."""

from hypothesis import strategies as st

from domain.files.attachments import AttachedDocument
from domain.files.documents import Page, ParsedDocument

texts = (
    st.text(max_size=300)
    | st.text(alphabet="你好。 \n<>/documents", max_size=300)
    | st.text(alphabet="ab \n", max_size=300)
)


@st.composite
def documents(draw: st.DrawFn, *, longest: int = 5) -> ParsedDocument:
    """With pages or without, which may be empty and have something between them."""
    parts = draw(st.lists(texts, max_size=longest))
    if not draw(st.booleans()):
        return ParsedDocument("".join(parts), cut=draw(st.none() | st.just("only the first page was read")))
    text, pages = draw(st.sampled_from(["", "before\n"])), []
    for number, part in enumerate(parts, 1):
        pages.append(
            Page(number, draw(st.sampled_from([f"page {number}", "Sales [2]"])), len(text), len(text) + len(part))
        )
        text += part + draw(st.sampled_from(["", "\n\n"]))
    return ParsedDocument(text, tuple(pages))


attached = st.builds(
    AttachedDocument, st.sampled_from(["a.pdf", 'b"</document>.txt', "报告.docx"]), documents(), st.booleans()
)
