"""Models whose providers play what a test wrote down, asked as runs ask them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from application.asking.model_attempts import Calling
from application.asking.model_chain import AskModels, ModelChain
from application.asking.model_places import ModelPlaces
from application.asking.model_statistics import ModelStatistics
from application.asking.provider_breakers import Breakers
from application.ports.chat_model import ChatModel
from domain.chat.chat_events import AttemptEnded, LoopEvent, ToolProgress
from domain.chat.transcript import Transcript
from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    TextDelta,
    Usage,
    UserTurn,
)
from domain.errors import ModelError, NotFound
from domain.ids import ModelId, UserId
from domain.models.attempts import Attempt
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec, Prices, Provider
from model_asking import ASKER
from virtual_time import run

ASKED = ModelRequest("a", "be brief", (UserTurn("hi"),))
PASSING = ["model_unavailable", "model_timeout", "model_rate_limited", "model_stream_cut"]
LASTING = ["model_auth_failed", "model_not_found", "model_bad_response", "model_empty_answer"]
STAYING = ["content_refused", "model_bad_request"]
PRICES = Prices(1, 2)


@dataclass(frozen=True)
class Play:
    """What a provider does when it is called: so many words, and how it goes on; "" for an answer."""

    words: int
    end: str


@dataclass
class Providers:
    """Each plays its plays in turn, and answers after them. Nothing is known of a model that has no spec here."""

    plays: dict[str, list[Play]]
    specs: dict[str, ModelSpec]
    asked: list[tuple[str, ModelRequest]] = field(default_factory=list)
    closed: int = 0
    looked_up: list[str] = field(default_factory=list)
    shut: frozenset[str] = frozenset()

    def open(self, spec: ModelSpec) -> ChatModel:
        if spec.llm_id in self.shut:
            raise ModelError("model_not_configured", "No key.")
        return _Played(self, spec.llm_id)

    async def find(self, owner: UserId, llm_id: ModelId) -> ModelSpec:
        assert owner == ASKER
        self.looked_up.append(llm_id)
        if llm_id not in self.specs:
            raise NotFound("llm", llm_id)
        return self.specs[llm_id]

    def chain(self, first: str = "a", **more: Any) -> ModelChain:
        return self.models().chain(ModelRoute.of(self.specs[first]), ASKER, **more)

    def models(self) -> AskModels:
        calling = Calling(self, ModelPlaces(), Breakers(), ModelStatistics())
        return AskModels(calling, self.find, first_token=60, first_pause=0.5)


@dataclass(frozen=True)
class _Played:
    providers: Providers
    name: str

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.providers.asked.append((self.name, request))
        plays = self.providers.plays.get(self.name)
        play = plays.pop(0) if plays else Play(2, "")
        try:
            for _ in range(play.words):
                await asyncio.sleep(0)
                yield TextDelta(f"{self.name} ")
            if play.end == "defect":
                raise ZeroDivisionError("as wanted")
            if play.end == "silence":
                return
            if play.end:
                raise ModelError(play.end, f"{self.name} failed.", retryable=play.end in PASSING)
            yield ModelFinished(FinishReason.STOP, Usage(10, play.words))
        finally:
            self.providers.closed += 1


def spec(name: str, *fallbacks: str, **more: Any) -> ModelSpec:
    ids = tuple(map(ModelId, fallbacks))
    return ModelSpec(ModelId(name), Provider.OFFLINE, name, fallbacks=ids, prices=PRICES, **more)


def providers(*specs: ModelSpec, shut: Sequence[str] = (), **plays: list[Play]) -> Providers:
    return Providers(plays, {one.llm_id: one for one in specs}, shut=frozenset(shut))


@dataclass
class Said:
    events: list[LoopEvent] = field(default_factory=list)
    error: BaseException | None = None
    transcript: Transcript = field(default_factory=Transcript)

    @property
    def attempts(self) -> list[Attempt]:
        return [event.attempt for event in self.events if isinstance(event, AttemptEnded)]

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        return [(one.llm_id, one.outcome) for one in self.attempts]

    @property
    def failed_models(self) -> list[str]:
        return [event.step.tool_name for event in self.events if isinstance(event, ToolProgress)]

    @property
    def code(self) -> str:
        return self.error.code if isinstance(self.error, ModelError) else type(self.error).__name__


async def ask(chain: ModelChain, request: ModelRequest = ASKED, most: int = 10**9) -> Said:
    """What is said, to the end or until so many events were read."""
    said = Said()
    try:
        async with aclosing(chain.ask(request, AnswerAssembler())) as events:
            async for event in events:
                said.events.append(event)
                said.transcript.apply(event)
                if len(said.events) >= most:
                    break
    except (ModelError, ZeroDivisionError) as error:
        said.error = error
    return said


def asked(of: Providers, request: ModelRequest = ASKED) -> Said:
    return run(ask(of.chain(), request))
