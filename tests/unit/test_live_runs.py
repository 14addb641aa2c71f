"""A run, its log and its readers: whatever the interleaving, every reader sees the whole, and `done` once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.runs.live_runs import LiveRun, RunLimits
from application.runs.run_log import RunLog
from application.runs.run_readers import MAX_READERS, SLICE
from domain.chat.chat_events import AnswerDelta, LoopEvent, Recorded, RunFailed, RunFinished, TurnFinished
from domain.chat.transcript import Transcript
from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import AnswerStatus
from domain.errors import ModelError, TooManyRequests
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.runs.runs import Run, RunStatus
from patience import PATIENCE
from run_keeping import keeping

NOW = datetime(2026, 11, 1, tzinfo=UTC)
KEY = Run(RunId("run"), UserId("user"), DialogId("dialog"), MessageId("message"), RunStatus.QUEUED, NOW, NOW)


class Kept:
    """Where answers are kept; remembers what came."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, AnswerStatus]] = []
        self.crashes: list[BaseException] = []
        self.elsewhere: list[float] = []
        self.asked = 0

    async def store(self, transcript: Transcript, status: AnswerStatus, log: RunLog) -> Sequence[Recorded]:
        self.answers.append((transcript.content, status))
        await asyncio.sleep(0)
        content = transcript.content
        done = RunFinished(status, content, KEY.message_id, KEY.run_id, KEY.dialog_id, "m", Usage(), (), None)
        return log.stamped([done])

    async def followed_for(self, _: Run) -> float:
        self.asked += 1
        return self.elsewhere.pop(0) if self.elsewhere else 0.0

    def crash(self, _: RunId, error: BaseException) -> None:
        self.crashes.append(error)

    def run(self, events: AsyncGenerator[LoopEvent, None], *, grace: float | None = None, limit: float = 60) -> LiveRun:
        return LiveRun(KEY, events, keeping(self.store, self.followed_for, self.crash), RunLimits(limit, grace))


async def speak(parts: Sequence[str], failure: Exception | None = None) -> AsyncGenerator[LoopEvent, None]:
    for part in parts:
        await asyncio.sleep(0)
        yield AnswerDelta(part)
    if failure:
        raise failure


async def endless(closed: asyncio.Event) -> AsyncGenerator[LoopEvent, None]:
    try:
        yield AnswerDelta("begun")
        await asyncio.Event().wait()
    finally:
        closed.set()


async def read(run: LiveRun, after: int = 0, most: int = 10**9, heartbeat: float = 60) -> list[Recorded]:
    seen: list[Recorded] = []
    reader = run.attach(after, heartbeat)
    stream = reader.batches()
    async for batch in stream:
        seen += batch
        if len(seen) >= most:
            break
    await stream.aclose()
    run.detach(reader)
    return seen[:most]


def text_of(seen: Sequence[Recorded]) -> str:
    return "".join(one.event.text for one in seen if isinstance(one.event, AnswerDelta))


@given(st.lists(st.text(), max_size=12), st.lists(st.integers(0, 14), max_size=4))
def test_every_reader_sees_all_that_it_did_not_have_in_order_and_done_once(parts: list[str], cuts: list[int]) -> None:
    async def scene() -> None:
        kept = Kept()
        run = kept.run(speak(parts))
        run.start()
        whole = asyncio.create_task(read(run))
        for cut in cuts:
            first = await read(run, most=cut) if cut else []
            rest = await read(run, after=first[-1].seq if first else 0)
            assert text_of(first) + text_of(rest) == "".join(parts)
            assert [one.seq for one in [*first, *rest]] == list(range(1, len(parts) + 2))
        seen = await whole
        assert [isinstance(one.event, RunFinished) for one in seen].count(True) == 1
        assert isinstance(seen[-1].event, RunFinished)
        assert kept.answers == [("".join(parts), AnswerStatus.COMPLETE)]

    asyncio.run(scene())


@given(
    st.lists(st.text(), max_size=8),
    st.integers(0, 12),
    st.sampled_from([AnswerStatus.STOPPED, AnswerStatus.INTERRUPTED]),
)
def test_ending_at_any_moment_keeps_what_there_is_exactly_once(
    parts: list[str], turns: int, status: AnswerStatus
) -> None:
    async def scene() -> None:
        kept = Kept()
        run = kept.run(speak(parts))
        run.start()
        for _ in range(turns):
            await asyncio.sleep(0)
        run.end(status)
        run.end(AnswerStatus.FAILED)
        seen = await read(run)
        done = seen[-1].event
        assert isinstance(done, RunFinished)
        assert done.status in {status, AnswerStatus.COMPLETE}
        assert done.content == text_of(seen)
        assert "".join(parts).startswith(done.content)
        assert kept.answers == [(done.content, done.status)]

    asyncio.run(scene())


@given(st.lists(st.text(), max_size=5))
def test_a_model_that_fails_gives_an_error_and_then_done_and_the_text_is_kept(parts: list[str]) -> None:
    async def scene() -> None:
        kept = Kept()
        run = kept.run(speak(parts, ModelError("model_stalled", "It stalled.", retryable=True)))
        run.start()
        *_, failed, done = [one.event for one in await read(run)]
        assert failed == RunFailed("model_stalled", "It stalled.", True)
        assert isinstance(done, RunFinished)
        assert kept.answers == [("".join(parts), AnswerStatus.FAILED)]

    asyncio.run(scene())


def test_a_defect_of_ours_ends_one_run_without_telling_its_details() -> None:
    async def scene() -> None:
        kept = Kept()
        run = kept.run(speak(["a"], ZeroDivisionError("secret")))
        run.start()
        _, failed, done = [one.event for one in await read(run)]
        assert isinstance(failed, RunFailed)
        assert failed.code == "internal_error"
        assert "secret" not in failed.message
        assert isinstance(done, RunFinished)
        assert [type(error) for error in kept.crashes] == [ZeroDivisionError]

    asyncio.run(scene())


def test_the_last_reader_that_leaves_ends_the_run_after_its_grace() -> None:
    async def scene() -> None:
        kept, closed = Kept(), asyncio.Event()
        run = kept.run(endless(closed), grace=0.0)
        run.start()
        await read(run, most=1)
        await asyncio.wait_for(closed.wait(), PATIENCE)
        await run.wait()
        assert kept.answers == [("begun", AnswerStatus.INTERRUPTED)]

    asyncio.run(scene())


def test_a_reader_that_comes_back_within_the_grace_keeps_the_run_alive() -> None:
    async def scene() -> None:
        kept, closed = Kept(), asyncio.Event()
        run = kept.run(endless(closed), grace=0.05)
        run.start()
        await read(run, most=1)
        reader = run.attach(0, 60)
        await asyncio.sleep(0.15)
        assert not closed.is_set()
        run.detach(reader)
        await run.wait()
        assert closed.is_set()

    asyncio.run(scene())


def test_a_run_that_is_followed_at_another_process_goes_on_until_nobody_does() -> None:
    async def scene() -> None:
        kept, closed = Kept(), asyncio.Event()
        kept.elsewhere = [0.02, 0.02]
        run = kept.run(endless(closed), grace=0.0)
        run.start()
        await read(run, most=1)
        await asyncio.sleep(0.01)
        assert not closed.is_set()
        await asyncio.wait_for(closed.wait(), PATIENCE)
        assert kept.asked == 3

    asyncio.run(scene())


def test_what_is_not_shown_goes_into_the_log_without_a_number_of_its_own() -> None:
    async def two_turns() -> AsyncGenerator[LoopEvent, None]:
        yield AnswerDelta("a")
        yield TurnFinished(FinishReason.TOOL_CALLS)
        yield AnswerDelta("b")
        yield TurnFinished(FinishReason.STOP)

    async def scene() -> None:
        run = Kept().run(two_turns())
        run.start()
        seen = await read(run)
        assert [one.seq for one in seen] == [1, 2, 3]
        first, last = TurnFinished(FinishReason.TOOL_CALLS), TurnFinished(FinishReason.STOP)
        assert [one.kept for one in seen] == [(), (first,), (last,)]

    asyncio.run(scene())


def test_a_run_in_the_background_needs_no_reader() -> None:
    async def scene() -> None:
        kept = Kept()
        run = kept.run(speak(["a", "b"]), grace=None)
        run.start()
        await read(run, most=1)
        await run.wait()
        assert kept.answers == [("ab", AnswerStatus.COMPLETE)]

    asyncio.run(scene())


def test_a_run_out_of_time_says_so_and_keeps_what_it_has() -> None:
    async def scene() -> None:
        kept, closed = Kept(), asyncio.Event()
        run = kept.run(endless(closed), limit=0.02)
        run.start()
        _, failed, _ = [one.event for one in await read(run)]
        assert isinstance(failed, RunFailed)
        assert failed.code == "run_time_limit"
        assert kept.answers == [("begun", AnswerStatus.INTERRUPTED)]

    asyncio.run(scene())


def test_a_reader_far_behind_holds_little_and_there_is_a_limit_of_readers() -> None:
    async def scene() -> None:
        run = Kept().run(speak(["x"] * 500))
        run.start()
        await run.wait()
        sizes = [len(batch) async for batch in run.attach(0, 60).batches()]
        assert sum(sizes) == 501
        assert max(sizes) <= SLICE
        for _ in range(MAX_READERS - 1):
            run.attach(0, 60)
        with pytest.raises(TooManyRequests):
            run.attach(0, 60)

    asyncio.run(scene())


def test_silence_gives_heartbeats_from_the_first_moment() -> None:
    async def scene() -> None:
        async def silent() -> AsyncGenerator[LoopEvent, None]:
            await asyncio.Event().wait()
            yield AnswerDelta("never")

        kept = Kept()
        run = kept.run(silent())
        run.start()
        stream = run.attach(0, 0.01).batches()
        assert [await anext(stream) for _ in range(3)] == [(), (), ()]
        run.end(AnswerStatus.STOPPED)
        assert kept.answers == []
        last = [batch async for batch in stream][-1]
        assert isinstance(last[-1].event, RunFinished)

    asyncio.run(scene())
