"""A run's events as an HTTP response. A plain ASGI app: no middleware, queue or generator between log and socket."""

import asyncio

from litestar.types import Receive, Scope, Send

from application.runs.run_readers import Followed, Follower
from entrypoints.http.client_watch import STALLED_SECONDS, first_of, watched
from entrypoints.http.sse import EVENT_STREAM, frames


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
        body = asyncio.create_task(self._write(reader, send))
        gone = watched(receive)
        try:
            while not await first_of(body, gone, self._patience) and self._goes_on(reader):
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
        headers = [*EVENT_STREAM, (b"x-run-id", run_id.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for batch in reader.batches():
            await send({"type": "http.response.body", "body": frames(run_id, batch), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
