"""What is examined, and what a check is."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from adapters.web.client import WebClient
from entrypoints.doctor.findings import Finding
from entrypoints.doctor.remote import Remote
from entrypoints.settings.loading import Settings


@dataclass(frozen=True, slots=True)
class Visitor:
    """The temporary account, logged in, and its agent that answers offline."""

    token: str = field(repr=False)
    agent_id: str


@dataclass(slots=True)
class Subject:
    """The set-up: its settings, and the server as its clients reach it."""

    settings: Settings
    remote: Remote
    web: WebClient
    """For the models' providers, as the server itself asks them."""
    later: AsyncExitStack
    """What must be undone at the end, whatever happens."""
    undone: list[Finding] = field(default_factory=list)
    """What could not be undone."""
    visitor: Visitor | None = None

    @property
    def guest(self) -> Visitor:
        """For checks that need the check `login`."""
        if self.visitor is None:
            raise LookupError("nobody is logged in")
        return self.visitor


Run = Callable[[Subject], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class Check:
    """`run` gets `seconds`, unless the whole has less left; it is skipped when one of `needs` failed or was skipped."""

    name: str
    run: Run
    needs: tuple[str, ...] = ()
    seconds: float = 5.0
