"""A run's events as an HTTP response. A plain ASGI app: no middleware, queue or generator between log and socket."""

import asyncio
from typing import Final

from litestar.types import Receive, Scope, Send

from application.runs import Reader, Run
from entrypoints.http.sse import frames

_HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class EventStream:
    """Follows `run` from the event after `after`. A client that goes away is noticed at once, also in silence."""

    def __init__(self, run: Run, *, after: int, heartbeat: float) -> None:
        self._run = run
        self._after = after
        self._heartbeat = heartbeat

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        reader = self._run.attach(self._after, self._heartbeat)
        body = asyncio.ensure_future(self._write(reader, send))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({body, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            body.cancel()
            gone.cancel()
            self._run.detach(reader)
        if body.done() and not body.cancelled():
            body.result()

    async def _write(self, reader: Reader, send: Send) -> None:
        run_id = self._run.key.run_id
        headers = [*_HEADERS, (b"x-run-id", run_id.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for batch in reader.batches():
            await send({"type": "http.response.body", "body": frames(run_id, batch), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
