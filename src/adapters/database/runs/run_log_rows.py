"""Pieces of a run's log as rows: pure translation.

`data` is a JSON array of segments, each with its kind first. Adjacent text of one kind is one segment: when it began,
the text joined, the length of each part in characters, and the milliseconds between each part and the next. Every other
event is a segment of its own, and what was kept with an event comes before it. What went in comes out, apart from
unpaired surrogates, which UTF-8 can't hold: each comes back as "?", as in the stored answer. NUL stays.

The row numbered 0 is no part of the log: it holds what is shown with no event yet.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Any, Final

import msgspec

from application.ports.runs import LogPiece, Unseen
from domain.chat.chat_events import (
    AnswerDelta,
    AttemptBegan,
    AttemptEnded,
    KeptEvent,
    ReasoningText,
    Recorded,
    Retrieved,
    RoundFinished,
    RunFailed,
    RunFinished,
    ToolProgress,
    TurnFinished,
)
from domain.ids import RunId


class _Text(msgspec.Struct, array_like=True):
    at: int
    text: str
    lengths: list[int]
    gaps: list[int]


class _Answer(_Text, tag="answer"):
    pass


class _Reasoning(_Text, tag="reasoning"):
    pass


class _Tool(msgspec.Struct, array_like=True, tag="tool"):
    at: int
    event: ToolProgress


class _Retrieved(msgspec.Struct, array_like=True, tag="retrieved"):
    at: int
    event: Retrieved


class _Turn(msgspec.Struct, array_like=True, tag="turn"):
    event: TurnFinished


class _Round(msgspec.Struct, array_like=True, tag="round"):
    event: RoundFinished


class _Began(msgspec.Struct, array_like=True, tag="began"):
    event: AttemptBegan


class _Attempt(msgspec.Struct, array_like=True, tag="attempt"):
    event: AttemptEnded


class _Failed(msgspec.Struct, array_like=True, tag="failed"):
    at: int
    event: RunFailed


class _Finished(msgspec.Struct, array_like=True, tag="finished"):
    at: int
    event: RunFinished


class _Unseen(msgspec.Struct, array_like=True, tag="unseen"):
    after: int


_Segment = _Answer | _Reasoning | _Tool | _Retrieved | _Turn | _Round | _Began | _Attempt | _Failed | _Finished

_TEXTS: Final[dict[type[Any], Any]] = {AnswerDelta: _Answer, ReasoningText: _Reasoning}
_KEPT: Final[dict[type[Any], Any]] = {
    TurnFinished: _Turn,
    RoundFinished: _Round,
    AttemptBegan: _Began,
    AttemptEnded: _Attempt,
}
_SINGLES: Final[dict[type[Any], Any]] = {
    ToolProgress: _Tool,
    Retrieved: _Retrieved,
    RunFailed: _Failed,
    RunFinished: _Finished,
}
_encode: Final = msgspec.json.Encoder().encode
_segments_of: Final = msgspec.json.Decoder(list[_Segment]).decode
_beside: Final = msgspec.json.Decoder(list[_Unseen | _Turn | _Round | _Began | _Attempt]).decode
_kind_of: Final = attrgetter("event.__class__", "kept")
_text_of: Final = attrgetter("event.text")
_at_of: Final = attrgetter("at")


def from_piece(piece: LogPiece) -> dict[str, Any]:
    events = piece.events
    return {
        "run_id": piece.run_id,
        "first_seq": events[0].seq,
        "last_seq": events[-1].seq,
        "data": _json(list(_segments(events))),
    }


def to_rows(piece: LogPiece) -> list[dict[str, Any]]:
    """The stretch, and what lies beside it."""
    rows = [from_piece(piece)] if piece.events else []
    return rows if piece.unseen is None else [*rows, from_unseen(piece.run_id, piece.unseen)]


def from_unseen(run_id: RunId, unseen: Unseen) -> dict[str, Any]:
    segments = [_Unseen(unseen.after), *(_KEPT[type(one)](one) for one in unseen.events)]
    return {"run_id": run_id, "first_seq": 0, "last_seq": 0, "data": _json(segments)}


def to_unseen(data: str) -> Unseen:
    after, events = 0, []
    for segment in _beside(data):
        if isinstance(segment, _Unseen):
            after = segment.after
        else:
            events.append(segment.event)
    return Unseen(after, tuple(events))


def to_recorded(first_seq: int, data: str) -> list[Recorded]:
    events: list[Recorded] = []
    kept: tuple[KeptEvent, ...] = ()
    for segment in _segments_of(data):
        if isinstance(segment, _Turn | _Round | _Began | _Attempt):
            kept += (segment.event,)
            continue
        seq = first_seq + len(events)
        if isinstance(segment, _Text):
            events.extend(_parted(segment, seq, kept))
        else:
            events.append(Recorded(seq, segment.at, segment.event, kept))
        kept = ()
    return events


def _segments(events: Sequence[Recorded]) -> Iterator[_Segment]:
    for (kind, kept), alike in groupby(events, _kind_of):
        for parts in ([one] for one in alike) if kept else (list(alike),):
            yield from (_KEPT[type(unseen)](unseen) for unseen in kept)
            if kind in _TEXTS:
                yield _joined(kind, parts)
            else:
                yield from (_SINGLES[kind](one.at, one.event) for one in parts)


def _joined(kind: type[Any], parts: list[Recorded]) -> _Segment:
    texts, moments = list(map(_text_of, parts)), list(map(_at_of, parts))
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    joined: _Segment = _TEXTS[kind](moments[0], "".join(texts), list(map(len, texts)), gaps)
    return joined


def _parted(segment: _Text, seq: int, kept: tuple[KeptEvent, ...]) -> Iterator[Recorded]:
    kind = AnswerDelta if isinstance(segment, _Answer) else ReasoningText
    begin, at = 0, segment.at
    for length, gap in zip(segment.lengths, (0, *segment.gaps), strict=True):
        at += gap
        yield Recorded(seq, at, kind(segment.text[begin : begin + length]), kept)
        begin += length
        seq += 1
        kept = ()


def _json(segments: Sequence[_Segment | _Unseen]) -> str:
    try:
        return _encode(segments).decode()
    except UnicodeEncodeError:
        spelled = json.dumps(msgspec.to_builtins(segments), ensure_ascii=False)
        return spelled.encode("utf-8", "replace").decode()
