"""Text in pictures of pages, read by a model on this machine. Needs the extra `ocr`."""

import time
from functools import cache
from typing import Any, Final

_DOTS_PER_INCH: Final = 150
_POINTS_PER_INCH: Final = 72
_LONGEST_EDGE: Final = 2000
_SEARCHED_EDGE: Final = 1280
"""Lines are looked for in a picture of this size, and read in the large one: below it small print is lost."""
_SHARE_OF_TIME: Final = 0.7


class Deadline:
    """A page takes seconds: a document of many is better read in part than not at all."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds * _SHARE_OF_TIME

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end


def text_in(page: Any) -> str:
    """Of a page of pdfium's, line by line. Raises MemoryError when the model fails: it fails for nothing else."""
    scale = min(_DOTS_PER_INCH / _POINTS_PER_INCH, _LONGEST_EDGE / max(*page.get_size(), 1))
    bitmap = page.render(scale=scale, may_draw_forms=False)
    try:
        found = _reader()(bitmap.to_numpy())
    except Exception as error:
        raise MemoryError from error
    finally:
        bitmap.close()
    return "\n".join(found.txts or ())


@cache
def _reader() -> Any:
    from rapidocr import RapidOCR  # type: ignore[import-not-found,unused-ignore]

    threads = {f"EngineConfig.onnxruntime.{which}_op_num_threads": 1 for which in ("intra", "inter")}
    searched = {"Det.limit_type": "max", "Det.limit_side_len": _SEARCHED_EDGE}
    return RapidOCR(params={"Global.log_level": "error", "Global.use_cls": False, **threads, **searched})
