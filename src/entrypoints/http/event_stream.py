"""A run's events as an HTTP response. A plain ASGI app: no middleware, queue or generator between log and socket."""

import asyncio
from typing import Final

from litestar.types import Receive, Scope, Send

from application.run_readers import Followed, Follower
from entrypoints.http.sse import frames

STALLED_SECONDS: Final = 60.0
"""A client that takes nothing for so long is let go; it may come back with Last-Event-ID."""
_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class EventStream:
    """Follows `run` from the event after `after`. A client that goes away is noticed at once, also in silence."""

    def __init__(self, run: Followed, *, after: int, heartbeat: float, patience: float = STALLED_SECONDS) -> None:
        self._run = run
        self._after = after
        self._heartbeat = heartbeat
        self._patience = patience
        self._seen = -1

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        reader = self._run.attach(self._after, self._heartbeat)
        body = asyncio.ensure_future(self._write(reader, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            while not await _first_of(body, gone, self._patience) and self._goes_on(reader):
                pass
        finally:
            body.cancel()
            gone.cancel()
            self._run.detach(reader)
        if body.done() and not body.cancelled():
            body.result()

    def _goes_on(self, reader: Follower) -> bool:
        """Whether the client took anything, or had nothing to take, since the last look."""
        before, self._seen = self._seen, reader.cursor
        return reader.listening or reader.cursor != before

    async def _write(self, reader: Follower, send: Send) -> None:
        run_id = self._run.state.run_id
        headers = [*_HEADERS, (b"x-run-id", run_id.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for batch in reader.batches():
            await send({"type": "http.response.body", "body": frames(run_id, batch), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _first_of(body: asyncio.Future[None], gone: asyncio.Future[None], patience: float) -> bool:
    """Whether one of them ended before it is time to look after the client."""
    done, _ = await asyncio.wait({body, gone}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
