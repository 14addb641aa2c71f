"""A run's states, and the numbers of its events: the laws hold whatever happens in whatever order."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from domain.dialogs.messages import AnswerStatus
from domain.errors import InvalidValue
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.runs.runs import (
    KEY_LIFETIME,
    LOST_NUMBERS,
    MAX_EVENTS,
    Idempotency,
    Run,
    RunStatus,
    event_id,
    parse_event_id,
    parse_idempotency_key,
    refuse_beyond,
    seq_after_crash,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ENDS = [status for status in AnswerStatus if status is not AnswerStatus.RUNNING]
RUN_ID = RunId("01JD0000000000000000000000")
moments = st.integers(-100, 100).map(lambda seconds: NOW + timedelta(seconds=seconds))


def queued(idempotency: Idempotency | None = None) -> Run:
    return Run(
        RUN_ID,
        UserId("u"),
        DialogId("d"),
        MessageId("m"),
        RunStatus.QUEUED,
        NOW,
        NOW + timedelta(seconds=15),
        idempotency,
    )


class LifeOfARun(RuleBasedStateMachine):
    """However it is renewed, asked to stop and closed: it ends once, and what it ended as stays."""

    def __init__(self) -> None:
        super().__init__()
        self.run = queued()
        self.ended: Run | None = None
        self.lease = self.run.lease_until

    def change(self, changed: Run | None) -> None:
        assert self.ended is None
        assert changed is not None
        self.run = changed

    @rule()
    def begin(self) -> None:
        if self.ended:
            with pytest.raises(ValueError, match="has ended"):
                self.run.begin()
        else:
            self.change(self.run.begin())
            assert self.run.status is RunStatus.RUNNING

    @rule(until=moments)
    def renew(self, until: datetime) -> None:
        if self.ended:
            with pytest.raises(ValueError, match="has ended"):
                self.run.renew(until)
        else:
            self.change(self.run.renew(until))
            self.lease = max(self.lease, until)
            assert self.run.lease_until == self.lease

    @rule()
    def ask_to_stop(self) -> None:
        if self.ended:
            with pytest.raises(ValueError, match="has ended"):
                self.run.ask_to_stop()
        else:
            self.change(self.run.ask_to_stop())
            assert self.run.status_if_abandoned is AnswerStatus.STOPPED

    @rule(status=st.sampled_from(ENDS), at=moments)
    def close(self, status: AnswerStatus, at: datetime) -> None:
        if self.ended:
            with pytest.raises(ValueError, match="has ended"):
                self.run.close(status, at)
        else:
            self.ended = self.run = self.run.close(status, at)
            assert (self.run.status.value, self.run.closed_at) == (status.value, at)

    @invariant()
    def it_is_open_until_it_ended_and_never_again(self) -> None:
        assert self.run.is_open == (self.ended is None)
        assert self.ended in (None, self.run)
        assert self.run.is_open == (self.run.status in {RunStatus.QUEUED, RunStatus.RUNNING})

    @invariant()
    def only_an_open_run_is_abandoned_and_only_after_its_lease(self) -> None:
        assert not self.run.is_abandoned(self.run.lease_until)
        assert self.run.is_abandoned(self.run.lease_until + timedelta(microseconds=1)) == self.run.is_open


TestLifeOfARun = LifeOfARun.TestCase


def test_a_run_does_not_end_as_running() -> None:
    with pytest.raises(ValueError, match="running"):
        queued().close(AnswerStatus.RUNNING, NOW)


def test_every_way_that_an_answer_ends_is_a_way_that_a_run_ends() -> None:
    assert {status.value for status in RunStatus} - {"queued", "waiting"} == {status.value for status in AnswerStatus}


@given(st.text("abc", min_size=1), st.text("xyz"), st.text("xyz"))
def test_a_key_covers_what_was_asked_under_it_and_nothing_else(key: str, asked: str, other: str) -> None:
    given_key = Idempotency(key, asked)
    if asked == other:
        given_key.covers(other)
    else:
        with pytest.raises(InvalidValue) as refused:
            given_key.covers(other)
        assert refused.value.code == "idempotency_key_reused"


@given(st.floats(-1e6, 1e6))
def test_a_key_is_honoured_for_a_day(seconds: float) -> None:
    run = queued(Idempotency("key", "digest"))
    later = NOW + timedelta(seconds=seconds)
    assert run.honours("key", later) == (later < NOW + KEY_LIFETIME)
    assert not run.honours("another", later)
    assert not queued().honours("key", later)


@given(st.text(max_size=300))
def test_a_key_is_visible_ascii_or_refused(raw: str) -> None:
    good = 1 <= len(raw) <= 255 and all(33 <= ord(char) <= 126 for char in raw)
    if good:
        assert parse_idempotency_key(raw) == raw
    else:
        with pytest.raises(InvalidValue):
            parse_idempotency_key(raw)


@given(st.integers(0, 10**9 - 1))
def test_the_id_of_an_event_says_its_number(seq: int) -> None:
    assert parse_event_id(RUN_ID, event_id(RUN_ID, seq)) == seq


@given(st.text(max_size=40))
def test_anything_else_is_no_id_of_an_event(raw: str) -> None:
    name, colon, number = raw.rpartition(":")
    if raw and not (name == RUN_ID and colon and number.isascii() and number.isdigit()):
        with pytest.raises(InvalidValue):
            parse_event_id(RUN_ID, raw)


@pytest.mark.parametrize(
    "raw", [f"{RUN_ID}:-1", f"{RUN_ID}:1.5", f"{RUN_ID}:", f"{RUN_ID}:٣", "x:1", f"{RUN_ID}:1" * 9]
)
def test_ids_of_no_event_of_the_run_are_refused(raw: str) -> None:
    with pytest.raises(InvalidValue):
        parse_event_id(RUN_ID, raw)


def test_no_id_is_the_beginning() -> None:
    assert parse_event_id(RUN_ID, None) == parse_event_id(RUN_ID, "") == 0


@given(st.integers(0, MAX_EVENTS), st.integers(0, MAX_EVENTS))
def test_whoever_has_what_a_dead_process_showed_is_before_its_end_and_whoever_has_the_end_is_not(
    stored: int, shown_unstored: int
) -> None:
    end = seq_after_crash(stored)
    assert stored + min(shown_unstored, LOST_NUMBERS - 1) < end
    refuse_beyond(stored + shown_unstored, end)
    with pytest.raises(InvalidValue):
        refuse_beyond(end + 1, end)
    assert len(str(seq_after_crash(MAX_EVENTS))) <= 9
