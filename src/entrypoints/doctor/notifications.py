"""Do notifications reach a listener? They tell one process what another did; a pooler may lose them."""

import asyncio
import secrets
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from entrypoints.doctor import postgres
from entrypoints.doctor.findings import Finding, milliseconds, ok, warn
from entrypoints.doctor.subject import Subject
from entrypoints.settings.loading import Settings

NAME: Final = "notifications"
PATIENCE_SECONDS: Final = 2.0


async def delivered(subject: Subject) -> Sequence[Finding]:
    if subject.settings.embedded:
        return []
    try:
        return [verdict(await heard_after(subject.settings))]
    except postgres.FAILURES as error:
        return [verdict(None, postgres.reason(error))]


async def heard_after(settings: Settings) -> float | None:
    """Seconds from NOTIFY on one connection to its arrival on another; None when it does not come."""
    heard = asyncio.Event()
    channel = f"agentchat_doctor_{secrets.token_hex(8)}"
    async with postgres.connected(settings) as listener, postgres.connected(settings) as speaker:
        await listener.add_listener(channel, lambda *_: heard.set())
        begun = perf_counter()
        await speaker.execute("SELECT pg_notify($1, '')", channel)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await heard.wait()
        except TimeoutError:
            return None
        return perf_counter() - begun


def verdict(seconds: float | None, trouble: str = "") -> Finding:
    if seconds is not None:
        return ok(NAME, f"LISTEN heard NOTIFY after {milliseconds(seconds)}")
    why = trouble or f"LISTEN heard no NOTIFY within {PATIENCE_SECONDS:g} seconds"
    message = f"{why}: streams that move between processes go on only at the next slow look at the database"
    return warn(NAME, message, "let database_url lead to Postgres itself, or set pool_mode = session in pgbouncer.ini")
