"""Tables of comma separated values, which are often separated by something else."""

import csv
import io
from collections import Counter
from typing import BinaryIO, Final

from adapters.documents.plain_text import beginning_of
from adapters.documents.writing import DocumentWriter

_DELIMITERS: Final = (",", ";", "\t", "|")
_LONGEST_FIELD: Final = (1 << 31) - 1
_SAMPLE_ROWS: Final = 50
_SAMPLE_CHARS: Final = 100_000


def read_csv(content: BinaryIO, writer: DocumentWriter) -> None:
    # A NUL ends a line for the csv module of some versions of Python.
    text = beginning_of(content, writer.limits).replace("\0", "")
    csv.field_size_limit(_LONGEST_FIELD)
    writer.table(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text)))
    if content.read(1):
        writer.cut_short()


def delimiter_of(text: str) -> str:
    """The one by which most of the first rows have the same number of columns, and more than one."""
    sample = text[:_SAMPLE_CHARS]
    return max(_DELIMITERS, key=lambda delimiter: _evenness(sample, delimiter))


def _evenness(sample: str, delimiter: str) -> tuple[float, int]:
    rows = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    widths = Counter(len(row) for row, _ in zip(rows, range(_SAMPLE_ROWS), strict=False) if row)
    split = {width: count for width, count in widths.items() if width > 1}
    if not split:
        return 0.0, 0
    width, count = max(split.items(), key=lambda item: (item[1], item[0]))
    return count / widths.total(), width
