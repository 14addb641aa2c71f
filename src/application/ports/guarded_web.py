"""The conversation with servers that somebody else named: users, models, documents."""

from dataclasses import dataclass, field
from typing import Protocol

from domain.tools.credentials import Credentials


class WebRefused(Exception):
    """It may not be asked: an address, a port or a scheme that is closed to users. Nothing was sent.

    The message is one sentence for the person and the model; it names the host as it was written, never an address
    that was found for it.
    """


def refusal_in(error: BaseException | None) -> WebRefused | None:
    """What the guard said, where clients of SDKs raised errors of their own because of it."""
    while error is not None and not isinstance(error, WebRefused):
        error = error.__cause__ or error.__context__
    return error


class WebFailed(Exception):
    """It was asked, and gave no answer that can be used: unreachable, too slow, too many redirects, not HTTP."""


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Of one request, its redirects included: seconds in all, bytes of the decoded body, redirects followed."""

    seconds: float = 30.0
    max_bytes: int = 2 << 20
    redirects: int = 5


@dataclass(frozen=True, slots=True)
class WebRequest:
    """`headers` go wherever it is redirected; `credentials` only to the origin of `url`."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    credentials: Credentials = field(default_factory=Credentials)
    limits: WebLimits = WebLimits()


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """`url` is where it came from in the end. `headers` have names in lower case. `cut`: the body was longer."""

    status: int
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    cut: bool = False

    def header(self, name: str) -> str:
        """The first of that name, in lower case; "" when there is none."""
        return next((value for known, value in self.headers if known == name), "")


class GuardedWeb(Protocol):
    """Resolves a name once, and connects to that address only if users may reach it; so on every redirect."""

    async def send(self, request: WebRequest) -> WebAnswer:
        """Whatever the status. Raises WebRefused and WebFailed. Cancelling it closes the connection."""
        ...
