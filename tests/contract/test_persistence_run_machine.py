"""Any history of several runs: their logs, from any number on, are those of a model in memory."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from adapters.database.transactions import DatabaseTransactions
from application.ports.runs import LogPiece
from domain.chat.chat_events import AnswerDelta, ReasoningText, Recorded
from domain.dialogs.messages import Answer
from domain.errors import DomainError
from domain.ids import DialogId, RunId, UserId
from domain.runs.runs import Run, seq_after_crash
from stored import dialog, finished, open_answer, question, run_of, seconds, user

T = TypeVar("T")
DIALOGS = st.integers(0, 2)
WHICH = st.integers(0, 20)
SAID = st.lists(st.tuples(st.booleans(), st.sampled_from(["", "a", "\x00", "🙂", "longer text\n"])), max_size=4)


class SeveralRuns(RuleBasedStateMachine):
    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.transactions = DatabaseTransactions.open(url)
        self.moment = 0
        self.owner = UserId("")
        self.runs: list[Run] = []
        self.answers: dict[RunId, Answer] = {}
        self.logs: dict[RunId, list[LogPiece]] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T | str:
        """What it gave, or the code of its refusal."""
        try:
            return self.runner.run(work)
        except DomainError as refused:
            return refused.code

    async def do(self, method: str, *arguments: Any, **named: Any) -> Any:
        async with self.transactions.autocommit() as tx:
            return await getattr(tx.runs, method)(*arguments, **named)

    def next_piece(self, run: Run, said: list[tuple[bool, str]]) -> LogPiece:
        last = self.last_seq(run)
        kinds = [(AnswerDelta if answer else ReasoningText)(text) for answer, text in [*said, (True, "x")]]
        return LogPiece(run.run_id, tuple(Recorded(last + 1 + index, index, one) for index, one in enumerate(kinds)))

    def last_seq(self, run: Run) -> int:
        return max((one.last_seq for one in self.logs[run.run_id]), default=0)

    @initialize()
    def somebody_has_dialogs(self) -> None:
        one = user()
        self.owner = one.user_id

        async def store() -> None:
            async with self.transactions.begin() as tx:
                await tx.users.add(one)
                for number in range(3):
                    await tx.dialogs.add(dialog(self.owner, f"d{number}"))

        self.runner.run(store())

    @rule(number=DIALOGS)
    def open(self, number: int) -> None:
        dialog_id = DialogId(f"d{number}")
        answer = open_answer(dialog_id)
        run = run_of(answer, self.owner)
        busy = any(one.is_open and one.dialog_id == dialog_id for one in self.runs)
        assert self.run(self.do("open", run, question(dialog_id), answer)) == ("dialog_busy" if busy else None)
        if not busy:
            self.runs.append(run)
            self.answers[run.run_id], self.logs[run.run_id] = answer, []

    @rule(which=st.sets(WHICH), said=SAID, repeat=st.booleans())
    def append(self, which: set[int], said: list[tuple[bool, str]], repeat: bool) -> None:
        chosen = [run for number, run in enumerate(self.runs) if number in which]
        pieces = [self.next_piece(run, said) for run in chosen]
        for _ in range(2 if repeat else 1):
            expected = {run.run_id: run.stop_requested for run in chosen if run.is_open}
            assert self.run(self.do("append", pieces)) == expected
        for run, one in zip(chosen, pieces, strict=True):
            if run.is_open:
                self.logs[run.run_id].append(one)

    @rule(which=WHICH, said=SAID, crashed=st.booleans(), repeat=st.booleans())
    def close(self, which: int, said: list[tuple[bool, str]], crashed: bool, repeat: bool) -> None:
        for number, run in list(enumerate(self.runs))[which : which + 1]:
            end = self.next_piece(run, said)
            if crashed:
                last = seq_after_crash(self.last_seq(run))
                end = LogPiece(run.run_id, (Recorded(last, 1, AnswerDelta("end")),))
            self.moment += 1
            closed = replace(finished(self.answers[run.run_id]), closed_at=seconds(self.moment))
            pieces = [*self.logs[run.run_id][-1:], end] if repeat else [end]
            for _ in range(2 if repeat else 1):
                assert self.run(self.do("close", closed, pieces, owner=self.owner)) is run.is_open
            if run.is_open and closed.closed_at is not None:
                self.runs[number] = run.close(closed.status, closed.closed_at)
                self.logs[run.run_id].append(end)

    @rule(which=st.sets(WHICH), until=st.integers(0, 99))
    def renew(self, which: set[int], until: int) -> None:
        chosen = [(number, run) for number, run in enumerate(self.runs) if number in which]
        expected = {run.run_id: run.stop_requested for _, run in chosen if run.is_open}
        assert self.run(self.do("renew", [run.run_id for _, run in chosen], seconds(until))) == expected
        for number, run in chosen:
            if run.is_open:
                self.runs[number] = run.renew(seconds(until))

    @rule(which=WHICH)
    def request_stop(self, which: int) -> None:
        for number, run in list(enumerate(self.runs))[which : which + 1]:
            self.run(self.do("request_stop", run.run_id))
            if run.is_open:
                self.runs[number] = run.ask_to_stop()

    @rule(now=st.integers(0, 99))
    def look_for_abandoned(self, now: int) -> None:
        everyones = self.runner.run(self.do("abandoned", seconds(now), 9999))
        found = [one for one in everyones if one.user_id == self.owner]
        assert {one.run_id for one in found} == {one.run_id for one in self.runs if one.is_abandoned(seconds(now))}
        assert [one.lease_until for one in found] == sorted(one.lease_until for one in found)

    @rule(which=WHICH, after=st.integers(0, 12), limit=st.integers(1, 9))
    def read_on(self, which: int, after: int, limit: int) -> None:
        for run in self.runs[which : which + 1]:
            pieces = [one for one in self.logs[run.run_id] if one.last_seq > after][:limit]
            expected = [event for one in pieces for event in one.events if event.seq > after]
            assert self.run(self.do("log", run.run_id, after, limit)) == expected

    @invariant()
    def runs_are_as_they_should_be(self) -> None:
        for run in self.runs[-3:]:
            expected = replace(run, last_seq=self.last_seq(run))
            assert self.run(self.do("get", run.run_id, owner=self.owner)) == expected

    def teardown(self) -> None:
        self.runner.run(self.transactions.aclose())
        self.runner.close()


def test_any_history_of_several_runs(database_url: str) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: SeveralRuns(database_url), settings=settings(max_examples=20, stateful_step_count=30)
    )
