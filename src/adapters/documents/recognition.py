"""Text in pictures of pages, read by a model on this machine. Needs the extra `ocr`."""

from functools import cache
from typing import Any, Final

_DOTS_PER_INCH: Final = 150
_POINTS_PER_INCH: Final = 72
_LONGEST_EDGE: Final = 2000


def text_in(page: Any) -> str:
    """Of a page of pdfium's, line by line."""
    scale = min(_DOTS_PER_INCH / _POINTS_PER_INCH, _LONGEST_EDGE / max(*page.get_size(), 1))
    bitmap = page.render(scale=scale, grayscale=False, may_draw_forms=False)
    try:
        found = _reader()(bitmap.to_numpy())
    finally:
        bitmap.close()
    return "\n".join(found.txts or ())


@cache
def _reader() -> Any:
    from rapidocr import RapidOCR  # type: ignore[import-not-found]

    return RapidOCR()
