"""Trying a model: one short question, and what came of it, in words that help to put it right."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from application.asking.asides import AskAside
from application.models.models import ModelCatalogue
from application.models.own_models import DraftedModels
from application.ports.chat_model import KeptConnections, TryEmbedding
from application.ports.ledger import Ledger
from application.ports.persistence import Transactions
from application.ports.secret_box import SecretBroken
from application.sealing import Seals
from application.usage.quotas import Quotas
from domain.conversation.conversation import ModelRequest, Usage, UserTurn
from domain.errors import InvalidValue, ModelError, TooManyRequests
from domain.ids import ModelId, UserId, new_id
from domain.models.attempts import ANSWERED, INTERRUPTED, Attempt, Purpose, cost_of
from domain.models.models import ModelKind, ModelSpec
from domain.models.own_models import ELLIPSIS, ModelDraft, without_key
from domain.tokens import estimate

DRAFT_ID: Final = ModelId("(draft)")
"""In the ledger, of models that were tried and not stored."""
PATIENCE_SECONDS: Final = 20.0
"""For the whole answer."""
QUESTION: Final = "Answer with the single word: OK"
MOST_TOKENS: Final = 256
"""More than the word has: some models think before they speak."""
MOST_SHOWN: Final = 200
AT_ONCE: Final = 8
AT_ONCE_OF_USER: Final = 2
A_MINUTE: Final = 10
WINDOW_SECONDS: Final = 60.0
REMEMBERED: Final = 1_000

ADVICE: Final[Mapping[str, str]] = {
    "model_not_configured": "Send the model's api_key again.",
    "model_address_refused": "Use a public address, or ask the operator to open its network: network.allow_private.",
    "model_auth_failed": "Check api_key: it may be mistyped, revoked, or of an account that has no such model.",
    "model_not_found": "Check model and base_url: that of a compatible server often ends in /v1.",
    "model_rate_limited": "The key works. Wait, or raise its limits or credit at the provider.",
    "model_unavailable": "Check base_url, and that the server there runs.",
    "model_timeout": "Check base_url, and that the server there is not overloaded or still loading the model.",
    "model_bad_response": "Check provider and base_url: what answers there does not speak this protocol.",
    "model_stream_cut": "Check base_url, and what stands between: something cut the answer off.",
    "model_bad_request": "Check provider, model and llm_type: the server does not take such a request.",
    "model_empty_answer": "The model was reached and said nothing. One that thinks for long may answer all the same.",
    "content_refused": "The key and the model work; the provider refused this question.",
}
ELSE: Final = "Check provider, model, base_url and api_key."


@dataclass(frozen=True, slots=True)
class Trial:
    """`said` are the model's first words, or what else it made; otherwise `code`, `message` and `advice`."""

    ok: bool
    latency_ms: int
    said: str = ""
    code: str = ""
    message: str = ""
    advice: str = ""


@dataclass(slots=True)
class TrialGate:
    """So many trials at once in this process, so many at once and in a minute for each user."""

    now: Callable[[], float] = time.monotonic
    going_on: Counter[UserId] = field(default_factory=Counter)
    begun: dict[UserId, deque[float]] = field(default_factory=dict)

    @contextmanager
    def admitted(self, actor: UserId) -> Iterator[None]:
        """Raises TooManyRequests `too_many_trials`."""
        now = self.now()
        lately = self._lately(actor, now)
        if self.going_on.total() >= AT_ONCE or self.going_on[actor] >= AT_ONCE_OF_USER:
            message = "Other models are being tried at this moment: try again in a few seconds."
            raise TooManyRequests("too_many_trials", message, retry_after=2.0)
        if len(lately) >= A_MINUTE:
            message = f"At most {A_MINUTE} models are tried in a minute."
            raise TooManyRequests("too_many_trials", message, retry_after=lately[0] + WINDOW_SECONDS - now)
        lately.append(now)
        self.going_on[actor] += 1
        try:
            yield
        finally:
            self.going_on[actor] -= 1
            if not self.going_on[actor]:
                del self.going_on[actor]

    def _lately(self, actor: UserId, now: float) -> deque[float]:
        if len(self.begun) > REMEMBERED:
            recent = {user: times for user, times in self.begun.items() if times and times[-1] > now - WINDOW_SECONDS}
            self.begun = recent
        lately = self.begun.setdefault(actor, deque())
        while lately and lately[0] <= now - WINDOW_SECONDS:
            lately.popleft()
        return lately


@dataclass(frozen=True, slots=True)
class TryModel:
    """A model of the system or the caller's own as it is, as a draft would change it, or a draft that is not stored."""

    transactions: Transactions
    catalogue: ModelCatalogue
    drafted: DraftedModels
    ask: AskAside
    embed: TryEmbedding
    connections: KeptConnections
    gate: TrialGate
    quotas: Quotas
    ledger: Ledger

    async def __call__(self, actor: UserId, llm_id: ModelId | None, draft: ModelDraft) -> Trial:
        """Raises InvalidValue, NotFound, TooManyRequests; what the model does wrong is in the trial."""
        spec, stored = await self._spec(actor, llm_id, draft)
        with self.gate.admitted(actor):
            if spec.owner is None:
                await self.quotas.refuse_trial(actor)
            began = self.gate.now()
            try:
                said = await self._said(spec, actor, llm_id or DRAFT_ID)
                return Trial(True, self._since(began), said=shown(said, self._key(spec)))
            except ModelError as error:
                advice = ADVICE.get(error.code, ELSE)
                return Trial(False, self._since(began), code=error.code, message=error.message, advice=advice)
            finally:
                if not stored:
                    await self.connections.forget(spec.key_id)

    async def _spec(self, actor: UserId, llm_id: ModelId | None, draft: ModelDraft) -> tuple[ModelSpec, bool]:
        """And whether it is stored as it is."""
        drafted, seals = self.drafted, self.drafted.seals
        if llm_id is None:
            return seals.model(drafted.made(actor, draft)), False
        if self.catalogue.has(llm_id):
            if draft != ModelDraft():
                message = "is a model of the system, which is tried as it is: send it alone, or other fields without it"
                raise InvalidValue("llm_id", message)
            return self.catalogue.get(llm_id), True
        async with self.transactions.autocommit() as tx:
            stored = await tx.models.get(llm_id, owner=actor)
        as_it_is = draft == ModelDraft()
        return seals.model(stored if as_it_is else drafted.changed(stored, draft)), as_it_is

    async def _said(self, spec: ModelSpec, actor: UserId, known_as: ModelId) -> str:
        if spec.kind is ModelKind.EMBEDDING:
            return await self._embedded(spec, actor, known_as)
        most = min(MOST_TOKENS, spec.max_output_tokens or MOST_TOKENS)
        request = ModelRequest(spec.model, "", (UserTurn(QUESTION),), max_output_tokens=most)
        return await self.ask(spec, actor, Purpose.TEST, request, known_as=known_as)

    async def _embedded(self, spec: ModelSpec, actor: UserId, known_as: ModelId) -> str:
        if spec.unavailable_reason is not None:
            raise ModelError("model_not_configured", spec.unavailable_reason)
        at, began, call = time.time_ns() // 1_000_000, self.gate.now(), new_id()
        sent, prices = Usage(estimate(QUESTION), 0, estimated=True), spec.prices

        def attempts(usage: Usage, outcome: str) -> list[Attempt]:
            made = Attempt(known_as, spec.provider, spec.model, usage, outcome, at, self._since(began))
            cost, currency = cost_of(usage, prices), prices.currency if prices else ""
            return [replace(made, cost_nanos=cost, currency=currency, purpose=Purpose.TEST)]

        await self.ledger.begin(actor, None, call, attempts(sent, INTERRUPTED))
        try:
            dimensions = await self.embed(spec, QUESTION, seconds=PATIENCE_SECONDS)
        except ModelError as error:
            # As everywhere, what failed without a word costs nothing.
            await self.ledger.add(actor, None, None, attempts(Usage(), error.code), call)
            raise
        await self.ledger.add(actor, None, None, attempts(sent, ANSWERED), call)
        return f"a vector of {dimensions} dimensions"

    def _key(self, spec: ModelSpec) -> str:
        seals: Seals = self.drafted.seals
        try:
            return seals.key(spec)
        except SecretBroken:
            return ""

    def _since(self, began: float) -> int:
        return round((self.gate.now() - began) * 1000)


def shown(said: str, key: str) -> str:
    """On one line, and short. Who wrote the server may have it say anything, also what it was sent."""
    told = without_key(said.strip(), key)
    plain = "".join(char if char.isprintable() else " " for char in told[: MOST_SHOWN + 1])
    return plain if len(plain) <= MOST_SHOWN else plain[:MOST_SHOWN] + ELLIPSIS
