"""What a check found, and what it means for the exit code."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` says exactly what to change; "" for what is well, or was not tried."""

    name: str
    status: Status
    message: str
    mend: str = ""


def ok(name: str, message: str) -> Finding:
    return Finding(name, Status.OK, message)


def warn(name: str, message: str, mend: str) -> Finding:
    return Finding(name, Status.WARN, message, mend)


def fail(name: str, message: str, mend: str) -> Finding:
    return Finding(name, Status.FAIL, message, mend)


def skip(name: str, reason: str) -> Finding:
    return Finding(name, Status.SKIP, reason)


def exit_code(findings: Iterable[Finding]) -> int:
    """Warnings are allowed."""
    return int(any(finding.status is Status.FAIL for finding in findings))


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:,.0f} ms"
