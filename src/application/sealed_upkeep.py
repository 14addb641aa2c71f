"""Sealing anew, under the first of the keys, what lies sealed in the database under another."""

from dataclasses import dataclass, field
from typing import Final

from application.ports.own_models import SealedKind, SealedText
from application.ports.persistence import Transactions
from application.ports.secret_box import SecretBox, SecretBroken

PORTION: Final = 200
MOST_NAMED: Final = 100


@dataclass(slots=True)
class Sealed:
    """What became of one kind: `current` lay under the first key already, `changed` was changed or gone meanwhile."""

    renewed: int = 0
    current: int = 0
    changed: int = 0
    broken: int = 0
    names: list[str] = field(default_factory=list)
    """The identifiers of the first that could not be opened."""


@dataclass(frozen=True, slots=True)
class SealAnew:
    """Each text by itself, and only where it is still what was read: beside running servers, as often as one likes."""

    transactions: Transactions
    box: SecretBox

    async def __call__(self) -> dict[SealedKind, Sealed]:
        return {kind: await self._kind(kind) for kind in SealedKind}

    async def _kind(self, kind: SealedKind) -> Sealed:
        done, after = Sealed(), ""
        async with self.transactions.autocommit() as tx:
            while portion := await tx.sealed.portion(kind, after, PORTION):
                for one in portion:
                    anew = self._renewed(one, done)
                    if anew is None:
                        continue
                    if await tx.sealed.replace(kind, one, anew):
                        done.renewed += 1
                    else:
                        done.changed += 1
                after = portion[-1].identifier
        return done

    def _renewed(self, one: SealedText, done: Sealed) -> str | None:
        try:
            anew = self.box.renewed(one.sealed)
        except SecretBroken:
            done.broken += 1
            if len(done.names) < MOST_NAMED:
                done.names.append(one.identifier)
            return None
        if anew is None:
            done.current += 1
        return anew
