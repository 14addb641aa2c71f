"""The settings: they were read, or we would not be here; what the server says about them at its start is said too."""

from collections.abc import Sequence

from entrypoints.doctor.findings import Finding, ok, warn
from entrypoints.doctor.subject import Subject
from entrypoints.settings.advice import advice

NAME = "settings"


async def settings_advised(subject: Subject) -> Sequence[Finding]:
    return [advised(hint) for hint in advice(subject.settings)] or [ok(NAME, "no mistakes")]


def advised(hint: str) -> Finding:
    """The advice is one sentence: what is, then what to set."""
    found, colon, mend = hint.rstrip(".").partition(": ")
    return warn(
        NAME, found, mend if mend.startswith("set ") else f"unset {mend}" if colon else "see docs/configuration.md"
    )
