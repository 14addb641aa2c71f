"""The plain numbers behind /metrics: they only grow, and no name that somebody makes up makes them many."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.files.file_statistics import BROKEN_OFF, ReadingStatistics, UploadStatistics
from application.runs.run_statistics import LOOKED_THROUGH, RunStatistics
from application.tallies import OTHER, Durations, Tally
from domain.chat.chat_events import AnswerDelta, ChatEvent, ReasoningText, Recorded, RunFailed, RunFinished
from domain.conversation.conversation import Usage
from domain.dialogs.messages import AnswerStatus
from domain.errors import TooLarge, TooManyRequests
from domain.files.documents import ParsedDocument, Unreadable
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.runs.runs import Run, RunStatus
from entrypoints.http.http_statistics import METHODS, HttpStatistics
from spending import attempt

ASKED = datetime(2026, 11, 23, 12, tzinfo=UTC)
RUN = Run(RunId("r"), UserId("u"), DialogId("d"), MessageId("m"), RunStatus.RUNNING, ASKED, ASKED)
ENDS = [AnswerStatus.COMPLETE, AnswerStatus.STOPPED, AnswerStatus.INTERRUPTED, AnswerStatus.FAILED]


def done(status: AnswerStatus, model: str = "gpt") -> RunFinished:
    ids = RUN.message_id, RUN.run_id, RUN.dialog_id
    return RunFinished(status, "", *ids, model, Usage(), (), None)


def log(*events: ChatEvent, after: float = 0.0) -> list[Recorded]:
    at = int((ASKED + timedelta(seconds=after)).timestamp() * 1000)
    return [Recorded(number, at, event) for number, event in enumerate(events, 1)]


@given(st.lists(st.text(max_size=3)), st.integers(1, 5))
def test_a_tally_keeps_the_first_labels_and_loses_no_count(labels: list[str], most: int) -> None:
    tally, seen = Tally(most), Counter[str]()
    for label in labels:
        before = dict(tally)
        tally.add(label)
        assert all(tally[key] >= count for key, count in before.items())
        seen[label if label in seen or len(seen) < most else OTHER] += 1
    assert sum(count for _, count in tally) == len(labels)
    assert len(dict(tally)) <= most + 1
    first = list(dict.fromkeys(labels))[:most]
    assert all(tally[(label,)] == labels.count(label) for label in first if label != OTHER)


def test_nothing_takes_a_count_away() -> None:
    tally = Tally()
    tally.add("a", amount=5)
    tally.add("a", amount=-3)
    assert tally["a",] == 5


@given(st.lists(st.floats(-1, 200)))
def test_durations_stand_under_the_first_bound_that_they_do_not_pass(taken: list[float]) -> None:
    durations = Durations((0.1, 1.0, 60.0))
    for seconds in taken:
        durations.add(seconds)
    below = [sum(seconds <= bound for seconds in taken) for bound in durations.bounds]
    assert [sum(durations.counts[: number + 1]) for number in range(3)] == below
    assert sum(durations.counts) == len(taken)
    assert durations.total == pytest.approx(sum(max(0, seconds) for seconds in taken))


@given(st.lists(st.tuples(st.text(), st.none() | st.just("/a/{id}"), st.sampled_from([0, 200, 404, 500]))))
def test_methods_that_clients_make_up_are_one(requests: list[tuple[str, str | None, int]]) -> None:
    http = HttpStatistics()
    for method, route, status in requests:
        http.answered(method, route, status, 0.01)
    assert {method for (method, _, _), _ in http.requests} <= METHODS | {OTHER}
    assert {route for (_, route, _), _ in http.requests} <= {"/a/{id}", "unknown"}
    assert sum(count for _, count in http.requests) == len(requests)
    begun = sum(sum(one.counts) for one in http.begun.values())
    assert begun == sum(status != 0 for _, _, status in requests)


@pytest.mark.parametrize("status", ENDS)
def test_an_end_counts_under_its_status(status: AnswerStatus) -> None:
    runs = RunStatistics({"gpt"})
    assert {labels for labels, count in runs.ended} == {(one.value, "") for one in ENDS}
    runs.run_ended(RUN, log(AnswerDelta("hi"), done(status), after=2.0))
    assert runs.ended[status.value, ""] == 1
    assert runs.first_text["gpt"].total == pytest.approx(2.0)


def test_what_was_used_counts_by_the_model_that_was_asked() -> None:
    runs = RunStatistics({"gpt", "old"})
    runs.used([attempt(llm_id="old", usage=Usage(5, 0), cost_nanos=None)])
    runs.used([attempt(llm_id="gpt", usage=Usage(30, 4, 20)), attempt(llm_id="gpt", cost_nanos=7, usage=Usage())])
    assert [runs.tokens["gpt", one] for one in ("input", "output", "cached")] == [30, 4, 20]
    assert (runs.tokens["old", "input"], runs.tokens["old", "output"]) == (5, 0)
    assert dict(runs.costs) == {("gpt", "USD"): 1_507}


def test_the_code_says_why_a_run_failed_or_was_interrupted() -> None:
    runs = RunStatistics({"gpt"})
    runs.run_ended(RUN, log(RunFailed("model_timeout", "", True), done(AnswerStatus.FAILED)))
    late = AnswerDelta("one word more")
    runs.run_ended(RUN, log(RunFailed("run_time_limit", "", True), late, done(AnswerStatus.INTERRUPTED)))
    assert runs.ended["failed", "model_timeout"] == 1
    assert runs.ended["interrupted", "run_time_limit"] == 1


def test_the_first_text_is_not_the_first_thought_and_is_not_looked_for_for_ever() -> None:
    runs = RunStatistics({"gpt"})
    thoughts = [ReasoningText("hm")] * LOOKED_THROUGH
    last = log(AnswerDelta("x"), done(AnswerStatus.COMPLETE), after=5)
    runs.run_ended(RUN, [*log(*thoughts[:-1], after=1), *last])
    assert runs.first_text["gpt"].total == pytest.approx(5.0)
    runs.run_ended(RUN, [*log(*thoughts), *last])
    assert sum(runs.first_text["gpt"].counts) == 1


def test_an_answer_from_before_its_question_took_no_time() -> None:
    runs = RunStatistics({"gpt"})
    runs.run_ended(replace(RUN, created_at=ASKED + timedelta(days=1)), log(AnswerDelta("x"), done(ENDS[0])))
    assert runs.first_text["gpt"].total == 0


@pytest.mark.parametrize("events", [[], log(AnswerDelta("half"))])
def test_a_log_without_an_end_counts_nowhere(events: list[Recorded]) -> None:
    runs = RunStatistics({"gpt"})
    runs.run_ended(RUN, events)
    assert sum(count for _, count in runs.ended) == 0


@given(st.lists(st.text(min_size=1)))
def test_models_that_the_configuration_does_not_name_are_one(models: list[str]) -> None:
    runs = RunStatistics({"gpt"})
    for model in models:
        runs.run_ended(RUN, log(AnswerDelta("x"), done(ENDS[0], model)))
        runs.used([attempt(llm_id=model, currency=model)])
    assert {model for (model, _), _ in runs.tokens} <= {"gpt", OTHER}
    assert {labels for labels, _ in runs.costs} <= {("gpt", "gpt")}
    assert runs.first_text.keys() <= {"gpt", OTHER}
    assert runs.ended["complete", ""] == len(models)


@given(st.lists(st.text(max_size=4), max_size=300))
def test_codes_without_number_do_not_fill_the_memory(codes: list[str]) -> None:
    runs = RunStatistics()
    for code in codes:
        runs.run_ended(RUN, log(RunFailed(code, "", False), done(AnswerStatus.FAILED)))
        with pytest.raises(TooManyRequests), runs.refusals():
            raise TooManyRequests(code, "")
    assert max(len(dict(runs.ended)), len(dict(runs.refused))) <= 201
    assert sum(count for _, count in runs.refused) == len(codes)


def test_an_upload_that_comes_to_nothing_says_why() -> None:
    uploads = UploadStatistics()
    with pytest.raises(TooLarge), uploads.failures():
        raise TooLarge("file", "too large", code="file_too_large")
    with pytest.raises(ConnectionError), uploads.failures():
        raise ConnectionError
    with uploads.failures():
        pass
    assert dict(uploads.outcomes) == {("taken",): 0, ("file_too_large",): 1, (BROKEN_OFF,): 1}


def test_a_document_counts_by_kind_outcome_and_whether_it_was_known() -> None:
    readings = ReadingStatistics()
    readings.done("pdf", ParsedDocument("text", ()), known=False)
    readings.done("pdf", ParsedDocument("text", ()), known=True)
    readings.done("docx", Unreadable("file_encrypted", "is locked"), known=False)
    with pytest.raises(TooManyRequests), readings.failures("csv"):
        raise TooManyRequests("busy", "")
    assert dict(readings.outcomes) == {
        ("pdf", "read", "no"): 1,
        ("pdf", "read", "yes"): 1,
        ("docx", "file_encrypted", "no"): 1,
        ("csv", "busy", "no"): 1,
    }
