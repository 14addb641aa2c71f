"""Running the checks, one after the other: each has a time-out, and none ends the whole."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from entrypoints.doctor.findings import Finding, Status, fail, skip
from entrypoints.doctor.subject import Check, Subject

WHOLE_SECONDS: Final = 40.0
UNTRIED: Final = frozenset({Status.FAIL, Status.SKIP})

Tell = Callable[[Finding], None]


async def examine(
    subject: Subject, checks: Iterable[Check], tell: Tell, seconds: float = WHOLE_SECONDS
) -> list[Finding]:
    """`tell` hears of each finding as it is made."""
    end = asyncio.get_running_loop().time() + seconds
    findings: list[Finding] = []
    broken: set[str] = set()
    for check in checks:
        left = end - asyncio.get_running_loop().time()
        found = await _tried(subject, check, broken, left)
        if any(finding.status in UNTRIED and finding.name == check.name for finding in found):
            broken.add(check.name)
        for finding in found:
            tell(finding)
        findings += found
    return findings


async def _tried(subject: Subject, check: Check, broken: set[str], left: float) -> Sequence[Finding]:
    lacking = [name for name in check.needs if name in broken]
    if lacking:
        return [skip(check.name, f"needs {' and '.join(lacking)}")]
    if left <= 0:
        return [skip(check.name, "no time was left: what came before took too long")]
    patience = min(check.seconds, left)
    try:
        async with asyncio.timeout(patience):
            return await check.run(subject)
    except TimeoutError:
        return [fail(check.name, f"did not end within {patience:.0f} seconds", "look why it hangs: network, firewall")]
    except Exception as error:  # noqa: BLE001 - a check that breaks must not end the others; its text may hold secrets
        place = _place(error)
        return [fail(check.name, f"broke off: {type(error).__name__}{place}", "report this as a defect of the doctor")]


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}"
