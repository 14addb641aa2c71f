"""Does this machine's clock agree with the database's? Tokens, keys and times are judged by this machine's."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg

from entrypoints.doctor import postgres
from entrypoints.doctor.findings import Finding, ok, warn
from entrypoints.doctor.subject import Subject

NAME: Final = "clock"
TOLERATED_SECONDS: Final = 2.0


async def agrees(subject: Subject) -> Sequence[Finding]:
    return await postgres.asked(subject.settings, NAME, compared)


async def compared(connection: "asyncpg.Connection[asyncpg.Record]") -> Finding:
    before = datetime.now(UTC)
    theirs: datetime = await connection.fetchval("SELECT clock_timestamp()")
    after = datetime.now(UTC)
    return verdict((theirs - before).total_seconds(), (after - before).total_seconds())


def verdict(ahead: float, round_trip: float) -> Finding:
    """`ahead`: the answer against the moment of asking. Somewhere within the round trip it was read."""
    offset = ahead - round_trip / 2
    message = f"the database's clock is {abs(offset):.3f} seconds {'ahead' if offset > 0 else 'behind'}"
    if abs(offset) - round_trip / 2 > TOLERATED_SECONDS:
        return warn(
            NAME, message, "set both clocks by NTP (timedatectl set-ntp true): tokens and times are judged by them"
        )
    return ok(NAME, message)
