"""Trials of models are paid for like answers: within the quota, in the ledger, and under an id that is known."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from account_desk import SetClock
from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, ScriptedChatModels, delta, finished, hold
from application.asking.asides import AskAside
from application.asking.model_trials import DRAFT_ID, Trial, TrialGate, TryModel
from application.models.models import ModelCatalogue
from application.usage.quotas import Quotas
from application.usage.usage import KeepUsage
from domain.conversation.conversation import Usage
from domain.errors import InvalidValue, ModelError, TooManyRequests
from domain.ids import ModelId, UserId
from domain.models.attempts import ANSWERED, INTERRUPTED
from domain.models.models import ModelKind, ModelSpec, Prices
from domain.models.own_models import ModelDraft
from domain.usage.quotas import Quota
from domain.usage.usage import milliseconds
from model_asking import asked_models
from model_desk import CATALOGUE, EMBEDDER, SYSTEM, ModelDesk, draft
from spending import attempt, noted, outcomes, sums
from stored import registered

OTHERS: Mapping[str, object] = {
    "model": "nonsense",
    "api_key": "k",
    "base_url": "https://nonsense.example/v1",
    "context_window": 1,
    "vision": False,
    "fallbacks": (),
    "cleared": frozenset({"prices"}),
}


@dataclass
class Vectors:
    """Embeds what it is given, unless it is away."""

    away: bool = False
    asked: list[str] = field(default_factory=list)

    async def __call__(self, spec: ModelSpec, text: str, *, seconds: float) -> int:
        assert seconds > 0
        self.asked.append(spec.model)
        if self.away:
            raise ModelError("model_unavailable", "It is away.", retryable=True)
        return 3


@dataclass
class Trials:
    transactions: DatabaseTransactions
    quota: Quota = Quota()
    clock: SetClock = field(default_factory=SetClock)
    vectors: Vectors = field(default_factory=Vectors)
    model: ScriptedChatModel = field(
        default_factory=lambda: ScriptedChatModel([delta("OK"), finished(usage=Usage(9, 1))], repeat=True)
    )

    def __post_init__(self) -> None:
        self.own = ModelDesk(self.transactions)
        ledger = KeepUsage(self.transactions, lambda _: None)
        dear = [replace(one, prices=Prices(3.0, 15.0, None, "EUR")) for one in CATALOGUE.specs]
        catalogue = ModelCatalogue.of(dear, CATALOGUE.default_id)
        self.attempt = TryModel(
            self.transactions,
            catalogue,
            self.own.drafted,
            AskAside(asked_models(ScriptedChatModels(self.model)), ledger, self.clock),
            self.vectors,
            self.own.connections,
            TrialGate(),
            Quotas(self.transactions, self.clock, catalogue, self.quota),
            ledger,
        )

    async def __call__(self, actor: UserId, llm_id: ModelId | None, said: ModelDraft = ModelDraft()) -> Trial:
        return await self.attempt(actor, llm_id, said)


async def rows(trials: Trials, actor: UserId) -> list[tuple[object, ...]]:
    found = await sums(trials.transactions, actor)
    return [(one.key, one.attempts, one.runs, one.input_tokens > 0, one.currency) for one in found]


async def test_a_trial_is_a_row_of_the_model_that_was_tried(transactions: DatabaseTransactions) -> None:
    trials = Trials(transactions)
    actor = await registered(transactions)
    own = await trials.own.create(actor)
    assert (await trials(actor, SYSTEM)).ok
    assert (await trials(actor, EMBEDDER)).said == "a vector of 3 dimensions"
    assert (await trials(actor, own.llm_id)).ok
    assert (await trials(actor, own.llm_id, ModelDraft(model="gpt-5"))).ok
    names = [(SYSTEM, 1, 0, True, "EUR"), (EMBEDDER, 1, 0, True, "EUR"), (own.llm_id, 1, 0, True, "")]
    assert sorted(await rows(trials, actor), key=str) == sorted([*names, names[-1]], key=str)


async def test_drafts_are_rows_under_one_known_id(transactions: DatabaseTransactions) -> None:
    trials = Trials(transactions)
    actor = await registered(transactions)
    for model in ("gpt-4", "gpt-5"):
        assert (await trials(actor, None, draft(model=model))).ok
    assert (await trials(actor, None, draft(kind=ModelKind.EMBEDDING))).ok
    found = await sums(transactions, actor)
    assert [(one.key, one.name, one.attempts) for one in found] == [(DRAFT_ID, "gpt-4", 2), (DRAFT_ID, "gpt-5", 1)]


async def test_an_embedding_model_that_says_nothing_costs_nothing(transactions: DatabaseTransactions) -> None:
    trials = Trials(transactions, vectors=Vectors(away=True))
    actor = await registered(transactions)
    assert (await trials(actor, EMBEDDER)).code == "model_unavailable"
    assert await outcomes(transactions, actor) == ["model_unavailable"]
    (row,) = await sums(transactions, actor)
    assert (row.input_tokens, row.output_tokens, row.cost_nanos, row.estimated_attempts) == (0, 0, 0, 0)


@pytest.mark.parametrize("known", [True, False])
async def test_a_trial_under_way_has_its_row_and_the_end_takes_its_place(
    transactions: DatabaseTransactions, *, known: bool
) -> None:
    """So that one whose process is killed has one, too."""
    gate = hold()
    trials = Trials(transactions, model=ScriptedChatModel([gate, delta("OK"), finished(usage=Usage(9, 1))]))
    actor = await registered(transactions)
    wanted = (SYSTEM, ModelDraft()) if known else (None, draft())
    trying = asyncio.create_task(trials(actor, *wanted))
    await gate.reached.wait()
    (begun,) = await sums(transactions, actor)
    assert (begun.key, begun.attempts, begun.estimated_attempts) == (SYSTEM if known else DRAFT_ID, 1, 1)
    assert begun.input_tokens > 0
    assert await outcomes(transactions, actor) == [INTERRUPTED]
    gate.release()
    assert (await trying).ok
    (ended,) = await sums(transactions, actor)
    assert (ended.key, ended.attempts, ended.input_tokens, ended.output_tokens) == (begun.key, 1, 9, 1)
    assert await outcomes(transactions, actor) == [ANSWERED]


@pytest.mark.parametrize("quota", [Quota(tokens=120), Quota(cost_nanos=1_500)])
async def test_who_has_used_up_the_day_tries_the_models_that_they_pay_for(
    transactions: DatabaseTransactions, quota: Quota
) -> None:
    trials = Trials(transactions, quota)
    actor = await registered(transactions)
    own = await trials.own.create(actor)
    await noted(transactions, actor, [attempt(llm_id=SYSTEM, at=milliseconds(trials.clock.now()))])
    for llm_id in (SYSTEM, EMBEDDER):
        with pytest.raises(TooManyRequests) as refused:
            await trials(actor, llm_id)
        assert refused.value.code == "quota_exceeded"
    assert (trials.model.requests, trials.vectors.asked) == ([], [])
    assert (await trials(actor, own.llm_id)).ok
    assert (await trials(actor, None, draft())).ok


async def test_a_trial_is_no_answer_of_the_day(transactions: DatabaseTransactions) -> None:
    trials = Trials(transactions, Quota(runs=1))
    actor = await registered(transactions)
    await noted(transactions, actor, [attempt(llm_id=SYSTEM, at=milliseconds(trials.clock.now()))])
    assert (await trials(actor, SYSTEM)).ok


@given(name=st.sampled_from(sorted(OTHERS)), llm_id=st.sampled_from([SYSTEM, EMBEDDER]))
async def test_a_model_of_the_system_is_tried_as_it_is_or_not_at_all(
    transactions: DatabaseTransactions, name: str, llm_id: ModelId
) -> None:
    trials = Trials(transactions)
    actor = UserId("ann")
    said = replace(ModelDraft(), **{name: OTHERS[name]})  # type: ignore[arg-type]
    with pytest.raises(InvalidValue) as refused:
        await trials(actor, llm_id, said)
    assert [one.name for one in refused.value.fields] == ["llm_id"]
    assert trials.model.requests == []
