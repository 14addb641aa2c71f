"""What else streams must survive: silence, a stop, a connection that is cut."""

import math
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from entrypoints.doctor.conversation import Asked, Conversation, Refused
from entrypoints.doctor.events import DONE, PING, TEXT, Frame, text_of
from entrypoints.doctor.findings import Finding, fail, milliseconds, ok, skip
from entrypoints.doctor.remote import Unreachable
from entrypoints.doctor.streaming import words_to_count
from entrypoints.doctor.subject import Subject

LONGEST_HEARTBEAT: Final = 20.0
STOPPED_WITHIN: Final = 1.0
FEW: Final = 5
"""Frames before the connection is cut."""
OTHER_PROCESS_MEND: Final = (
    "let all processes behind the address run this version on one database_url; see the check notifications"
)
LOG_MEND: Final = "look into the proxy's and the server's log"
STREAM_MEND: Final = (
    "let the proxy pass event streams on unchanged (nginx: proxy_buffering off; Caddy: flush_interval -1), else it "
    "ends silent ones after its read time-out"
)
READ_TIMEOUT_MEND: Final = (
    "raise nginx's proxy_read_timeout (60s), or lower heartbeat_seconds below the proxy's time-out"
)


async def heartbeats(subject: Subject) -> Sequence[Finding]:
    every = subject.settings.heartbeat_seconds
    if every > LONGEST_HEARTBEAT:
        return [skip("heartbeat", f"heartbeat_seconds is {every:g}: it would take too long")]
    silence = math.ceil(every) + 2
    try:
        async with Conversation.of(subject, "heartbeat").ask(f"wait {silence}") as asked:
            frames = await asked.events.until(lambda frame: frame.kind in (TEXT, DONE))
            asked.ended = bool(frames) and frames[-1].kind == DONE
    except (Refused, Unreachable) as error:
        return [heartbeat_verdict([], 0, str(error))]
    return [heartbeat_verdict(frames, asked.asked_at)]


def heartbeat_verdict(frames: Sequence[Frame], asked_at: float, trouble: str = "") -> Finding:
    """Of the frames up to the answer's first word."""
    pings = [frame for frame in frames if frame.kind == PING]
    if not frames or frames[-1].kind == PING:
        message = f"a silent stream was ended before its answer{': ' + trouble if trouble else ''}"
        return fail("heartbeat", message, READ_TIMEOUT_MEND)
    silence = frames[-1].arrived - asked_at
    if not pings or frames[-1].arrived - pings[0].arrived < 0.5:
        return fail("heartbeat", f"no heartbeat came through in {silence:.1f} s of silence", STREAM_MEND)
    first = pings[0].arrived - asked_at
    return ok("heartbeat", f"{len(pings)} in {silence:.1f} s of silence, the first after {first:.1f} s")


async def stops(subject: Subject) -> Sequence[Finding]:
    conversation = Conversation.of(subject, "stop")
    try:
        async with conversation.ask("count to 100000") as asked:
            await asked.events.until(lambda frame: frame.kind == TEXT)
            begun = perf_counter()
            answer = await conversation.stop(asked.run_id)
            if answer.status != 200:
                message = f"an answer can't be stopped (status {answer.status} {answer.code})".rstrip()
                return [fail("stop", message, OTHER_PROCESS_MEND)]
            frames = await asked.events.to_end()
            asked.ended = True
    except (Refused, Unreachable) as error:
        return [fail("stop", str(error), LOG_MEND)]
    return [stop_verdict(frames, begun)]


def stop_verdict(frames: Sequence[Frame], told_at: float) -> Finding:
    last = frames[-1] if frames else None
    if last is not None and last.data.get("status") == "complete":
        return skip("stop", "the answer was complete before it could be stopped: offline_delay_ms is too small")
    if last is None or last.kind != DONE or last.data.get("status") != "stopped":
        return fail("stop", "the stream of a stopped answer did not end as stopped", LOG_MEND)
    took = last.arrived - told_at
    if took > STOPPED_WITHIN:
        return fail("stop", f"the stream ended only {took:.1f} s after it was stopped", OTHER_PROCESS_MEND)
    return ok("stop", f"the stream ended {milliseconds(took)} after it was stopped")


async def resumes(subject: Subject) -> Sequence[Finding]:
    count = words_to_count(subject.settings)
    if count is None:
        return [skip("resume", "the offline model is too slow to be tried: see offline_delay_ms")]
    conversation = Conversation.of(subject, "resume")
    try:
        async with conversation.ask(f"count to {count}") as asked:
            before = await first_few(asked)
            asked.ended = True
        async with conversation.follow(asked.run_id, before[-1].event_id) as events:
            after = await events.to_end()
    except Refused as error:
        return [fail("resume", str(error), OTHER_PROCESS_MEND)]
    except (Unreachable, IndexError) as error:
        return [fail("resume", f"the stream broke: {error}", LOG_MEND)]
    return [resume_verdict(before, after)]


async def first_few(asked: Asked) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < FEW and (more := await asked.events.until(lambda frame: frame.kind == TEXT)):
        frames += more
    return [frame for frame in frames if frame.event_id]


def resume_verdict(before: Sequence[Frame], after: Sequence[Frame]) -> Finding:
    ends = [frame for frame in (*before, *after) if frame.kind == DONE]
    if len(ends) != 1 or not after or after[-1].kind != DONE:
        return fail("resume", f"the stream that was taken up again has {len(ends)} ends", LOG_MEND)
    whole = str(ends[0].data.get("content", ""))
    if text_of([*before, *after]) != whole:
        return fail("resume", "what came before the cut and after it is not the whole answer", LOG_MEND)
    return ok("resume", f"cut after {len(before)} frames, the other {len(after)} came by Last-Event-ID, none twice")
