"""One whole answer of a model for work of the server's own, outside of runs: nobody follows it word by word."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from application.model_places import ModelPlaces
from application.ports.chat_model import ChatModel, ChatModels
from application.ports.clock import Clock
from application.ports.ledger import Ledger
from domain.attempts import ANSWERED, INTERRUPTED, Attempt, Purpose, cost_of
from domain.conversation import ModelFinished, ModelRequest, ReasoningDelta, TextDelta, Usage, request_tokens
from domain.errors import ModelError
from domain.ids import AgentId, UserId
from domain.models import ModelSpec
from domain.tokens import RunningEstimate

PATIENCE_SECONDS: Final = 120.0
"""For the whole answer, with the wait for a place at the model."""
LONGEST_ANSWER: Final = 200_000
"""Characters; a model that writes more does not stop by itself."""


@dataclass(frozen=True, slots=True)
class AskAside:
    """Asks through the same providers, places and limits as runs do. What it used is kept in the ledger."""

    providers: ChatModels
    places: ModelPlaces
    ledger: Ledger
    clock: Clock
    patience: float = PATIENCE_SECONDS
    now: Callable[[], float] = time.monotonic

    async def __call__(
        self,
        spec: ModelSpec,
        owner: UserId,
        purpose: Purpose,
        request: ModelRequest,
        agent_id: AgentId | None = None,
    ) -> str:
        """The answer's text, which may be empty; calls are left out. Raises ModelError and Unavailable."""
        asked = _Asked(spec, purpose, request, int(self.clock.now().timestamp() * 1000), self.now)
        try:
            async with asyncio.timeout(self.patience):
                await asked.collect(self.places.limited(spec, self.providers.open(spec)))
        except TimeoutError as slow:
            asked.outcome = "model_timeout"
            message = f"The model did not come to an end within {self.patience:.0f} seconds."
            raise ModelError("model_timeout", message, retryable=True) from slow
        except ModelError as failure:
            asked.outcome = failure.code
            raise
        finally:
            if asked.outcome != "model_not_configured":
                await self.ledger.add(owner, agent_id, None, [asked.attempt()])
        return "".join(asked.text)


@dataclass(slots=True)
class _Asked:
    """One attempt, as it goes."""

    spec: ModelSpec
    purpose: Purpose
    request: ModelRequest
    at: int
    now: Callable[[], float]
    text: list[str] = field(default_factory=list)
    outcome: str = INTERRUPTED
    _written: RunningEstimate = field(default_factory=RunningEstimate)
    _usage: Usage | None = None
    _began: float = 0.0
    _first: float | None = None

    async def collect(self, model: ChatModel) -> None:
        self._began, characters = self.now(), 0
        async with aclosing(model.stream(self.request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta(text):
                        self.text.append(text)
                        self._add(text)
                        characters += len(text)
                    case ReasoningDelta(text):
                        self._add(text)
                        characters += len(text)
                    case ModelFinished(usage=usage):
                        self._usage, self.outcome = usage, ANSWERED
                if characters > LONGEST_ANSWER:
                    raise ModelError("answer_too_long", "The model did not stop: its answer was cut off.")

    def _add(self, text: str) -> None:
        if self._first is None:
            self._first = self.now()
        self._written.add(text)

    def attempt(self) -> Attempt:
        usage = self._usage
        if usage is None:
            # A provider that refused at once took nothing; one that began to answer was asked in full.
            sent = 0 if self._first is None else request_tokens(self.request)
            usage = Usage(sent, self._written.tokens, estimated=True)
        prices = self.spec.prices
        return Attempt(
            self.spec.llm_id,
            self.spec.provider,
            self.spec.model,
            usage,
            self.outcome,
            self.at,
            _milliseconds(self.now() - self._began),
            None if self._first is None else _milliseconds(self._first - self._began),
            cost_of(usage, prices),
            "" if prices is None else prices.currency,
            self.purpose,
        )


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))
