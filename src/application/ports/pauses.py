"""Runs that wait for a person, as the database knows them. A pause goes when its run goes on, is closed or removed."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.ids import RunId, UserId
from domain.runs.pauses import RunPause
from domain.runs.runs import Run


@dataclass(frozen=True, slots=True)
class WrittenPause:
    """A pause as it is stored, and its number."""

    number: int
    data: bytes


class Pauses(Protocol):
    async def written(self, pause: RunPause) -> WrittenPause:
        """Takes a while, for it holds a whole prompt: to be called while no transaction is open."""
        ...

    async def put(self, run_id: RunId, pause: WrittenPause, until: datetime) -> bool:
        """Let an open run wait, its lease up to `until`. Atomic alone; the same again is True and changes nothing,
        also when words were said or the run went on meanwhile.

        False, and nothing changed, when the run was closed, removed or asked to stop.
        """
        ...

    async def find(self, run_id: RunId, *, owner: UserId) -> tuple[Run, RunPause]:
        """As `held`, for a look: nobody is kept from anything."""
        ...

    async def held(self, run_id: RunId, *, owner: UserId, known: RunPause | None = None) -> tuple[Run, RunPause]:
        """In a transaction, to its end: nobody else decides on the run, lets it go on, or closes it.

        `known` was found before: it is given back if it is what lies there, and nothing is understood twice.

        Raises NotFound for no run of the owner's, Conflict `approval_not_awaited` for one that does not wait or was
        asked to stop.
        """
        ...

    async def save(self, run_id: RunId, pause: RunPause) -> None:
        """Replace the pause of a run that is held."""
        ...

    async def end(self, run_id: RunId, lease_until: datetime) -> None:
        """A run that is held is running again, at whoever renews its lease. The pause is gone."""
        ...

    async def hold(self, run_id: RunId) -> bool:
        """As `held`, of any owner, for the upkeep: False when it does not wait."""
        ...
