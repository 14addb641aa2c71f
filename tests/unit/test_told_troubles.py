"""What the log says of jobs and upkeep that failed: always why, and the place of defects alone."""

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ports.job_queue import Job, JobKind
from domain.errors import ModelError, Unavailable
from entrypoints.graph.jobs import _failed
from entrypoints.graph.knowledge import _not_asked, _not_kept
from entrypoints.told_troubles import AN_HOUR, Seldom

REFUSED = ModelError("model_auth_failed", "The key was refused.")
Tell = Callable[[Exception], None]


def _of_a_job(trouble: Exception) -> None:
    _failed(Job(JobKind.REINDEX, "base-1"), trouble)


WAYS = [(_of_a_job, "job_failed"), (_not_asked, "work_not_asked_for_yet"), (_not_kept, "knowledge_not_kept_up_yet")]


def cause(line: logging.LogRecord) -> str:
    return str(line.__dict__["cause"])


@pytest.mark.parametrize(("tell", "event"), WAYS)
def test_a_refusal_is_a_warning_that_says_why(caplog: pytest.LogCaptureFixture, tell: Tell, event: str) -> None:
    tell(REFUSED)
    [line] = caplog.records
    assert (line.message, line.levelname, cause(line)) == (event, "WARNING", "The key was refused.")
    assert line.exc_info is None


@pytest.mark.parametrize(("tell", "event"), WAYS)
def test_an_outage_without_words_is_told_by_its_name(caplog: pytest.LogCaptureFixture, tell: Tell, event: str) -> None:
    tell(TimeoutError())
    [line] = caplog.records
    assert (line.message, line.levelname, cause(line)) == (event, "WARNING", "TimeoutError")


@pytest.mark.parametrize(("tell", "event"), WAYS)
def test_a_defect_is_an_error_with_its_place(caplog: pytest.LogCaptureFixture, tell: Tell, event: str) -> None:
    tell(ZeroDivisionError("division by zero"))
    [line] = caplog.records
    assert (line.message, line.levelname, cause(line)) == (event, "ERROR", "division by zero")
    assert line.exc_info is not None
    assert line.exc_info[0] is ZeroDivisionError


def test_a_failed_job_names_what_it_was_about(caplog: pytest.LogCaptureFixture) -> None:
    _of_a_job(REFUSED)
    assert (caplog.records[0].__dict__["kind"], caplog.records[0].__dict__["subject"]) == ("reindex", "base-1")


@given(times=st.lists(st.floats(0, 5 * AN_HOUR), min_size=1, max_size=200).map(sorted))
def test_what_lasts_is_told_at_once_and_then_once_an_hour(times: list[float]) -> None:
    now, told = [0.0], list[tuple[float, str]]()
    log = logging.getLogger("agentchat.test_told_troubles")
    log.propagate, log.handlers = False, [_Kept(told, now)]
    tell = Seldom(log, "left", clock=lambda: now[0])
    for now[0] in times:
        for code in ("a", "b"):
            tell(Unavailable(code, f"It is {code}."))
    for code in ("a", "b"):
        at = [moment for moment, said in told if said == f"It is {code}."]
        assert at[0] == times[0]
        assert all(later - earlier >= AN_HOUR for earlier, later in pairwise(at))
        assert all(any(0 <= moment - one < AN_HOUR for one in at) for moment in times)


class _Kept(logging.Handler):
    def __init__(self, told: list[tuple[float, str]], now: list[float]) -> None:
        super().__init__()
        self._told, self._now = told, now

    def emit(self, record: logging.LogRecord) -> None:
        self._told.append((self._now[0], cause(record)))
