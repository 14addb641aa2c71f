"""Who answers where a model fails: it is asked again, then others in its place, until one has said its first word."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from application.asking.model_attempts import Attempting, Call, Calling
from application.asking.model_places import Leave, no_place
from domain.chat.chat_events import LoopEvent, ToolProgress
from domain.chat.compacting import compacted
from domain.chat.model_fitting import can_take, fitted
from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import ModelRequest
from domain.dialogs.messages import StepStatus, ToolStep
from domain.errors import DomainError, ModelError
from domain.ids import ModelId, UserId, new_id
from domain.models.attempts import Purpose
from domain.models.model_failures import TOO_LONG, lets_others_try, tried_again
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec
from domain.tools.tools import ToolType

RETRIES: Final = 2
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 8.0
LONGEST_PAUSE_BEFORE_OTHERS: Final = 1.0
"""Where another model can answer, nobody waits longer than this for one that failed, or for a place at one."""
BUSY: Final = "model_busy"

FindModel = Callable[[UserId, ModelId], Awaitable[ModelSpec]]
"""Raises NotFound. Asked only when a model failed."""


@dataclass(frozen=True, slots=True)
class AskModels:
    """What models are asked with. Seconds: `first_token` from the question to a model's first word, all tries together,
    and `first_pause` before it is asked again.
    """

    calling: Calling
    find: FindModel
    first_token: float = 120.0
    first_pause: float = FIRST_PAUSE

    def admit(self, route: ModelRoute, user_id: UserId) -> Leave:
        """Take a run on, as `ModelPlaces` does. Nobody is let in to ask a model alone that is left alone.

        Where others can answer, no place is kept: a full line is passed. Raises TooManyRequests `model_busy`,
        ModelError `model_unavailable`.
        """
        if route.next is not None:
            return no_place
        self.calling.breakers.refuse(route.spec)
        return self.calling.places.admit(route.spec, user_id)

    def chain(
        self,
        route: ModelRoute,
        owner: UserId,
        purpose: Purpose = Purpose.ANSWER,
        *,
        output_left: int | None = None,
        guest: bool = False,
    ) -> "ModelChain":
        """`output_left`, 1 or more, is for all answers together. `guest`: nobody admitted the run."""
        alone = route.next is None
        return ModelChain(self, owner, purpose, route, output_left, route.spec.llm_id if alone and not guest else None)


@dataclass(slots=True)
class ModelChain:
    """The models of one run. One that took over keeps answering. Not for several answers at once."""

    means: AskModels
    owner: UserId
    purpose: Purpose
    route: ModelRoute
    output_left: int | None
    """As the last answer that ended leaves it; None without a limit."""
    admitted: ModelId | None
    """Where the run has a place in line."""
    compacted: bool = False
    """Whether a provider found the request too long before."""
    request: ModelRequest = field(init=False)
    """As it was put last: another model than the first needs it in another form."""

    @property
    def spec(self) -> ModelSpec:
        """Who answers now."""
        return self.route.spec

    @property
    def exhausted(self) -> bool:
        """Whether nothing more may be written."""
        return self.output_left is not None and self.output_left <= 0

    async def ask(self, request: ModelRequest, assembler: AnswerAssembler) -> AsyncGenerator[LoopEvent, None]:
        """One answer, which is put together in `assembler`. Raises ModelError.

        Every call of a provider is told when it begins, at its first word, and at its end. Closing this closes the
        model's stream; the end of such a call is not told.
        """
        self.request = request
        patience = _Patience(self.means)
        while True:
            attempt = Attempting(self.means.calling, self._call(self.request), assembler)
            try:
                async with attempt:
                    yield attempt.began()
                    first = await attempt.first(patience.limit)
                    yield attempt.began()
                    if (told := attempt.told(first)) is not None:
                        yield told
                    # To its own end: a stream that is left before it loses its connection.
                    async for delta in attempt.events:
                        if (told := attempt.told(delta)) is not None:
                            yield told
                    ended = attempt.turn_finished()
            except Exception as error:  # noqa: BLE001 - whatever it is, the call of the provider is told
                failure = error
            else:
                self.output_left = attempt.output_left
                yield ended
                return
            if attempt.begun and not attempt.answered:
                yield attempt.failed(failure)
            if moved := await self._instead(failure, attempt, patience):
                yield ToolProgress(moved)

    def _call(self, request: ModelRequest) -> Call:
        spec = self.spec
        patience = None if self.route.next is None else LONGEST_PAUSE_BEFORE_OTHERS
        return Call(spec, request, self.purpose, self.admitted != spec.llm_id, self.output_left, patience)

    async def _instead(self, failure: Exception, attempt: Attempting, patience: "_Patience") -> ToolStep | None:
        """What the person is told when another model goes on; None when the same is asked again. Raises the failure."""
        if attempt.spoke or not isinstance(failure, ModelError):
            raise failure
        patience.used(attempt.seconds)
        if failure.code == TOO_LONG and self._compact():
            return None
        others = lets_others_try(failure) and self.route.next is not None
        if attempt.begun and await patience.waited(failure, others=others):
            return None
        failed = self.spec
        if not others:
            raise failure
        if not await self._move(failure):
            if failure.code == BUSY:
                # Nobody else can answer: it is worth a longer wait.
                return None
            raise failure
        patience.renew()
        message = f"{failure.message} {self.spec.llm_id} answers instead."
        return ToolStep(StepStatus.ERROR, failed.llm_id, message, new_id(), failed.llm_id, ToolType.MODEL)

    def _compact(self) -> bool:
        """Whether there is something shorter to ask, once in a run: what is too long then is too long."""
        shorter = None if self.compacted else compacted(self.request)
        self.compacted, self.request = True, shorter or self.request
        return shorter is not None

    async def _move(self, failure: ModelError) -> bool:
        """On to the next model that can take the request now. False when there is none."""
        room = self.spec.context_window if failure.code == TOO_LONG else 0
        while llm_id := self.route.next:
            try:
                spec = await self.means.find(self.owner, llm_id)
            except DomainError:
                self.route = self.route.passing(llm_id)
                continue
            self.route = self.route.passing(llm_id, spec.fallbacks)
            request = fitted(self.request, spec)
            if spec.context_window > room and can_take(request, spec) and self.means.calling.ready(spec):
                self.route, self.request = self.route.to(spec), request
                return True
        return False


class _Patience:
    """How long a model's first word is waited for, and how often it is asked for one."""

    def __init__(self, means: AskModels) -> None:
        self._means = means
        self.renew()

    def renew(self) -> None:
        self.left = self._means.first_token
        self._tries = 0

    @property
    def limit(self) -> float | None:
        """What is left for one more try. The first keeps its time itself: it may have to make ready."""
        return self.left if self._tries else None

    def used(self, seconds: float) -> None:
        self.left -= seconds

    async def waited(self, failure: ModelError, *, others: bool) -> bool:
        """Whether it is to be asked again, after a pause that is over then."""
        if not tried_again(failure) or self._tries >= (1 if others else RETRIES):
            return False
        pause = _pause_after(failure, self._means.first_pause * 2.0**self._tries)
        # A long wait is for the caller to decide, who is told of it at once.
        if pause > (LONGEST_PAUSE_BEFORE_OTHERS if others else LONGEST_PAUSE) or pause >= self.left:
            return False
        self._tries += 1
        self.left -= pause
        await asyncio.sleep(pause)
        return True


def _pause_after(failure: ModelError, longest: float) -> float:
    if failure.retry_after is not None:
        return failure.retry_after
    return min(longest, LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
