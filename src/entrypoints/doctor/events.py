"""Reading a stream of server-sent events, with the moment at which each came."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final

import aiohttp
import msgspec

PING: Final = "ping"
DONE: Final = "done"
TEXT: Final = "response_chunk"


@dataclass(frozen=True, slots=True)
class Frame:
    """`stamped` is the server's clock, `arrived` ours: only differences mean something. A heartbeat is a PING."""

    kind: str
    arrived: float
    event_id: str = ""
    stamped: float = 0.0
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return str(self.data.get("chunk", "")) if self.kind == TEXT else ""


class EventReader:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._pending = b""
        self._ready: deque[Frame] = deque()

    async def until(self, enough: Callable[[Frame], bool]) -> list[Frame]:
        """The frames up to the first that is enough, or to the end of the stream, whichever comes first."""
        taken: list[Frame] = []
        while True:
            while self._ready:
                frame = self._ready.popleft()
                taken.append(frame)
                if enough(frame):
                    return taken
            data = await self._response.content.readany()
            if not data:
                return taken
            self._take(data, perf_counter())

    async def to_end(self) -> list[Frame]:
        return await self.until(lambda _: False)

    def _take(self, data: bytes, now: float) -> None:
        *blocks, self._pending = (self._pending + data).split(b"\n\n")
        self._ready += [frame_of(block, now) for block in blocks if block]


def frame_of(block: bytes, arrived: float) -> Frame:
    """A frame that is none of ours has no kind."""
    if block.startswith(b":"):
        return Frame(PING, arrived)
    fields = dict(line.partition(": ")[::2] for line in block.decode(errors="replace").split("\n"))
    try:
        body = msgspec.json.decode(fields.get("data", ""))
        return Frame(str(body["type"]), arrived, fields.get("id", ""), float(body["timestamp"]), dict(body["data"]))
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return Frame("", arrived)


def text_of(frames: list[Frame]) -> str:
    return "".join(frame.text for frame in frames)
