"""The log in memory and what is stored behind it: however writing goes, the stored pieces are the log."""

from hypothesis import given
from hypothesis import strategies as st

from application.ports.runs import LogPiece, Unseen
from application.runs.run_log import MAX_PIECE, RunLog
from domain.chat.chat_events import AnswerDelta, Recorded, RunFinished, TurnFinished
from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import AnswerStatus
from domain.ids import DialogId, MessageId, RunId

RUN_ID = RunId("run")
DONE = RunFinished(
    AnswerStatus.COMPLETE, "", MessageId("m"), RUN_ID, DialogId("d"), "model", Usage(), (), FinishReason.STOP
)


class Stored:
    """Keeps the first piece of each number, and what lies beside them, as the database does."""

    def __init__(self) -> None:
        self.pieces: dict[int, LogPiece] = {}
        self.unseen: Unseen | None = None

    def take(self, piece: LogPiece) -> None:
        if piece.events:
            self.pieces.setdefault(piece.first_seq, piece)
        self.unseen = piece.unseen or self.unseen

    @property
    def kept(self) -> int:
        """What another process would know of."""
        events, unseen = self.events, self.unseen
        beside = unseen.events if unseen and unseen.after == len(events) else ()
        return sum(len(one.kept) for one in events) + len(beside)

    @property
    def events(self) -> list[Recorded]:
        return [one for _, piece in sorted(self.pieces.items()) for one in piece.events]


acts = st.lists(st.sampled_from(["say", "say", "keep", "write", "fail", "lose word"]), max_size=60)


@given(acts)
def test_what_is_stored_at_the_end_is_the_log_whatever_was_lost_on_the_way(done: list[str]) -> None:
    log, stored, known = RunLog(RUN_ID), Stored(), 0
    for act in done:
        if act == "say":
            log.record(AnswerDelta("word"))
        elif act == "keep":
            log.keep(TurnFinished(FinishReason.STOP))
        elif piece := log.next_piece():
            if act != "fail":
                stored.take(piece)
            if act == "write":
                log.acknowledge(piece)
                known = stored.kept
        assert stored.kept >= known
        assert stored.events == log.events[: len(stored.events)]
    last = log.stamped([DONE])
    for piece in log.rest(last):
        stored.take(piece)
    assert stored.events == [*log.events, *last]
    assert [one.seq for one in stored.events] == list(range(1, len(stored.events) + 1))
    assert sum(len(one.kept) for one in stored.events) == done.count("keep")


@given(acts)
def test_all_that_was_kept_is_stored_by_two_flushes_and_the_same_never_twice(done: list[str]) -> None:
    """Two: what came while a piece was on its way is in the next one."""
    log, stored = RunLog(RUN_ID), Stored()
    for act in done:
        if act == "say":
            log.record(AnswerDelta("word"))
        elif act == "keep":
            log.keep(TurnFinished(FinishReason.STOP))
        elif piece := log.next_piece():
            stored.take(piece)
            if act == "write":
                log.acknowledge(piece)
    for _ in range(2):
        if piece := log.next_piece():
            stored.take(piece)
            log.acknowledge(piece)
    assert stored.kept == done.count("keep")
    assert stored.events == log.events
    assert log.next_piece() is None


@given(st.integers(0, 3 * MAX_PIECE))
def test_a_long_rest_goes_in_portions(count: int) -> None:
    log = RunLog(RUN_ID)
    for _ in range(count):
        log.record(AnswerDelta(""))
    pieces = log.rest(log.stamped([DONE]))
    assert max(len(piece.events) for piece in pieces) <= MAX_PIECE
    assert [one.seq for piece in pieces for one in piece.events] == list(range(1, count + 2))


@given(st.integers(0, 20), st.integers(0, 25), st.booleans())
def test_a_reader_goes_on_after_what_it_has(count: int, seq: int, ended_elsewhere: bool) -> None:
    log = RunLog(RUN_ID)
    for _ in range(count):
        log.record(AnswerDelta("word"))
    log.events.append(Recorded(count + (1000 if ended_elsewhere else 1), 0, DONE))
    rest = log.events[log.index_after(seq) :]
    assert all(one.seq > seq for one in rest)
    assert [one for one in log.events if one.seq > seq] == rest
    assert log.ended_elsewhere == ended_elsewhere
    assert log.events[log.index_after(log.last_seq) :] == []
