"""How checks run beside each other, and how what they find is told."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.web.client import WebClient
from entrypoints.doctor.checks import CHECKS
from entrypoints.doctor.configuration import advised
from entrypoints.doctor.examination import examine
from entrypoints.doctor.findings import Finding, Status, exit_code, fail, ok, skip, warn
from entrypoints.doctor.remote import Remote
from entrypoints.doctor.report import Report, summary
from entrypoints.doctor.subject import Check, Run, Subject
from entrypoints.settings.loading import Settings, load_settings

SECRET = "a-long-secret-that-nobody-sees"


def told(*checks: Check, seconds: float = 40.0) -> list[Finding]:
    """What the checks find, which is what was told as they ran."""
    heard: list[Finding] = []
    subject = Subject(Settings(), Remote("http://x"), WebClient(), AsyncExitStack())
    found = asyncio.run(examine(subject, checks, heard.append, seconds))
    assert found == heard
    return found


def finds(*findings: Finding) -> Run:
    async def run(_: Subject) -> Sequence[Finding]:
        return findings

    return run


async def hangs(_: Subject) -> Sequence[Finding]:
    await asyncio.Event().wait()
    return []


async def breaks(_: Subject) -> Sequence[Finding]:
    raise RuntimeError(f"connecting to http://ada:{SECRET}@db failed")


def test_a_failure_ends_nothing_but_what_depends_on_it() -> None:
    found = told(
        Check("a", finds(fail("a", "broken", "mend it"))),
        Check("b", finds(ok("b", "fine")), needs=("a",)),
        Check("c", finds(ok("c", "fine")), needs=("b",)),
        Check("d", finds(ok("d", "fine"))),
    )
    assert [finding.status for finding in found] == [Status.FAIL, Status.SKIP, Status.SKIP, Status.OK]
    assert found[1].message == "needs a"


def test_a_warning_or_anothers_failure_stands_in_nobodys_way() -> None:
    found = told(
        Check("a", finds(warn("a", "hm", "mend"), fail("detail", "bad", "mend"))),
        Check("b", finds(ok("b", "fine")), needs=("a",)),
    )
    assert found[-1].status is Status.OK


def test_a_check_that_hangs_is_left() -> None:
    hanging, after = told(Check("a", hangs, seconds=0.01), Check("b", finds(ok("b", "fine"))))
    assert (hanging.status, after.status) == (Status.FAIL, Status.OK)


def test_what_the_whole_has_no_time_for_is_skipped() -> None:
    found = told(Check("a", hangs), Check("b", finds(ok("b", "fine"))), seconds=0.01)
    assert [finding.status for finding in found] == [Status.FAIL, Status.SKIP]


def test_a_check_that_breaks_tells_its_kind_of_error_and_not_its_text() -> None:
    [found] = told(Check("a", breaks))
    assert found.status is Status.FAIL
    assert "RuntimeError in breaks" in found.message
    assert SECRET not in found.message


def test_every_check_needs_only_what_ran_before_it() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for index, check in enumerate(CHECKS):
        assert set(check.needs) <= set(names[:index])


def test_every_check_is_on_the_page_of_operations() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    section = page.partition("## Examining a set-up")[2].partition("\n## ")[0]
    assert [check.name for check in CHECKS if f"`{check.name}`" not in section] == []


findings = st.lists(st.builds(Finding, st.just("a"), st.sampled_from(Status), st.just("m"), st.just("")))


@given(findings)
def test_only_a_failure_fails(found: list[Finding]) -> None:
    assert exit_code(found) == any(finding.status is Status.FAIL for finding in found)


def test_a_line_tells_the_finding_and_the_next_what_to_change() -> None:
    report = Report(Settings())
    assert report.lines(ok("clock", "agrees")) == "ok    clock          agrees"
    assert report.lines(warn("clock", "late", "set it")) == "warn  clock          late\n      set it"


def test_json_is_a_list_of_findings() -> None:
    written = Report(Settings()).as_json([skip("clock", "needs database")])
    assert json.loads(written) == [{"name": "clock", "status": "skip", "message": "needs database", "mend": ""}]


def test_the_summary_counts() -> None:
    assert summary([ok("a", ""), ok("b", ""), fail("c", "", "")]) == "2 ok, 1 failed"


@pytest.mark.parametrize(
    "variable",
    [
        "AGENTCHAT_SECRET_KEYS",
        "AGENTCHAT_MODELS__gpt-4__API_KEY",
        "OPENAI_API_KEY",
        "AGENTCHAT_STORAGE__SECRET_KEY",
        "AGENTCHAT_DATABASE_URL",
    ],
)
def test_no_secret_of_the_settings_is_ever_told(variable: str, tmp_path: Path) -> None:
    padded = SECRET * 2
    values = {
        "AGENTCHAT_SECRET_KEYS": json.dumps([padded]),
        "AGENTCHAT_DATABASE_URL": f"postgresql://ada:{padded}@db/chat",
    }
    environ = {"AGENTCHAT_SECRET_KEYS": json.dumps(["0" * 32]), variable: values.get(variable, padded)}
    report = Report(load_settings(environ, tmp_path))
    leak = fail("a", f"said {padded}", f"use {padded}")
    assert SECRET not in report.lines(leak) + report.as_json([leak])


def test_advice_is_taken_apart_into_what_is_and_what_to_set() -> None:
    found = advised("Passwords are short: set password_min_length to 12.")
    assert (found.message, found.mend) == ("Passwords are short", "set password_min_length to 12")
    assert advised("These settings have no effect in this version: storage.kind.").mend == "unset storage.kind"
