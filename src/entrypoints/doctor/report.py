"""Findings as lines for people and as JSON for scripts. What is secret in the settings is dots, wherever it came."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from entrypoints.doctor.findings import Finding, Status
from entrypoints.settings.loading import Secret, Settings
from entrypoints.settings.secrets import DOTS
from entrypoints.settings.show import leaves

SHORTEST_SECRET: Final = 8
"""Shorter ones are words that any sentence may hold."""
NAME_WIDTH: Final = 13
INDENT: Final = " " * 6


class Report:
    def __init__(self, settings: Settings) -> None:
        self._secrets = sorted(secrets_in(settings), key=len, reverse=True)

    def lines(self, finding: Finding) -> str:
        head = f"{finding.status:<4}  {finding.name:<{NAME_WIDTH}}  {finding.message}"
        return self._masked(f"{head}\n{INDENT}{finding.mend}" if finding.mend else head)

    def as_json(self, findings: Sequence[Finding]) -> str:
        masked = [Finding(one.name, one.status, self._masked(one.message), self._masked(one.mend)) for one in findings]
        return msgspec.json.format(msgspec.json.encode(masked), indent=2).decode()

    def _masked(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, DOTS)
        return text


def summary(findings: Iterable[Finding]) -> str:
    counts = Counter(finding.status for finding in findings)
    words = ((Status.OK, "ok"), (Status.WARN, "to look at"), (Status.FAIL, "failed"), (Status.SKIP, "skipped"))
    return ", ".join(f"{counts[status]} {word}" for status, word in words if counts[status])


def secrets_in(settings: Settings) -> set[str]:
    values = [value for _, value in leaves(settings, ())]
    listed = [item for value in values for item in (value if isinstance(value, tuple) else (value,))]
    found = {item.reveal() for item in listed if isinstance(item, Secret)}
    password = urlsplit(settings.database_url.reveal()).password or ""
    return {text for text in (*found, password, unquote(password)) if len(text) >= SHORTEST_SECRET}
