"""The address that clients use: encrypted, with a certificate that lasts, and known to the server as a proxy's."""

import asyncio
import ssl
import time
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from entrypoints.doctor.findings import Finding, ok, warn
from entrypoints.doctor.subject import Subject
from entrypoints.settings.advice import loopback
from entrypoints.settings.loading import Settings

NAME: Final = "address"
SOON_DAYS: Final = 14
EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
PORTS: Final = {"http": 80, "https": 443}


async def trusted(subject: Subject) -> Sequence[Finding]:
    url = subject.remote.url
    parts = urlsplit(url)
    findings = []
    if parts.scheme == "https":
        findings.append(lasting(await days_left(parts.hostname or "", parts.port or PORTS["https"])))
    elif not loopback(parts.hostname or ""):
        mend = "put a proxy with TLS before the server, and set public_url to its https address"
        findings.append(warn(NAME, f"{url} is not encrypted: passwords and tokens can be read on the way", mend))
    return [*findings, *proxy_known(subject.settings, url)] or [ok(NAME, f"{url} is the server itself")]


async def days_left(host: str, port: int) -> float | None:
    """Until the certificate ends. The system's authorities vouch for it, or this raises."""
    _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    try:
        certificate: dict[str, Any] = writer.get_extra_info("peercert") or {}
    finally:
        writer.transport.abort()
    ends = certificate.get("notAfter")
    return None if ends is None else (ssl.cert_time_to_seconds(ends) - time.time()) / 86_400


def lasting(days: float | None) -> Finding:
    if days is not None and days < SOON_DAYS:
        return warn(
            NAME, f"the certificate ends in {days:.1f} days", "renew it, and see why that did not happen by itself"
        )
    return ok(NAME, "the certificate is trusted" + ("" if days is None else f", for {days:.0f} more days"))


def proxy_known(settings: Settings, url: str) -> list[Finding]:
    """Without trusted_proxies all clients of a proxy have one address: its own."""
    if settings.trusted_proxies or not another_place(settings, url):
        return []
    message = f"{url} is not where the server listens ({settings.host}:{settings.port}), and trusted_proxies is empty"
    mend = (
        'set trusted_proxies to the proxy\'s address, such as ["127.0.0.1"], and let it send X-Forwarded-For and '
        "X-Forwarded-Proto: else all clients share one limit on failed logins"
    )
    return [warn(NAME, message, mend)]


def another_place(settings: Settings, url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.port or PORTS["http"]) != settings.port:
        return True
    host = parts.hostname or ""
    return (
        host != settings.host and settings.host not in EVERYWHERE and not (loopback(host) and loopback(settings.host))
    )
