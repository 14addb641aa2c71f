"""A run's events as an ASGI app: who reads is served, who goes away or takes nothing is let go."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

from application.runs.live_runs import LiveRun, RunLimits
from application.runs.run_log import RunLog
from domain.chat.chat_events import AnswerDelta, LoopEvent, Recorded, RunFinished
from domain.chat.transcript import Transcript
from domain.conversation.conversation import Usage
from domain.dialogs.messages import AnswerStatus
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.runs.runs import Run, RunStatus
from entrypoints.http.event_stream import EventStream
from run_keeping import keeping

NOW = datetime(2026, 11, 1, tzinfo=UTC)
KEY = Run(RunId("run"), UserId("user"), DialogId("dialog"), MessageId("message"), RunStatus.QUEUED, NOW, NOW)


async def store(transcript: Transcript, status: AnswerStatus, log: RunLog) -> tuple[Recorded, ...]:
    content = transcript.content
    done = RunFinished(status, content, KEY.message_id, KEY.run_id, KEY.dialog_id, "m", Usage(), (), None)
    return log.stamped([done])


async def nowhere(_: Run) -> float:
    return 0.0


async def words(count: int, pause: float = 0) -> AsyncGenerator[LoopEvent, None]:
    for _ in range(count):
        await asyncio.sleep(pause)
        yield AnswerDelta("word ")


def started(events: AsyncGenerator[LoopEvent, None]) -> LiveRun:
    run = LiveRun(KEY, events, keeping(store, nowhere, lambda *_: None), RunLimits(60, 0))
    run.start()
    return run


class Client:
    """The other end: takes `appetite` messages, then nothing more; says goodbye when `gone` is set."""

    def __init__(self, appetite: int = 10**9) -> None:
        self.appetite = appetite
        self.taken: list[Any] = []
        self.gone = asyncio.Event()

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if len(self.taken) >= self.appetite:
            await asyncio.Event().wait()
        self.taken.append(message)

    async def read(self, run: LiveRun, patience: float = 60) -> None:
        stream = EventStream(run, after=0, heartbeat=0.01, patience=patience)
        await asyncio.wait_for(stream({}, self.receive, self.send), 10)  # type: ignore[typeddict-item]


async def test_a_reader_gets_everything_and_the_end() -> None:
    client = Client()
    await client.read(started(words(300)))
    body = b"".join(message.get("body", b"") for message in client.taken)
    assert body.count(b"event: response_chunk") == 300
    assert body.count(b"event: done") == 1
    assert [message["more_body"] for message in client.taken[1:]][-1] is False


async def test_a_client_that_goes_away_ends_the_run_in_silence_too() -> None:
    client = Client()
    run = started(words(1, pause=60))
    reading = asyncio.create_task(client.read(run))
    await asyncio.sleep(0)
    client.gone.set()
    await reading
    await run.wait()
    assert run.state.status is RunStatus.INTERRUPTED


async def test_a_client_that_takes_nothing_is_let_go() -> None:
    client = Client(appetite=3)
    run = started(words(100_000))
    await client.read(run, patience=0.05)
    await run.wait()
    assert run.state.status is RunStatus.INTERRUPTED
    assert len(client.taken) == 3


async def test_a_client_that_is_slow_or_waits_for_a_silent_model_is_not() -> None:
    client = Client()
    run = started(words(4, pause=0.1))
    await client.read(run, patience=0.02)
    assert run.state.status is RunStatus.COMPLETE
