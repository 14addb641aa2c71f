"""A run as a chat completion: in chunks while it comes, or whole. Plain ASGI apps."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from litestar.types import Receive, Scope, Send

from application.runs.run_control import ShowRun, StopRun
from application.runs.run_readers import Followed, Follower
from domain.chat.chat_events import Recorded, RunFailed
from domain.errors import DomainError, Unavailable
from domain.runs.runs import RunStatus
from entrypoints.http.client_watch import watched
from entrypoints.http.error_shapes import as_openai
from entrypoints.http.event_stream import EventStream
from entrypoints.http.openai.heard import Heard, refusal_for
from entrypoints.http.sse import EVENT_STREAM, HEARTBEAT, json_line

DONE: Final = b"data: [DONE]\n\n"
LOOK_SECONDS: Final = 1.0
LOOKS: Final = (0.0, 0.02, 0.1, 0.4)
"""Seconds before each look whether a run is stored as one that waits: it is, as a rule, right after it says so."""
# Libraries ask again by themselves. This question was asked and is kept: each try would be another one, and be paid.
_NOT_AGAIN: Final = ((b"x-should-retry", b"false"),)


@dataclass(frozen=True, slots=True)
class Asker:
    """How the run of one request is looked at, and given up."""

    run: Followed
    model: str
    show: ShowRun
    stop: StopRun
    created: int = field(default_factory=lambda: int(time.time()))
    wanted: Callable[[str], Awaitable[RunFailed | None]] | None = None
    """What is wrong with the form of an answer; None where any will do."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        run = self.run.state
        return [(b"x-run-id", run.run_id.encode()), (b"x-dialog-id", run.dialog_id.encode())]

    def frame(self, kind: str) -> dict[str, Any]:
        run = self.run.state
        return {"id": f"chatcmpl-{run.run_id}", "object": kind, "created": self.created, "model": self.model}

    async def waits(self) -> bool:
        """Whether the run is stored as one that waits: left before that, it would count as one that nobody reads.

        Else it is looked at again with the next heartbeat.
        """
        run = self.run.state
        for pause in LOOKS:
            await asyncio.sleep(pause)
            with suppress(Unavailable):
                status = (await self.show(run.user_id, run.run_id)).status
                if status not in (RunStatus.QUEUED, RunStatus.RUNNING):
                    return status is RunStatus.WAITING
        return False

    async def judge(self, heard: Heard) -> None:
        """Before its end is told."""
        if self.wanted is not None and heard.is_whole:
            heard.misshapen = await self.wanted("".join(heard.text))

    async def give_up(self) -> None:
        run = self.run.state
        with suppress(DomainError):
            await self.stop(run.user_id, run_id=run.run_id, dialog_id=None)


class Chunks:
    """The data lines of a streamed completion."""

    def __init__(self, asker: Asker, *, include_usage: bool) -> None:
        self.heard = Heard(asker.run.state, keeps=asker.wanted is not None)
        self._include_usage = include_usage
        self._frame = asker.frame("chat.completion.chunk")
        # Text is the hot path: its frame is put together from bytes.
        head = json_line(self._frame).removesuffix(b"}")
        self._text = b"data: " + head.replace(b"%", b"%%")
        self._text += b',"choices":[{"index":0,"delta":{"content":%b},"logprobs":null,"finish_reason":null}]}\n\n'

    def opening(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def of(self, batch: Sequence[Recorded]) -> bytes:
        """A heartbeat for an empty batch."""
        if not batch:
            return HEARTBEAT
        deltas = [self.heard.take(one.event) for one in batch]
        return b"".join(self._delta(delta) for delta in deltas if delta is not None)

    def ending(self) -> bytes:
        """What comes after the last delta."""
        heard = self.heard
        if heard.error is not None:
            status, envelope, _ = refusal_for(heard.error)
            return b"data: %b\n\n" % json_line(as_openai(status, envelope)[1])
        waits = b"" if heard.finished or not heard.waiting else self._delta(heard.say_that_it_waits())
        last = self._chunk({}, heard.finish_reason, heard.beside())
        usage: dict[str, Any] = {"choices": [], "usage": heard.usage}
        counted = b"data: %b\n\n" % json_line({**self._frame, **usage}) if self._include_usage and heard.usage else b""
        return waits + last + counted + DONE

    def _delta(self, delta: dict[str, Any]) -> bytes:
        text = delta.get("content")
        return self._chunk(delta) if text is None else self._text % json_line(text)

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, beside: dict[str, Any] | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return b"data: %b\n\n" % json_line({**self._frame, "choices": [choice], **(beside or {})})


class CompletionStream(EventStream):
    """In chunks. A client that goes away is noticed at once, and its run has the grace of every run."""

    def __init__(self, asker: Asker, *, include_usage: bool, heartbeat: float) -> None:
        super().__init__(asker.run, after=0, heartbeat=heartbeat)
        self._asker = asker
        self._chunks = Chunks(asker, include_usage=include_usage)

    async def _write(self, reader: Follower, send: Send) -> None:
        chunks = self._chunks
        headers = [*EVENT_STREAM, *self._asker.headers]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": chunks.opening(), "more_body": True})
        async for batch in reader.batches():
            if body := chunks.of(batch):
                await send({"type": "http.response.body", "body": body, "more_body": True})
            if chunks.heard.waiting and await self._asker.waits():
                break
        await self._asker.judge(chunks.heard)
        await send({"type": "http.response.body", "body": chunks.ending(), "more_body": False})


class WholeCompletion:
    """When it is there. A client that goes away before has no way back to it, unless `kept` by its key: it ends."""

    def __init__(self, asker: Asker, *, kept: bool) -> None:
        self._asker = asker
        self._kept = kept

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        run = self._asker.run
        reader = run.attach(0, LOOK_SECONDS)
        work = asyncio.ensure_future(self._heard(reader))
        gone = watched(receive)
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._left()
                return
        finally:
            work.cancel()
            gone.cancel()
            run.detach(reader)
        await self._answer(work.result(), send)

    async def _left(self) -> None:
        if not self._kept:
            await self._asker.give_up()

    async def _heard(self, reader: Follower) -> Heard:
        heard = Heard(self._asker.run.state)
        async for batch in reader.batches():
            for one in batch:
                heard.take(one.event)
            if heard.waiting and await self._asker.waits():
                break
        await self._asker.judge(heard)
        return heard

    async def _answer(self, heard: Heard, send: Send) -> None:
        if heard.error is not None:
            status, envelope, headers = refusal_for(heard.error)
            status, shown = as_openai(status, envelope)
            await _send(send, status, shown, [*self._asker.headers, *_NOT_AGAIN, *_encoded(headers)])
            return
        if heard.waiting and heard.finished is None:
            heard.say_that_it_waits()
        choice = {"index": 0, "message": heard.message(), "logprobs": None, "finish_reason": heard.finish_reason}
        whole = {**self._asker.frame("chat.completion"), "choices": [choice], "usage": heard.usage, **heard.beside()}
        await _send(send, 200, whole, self._asker.headers)


async def _send(send: Send, status: int, value: object, headers: Sequence[tuple[bytes, bytes]]) -> None:
    body = msgspec.json.encode(value)
    given = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": given})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
