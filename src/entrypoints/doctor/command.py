"""The command: makes the subject, runs the checks, prints what they found."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from adapters.web.client import WebClient
from entrypoints.doctor.checks import CHECKS
from entrypoints.doctor.examination import Tell, examine
from entrypoints.doctor.findings import Finding, exit_code
from entrypoints.doctor.remote import Remote
from entrypoints.doctor.report import Report, summary
from entrypoints.doctor.subject import Subject
from entrypoints.settings.loading import Mistake, Settings, SettingsError
from entrypoints.settings.rules import bad_address


def diagnose(settings: Settings, url: str | None, *, as_json: bool) -> int:
    """The exit code. Raises SettingsError for an address that can't be one, KeyboardInterrupt when told to stop."""
    if url is not None and (problem := bad_address(url)):
        raise SettingsError([Mistake("--url", "", problem)])
    report = Report(settings)

    def tell(finding: Finding) -> None:
        if not as_json:
            say(report.lines(finding))

    try:
        findings = asyncio.run(_examined(settings, address_of(settings, url), tell))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    say(report.as_json(findings) if as_json else summary(findings))
    return exit_code(findings)


def address_of(settings: Settings, url: str | None) -> str:
    """Where clients find the server: as was said, as the settings say, else where it listens."""
    if url or settings.public_url:
        return url or settings.public_url or ""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - not bound here
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


async def _examined(settings: Settings, url: str, tell: Tell) -> Sequence[Finding]:
    stop_on_sigterm()
    undone: list[Finding] = []
    async with AsyncExitStack() as later:
        remote = await later.enter_async_context(Remote(url))
        web = WebClient()
        later.push_async_callback(web.aclose)
        findings = await examine(Subject(settings, remote, web, later, undone), CHECKS, tell)
    for finding in undone:
        tell(finding)
    return [*findings, *undone]


def stop_on_sigterm() -> None:
    """As Ctrl-C does: what was made is removed first."""
    task = asyncio.current_task()
    with suppress(NotImplementedError):
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
