"""The ids of files as whatever keeps their contents sees them: names that are safe in any path, and sort by time."""

import re
from datetime import datetime, timedelta
from typing import Final

from domain.ids import FileId

FILE_ID: Final = "[0-9A-HJKMNP-TV-Z]{26}"
TIME_LENGTH: Final = 10
"""So many characters at the beginning are the time, of 5 bits each."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_FILE_ID: Final = re.compile(FILE_ID)
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MILLISECOND: Final = timedelta(milliseconds=1)


def is_file_id(text: str) -> bool:
    return bool(_FILE_ID.fullmatch(text))


def time_prefix(moment: datetime) -> str:
    """How the first id begins that was made at this moment or later. An id is of the moment if it is not below it."""
    milliseconds = max(0, -((_EPOCH - moment) // _MILLISECOND))
    return "".join(_ALPHABET[milliseconds >> shift & 31] for shift in range(5 * TIME_LENGTH - 5, -1, -5))


def is_between(file_id: FileId, first: str, end: str) -> bool:
    """Whether it was made from the one time prefix on, and before the other."""
    return first <= file_id[:TIME_LENGTH] < end
