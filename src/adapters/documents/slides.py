"""Presentations: one page a slide, its title as a heading, what the speaker notes marked as such."""

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

import pptx
from pptx.exc import PackageNotFoundError
from pptx.shapes.group import GroupShape

from adapters.documents.office import opened
from adapters.documents.writing import DocumentWriter
from application.ports.document_parser import DocumentRefused

_TITLE_LEVEL: Final = 1


def read_slides(content: BinaryIO, writer: DocumentWriter) -> None:
    try:
        slides = list(opened(content, pptx.Presentation, kind="PowerPoint").slides)
    except PackageNotFoundError as error:
        raise DocumentRefused("file_broken", "is damaged, or it is no PowerPoint document") from error
    for number, slide in enumerate(slides, 1):
        writer.page(f"slide {number}", of=len(slides))
        title = slide.shapes.title
        if title is not None:
            writer.heading(_TITLE_LEVEL, title.text_frame.text)
        for shape in _flat(slide.shapes):
            if title is None or shape.shape_id != title.shape_id:
                _write(shape, writer)
        notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
        if notes is not None and notes.text.strip():
            writer.block(f"Notes: {notes.text}")


def _flat(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if isinstance(shape, GroupShape):
            yield from _flat(shape.shapes)
        else:
            yield shape


def _write(shape: Any, writer: DocumentWriter) -> None:
    if getattr(shape, "has_table", False):
        writer.table([cell.text for cell in row.cells] for row in shape.table.rows)
    elif shape.has_text_frame:
        writer.block("\n".join(paragraph.text for paragraph in shape.text_frame.paragraphs))
