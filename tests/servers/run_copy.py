"""What a client has of a run, however often its connection was cut: the bytes of whole frames, heartbeats left out."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class RunCopy:
    """`clients` of several servers may take turns."""

    headers: dict[str, str]
    run_id: str = ""
    frames: list[bytes] = field(default_factory=list)
    came_at: list[float] = field(default_factory=list)
    """The time of each frame, by the monotonic clock."""

    async def ask(
        self, client: httpx.AsyncClient, text: str = "hi", dialog: str = "d", *, most: int | None = None, **more: object
    ) -> None:
        key = more.pop("key", None)
        headers = self.headers if key is None else {**self.headers, "Idempotency-Key": str(key)}
        body = {"user_input": text, "dialog_id": dialog, **more}
        async with client.stream("POST", "/api/v1/chat", json=body, headers=headers) as response:
            await self._take(response, most)

    async def resume(self, client: httpx.AsyncClient, most: int | None = None, *, by_query: bool = False) -> None:
        """From the last whole frame on, to the end or for so many bytes."""
        path, headers, query = f"/api/v1/chat/{self.run_id}/events", self.headers, dict[str, str]()
        if self.frames and by_query:
            query = {"after": self.last_id}
        elif self.frames:
            headers = {**headers, "Last-Event-ID": self.last_id}
        async with client.stream("GET", path, headers=headers, params=query) as response:
            await self._take(response, most)

    async def _take(self, response: httpx.Response, most: int | None) -> None:
        assert response.status_code == 200, await response.aread()
        run_id = response.headers["x-run-id"]
        assert run_id == (self.run_id or run_id)
        self.run_id = run_id
        pending, left = b"", most
        async for piece in response.aiter_raw():
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            *whole, pending = (pending + piece).split(b"\n\n")
            for block in whole:
                if block != b": ping":
                    self.frames.append(block + b"\n\n")
                    self.came_at.append(time.monotonic())
            if left == 0:
                return
        assert pending == b"", "a stream ends with a whole frame"

    @property
    def raw(self) -> bytes:
        return b"".join(self.frames)

    @property
    def last_id(self) -> str:
        return self.frames[-1].split(b"\n", 1)[0].removeprefix(b"id: ").decode()

    @property
    def numbers(self) -> list[int]:
        heads = (frame.split(b"\n", 1)[0] for frame in self.frames)
        return [int(head.removeprefix(f"id: {self.run_id}:".encode())) for head in heads]

    @property
    def ended(self) -> bool:
        return bool(self.frames) and self.events[-1][0] == "done"

    @property
    def done(self) -> dict[str, Any]:
        """The data of the one last frame."""
        events = self.events
        assert [name for name, _ in events].count("done") == 1
        assert events[-1][0] == "done"
        return events[-1][1]

    @property
    def events(self) -> list[tuple[str, dict[str, Any]]]:
        said = [json.loads(frame.split(b"\ndata: ", 1)[1]) for frame in self.frames]
        return [(one["type"], one["data"]) for one in said]

    @property
    def text(self) -> str:
        return "".join(data["chunk"] for name, data in self.events if name == "response_chunk")

    def text_before(self, moment: float) -> str:
        """What had come by then."""
        there = zip(self.events, self.came_at, strict=True)
        return "".join(data["chunk"] for (name, data), at in there if name == "response_chunk" and at <= moment)

    def is_whole(self) -> bool:
        """Numbered from 1 without a gap, with one end that holds the text."""
        return self.numbers == list(range(1, len(self.frames) + 1)) and self.done["content"] == self.text
