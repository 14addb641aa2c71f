"""A question that may be sent again: under one Idempotency-Key it is asked once, and every repeat gets its answer."""

import asyncio
import hashlib
import json
from dataclasses import astuple, dataclass, field
from weakref import WeakValueDictionary

from application.chat.chat import ChatRequest, StartChat
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.runs.run_readers import Followed
from application.runs.run_registry import RunRegistry
from application.runs.stored_runs import StoredRuns
from domain.errors import Conflict, TooManyRequests
from domain.ids import UserId
from domain.runs.runs import Idempotency, parse_idempotency_key


@dataclass(frozen=True, slots=True)
class AskOnce:
    """Without a key every question is a new one."""

    transactions: Transactions
    clock: Clock
    registry: RunRegistry
    stored: StoredRuns
    start: StartChat
    _turns: WeakValueDictionary[tuple[UserId, str], asyncio.Lock] = field(default_factory=WeakValueDictionary)

    async def __call__(self, actor: UserId, asked: ChatRequest, key: str | None) -> Followed:
        """Raises InvalidValue `idempotency_key_reused` when something else was asked under the key."""
        if key is None:
            return await self.start(actor, asked)
        idempotency = Idempotency(parse_idempotency_key(key), digest_of(asked))
        # Repeats at this process wait for the first; those at another one meet its row in the database.
        turn = self._turns.setdefault((actor, key), asyncio.Lock())
        async with turn:
            if earlier := await self._earlier(actor, idempotency):
                return earlier
            try:
                return await self.start(actor, asked, idempotency)
            except (Conflict, TooManyRequests):
                # The same question, asked at another process, may be what stands in the way.
                if earlier := await self._earlier(actor, idempotency):
                    return earlier
                raise

    async def _earlier(self, actor: UserId, idempotency: Idempotency) -> Followed | None:
        async with self.transactions.autocommit() as tx:
            run = await tx.runs.by_key(idempotency.key, owner=actor)
            if run is None or run.idempotency is None:
                return None
            if not run.honours(idempotency.key, self.clock.now()):
                await tx.runs.release_key(run.run_id)
                return None
        run.idempotency.covers(idempotency.digest)
        return self.registry.find(run.run_id, owner=actor) or await self.stored.follow(run)


def digest_of(asked: ChatRequest) -> str:
    """Of all that was asked: two requests with one digest ask the same."""
    if asked.caller is not None:
        # Its own: the dialog in which the answer stands is ours to find.
        return asked.caller.digest
    return hashlib.sha256(json.dumps(astuple(asked)).encode()).hexdigest()
