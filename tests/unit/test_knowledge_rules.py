"""What a knowledge file goes through, and how its tries are counted."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.ids import KnowledgeFileId, KnowledgeId, UserId
from domain.knowledge.knowledge import (
    CRASHED,
    DESCRIPTION_MAX,
    MOST_ATTEMPTS,
    MOST_SILENT,
    NAME_MAX,
    SILENT_COSTS,
    IngestionError,
    IngestionStatus,
    KnowledgeBase,
    KnowledgeDraft,
    KnowledgeFile,
    Stage,
    may_try_again,
    pause_before,
)
from stored import NOW, stored_file

LATER = NOW + timedelta(seconds=1)
OWNER = UserId("owner")
ERROR = IngestionError("parser_unavailable", "There is nothing to read with.")
STEPS = st.lists(st.sampled_from(["begun", "advanced", "set_back", "not_tried"]), max_size=30)


def new_file() -> KnowledgeFile:
    return KnowledgeFile.create(KnowledgeFileId("f"), KnowledgeId("k"), stored_file(OWNER), NOW)


def after(steps: list[str]) -> KnowledgeFile:
    file = new_file()
    for step in steps:
        file = file.set_back(ERROR, LATER) if step == "set_back" else getattr(file, step)(LATER)
    return file


def base(**given: str) -> KnowledgeBase:
    draft = KnowledgeDraft(**({"name": "Handbook"} | given))
    return KnowledgeBase.create(KnowledgeId("k"), OWNER, draft, "m", NOW)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("name", "", "knowledge_name"),
        ("name", " \t", "knowledge_name"),
        ("name", "x" * (NAME_MAX + 1), "knowledge_name"),
        ("name", "a\nb", "knowledge_name"),
        ("description", "x" * (DESCRIPTION_MAX + 1), "knowledge_desc"),
        ("description", "\x00", "knowledge_desc"),
    ],
)
def test_a_bad_field_of_a_base_is_named(field: str, value: str, named: str) -> None:
    with pytest.raises(InvalidValue) as made:
        base(**{field: value})
    with pytest.raises(InvalidValue) as changed:
        base().change(KnowledgeDraft(**{field: value}), LATER)
    for refused in (made.value, changed.value):
        assert [problem.name for problem in refused.fields] == [named]


def test_a_base_needs_a_name() -> None:
    with pytest.raises(InvalidValue):
        KnowledgeBase.create(KnowledgeId("k"), OWNER, KnowledgeDraft(), None, NOW)


@given(st.none() | st.text("ab", min_size=1, max_size=5), st.none() | st.text("ab \n", max_size=5))
def test_a_change_of_a_base_touches_only_what_it_names(name: str | None, description: str | None) -> None:
    changed = base(description="old").change(KnowledgeDraft(name, description), LATER)
    assert changed.name == (name or "Handbook")
    assert changed.description == ("old" if description is None else description)
    assert (changed.knowledge_id, changed.created_at, changed.updated_at, changed.model) == ("k", NOW, LATER, "m")


@given(STEPS)
def test_so_many_tries_without_progress_are_enough_whatever_they_end_with(steps: list[str]) -> None:
    since = 0
    file = new_file()
    for step in steps:
        file = file.set_back(ERROR, LATER) if step == "set_back" else getattr(file, step)(LATER)
        before = max(0, since - SILENT_COSTS)
        since = {"begun": since + SILENT_COSTS, "advanced": 0, "set_back": before + 1, "not_tried": before}[step]
        assert file.attempts == since
        assert file.is_given_up is (since >= MOST_ATTEMPTS)


TRIES = st.lists(st.sampled_from([["begun"], ["begun", "set_back"], ["begun", "not_tried"]]), max_size=30)


@given(TRIES)
def test_reasons_are_borne_longer_than_silence_and_what_was_called_off_is_no_failure(tries: list[list[str]]) -> None:
    silent, told = tries.count(["begun"]), tries.count(["begun", "set_back"])
    file = after([step for one in tries for step in one])
    assert file.is_given_up is (SILENT_COSTS * silent + told >= MOST_ATTEMPTS)
    if not told:
        assert file.is_given_up is (silent >= MOST_SILENT)


def test_an_outage_of_twenty_minutes_is_outlasted_and_a_killer_is_soon_given_up() -> None:
    pauses = sum((pause_before(attempt) for attempt in range(1, MOST_ATTEMPTS)), timedelta())
    assert timedelta(minutes=20) <= pauses <= timedelta(minutes=30)
    assert 2 <= MOST_SILENT <= 4


def test_a_try_that_breaks_off_is_not_blamed_on_an_older_error() -> None:
    broken_off = after(["begun", "set_back", *["begun"] * MOST_SILENT])
    assert broken_off.is_given_up
    assert broken_off.failed(LATER).error == CRASHED


@given(STEPS)
def test_a_failed_file_has_a_reason_and_no_chunks(steps: list[str]) -> None:
    file = after(steps).planned("p", 9, LATER).given_up(ERROR, LATER)
    assert file.is_given_up
    assert file.status is IngestionStatus.PROCESS
    failed = file.failed(LATER)
    assert (failed.status, failed.error, failed.chunks, failed.plan) == (IngestionStatus.FAIL, ERROR, 0, None)


@given(STEPS, st.integers(1, 50), st.data())
def test_progress_is_whole_for_success_alone(steps: list[str], total: int, data: st.DataObject) -> None:
    file = after(steps)
    assert 0 <= file.progress < 1
    planned = file.planned("p", total, LATER)
    shown = [replace(planned, chunks=count).progress for count in range(total + 1)]
    assert shown == sorted(shown)
    assert 0.1 <= shown[0] <= shown[-1] < 1
    done = replace(planned, chunks=data.draw(st.integers(0, total))).succeeded(LATER)
    assert (done.progress, done.stage, done.error, done.attempts) == (1, Stage.DONE, None, 0)
    assert file.failed(LATER).progress < 1


@given(st.integers(-3, 10_000))
def test_pauses_grow_to_a_bound(attempt: int) -> None:
    assert timedelta(seconds=2) <= pause_before(attempt) <= pause_before(attempt + 1) <= timedelta(minutes=5)
    assert may_try_again(attempt) is (attempt < MOST_ATTEMPTS)
