"""How many values a message holds. Reading one costs by its values, and nothing else runs meanwhile."""

import re
from typing import Final

MOST_VALUES: Final = 12_000
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""Also one that never ends: so no quote is looked at twice."""
_END: Final = re.compile(rb"(?>\r\n|\n|\r){2}")
_USUAL_ENDS: Final = (b"\n\n", b"\r\n\r\n", b"\n\r\n", b"\r\r")
_LONGEST_END: Final = 4
_QUOTES: Final = 4
"""Of a name and a value."""
_MARKS: Final = (b"{", b"[", b",")


def too_many_values(message: bytes) -> bool:
    if _marks(message) <= MOST_VALUES:
        return False
    # Commas within texts are no values. More texts than could stand between so many marks are not taken out first.
    if message.count(b'"') - message.count(b'\\"') > _QUOTES * (MOST_VALUES + 1):
        return True
    return _marks(_STRING.sub(b"", message)) > MOST_VALUES


class Events:
    """A stream of events, which is told before somebody reads it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = bytearray()
        self._marks = 0

    def too_much(self, piece: bytes) -> bool:
        """Whether an event that ends in this piece has too many values, or one has no end."""
        # An end may have begun in the piece before.
        start = max(0, len(self._open) - _LONGEST_END + 1)
        self._open += piece
        self._marks += _marks(piece)
        # Where all of them together are light, each is: floods of tiny events cost little.
        if self._marks <= MOST_VALUES:
            self._dropped(max(self._open.rfind(end, start) + len(end) for end in _USUAL_ENDS), start)
            return len(self._open) > 2 * self._most
        ends = [found.end() for found in _END.finditer(self._open, start)]
        whole = [bytes(self._open[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
        if ends:
            self._dropped(ends[-1], start)
        # An endless one is refused by who reads it; here it must only not be kept.
        return len(self._open) > 2 * self._most or any(map(_heavy, whole))

    def _dropped(self, until: int, start: int) -> None:
        # What was not found at all ends before where it was looked for.
        if until > max(start, _LONGEST_END - 1):
            del self._open[:until]
            self._marks = _marks(self._open)

    def ends_too_heavy(self) -> bool:
        """What stands open when the stream ends may be read too."""
        return _heavy(bytes(self._open))


def _heavy(event: bytes) -> bool:
    if _marks(event) <= MOST_VALUES:
        return False
    lines = event.splitlines()
    # A quote in a comment must not hide what follows.
    said = b"\n".join(line[5:] for line in lines if line.startswith(b"data:"))
    others = sum(_marks(line) for line in lines if not line.startswith(b"data:"))
    return others > MOST_VALUES or too_many_values(said)


def _marks(text: bytes | bytearray) -> int:
    return sum(map(text.count, _MARKS))
