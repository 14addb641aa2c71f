"""One whole answer of a model for work of the server's own, outside of runs: nobody follows it word by word."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final

from application.asking.model_chain import AskModels
from application.ports.clock import Clock
from application.ports.ledger import Ledger
from domain.chat.chat_events import AttemptBegan
from domain.chat.transcript import Transcript
from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import ModelRequest
from domain.errors import ModelError
from domain.ids import AgentId, ModelId, UserId, new_id
from domain.models.attempts import Attempt, Purpose
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec

PATIENCE_SECONDS: Final = 120.0
"""For the whole answer, with the wait for a place at the model."""
LONGEST_ANSWER: Final = 200_000
"""Characters; a model that writes more does not stop by itself."""


@dataclass(frozen=True, slots=True)
class AskAside:
    """Asks the same models, within the same limits, as runs do. What it used is kept in the ledger: when a provider's
    call begins, for the process may be killed, and when all is over.
    """

    models: AskModels
    ledger: Ledger
    clock: Clock
    patience: float = PATIENCE_SECONDS

    async def __call__(
        self,
        spec: ModelSpec,
        owner: UserId,
        purpose: Purpose,
        request: ModelRequest,
        agent_id: AgentId | None = None,
        known_as: ModelId | None = None,
    ) -> str:
        """The answer's text, which may be empty; calls are left out. Raises ModelError and Unavailable.

        `known_as` stands in the ledger for a model that nobody will know by its id.
        """
        said, call = Transcript(), new_id()

        def attempts() -> list[Attempt]:
            made = said.attempts(int(self.clock.now().timestamp() * 1000))
            return [replace(one, llm_id=known_as or one.llm_id) for one in made]

        async def begun() -> None:
            await self.ledger.begin(owner, agent_id, call, attempts())

        try:
            async with asyncio.timeout(self.patience):
                await self._collect(spec, owner, purpose, request, said, begun)
        except TimeoutError as slow:
            message = f"The model did not come to an end within {self.patience:.0f} seconds."
            raise ModelError("model_timeout", message, retryable=True) from slow
        finally:
            if made := attempts():
                await self.ledger.add(owner, agent_id, None, made, call)
        return said.content

    async def _collect(
        self,
        spec: ModelSpec,
        owner: UserId,
        purpose: Purpose,
        request: ModelRequest,
        said: Transcript,
        begun: Callable[[], Awaitable[None]],
    ) -> None:
        # Whoever tries a model wants to know of that one.
        route = ModelRoute.of(replace(spec, fallbacks=()) if purpose is Purpose.TEST else spec)
        models = self.models.chain(route, owner, purpose, guest=True)
        async with aclosing(models.ask(request, AnswerAssembler(request.turns))) as events:
            async for event in events:
                said.apply(event)
                if isinstance(event, AttemptBegan) and event.attempt.first_token_ms is None:
                    await begun()
                if said.size > LONGEST_ANSWER:
                    raise ModelError("answer_too_long", "The model did not stop: its answer was cut off.")
