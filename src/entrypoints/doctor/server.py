"""Does a server answer at the address, is it this version, and is it ready."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from entrypoints.doctor.findings import Finding, fail, milliseconds, ok, warn
from entrypoints.doctor.remote import Answer, Unreachable
from entrypoints.doctor.subject import Subject
from entrypoints.settings.loading import Settings

NAME: Final = "server"
PROXY_FAILED: Final = frozenset({502, 503, 504})


async def answers(subject: Subject) -> Sequence[Finding]:
    url = subject.remote.url
    try:
        alive = await subject.remote.get("/health")
        ready = await subject.remote.get("/health/ready")
    except Unreachable as error:
        return [unreachable(subject.settings, url, str(error))]
    health = alive_verdict(url, alive, version("agentchat"))
    return [*health, *ready_verdict(ready)] if health[0].status != "fail" else health


def unreachable(settings: Settings, url: str, why: str) -> Finding:
    if "certificate" in why:
        mend = "give the proxy a certificate for this name that clients trust, with its whole chain"
        return fail(NAME, f"{url}: {why}", mend)
    if "TLS" in why:
        return fail(NAME, f"{url}: {why}", "name an http:// address, or put a proxy with TLS there")
    where = f"{settings.host}:{settings.port}"
    mend = (
        f"start it with `agentchat serve` (it listens on {where}), or name the right address with --url or public_url"
    )
    return fail(NAME, f"nothing answers at {url}: {why}", mend)


def alive_verdict(url: str, answer: Answer, wanted: str) -> list[Finding]:
    """A failure, or what is well and what deserves a look."""
    found = answer.data.get("version")
    if answer.status != 200 or found is None:
        return [stranger(url, answer.status)]
    message = f"{url} answers in {milliseconds(answer.seconds)}, version {found}"
    if found != wanted:
        return [
            warn(NAME, f"{message}; this program is {wanted}", "restart the server: `agentchat serve` of this version")
        ]
    return [ok(NAME, message)]


def stranger(url: str, status: int) -> Finding:
    if status in PROXY_FAILED:
        mend = "start the server, or correct where the proxy looks for it (nginx: proxy_pass, Caddy: reverse_proxy)"
        return fail(NAME, f"the proxy at {url} can't reach the server (status {status})", mend)
    mend = "name the right address with --url or public_url, and let the proxy pass /health and /api/v1 on"
    return fail(NAME, f"{url}/health is not this server's (status {status})", mend)


def ready_verdict(answer: Answer) -> list[Finding]:
    parts = answer.data.get("parts")
    listed = [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    if answer.status == 200 and listed:
        well = ", ".join(f"{part.get('name')} {part.get('latency_ms')} ms" for part in listed)
        return [ok("readiness", well), *(degraded(part) for part in listed if part.get("status") == "degraded")]
    down = [described(part) for part in listed if part.get("status") != "up"]
    message = (
        f"not ready (status {answer.status}): {'; '.join(down) or str(answer.data.get('status', 'no reason given'))}"
    )
    return [fail("readiness", message, "bring up what is down, and look into the server's log")]


def degraded(part: Mapping[str, Any]) -> Finding:
    """It answers without this part, and worse."""
    return warn("readiness", described(part), "see what docs/operations.md says of it; the server answers meanwhile")


def described(part: Mapping[str, Any]) -> str:
    return f"{part.get('name')}: {part.get('problem', 'down')}"
