"""Chat events as server-sent events. Text is the hot path: its frame is put together from bytes."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from domain.chat.chat_events import (
    AnswerDelta,
    ChatEvent,
    ReasoningText,
    Recorded,
    Retrieved,
    RunFailed,
    RunFinished,
    ToolProgress,
)
from domain.ids import RunId
from entrypoints.http.chat_views import CitationView, StepView, UsageView

HEARTBEAT: Final = b": ping\n\n"
EVENT_STREAM: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
"""Headers of whatever is sent event by event."""

_encode = msgspec.json.Encoder().encode
_TEXT: Final = b'id: %b:%d\nevent: %b\ndata: {"type":"%b","timestamp":%.3f,"data":{"chunk":%b}}\n\n'
_OTHER: Final = b'id: %b:%d\nevent: %b\ndata: {"type":"%b","timestamp":%.3f,"data":%b}\n\n'


def frames(run_id: RunId, batch: Sequence[Recorded]) -> bytes:
    """The batch as one piece of bytes, a frame for each event; a heartbeat for an empty batch."""
    if not batch:
        return HEARTBEAT
    name = run_id.encode()
    if len(batch) == 1:
        return _frame(name, batch[0])
    return b"".join([_frame(name, recorded) for recorded in batch])


def _frame(run_id: bytes, recorded: Recorded) -> bytes:
    match recorded.event:
        case AnswerDelta(text):
            kind = b"response_chunk"
        case ReasoningText(text):
            kind = b"reasoning_chunk"
        case other:
            kind, data = _named(other)
            return _OTHER % (run_id, recorded.seq, kind, kind, recorded.at / 1000, json_line(data))
    return _TEXT % (run_id, recorded.seq, kind, kind, recorded.at / 1000, json_line(text))


def json_line(value: object) -> bytes:
    """JSON that no reader of lines splits: some take U+0085, U+2028 and U+2029 for line ends."""
    encoded = _encode(value)
    if encoded.isascii():
        return encoded
    encoded = encoded.replace(b"\xe2\x80\xa8", b"\\u2028").replace(b"\xe2\x80\xa9", b"\\u2029")
    return encoded.replace(b"\xc2\x85", b"\\u0085")


def _named(event: ChatEvent) -> tuple[bytes, object]:
    match event:
        case ToolProgress(step):
            return b"event", StepView.of(step)
        case Retrieved(message, citations):
            return b"knowledge", {"message": message, "citations": [CitationView.of(one) for one in citations]}
        case RunFailed(code, message, retryable):
            return b"error", {"message": message, "code": code, "retryable": retryable}
        case RunFinished():
            return b"done", _done(event)
        case _:
            raise AssertionError(f"{type(event).__name__} is text")


def _done(event: RunFinished) -> Mapping[str, Any]:
    return {
        "status": event.status,
        "content": event.content,
        "message_id": event.message_id,
        "run_id": event.run_id,
        "dialog_id": event.dialog_id,
        "model": event.model,
        "usage": UsageView.of(event.usage),
        "citations": [CitationView.of(one) for one in event.citations],
        "finish_reason": event.finish_reason,
    }
