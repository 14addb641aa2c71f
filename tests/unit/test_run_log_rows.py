"""The log as rows: what went in comes out, however it was cut into pieces."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from adapters.database.runs.run_log_rows import from_piece, to_recorded, to_rows, to_unseen
from application.ports.runs import LogPiece, Unseen
from domain.chat.chat_events import (
    AnswerDelta,
    AttemptBegan,
    AttemptEnded,
    ChatEvent,
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
from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import AnswerStatus, Citation, StepStatus, ToolStep
from domain.ids import DialogId, MessageId, ModelId, RunId
from domain.models.attempts import Attempt, Purpose
from domain.models.models import Prices, Provider
from domain.tools.tools import ToolCall, ToolResult, ToolRound, ToolType

RUN = RunId("run")
ODD = st.sampled_from(["", "\x00", "\u2028", "🙂", '"', "\\", "\\u0000", "\x7f", "e\u0301", "\ufeff"])
SOUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | ODD
ANY = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud83d", "\ude00", "\ud83d\ude00", "a\udfffb"])
COUNTS = st.integers(0, 2**31)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, st.booleans())
TOOLS = st.sampled_from(ToolType)


def citations(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[Citation, ...]]:
    numbers = st.floats(allow_nan=False, allow_infinity=False)
    one = st.builds(Citation, COUNTS, texts, texts, texts, texts, st.none() | COUNTS, COUNTS, COUNTS, numbers)
    return st.lists(one, max_size=2).map(tuple)


def rounds(texts: st.SearchStrategy[str]) -> st.SearchStrategy[ToolRound]:
    calls = st.lists(st.builds(ToolCall, texts, texts, texts), max_size=2).map(tuple)
    results = st.lists(st.builds(ToolResult, texts, texts, texts, st.booleans()), max_size=2).map(tuple)
    return st.builds(ToolRound, texts, calls, results)


def events(texts: st.SearchStrategy[str]) -> st.SearchStrategy[ChatEvent]:
    maybe, reasons = st.none() | texts, st.sampled_from(FinishReason)
    steps = st.builds(
        ToolStep, st.sampled_from(StepStatus), texts, texts, texts, texts, TOOLS, maybe, st.none() | COUNTS
    )
    finished = st.builds(
        RunFinished,
        st.sampled_from(AnswerStatus),
        texts,
        texts.map(MessageId),
        texts.map(RunId),
        texts.map(DialogId),
        texts,
        USAGES,
        citations(texts),
        st.none() | reasons,
    )
    deltas = st.builds(AnswerDelta, texts) | st.builds(ReasoningText, texts)
    return (
        deltas
        | deltas
        | st.builds(ToolProgress, steps)
        | st.builds(Retrieved, texts, citations(texts))
        | st.builds(RunFailed, texts, texts, st.booleans())
        | finished
    )


def attempts(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Attempt]:
    counts = st.integers(0, 2**50)
    return st.builds(
        Attempt,
        texts.map(ModelId),
        st.sampled_from(Provider),
        texts,
        USAGES,
        texts,
        counts,
        counts,
        st.none() | counts,
        st.none() | counts,
        texts,
        st.sampled_from(Purpose),
    )


def prices(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Prices]:
    price = st.floats(0, 1e6)
    return st.builds(Prices, price, price, st.none() | price, texts)


def unseen(texts: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[KeptEvent, ...]]:
    turns = st.builds(TurnFinished, st.sampled_from(FinishReason))
    attempt = attempts(texts)
    asked = st.builds(AttemptBegan, attempt, st.none() | prices(texts)) | st.builds(AttemptEnded, attempt)
    kinds = turns | asked | st.builds(RoundFinished, rounds(texts))
    some: st.SearchStrategy[list[KeptEvent]] = st.lists(kinds, max_size=2)
    return st.just(()) | some.map(tuple)


@st.composite
def logs(draw: st.DrawFn, texts: st.SearchStrategy[str] = SOUND) -> tuple[Recorded, ...]:
    """From any number on, by a clock that may go back."""
    first = draw(st.integers(1, 20_000_000))
    moments = st.integers(0, 2**45)
    said = draw(st.lists(st.tuples(events(texts), unseen(texts)), min_size=1, max_size=6))
    return tuple(Recorded(first + index, draw(moments), one, kept) for index, (one, kept) in enumerate(said))


def through_rows(pieces: Sequence[Sequence[Recorded]]) -> list[Recorded]:
    rows = [from_piece(LogPiece(RUN, tuple(piece))) for piece in pieces]
    assert [(row["run_id"], row["first_seq"], row["last_seq"]) for row in rows] == [
        (RUN, piece[0].seq, piece[-1].seq) for piece in pieces
    ]
    return [one for row in rows for one in to_recorded(row["first_seq"], row["data"])]


@given(log=logs(), cuts=st.sets(st.integers(1, 5)))
def test_a_log_cut_anyhow_comes_back_as_it_was(log: tuple[Recorded, ...], cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(log)), len(log)]
    pieces = [log[begin:end] for begin, end in pairwise(edges)]
    assert through_rows([log]) == through_rows(pieces) == list(log)


@given(log=logs(ANY), after=st.integers(0, 20_000_000))
def test_what_is_shown_with_no_event_yet_lies_in_a_row_of_no_number(log: tuple[Recorded, ...], after: int) -> None:
    unseen = Unseen(after, tuple(event for one in log for event in one.kept))
    stretch, beside = to_rows(LogPiece(RUN, log, unseen))
    assert (stretch, to_rows(LogPiece(RUN, (), unseen))) == (from_piece(LogPiece(RUN, log)), [beside])
    assert (beside["run_id"], beside["first_seq"], beside["last_seq"]) == (RUN, 0, 0)
    again = to_unseen(beside["data"])
    assert (again.after, [type(one) for one in again.events]) == (after, [type(one) for one in unseen.events])


@given(log=logs(ANY))
def test_no_text_of_a_model_is_an_error(log: tuple[Recorded, ...]) -> None:
    again = through_rows([log])
    assert [(one.seq, one.at, type(one.event)) for one in again] == [(one.seq, one.at, type(one.event)) for one in log]
    assert [len(one.kept) for one in again] == [len(one.kept) for one in log]


@given(texts=st.lists(ANY, min_size=1, max_size=8))
def test_an_unpaired_surrogate_comes_back_as_a_question_mark(texts: list[str]) -> None:
    log = [Recorded(1 + index, index, AnswerDelta(text)) for index, text in enumerate(texts)]
    expected = [AnswerDelta(text.encode("utf-8", "replace").decode()) for text in texts]
    assert [one.event for one in through_rows([log])] == expected


def test_two_texts_with_the_same_before_them_both_keep_it() -> None:
    before = (TurnFinished(FinishReason.STOP),)
    log = [Recorded(seq, 5, AnswerDelta("a"), before if seq != 3 else ()) for seq in (1, 2, 3, 4)]
    assert through_rows([log]) == log


def test_adjacent_text_is_joined() -> None:
    said = [AnswerDelta("Hel"), AnswerDelta("lo"), ReasoningText("hm"), AnswerDelta("!")]
    log = tuple(Recorded(7 + index, 1000 + 5 * index, event) for index, event in enumerate(said))
    assert from_piece(LogPiece(RUN, log))["data"] == (
        '[["answer",1000,"Hello",[3,2],[5]],["reasoning",1010,"hm",[2],[]],["answer",1015,"!",[1],[]]]'
    )
