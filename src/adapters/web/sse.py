"""Server-sent events: from bytes, however the network cut them, to the data of each event."""

from domain.errors import ModelError

EVENT_LIMIT = 8 << 20


class EventSplitter:
    """Lines end in LF, CRLF or CR; comments and fields other than `data` are dropped."""

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._limit = limit
        self._pieces: list[bytes] = []
        """The line that has no end yet, as it came."""
        self._data: list[bytes] = []
        """The data lines of the event that has no end yet."""
        self._size = 0
        self._after_cr = False
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that these bytes complete. Raises ModelError when an event exceeds the limit."""
        if not self._size and not self._after_cr and data[:6] == b"data: " and data[-2:] == b"\n\n":
            # What nearly every read of a fast provider looks like.
            events = data[6:-2].split(b"\n\ndata: ")
            if data.count(b"\n") == 2 * len(events) and b"\r" not in data:
                self._started = True
                return events
        return self._feed_lines(data)

    def end(self) -> list[bytes]:
        """The last event, when the stream ended without the empty line that should follow it."""
        self._after_cr = False
        return self.feed(b"\n\n") if self._size else []

    def _feed_lines(self, data: bytes) -> list[bytes]:
        if self._after_cr and data:
            self._after_cr = False
            # The second half of a CRLF that was cut in two.
            data = data.removeprefix(b"\n")
        if not data:
            return []
        self._size += len(data)
        if b"\n" not in data and b"\r" not in data:
            self._pieces.append(data)
            self._check_size()
            return []
        self._pieces.append(data)
        text = b"".join(self._pieces)
        if not self._started:
            self._started = True
            text = text.removeprefix(b"\xef\xbb\xbf")
        self._after_cr = text.endswith(b"\r")
        lines = text.splitlines(keepends=True)
        rest = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
        self._pieces = [rest] if rest else []
        events = self._events(lines)
        self._size = len(rest) + sum(map(len, self._data)) + len(self._data)
        self._check_size()
        return events

    def _events(self, lines: list[bytes]) -> list[bytes]:
        events = []
        for ended in lines:
            line = ended.rstrip(b"\r\n")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                events.append(b"\n".join(self._data))
                self._data = []
        return events

    def _check_size(self) -> None:
        if self._size > self._limit:
            raise ModelError("model_bad_response", "The model's provider sent an event larger than any answer.")
